"""Checks of k-means from a given start: ``cluster(points, start) -> (tokens, counts)``.

Points ``(N, D)`` and the first tokens ``(K, D)`` are given, so nothing is random: Lloyd's algorithm runs until no point changes its
token. The counts ``(K,)`` are those of a fresh assignment to the very tokens returned.

What becomes of a token that no point chooses is a rule of its own, and ``check_kmeans_empty`` asks for it: the token moves onto
the point farthest from its own token. Other rules are differences; a token at the origin, where there are no points, is a fault.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from vqnp.quantize.lloyd import lloyd
from vqnp.testing.adapter import Arrays, Port, Precision
from vqnp.testing.check import Check, Functions, judge, unpack
from vqnp.testing.golden import Case, cases, draw
from vqnp.testing.nearest import squared_distances
from vqnp.testing.result import Mutant, Result, Tolerance
from vqnp.validation import Array

MEANS = Tolerance(64, "a token is the mean of some twenty points")


def check_kmeans_init(
    cluster: Callable[..., Any],
    *,
    arrays: Arrays = "numpy",
    dtype: Precision = "float64",
    raises: bool = True,
) -> Result:
    """Check tokens and counts where every token has points."""
    check = Check("check_kmeans_init", _named("from five points"), _clustered, MUTANTS, MEANS)
    return judge(check, (cluster,), Port(arrays, dtype), raises=raises)


def check_kmeans_empty(
    cluster: Callable[..., Any],
    *,
    arrays: Arrays = "numpy",
    dtype: Precision = "float64",
    raises: bool = True,
) -> Result:
    """Check that tokens without points move onto the farthest points."""
    check = Check("check_kmeans_empty", _named("empty"), _clustered, EMPTY_MUTANTS, MEANS)
    return judge(check, (cluster,), Port(arrays, dtype), raises=raises)


def _named(start: str) -> tuple[Case, ...]:
    return tuple(case for case in cases("kmeans") if case.name.startswith(start))


def _clustered(case: Case, functions: Functions, port: Port) -> dict[str, Any]:
    answer = functions[0](port.give(case.inputs["points"]), port.give(case.inputs["start"]))
    tokens, counts = unpack(answer, "tokens, counts")
    return {"tokens": tokens, "counts": counts}


def _farthest(points: Array, means: Array, tokens: Array, empty: Array) -> Array:
    order = np.argsort(-squared_distances(points, tokens).min(axis=1), kind="stable")
    means[empty] = points[order[: empty.sum()]]
    return means


def _zero(points: Array, means: Array, tokens: Array, empty: Array) -> Array:
    means[empty] = 0
    return means


def _stays(points: Array, means: Array, tokens: Array, empty: Array) -> Array:
    means[empty] = tokens[empty]
    return means


def plain_lloyd(
    rule: Callable[..., Array] = _farthest,
    *,
    steps: int = 100,
    early: bool = False,
    middle: Callable[..., Array] = np.mean,
) -> Callable[..., tuple[Array, Array]]:
    """Return Lloyd's algorithm, written plainly, with what can go wrong in it; ``early``: counts from before the last move."""

    def cluster(points: Array, tokens: Array) -> tuple[Array, Array]:
        k = len(tokens)
        codes = counted = squared_distances(points, tokens).argmin(axis=1)
        for _ in range(steps):
            empty = np.bincount(codes, minlength=k) == 0
            means = np.stack(
                [
                    np.zeros_like(tokens[j]) if empty[j] else middle(points[codes == j], axis=0)
                    for j in range(k)
                ]
            )
            tokens, before = rule(points, means, tokens, empty), codes
            codes = squared_distances(points, tokens).argmin(axis=1)
            counted = before if early else codes
            if np.array_equal(codes, before):
                break
        return tokens, np.bincount(counted, minlength=k)

    return cluster


MUTANTS = (
    Mutant("one-step", "there is one step of Lloyd's algorithm; go on until no point changes its token", (plain_lloyd(steps=1),)),
    Mutant("early-counts", "after one step, and with counts from before the move: assign once more", (plain_lloyd(steps=1, early=True),)),
    Mutant("two-steps-early-counts", "after two steps, and with counts from before the last move", (plain_lloyd(steps=2, early=True),)),
    Mutant("not-moved", "the tokens are still the start", (plain_lloyd(steps=0),)),
    Mutant("medians", "tokens are medians of their points; k-means takes means", (plain_lloyd(middle=np.median),)),
    Mutant("shares", "counts are shares of the points, or hits of another batch size: return how many points chose each token",
           (lambda points, start: (plain_lloyd()(points, start)[0], plain_lloyd()(points, start)[1] / len(points)),)),
)  # fmt: skip
EMPTY_MUTANTS = (
    Mutant("zero-when-empty", "a token without points becomes 0, where there may be no points at all", (plain_lloyd(_zero),)),
    Mutant("stays-when-empty", "a token without points stays where it was, and dead; another rule than this one", (plain_lloyd(_stays),)),
)  # fmt: skip


def _case(name: str, points: Array, start: Array) -> Case:
    with warnings.catch_warnings(
        action="ignore"
    ):  # of tokens without points, which are what a case is about
        found = lloyd(points, start, 100)
    return Case(
        name, {"points": points, "start": start}, {"tokens": found.tokens, "counts": found.counts}
    )


def make_cases() -> tuple[Case, ...]:
    """Points without structure, which take several steps; blobs far from the origin with tokens that nobody chooses; and seven
    tokens for four points."""
    rng = np.random.default_rng(8)
    points = draw(rng, 90, 2)
    blobs = np.concatenate([10 + draw(rng, 25, 2) / 8, [[14.0, 13.0]], 10 + draw(rng, 10, 2) / 8])
    return (
        _case("from five points", points, points[:5]),
        _case("empty, one", blobs, np.array([[10.0, 10], [-90, 0], [10.25, 10]])),
        _case("empty, two", blobs, np.array([[-90.0, 0], [10, 10], [90, 90]])),
        _case("empty, more tokens than points", points[:4], points[[0, 1, 2, 3, 3, 2, 0]]),
    )


MAKE = {"kmeans": make_cases}
