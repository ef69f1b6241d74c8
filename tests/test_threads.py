import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pytest
from threadpoolctl import threadpool_info

from vqnp import threads
from vqnp.fast import correlate, screen
from vqnp.jit import Both


def blas_threads():
    """The counts of every BLAS, but for those on OpenMP: these count for each Python thread.

    NumPy's and SciPy's have threads of their own. Peers that other tests load may bring OpenMP.
    """
    return {
        pool["num_threads"]
        for pool in threadpool_info()
        if pool["user_api"] == "blas" and pool["threading_layer"] != "openmp"
    }


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
        correlate, "_multiply_parts",
        lambda x: correlate.correlate(x[None, None], x[None, None], (1, 4), *STEP_AND_MARGIN),
    ),
    "its input": (
        correlate, "_multiply_parts",
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


def test_the_limit_holds_until_the_last_of_two_python_threads_has_left():
    """The second enters within the limit of the first, which leaves before it."""
    before, inside = blas_threads(), []
    first_in, second_in, first_out = (threading.Event() for _ in range(3))

    def first():
        with threads.limit():
            first_in.set()
            second_in.wait(10)
        first_out.set()

    def second():
        first_in.wait(10)
        with threads.limit():
            second_in.set()
            first_out.wait(10)
            inside.append(blas_threads())

    workers = [threading.Thread(target=work) for work in (first, second)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert inside == [{1}]
    assert blas_threads() == before


def test_limits_of_many_threads_leave_the_counts_as_they_were():
    before = blas_threads()

    def work():
        for _ in range(50):
            with threads.limit(1), threads.limit():
                assert numba.get_num_threads() == 1

    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(work) for _ in range(6)]:
            done.result()
    assert blas_threads() == before


WORK = """
import numba, numpy as np, vqnp
from concurrent.futures import ThreadPoolExecutor
from vqnp import threads
x = np.random.default_rng(0).standard_normal((20_000, 8)).astype(np.float32)
def work(_=0):
    codes, distances = vqnp.nearest(x, x[:64])
    tokens = vqnp.kmeans(x, 16, rng=0, iterations=3).tokens
    return codes.tobytes() + distances.tobytes() + tokens.tobytes()
"""
FORKS = """
import multiprocessing
expected = work()
with multiprocessing.get_context("fork").Pool(2) as pool:
    found = pool.map_async(work, range(4)).get(timeout=100)
assert found == 4 * [expected]
assert not threads.forked()
print("right")
"""
SHARES = """
expected = work()
with ThreadPoolExecutor(4) as pool:
    found = list(pool.map(work, range(8)))
assert found == 8 * [expected]
print("right", numba.threading_layer())
"""


def answer(script, layer):
    """Run a script in a process of two Numba threads; its warnings are none of ours."""
    environment = os.environ | {"NUMBA_THREADING_LAYER": layer, "NUMBA_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-c", WORK + script],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert not done.returncode, done.stderr
    return done.stdout.split()


@pytest.mark.jit
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.parametrize("layer", ["omp", "workqueue"])
def test_a_forked_child_works_on_one_thread_with_the_same_bits(layer):
    """GNU OpenMP kills a child that asks for threads, and a pool then waits for ever."""
    assert answer(FORKS, layer) == ["right"]


@pytest.mark.jit
@pytest.mark.parametrize("layer", ["omp", "workqueue"])
def test_python_threads_share_the_kernels(layer):
    """Numba's own layer ends the process when two Python threads ask for threads at once."""
    assert answer(SHARES, layer) == ["right", layer]
