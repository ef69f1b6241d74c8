"""The machine that runs are made on: what may change the bits of images, and nothing else.

Points have the same bits on every processor. Convolutions multiply in BLAS, which has another
kernel for another kind of processor. So images have the same bits on one kind of processor.
"""

import platform
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_info

PACKAGES = ("vqnp", "numpy", "numba", "scipy", "scikit-learn", "matplotlib")


def environment() -> dict[str, Any]:
    """Return what a page names: the machine, the layer of Numba's threads, and all versions."""
    return {
        "machine": machine(),
        "thread_layer": thread_layer(),
        "python": sys.version.split()[0],
        "versions": {name: version(name) for name in PACKAGES},
    }


@cache
def machine() -> dict[str, str]:
    """Return the processor's name, and each BLAS with its version and its kernel."""
    import scipy.linalg.cython_blas  # noqa: F401  (a BLAS is listed once it is loaded)

    found = {
        f"{pool['internal_api']} {pool['version']}, kernel {pool.get('architecture', 'unknown')}"
        for pool in threadpool_info()
        if pool["user_api"] == "blas"
    }
    return {"processor": processor(), "blas": "; ".join(sorted(found))}


def in_words(machine: dict[str, str]) -> str:
    """Return a machine as a sentence has it."""
    return f"{machine['processor']} ({machine['blas']})"


def processor() -> str:
    """Return the processor's name as the system gives it."""
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        for line in listing.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":")[1].strip()
    return platform.processor() or platform.machine()


def thread_layer() -> str:
    """Return the layer of Numba's threads: omp, tbb or workqueue."""
    import numba

    numba.get_num_threads()  # starts them, which decides the layer
    return str(numba.threading_layer())  # type: ignore[attr-defined]
