"""The whole of one Figure 3 setting, here and in eager PyTorch: 8,000 steps of batch 256, k-means and moving averages included.

    python tests/benchmarks/synthetic.py [--repeats N] [--threads N] [--out FILE.json]

The two take turns in one process with the same number of threads; medians and their ratio are printed, above 1 is ours faster.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import joblib
import torch
from tabulate import tabulate

sys.path.insert(0, str(Path(__file__).parents[1]))
import torch_transcription

from vqnp import VQVAE, MLPSettings, ae_then_vq, clusters, threads, train

CASES = {
    "2 → 1, baseline": (2, 1, 0, 200),
    "2 → 1, pretrained": (2, 1, 100, 100),
    "8 → 4, pretrained": (8, 4, 100, 100),
}


def ours(dim: int, token_dim: int, pretrain: int, finetune: int) -> None:
    """Train as the library does."""
    model = VQVAE.mlp(MLPSettings(dim, token_dim))
    train(model, clusters(dim).points, ae_then_vq(pretrain, finetune))


def theirs(dim: int, token_dim: int, pretrain: int, finetune: int) -> None:
    """Train the transcription in eager PyTorch."""
    torch_transcription.two_phases(torch.from_numpy(clusters(dim).points), token_dim, pretrain, finetune)


def seconds(work: Callable[..., None], *case: int) -> float:
    """Return the wall time of one call."""
    begun = time.perf_counter()
    work(*case)
    return time.perf_counter() - begun


def main() -> None:
    """Time all cases and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=joblib.cpu_count())
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = []
    with threads.limit(options.threads):
        for name, (dim, token_dim, *epochs) in CASES.items():
            ours(dim, token_dim, 1, 1), theirs(dim, token_dim, 1, 1)  # compile and warm up
            case = (dim, token_dim, *epochs)
            pairs = [(seconds(ours, *case), seconds(theirs, *case)) for _ in range(options.repeats)]
            mine, other = (statistics.median(times) for times in zip(*pairs, strict=True))
            rows.append(
                {
                    "case": name,
                    "vqnp (s)": round(mine, 2),
                    "PyTorch (s)": round(other, 2),
                    "ratio": round(other / mine, 1),
                }
            )
    print(f"{options.threads} threads, median of {options.repeats}, PyTorch {torch.__version__}")
    print(tabulate(rows, headers="keys"))
    if options.out:
        options.out.write_text(json.dumps(rows, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
