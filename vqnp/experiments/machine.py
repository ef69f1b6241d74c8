"""The machine that runs are made on: what may change the bits of images, and nothing else.

Points have the same bits on every processor. Convolutions multiply in BLAS, which has another
kernel for another kind of processor.
"""

import platform
from pathlib import Path

from threadpoolctl import threadpool_info


def machine() -> dict[str, str]:
    """Return the processor's name, and each BLAS with its version and its kernel."""
    found = {
        f"{pool['internal_api']} {pool['version']}, kernel {pool.get('architecture', 'unknown')}"
        for pool in threadpool_info()
        if pool["user_api"] == "blas"
    }
    return {"processor": processor(), "blas": "; ".join(sorted(found))}


def processor() -> str:
    """Return the processor's name as the system gives it."""
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        for line in listing.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":")[1].strip()
    return platform.processor() or platform.machine()
