import numpy as np
from numba import prange
from runs import INTERPRETED

from vqnp.jit import both


@both
def double(values):
    for i in prange(len(values)):
        values[i] *= 2


def test_the_versions_for_one_thread_and_for_all_give_the_same():
    for version in double:
        values = np.arange(5.0)
        version(values)
        assert values.tolist() == [0, 2, 4, 6, 8]


def test_the_cache_tells_them_apart():
    """Numba keeps compiled code under the function's name, whatever the options.

    If both shared a name, the first compiled would serve as both.
    """
    if not INTERPRETED:
        serial, parallel = (version.py_func.__qualname__ for version in double)
        assert serial != parallel


def test_work_is_spread_from_the_size_asked_for():
    assert double.sized(9, 10) is double.serial
    assert double.sized(10, 10) is double.parallel
