"""How every kernel is compiled: cached on disk, without the GIL, never with fastmath (it would reorder sums).

``NUMBA_DISABLE_JIT=1`` turns each kernel back into the Python function it is written as, so a debugger can step through it.
"""

from collections.abc import Callable
from types import FunctionType
from typing import Any

import numba

RELEASED = {
    "nogil": True,
    "error_model": "numpy",
}  # numpy's error model: no zero-division branch inside the loops


def kernel(function: Callable) -> Callable:
    """Compile ``function`` for one thread."""
    return _compile(function, **RELEASED)


def contracting_kernel(function: Callable) -> Callable:
    """Compile ``function`` for one thread; the processor may multiply and add in one step, which rounds once instead of twice.

    The bits then differ from machine to machine: only for what is rough by design and is checked afterwards.
    """
    return _compile(function, fastmath={"contract"}, **RELEASED)


def parallel_kernel(function: Callable) -> Callable:
    """Compile ``function`` with its ``prange`` loops spread over Numba's threads."""
    return _compile(function, parallel=True, **RELEASED)


def both(function: Callable) -> tuple[Callable, Callable]:
    """Compile ``function``, which loops with ``prange``, for one thread and for all: small work is over before threads wake."""
    serial = FunctionType(function.__code__, function.__globals__)
    # The cache on disk tells functions apart by name, not by the options they are compiled with.
    serial.__qualname__ = f"{function.__qualname__}_serial"
    return kernel(serial), parallel_kernel(function)


def _compile(function: Callable, **options: Any) -> Callable:
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no directory to keep the cache in: compile in memory
        return numba.njit(**options)(function)
