"""Checks of k-means from a given start (eq. 2).

Points and the first tokens are given, so nothing is random: Lloyd's algorithm runs until no point
changes its token. The fate of a token that no point chooses is a rule of its own, and
``check_kmeans_empty`` asks for it. Another rule is a difference. A token at the origin, where
there are no points, is a fault.
"""

from functools import partial

import numpy as np

from vqnp.quantize.lloyd import lloyd_step_numpy
from vqnp.quantize.search import nearest_numpy
from vqnp.testing.check import Adapter, Answers, Function, KnownMistake, Tolerance, check, named
from vqnp.testing.golden import Array, Case, Cases, draw, from_seed

MEANS = Tolerance(64, "a token is the mean of some twenty points")


@from_seed
def draw_cases(rng: np.random.Generator) -> Cases:
    """Points that take several steps, tokens nobody chooses, and seven tokens for four points."""
    points = draw(rng, 90, 2)
    blobs = np.concatenate([10 + draw(rng, 25, 2) / 8, [[14.0, 13.0]], 10 + draw(rng, 10, 2) / 8])
    starts = {
        "from five points": (points, points[:5]),
        "empty, one": (blobs, np.array([[10.0, 10], [-90, 0], [10.25, 10]])),
        "empty, two": (blobs, np.array([[-90.0, 0], [10, 10], [90, 90]])),
        "empty, more tokens than points": (points[:4], points[[0, 1, 2, 3, 3, 2, 0]]),
    }
    return (Case(name, {"points": z, "start": t}) for name, (z, t) in starts.items())


def plain_lloyd(
    points: Array,
    tokens: Array,
    *,
    step: Function = lloyd_step_numpy,
    steps: int = 100,
    early: bool = False,
) -> tuple[Array, Array]:
    """Lloyd's algorithm with what can go wrong; ``early``: counts before the last move."""
    codes, distances = nearest_numpy(points, tokens)
    before = codes
    for _ in range(steps):
        tokens, before = step(points, tokens, codes, distances), codes
        codes, distances = nearest_numpy(points, tokens)
        if np.array_equal(codes, before):
            break
    return tokens, np.bincount(before if early else codes, minlength=len(tokens))


def medians(points: Array, tokens: Array, codes: Array, distances: Array) -> Array:
    """A step to the medians."""
    own = (points[codes == k] for k in range(len(tokens)))
    middles = [np.median(rows, axis=0) if len(rows) else tokens[k] for k, rows in enumerate(own)]
    return np.stack(middles).astype(tokens.dtype)


def times_when_empty(
    points: Array, tokens: Array, codes: Array, distances: Array, *, factor: float
) -> Array:
    """A step that multiplies tokens without points: 0 sends them to 0, 1 leaves them."""
    hit = np.bincount(codes, minlength=len(tokens))[:, None] > 0
    means = lloyd_step_numpy(points, tokens, codes, distances)
    return np.where(hit, means, tokens.dtype.type(factor) * tokens)


def shares(points: Array, start: Array) -> tuple[Array, Array]:
    """Counts as shares of the points."""
    tokens, counts = plain_lloyd(points, start)
    return tokens, counts / len(points)


MISTAKES = (
    KnownMistake(
        "one-step",
        "there is one step of Lloyd's algorithm; go on until no point changes its token",
        (partial(plain_lloyd, steps=1),),
    ),
    KnownMistake(
        "early-counts",
        "after one step, and with counts from before the move: assign once more",
        (partial(plain_lloyd, steps=1, early=True),),
    ),
    KnownMistake(
        "two-steps-early-counts",
        "after two steps, and with counts from before the last move",
        (partial(plain_lloyd, steps=2, early=True),),
    ),
    KnownMistake("not-moved", "the tokens are still the start", (partial(plain_lloyd, steps=0),)),
    KnownMistake(
        "medians",
        "tokens are medians of their points; k-means takes means",
        (partial(plain_lloyd, step=medians),),
    ),
    KnownMistake(
        "shares",
        "counts are shares of the points, or hits of another batch size: return how many points "
        "chose each token",
        (shares,),
    ),
)
EMPTY_MISTAKES = (
    KnownMistake(
        "zero-when-empty",
        "a token without points becomes 0, where there may be no points at all",
        (partial(plain_lloyd, step=partial(times_when_empty, factor=0)),),
    ),
    KnownMistake(
        "stays-when-empty",
        "a token without points stays where it was, and dead; another rule than this one",
        (partial(plain_lloyd, step=partial(times_when_empty, factor=1)),),
    ),
)


@check(
    {"kmeans": draw_cases},
    MEANS,
    MISTAKES,
    right=(plain_lloyd,),
    only=lambda case: not case.name.startswith("empty"),
)
def check_kmeans_init(case: Case, adapter: Adapter, cluster: Function) -> Answers:
    """Check k-means where every token has points.

    It catches too few steps, and counts that do not belong to the tokens returned.

    Parameters
    ----------
    cluster : function
        ``cluster(points, start) -> (tokens, counts)``: points ``(N, D)``, the first tokens
        ``(K, D)``. Return the tokens ``(K, D)`` once no point changes its token. The counts
        ``(K,)`` are the points of each token in an assignment to these very tokens.

    Example
    -------
    >>> from vqnp.quantize.lloyd import lloyd
    >>> def cluster(points, start):
    ...     found = lloyd(points, start, 100)
    ...     return found.tokens, found.counts
    >>> print(check_kmeans_init(cluster))
    check_kmeans_init: all 2 comparisons pass
    """
    return named(cluster(*adapter.give(case.inputs).values()), "tokens, counts")


@check(
    {"kmeans": draw_cases},
    MEANS,
    EMPTY_MISTAKES,
    right=(plain_lloyd,),
    only=lambda case: case.name.startswith("empty"),
)
def check_kmeans_empty(case: Case, adapter: Adapter, cluster: Function) -> Answers:
    """Check that a token without points moves onto the point farthest from its own token.

    It catches tokens that stay dead, and tokens at the origin, where there are no points.

    Parameters
    ----------
    cluster : function
        ``cluster(points, start) -> (tokens, counts)``, as for ``check_kmeans_init``: points
        ``(N, D)``, start and tokens ``(K, D)``, counts ``(K,)``.

    Example
    -------
    >>> def cluster(points, start):
    ...     return start, [0] * len(start)
    >>> print(check_kmeans_empty(cluster, raises=False).passed)
    False
    """
    return named(cluster(*adapter.give(case.inputs).values()), "tokens, counts")
