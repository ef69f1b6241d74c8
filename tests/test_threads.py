import subprocess
import sys
import textwrap

import numba
import pytest
from threadpoolctl import threadpool_info

from vqnp import threads


def blas_threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_blas_is_held_to_one_thread_and_let_go():
    before = blas_threads()
    with threads.limit():
        assert blas_threads() == {1}
    assert blas_threads() == before


def test_a_limit_within_a_limit_ends_with_the_outer_one():
    before = blas_threads()
    with threads.limit():
        with threads.limit(1):
            assert blas_threads() == {1}
        assert blas_threads() == {1}
    assert blas_threads() == before


@pytest.mark.jit
def test_products_inside_parallel_kernels_do_not_ask_blas_for_more_threads():
    """Called plainly, outside any limit: BLAS would warn on standard error that it runs inside an OpenMP loop."""
    code = """
        import numpy as np
        from vqnp.layers import conv2d_forward
        from vqnp.quantize.screen import screened_search
        x = np.random.default_rng(0).normal(size=(2000, 64)).astype(np.float32)
        screened_search(x, x)
        conv2d_forward(x.reshape(8, 25, 10, 64), x[:576].reshape(3, 3, 64, 64), x[0], 1, 1)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_numba_is_held_and_let_go_even_after_an_error():
    before = numba.get_num_threads()

    def fail():
        with threads.limit(1):
            assert numba.get_num_threads() == 1
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert numba.get_num_threads() == before
    with threads.limit():
        assert numba.get_num_threads() == before


@pytest.mark.parametrize("number", [0, 10_000])
def test_impossible_number_is_refused(number):
    with pytest.raises(ValueError, match="The number of threads must be between 1 and"), threads.limit(number):
        pass
