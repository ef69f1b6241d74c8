"""The machine that was measured: its name, the versions, and the rate of its matrix product."""

import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch

from benchmarks.report import median
from benchmarks.timing import pools

PACKAGES = ("numpy", "numba", "scipy", "torch", "faiss-cpu", "scikit-learn")


def describe(number: int) -> dict[str, Any]:
    """Return the processor, its cores, the threads used, and every version."""
    return {
        "processor": processor(),
        "cores": joblib.cpu_count(only_physical_cores=True),
        "threads": number,
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
    }


def processor() -> str:
    """Return the processor's name as the system gives it."""
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        for line in listing.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":")[1].strip()
    return platform.processor() or platform.machine()


def sgemm(number: int, size: int = 2048) -> float:
    """Return the GFLOP/s of a float32 product of two square matrices.

    NumPy's or PyTorch's counts, whichever is faster here.
    """
    a = np.random.default_rng(0).standard_normal((size, size), np.float32)
    t = torch.from_numpy(a)
    with pools("peers", number):
        return 2e-9 * size**3 / min(_median_seconds(lambda: a @ a), _median_seconds(lambda: t @ t))


def _median_seconds(work: Any, repeats: int = 7) -> float:
    work()
    seconds = []
    for _ in range(repeats):
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    return median(seconds)
