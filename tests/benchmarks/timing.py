"""What a benchmark is: several contestants that do the same work, each with the same number of threads, taking turns.

A contestant runs in the state it would be used in. Ours holds BLAS and OpenMP to one thread and spreads its own blocks (see
``vqnp/threads.py``); the others get all the threads for BLAS and OpenMP, and are never inside our limit.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import faiss
import torch
from threadpoolctl import threadpool_limits

from benchmarks.report import OURS
from vqnp import threads

SAMPLE = 0.005  # seconds; shorter work is repeated within one sample, or the clock would be what is measured
PAUSE = 0.005  # seconds; idle threads of the pool before stay awake for a millisecond or so, looking for work
FEWEST, BUDGET = 5, 6.0  # rounds at least, and the seconds after which there are no more
LONG = 10.0  # seconds; a round as long as that is not repeated

Work = Callable[[], Any]


@dataclass(frozen=True)
class Case:
    """One line of the table: what each contestant does, ours under ``OURS``, and a check that their answers agree.

    ``work`` counts the multiplications and additions that the task is made of, 0 where they are not what it costs. ``warm_up``
    is a shorter run of the same code, for work that takes long.
    """

    name: str
    contestants: dict[str, Work]
    agree: Callable[[dict[str, Any]], None]
    work: float = 0.0
    warm_up: dict[str, Work] | None = None


@contextmanager
def pools(contestant: str, number: int) -> Iterator[None]:
    """Give the threads of all pools to ``contestant``: Numba's alone are ours, BLAS's and OpenMP's are the others'."""
    if contestant == OURS:
        with threads.limit(number):
            yield
        return
    with threadpool_limits(limits=number):
        torch.set_num_threads(
            number
        )  # its matrix library is built in, where threadpoolctl cannot see it
        faiss.omp_set_num_threads(number)
        yield


def alternate(case: Case, number: int, repeats: int) -> dict[str, list[float]]:
    """Return the seconds of each contestant's runs; raises ``AssertionError`` when their answers differ.

    Everyone warms up, then they take turns. Where a round takes long, a peer that needed twice the time of the best one stays
    out of the next.
    """
    for name, work in (case.warm_up or case.contestants).items():
        with pools(name, number):
            work()
    begun = time.perf_counter()
    answers, seconds = {}, {}
    for name, work in case.contestants.items():
        answers[name], taken = sample(name, work, number)
        seconds[name] = [taken]
    case.agree(answers)
    del answers
    round_took = time.perf_counter() - begun
    if round_took > LONG:
        return seconds
    best = min(taken[0] for name, taken in seconds.items() if name != OURS)
    staying = [
        name
        for name, taken in seconds.items()
        if name == OURS or round_took < BUDGET or taken[0] < 2 * best
    ]
    for repeat in range(1, repeats):
        if repeat >= FEWEST and time.perf_counter() - begun > BUDGET:
            break
        for name in staying:
            seconds[name].append(sample(name, case.contestants[name], number)[1])
    return seconds


def sample(name: str, work: Work, number: int) -> tuple[Any, float]:
    """Return the answer and the seconds of one run.

    Work shorter than ``SAMPLE`` runs once before the clock starts, to wake its threads, and then as often as fills it.
    """
    with pools(name, number):
        time.sleep(PAUSE)
        begun = time.perf_counter()
        answer = work()
        once = time.perf_counter() - begun
        if once > SAMPLE:
            return answer, once
        times = math.ceil(SAMPLE / max(once, 1e-7))
        begun = time.perf_counter()
        for _ in range(times):
            work()
        return answer, (time.perf_counter() - begun) / times
