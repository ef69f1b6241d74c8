"""A benchmark: contestants that do the same work with the same number of threads, taking turns.

A contestant runs in the state it would be used in. Ours holds BLAS and OpenMP to one thread and
spreads its own blocks (see ``vqnp/threads.py``). The others get all threads for BLAS and OpenMP,
outside our limit.
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

SAMPLE_SECONDS = 0.005  # shorter work is repeated, because the clock itself takes time
PAUSE_SECONDS = 0.005  # idle threads of another pool look for work for about a millisecond
FEWEST_ROUNDS, BUDGET_SECONDS = 5, 6.0  # no more rounds after the budget
LONG_SECONDS = 10.0  # a round that takes longer is not repeated

Work = Callable[[], Any]


@dataclass(frozen=True)
class Case:
    """One line of the table: each contestant's work, ours under ``OURS``, and a check.

    ``work`` counts the multiplications and additions of the task; 0 means not counted.
    ``warm_up`` is a shorter run of the same code, for work that takes long.
    """

    name: str
    contestants: dict[str, Work]
    agree: Callable[[dict[str, Any]], None]
    work: float = 0.0
    warm_up: dict[str, Work] | None = None


@contextmanager
def pools(contestant: str, number: int) -> Iterator[None]:
    """Give the threads of all pools to ``contestant``.

    Numba's alone are ours; BLAS's and OpenMP's are the others'.
    """
    if contestant.startswith(OURS):
        with threads.limit(number):
            yield
        return
    with threadpool_limits(limits=number):
        # threadpoolctl cannot see PyTorch's matrix library, because it is built in.
        torch.set_num_threads(number)
        faiss.omp_set_num_threads(number)
        yield


def alternate(case: Case, number: int, repeats: int) -> dict[str, list[float]]:
    """Return the seconds of each contestant's runs; raises ``AssertionError`` if answers differ.

    Everyone warms up, then they take turns. Where a round takes long, a peer that needed twice the
    best one's time stays out of the next.
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
    if round_took > LONG_SECONDS:
        return seconds
    best = min(
        (taken[0] for name, taken in seconds.items() if not name.startswith(OURS)),
        default=math.inf,
    )
    staying = [
        name
        for name, taken in seconds.items()
        if name.startswith(OURS) or round_took < BUDGET_SECONDS or taken[0] < 2 * best
    ]
    for repeat in range(1, repeats):
        if repeat >= FEWEST_ROUNDS and time.perf_counter() - begun > BUDGET_SECONDS:
            break
        for name in staying:
            seconds[name].append(sample(name, case.contestants[name], number)[1])
    return seconds


def sample(name: str, work: Work, number: int) -> tuple[Any, float]:
    """Return the answer and the seconds of one run.

    Work shorter than ``SAMPLE_SECONDS`` runs once before the clock starts, to wake its threads.
    Then it runs as often as fills a sample.
    """
    with pools(name, number):
        time.sleep(PAUSE_SECONDS)
        begun = time.perf_counter()
        answer = work()
        once = time.perf_counter() - begun
        if once > SAMPLE_SECONDS:
            return answer, once
        times = math.ceil(SAMPLE_SECONDS / max(once, 1e-7))
        begun = time.perf_counter()
        for _ in range(times):
            work()
        return answer, (time.perf_counter() - begun) / times
