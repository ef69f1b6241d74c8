"""How every kernel is compiled: cached on disk, without the GIL, never with full fastmath.

Fastmath would reorder sums. ``NUMBA_DISABLE_JIT=1`` turns each kernel back into the Python function
it is written as, so that you can step through it with a debugger.
"""

from collections.abc import Callable
from types import FunctionType
from typing import Any, NamedTuple

import numba

# NumPy's error model keeps a branch for division by zero out of the loops.
RELEASED = {"nogil": True, "error_model": "numpy"}


class Both(NamedTuple):
    """One kernel compiled twice: for one thread, and for all of Numba's."""

    serial: Callable
    parallel: Callable

    def sized(self, work: int, parallel_from: int) -> Callable:
        """Return ``parallel`` for ``work`` of at least ``parallel_from``, else ``serial``.

        Small work is over before a second thread wakes.
        """
        return self.parallel if work >= parallel_from else self.serial


def kernel(function: Callable) -> Callable:
    """Compile ``function`` for one thread."""
    return _compile(function, **RELEASED)


def contracting_kernel(function: Callable) -> Callable:
    """Compile ``function`` for one thread, and let multiply and add contract to one step.

    One step rounds once instead of twice, so the bits differ from machine to machine. Use it only
    for rough numbers that are checked afterwards.
    """
    return _compile(function, fastmath={"contract"}, **RELEASED)


def parallel_kernel(function: Callable) -> Callable:
    """Compile ``function`` with its ``prange`` loops spread over Numba's threads."""
    return _compile(function, parallel=True, **RELEASED)


def both(function: Callable) -> Both:
    """Compile ``function``, which loops with ``prange``, for one thread and for all."""
    serial = FunctionType(function.__code__, function.__globals__)
    # The cache on disk tells functions apart by name, not by the options they are compiled with.
    serial.__qualname__ = f"{function.__qualname__}_serial"
    return Both(kernel(serial), parallel_kernel(function))


def _compile(function: Callable, **options: Any) -> Callable:
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # there is no directory for the cache: compile in memory
        return numba.njit(**options)(function)
