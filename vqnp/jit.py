"""How every kernel is compiled: cached on disk, without the GIL, never with full fastmath.

Fastmath would reorder sums. ``NUMBA_DISABLE_JIT=1`` turns each kernel back into the Python function
it is written as, so that you can step through it with a debugger.

Numba's cache looks at the file of a kernel, not at the files of the kernels that it calls. Compiled
code is inlined, so an edit there would change nothing. Therefore the cache is valid only for
one digest of all files with kernels: an edit in any of them compiles all anew.
"""

import threading
from collections.abc import Callable
from contextlib import nullcontext
from functools import cache, wraps
from hashlib import sha256
from pathlib import Path
from types import FunctionType
from typing import Any, NamedTuple

import numba

from vqnp import threads

# NumPy's error model keeps a branch for division by zero out of the loops.
RELEASED = {"nogil": True, "error_model": "numpy"}
# What a file with kernels says. A test sees that kernels take constants only from such files.
HAS_KERNELS = b"from vqnp.jit import"


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
    return both(function).parallel


def both(function: Callable) -> Both:
    """Compile ``function``, which loops with ``prange``, for one thread and for all.

    In a forked process the version for all threads is that for one. It has no others.
    """
    serial = FunctionType(function.__code__, function.__globals__)
    # The cache on disk tells functions apart by name, not by the options they are compiled with.
    serial.__qualname__ = f"{function.__qualname__}_serial"
    alone = kernel(serial)
    together = _compile(function, parallel=True, **RELEASED)

    @wraps(function)
    def parallel(*arguments: Any) -> Any:
        if threads.forked():
            return alone(*arguments)
        with _turns():
            return together(*arguments)

    parallel.py_func = function  # type: ignore[attr-defined]  # as a compiled function has it
    return Both(alone, parallel)


@cache
def _turns() -> Any:
    """Return a lock if Numba's threads serve one Python thread at a time, else nothing to hold."""
    numba.get_num_threads()  # starts them, which decides the layer
    layer = numba.threading_layer()  # type: ignore[attr-defined]
    return threading.Lock() if layer == "workqueue" else nullcontext()


def _compile(function: Callable, **options: Any) -> Callable:
    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        return function
    try:
        compiled = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # there is no directory for the cache: compile in memory
        return numba.njit(**options)(function)
    # Numba has no public way to say what a cache depends on; tests/test_jit.py edits a package.
    compiled._cache._cache_file._source_stamp = sources()
    return compiled


@cache
def sources() -> str:
    """Return a digest of this file and all files of the package with kernels."""
    here, digest = Path(__file__), sha256()
    for path in sorted(here.parent.rglob("*.py")):
        text = path.read_bytes()
        if path == here or HAS_KERNELS in text:
            digest.update(text)
    return digest.hexdigest()
