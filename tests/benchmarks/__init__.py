"""The same work here and in its peers, timed side by side: ``python tests/benchmarks/run.py``."""
