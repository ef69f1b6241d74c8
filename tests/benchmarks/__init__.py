"""The same work here and in what people would use instead, timed side by side: ``python tests/benchmarks/run.py``."""
