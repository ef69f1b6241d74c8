"""A diagnosis of many embeddings beside a large codebook: its seconds and its peak memory.

    cd tests && python -m benchmarks.large [--embeddings N] [--tokens K] [--dimension D]

By default 2,000,000 × 64 float32 embeddings and 65,536 tokens, in files: 400 clouds of uneven
size, and tokens drawn from the embeddings. ``vqnp diagnose`` runs in a process of its own, and the
system's account of it gives the seconds of the processor and the largest resident memory.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap

from vqnp.machine import processor

CLOUDS, BLOCK = 400, 1 << 16
RUN = "import sys; from vqnp.cli import main; sys.exit(main(sys.argv[1:]))"


def main() -> None:
    """Write the files, diagnose them and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--embeddings", type=int, default=2_000_000, metavar="N")
    parser.add_argument("--tokens", type=int, default=65_536, metavar="K")
    parser.add_argument("--dimension", type=int, default=64, metavar="D")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        files = write(Path(place), options.embeddings, options.tokens, options.dimension)
        command = [sys.executable, "-c", RUN, "diagnose", *files, "--out", f"{place}/page"]
        begun = time.perf_counter()
        subprocess.run(command, check=True)
        seconds = time.perf_counter() - begun
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"{processor()}, {os.cpu_count()} cores: {options.embeddings:,} x {options.dimension} "
        f"embeddings, {options.tokens:,} tokens: {seconds:,.0f} s, {used.ru_utime:,.0f} s of the "
        f"processor, at most {used.ru_maxrss / 1024:,.0f} MB"
    )


def write(place: Path, n: int, k: int, d: int) -> list[str]:
    """Write embeddings and tokens, and return the arguments that name them."""
    rng = np.random.default_rng(0)
    centers = rng.standard_normal((CLOUDS, d), np.float32)
    shares = rng.exponential(size=CLOUDS)
    points = open_memmap(place / "embeddings.npy", "w+", np.float32, (n, d))
    for start in range(0, n, BLOCK):
        rows = points[start : start + BLOCK]
        clouds = rng.choice(CLOUDS, len(rows), p=shares / shares.sum())
        rows[:] = centers[clouds] + 0.3 * rng.standard_normal(rows.shape, np.float32)
    np.save(place / "tokens.npy", points[np.sort(rng.choice(n, k, replace=False))])
    return ["--embeddings", f"{place}/embeddings.npy", "--tokens", f"{place}/tokens.npy"]


if __name__ == "__main__":
    main()
