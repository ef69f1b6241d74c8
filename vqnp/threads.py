"""All thread counts are set here.

BLAS and the OpenMP loops of scikit-learn always run on one thread. The parallel work is in Numba's
blocks. Their number and order do not depend on the number of threads. So the same seed gives the
same bits on any machine, and one pool of threads never multiplies another.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import lru_cache

import numba
from threadpoolctl import ThreadpoolController


@lru_cache(maxsize=1)
def _pools(modules: int) -> ThreadpoolController:
    """Return the thread pools of the process, as found when it had ``modules`` modules.

    The search takes a millisecond, so its result is kept until more modules are loaded.
    """
    return ThreadpoolController()


_depth = 0  # limits in force: within one, another costs next to nothing


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

    global _depth
    before = numba.get_num_threads()
    with nullcontext() if _depth else _pools(len(sys.modules)).limit(limits=1):
        _depth += 1
        try:
            if numba_threads is not None:
                numba.set_num_threads(numba_threads)
            yield
        finally:
            _depth -= 1
            numba.set_num_threads(before)
