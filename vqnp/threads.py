"""All thread counts are set here.

BLAS and the OpenMP loops of scikit-learn always run on one thread. The parallel work is in Numba's
blocks. Their number and order do not depend on the number of threads. So the same seed gives the
same bits on any machine, and one pool of threads never multiplies another. Several Python threads
may work at once.
"""

import os
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import lru_cache
from typing import Any, ClassVar

import numba
from threadpoolctl import ThreadpoolController


@lru_cache(maxsize=1)
def _pools(modules: int) -> ThreadpoolController:
    """Return the thread pools of the process, as found when it had ``modules`` modules.

    The search takes a millisecond, so its result is kept until more modules are loaded.
    """
    return ThreadpoolController()


class _State:
    """BLAS has one count of threads for the whole process, whichever Python thread asks.

    So the first Python thread to come sets it, and the last to leave gives it back.
    """

    lock = threading.Lock()
    inside = 0  # Python threads within a limit
    blas: ClassVar[list[tuple[Any, int]]] = []  # each library with its count before
    forked = False  # the process was forked from one with threads, which are not here


class _Own(threading.local):
    """Limits within one another in one Python thread: the inner ones cost next to nothing."""

    depth = 0


_own = _Own()


def _after_fork() -> None:
    _State.lock = threading.Lock()  # a thread that is not here may hold the old one
    with suppress(ValueError):  # without a layer there were no threads: new ones can start
        _State.forked = bool(numba.threading_layer())  # type: ignore[attr-defined]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def forked() -> bool:
    """Tell whether this process was forked from one that had Numba's threads.

    It has none of them, and GNU OpenMP ends a process that asks for them. So it works on one.
    """
    return _State.forked


@contextmanager
def limit(numba_threads: int | None = None) -> Iterator[None]:
    """Hold BLAS and OpenMP to one thread inside the ``with``.

    As a decorator, ``@limit()``, it holds them while the function runs. A function that calls BLAS
    inside a parallel kernel needs that.

    Parameters
    ----------
    numba_threads : int, optional
        Threads for Numba, between 1 and the number Numba was started with; unchanged by default.

    Raises
    ------
    ValueError
        For any other number of threads.

    Example
    -------
    >>> import numba
    >>> with limit(1):
    ...     numba.get_num_threads()
    1
    """
    # Numba's np.dot is SciPy's BLAS. It must be loaded before it can be held.
    import scipy.linalg.cython_blas  # noqa: F401

    before = numba.get_num_threads()
    with nullcontext() if _own.depth else _one_thread():
        _own.depth += 1
        try:
            if numba_threads is not None:
                numba.set_num_threads(numba_threads)
            yield
        finally:
            _own.depth -= 1
            numba.set_num_threads(before)


@contextmanager
def _one_thread() -> Iterator[None]:
    libraries = _pools(len(sys.modules)).lib_controllers
    # OpenMP has a count for each Python thread.
    openmp = [(library, library.num_threads) for library in _of("openmp", libraries)]
    with _State.lock:
        if not _State.inside:
            _State.blas = [(library, library.num_threads) for library in _of("blas", libraries)]
            _set_threads((library, 1) for library, _ in _State.blas)
        _State.inside += 1
    _set_threads((library, 1) for library, _ in openmp)
    try:
        yield
    finally:
        _set_threads(openmp)
        with _State.lock:
            _State.inside -= 1
            if not _State.inside:
                _set_threads(_State.blas)


def _of(api: str, libraries: list[Any]) -> list[Any]:
    return [library for library in libraries if library.user_api == api]


def _set_threads(counts: Iterable[tuple[Any, int]]) -> None:
    for library, count in counts:
        # Later releases of threadpoolctl let one Python thread alone set the count of OpenBLAS.
        getattr(library, "_real_set_num_threads", library.set_num_threads)(count)
