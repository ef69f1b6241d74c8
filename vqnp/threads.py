"""All thread counts are set here.

BLAS always runs on one thread. The parallel work is in Numba's blocks. Their number and order do
not depend on the number of threads. So the same seed gives the same bits on any number of threads,
and one pool of threads never multiplies another. Several Python threads may work at once.
"""

import os
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
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

    So the first limit to begin sets it, and the last to end gives it back.
    """

    lock = threading.Lock()
    limits = 0  # in force, in all Python threads together
    counts: ClassVar[list[tuple[Any, int]]] = []  # each BLAS, and its threads before
    forked = False  # the process was forked from one with threads, which are not here


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
    """Hold BLAS to one thread inside the ``with``, in all Python threads.

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
    with _State.lock:
        if not _State.limits:
            pools = _pools(len(sys.modules)).lib_controllers
            _State.counts = [(one, one.num_threads) for one in pools if one.user_api == "blas"]
            _set_threads((blas, 1) for blas, _ in _State.counts)
        _State.limits += 1
    try:
        if numba_threads is not None:
            numba.set_num_threads(numba_threads)
        yield
    finally:
        numba.set_num_threads(before)
        with _State.lock:
            _State.limits -= 1
            if not _State.limits:
                _set_threads(_State.counts)


def _set_threads(counts: Iterable[tuple[Any, int]]) -> None:
    for blas, count in counts:
        # Later releases of threadpoolctl let one Python thread alone set the count of OpenBLAS.
        getattr(blas, "_real_set_num_threads", blas.set_num_threads)(count)
