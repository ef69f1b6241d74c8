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
