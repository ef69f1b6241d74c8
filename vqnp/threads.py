"""The one place that owns thread counts.

BLAS, and the OpenMP loops of scikit-learn, always run on one thread: the parallel work is in Numba's blocks, whose number and
order do not depend on the number of threads, so the same seed gives the same bits on any machine width, and no two pools multiply.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import lru_cache

import numba
from threadpoolctl import ThreadpoolController


@lru_cache(maxsize=1)
def _pools(modules: int) -> ThreadpoolController:
    """Return the thread pools of the process. Looking for them takes a millisecond, so they are kept until more ``modules`` are loaded."""
    return ThreadpoolController()


_depth = 0  # how many limits are in force: within one, another costs next to nothing


@contextmanager
def limit(numba_threads: int | None = None) -> Iterator[None]:
    """Hold BLAS and OpenMP to one thread, and Numba to ``numba_threads`` (default: leave it), inside the ``with``.

    As a decorator, ``@limit()``, it holds them while the function runs: whatever multiplies inside a parallel kernel needs that.
    Raises ``ValueError`` when ``numba_threads`` is not between 1 and the number of threads Numba was started with.
    """
    import scipy.linalg.cython_blas  # noqa: F401 (Numba's np.dot is SciPy's BLAS, which must be loaded to be held)

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
