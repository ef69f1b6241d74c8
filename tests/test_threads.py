import numba
import numpy as np
import pytest
from threadpoolctl import threadpool_info

from vqnp import threads
from vqnp.fast import correlate, screen
from vqnp.jit import Both


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


STEP_AND_MARGIN = (1, 1), (0, 0)
PRODUCTS = {
    "search": (
        screen, "_screen_blocks",
        lambda x: screen.screened_search(np.tile(x, 3), np.tile(x, 3)),
    ),
    "convolution": (
        correlate, "_correlate",
        lambda x: correlate.correlate(x[None, None], x[None, None], (1, 4), *STEP_AND_MARGIN),
    ),
    "its input": (
        correlate, "_backward_input",
        lambda x: correlate.correlate_backward_input(
            x[None, None], x[None, None], (1, 4), *STEP_AND_MARGIN
        ),
    ),
    "its weight": (
        correlate, "_backward_weight",
        lambda x: correlate.correlate_backward_weight(
            x[None, None], x[None, None], (1, 1), *STEP_AND_MARGIN
        ),
    ),
}  # fmt: skip


# The kernel's place is taken by one that computes nothing, so what is added up may be anything.
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
@pytest.mark.parametrize("name", PRODUCTS)
def test_blas_is_held_around_products_inside_parallel_kernels(monkeypatch, name):
    """Also for a caller without limits: else every Numba thread would start BLAS threads."""
    module, kernel, call = PRODUCTS[name]
    seen = []

    def look(*_):
        seen.append(blas_threads())

    monkeypatch.setattr(module, kernel, look if module is screen else Both(look, look))
    call(np.ones((4, 4), np.float32))
    assert seen == [{1}]


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
    with (
        pytest.raises(ValueError, match="The number of threads must be between 1 and"),
        threads.limit(number),
    ):
        pass
