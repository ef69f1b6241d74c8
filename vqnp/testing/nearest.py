"""Checks of the search for the nearest token (eq. 1).

``check_nearest`` judges by the distance lost, because two tokens that a rounding cannot tell apart
are equally right. ``check_tie_break`` asks which index wins where distances are exactly equal.
"""

import numpy as np

from vqnp.quantize.search import nearest_numpy
from vqnp.testing.check import Adapter, Answers, Function, KnownMistake, Tolerance, check
from vqnp.testing.golden import Array, Case, Cases, draw, from_seed

RETURNS = "search must return codes (N,), one index of a token for each point"


TIES = ("every token twice, points between two", "almost a tie, float32", "almost a tie, float64")


@from_seed
def draw_cases(rng: np.random.Generator) -> Cases:
    """Points about the origin, on a line, far off in either precision, and exact ties."""
    z32, t32 = (
        (100 + 0.1 * draw(rng, n, 16)).astype(np.float32).astype(np.float64) for n in (60, 48)
    )
    z64, t64 = (2.0**24 + 0.1 * draw(rng, n, 16) for n in (60, 48))
    grid = np.array([[4.0, 0], [0, 0], [2, 0]])
    between = np.array([[4.0, 1], [0, 1], [2, 1], [1, 1], [3, 1]]).repeat(3, axis=0)
    points, tokens = draw(rng, 40, 5), draw(rng, 23, 5)
    tokens[-1] = points[3] + 0.125  # the last token is wanted, too
    made = {
        "about the origin": (points, tokens),
        "one dimension": (draw(rng, 40, 1), draw(rng, 23, 1)),
        "far off, float32": (z32, t32),
        "far off, float64": (z64, t64),
        TIES[0]: (between, np.tile(grid, (2, 1))),
        # The second token is nearer by one unit in the last place, yet both roots are one number.
        TIES[1]: (np.zeros((1, 4)), np.array([[3, 1, 0, 2.0**-10], [3, 1, 0, 0]])),
        TIES[2]: (np.zeros((1, 4)), np.array([[4, 1, 0, 2.0**-24], [4, 1, 0, 0]])),
    }
    for name, (z, t) in made.items():
        settings = {"dtype": name[-7:]} if "float" in name else {}
        yield Case(name, {"points": z, "tokens": t}, settings=settings)


def search(points: Array, tokens: Array) -> Array:
    """The right codes."""
    return nearest_numpy(points, tokens)[0]


def squared_distances(points: Array, tokens: Array) -> Array:
    """Return Σ (z − t)² as ``(N, K)``."""
    return np.square(points[:, None] - tokens).sum(axis=2)


def expanded(points: Array, tokens: Array) -> Array:
    """The formula that cancels."""
    squares = np.square(points).sum(axis=1)[:, None] + np.square(tokens).sum(axis=1)
    return (squares - 2 * points @ tokens.T).argmin(axis=1)


def last_of_equals(points: Array, tokens: Array) -> Array:
    """The highest index wins."""
    return len(tokens) - 1 - search(points, tokens[::-1])


def most_similar(points: Array, tokens: Array) -> Array:
    """The token of the most similar direction."""
    return (points @ (tokens / np.linalg.norm(tokens, axis=1, keepdims=True)).T).argmax(axis=1)


MISTAKES = (
    KnownMistake(
        "expanded-square",
        "‖z‖² − 2 z·t + ‖t‖² cancels far from the origin: subtract first, or center both",
        (expanded,),
    ),
    KnownMistake(
        "dot-product",
        "the largest z·t is not the nearest token: ‖t‖² / 2 is missing",
        (lambda z, t: (z @ t.T).argmax(axis=1),),
    ),
    KnownMistake(
        "cosine",
        "tokens are compared by direction (cosine metric): check that you mean the nearest "
        "direction and not the nearest token",
        (most_similar,),
    ),
    KnownMistake(
        "manhattan",
        "distances are Σ |z − t| (Manhattan): eq. 1 takes squares",
        (lambda z, t: np.abs(z[:, None] - t).sum(axis=2).argmin(axis=1),),
    ),
    KnownMistake(
        "farthest",
        "the farthest token is taken: argmax of distances, or argmin of their negatives",
        (lambda z, t: squared_distances(z, t).argmax(axis=1),),
    ),
    KnownMistake(
        "first-dimension",
        "only the first dimension is compared",
        (lambda z, t: search(z[:, :1], t[:, :1]),),
    ),
    KnownMistake(
        "first-token-unseen",
        "the first token is never looked at: the loop starts at index 1",
        (lambda z, t: 1 + search(z, t[1:]),),
    ),
    KnownMistake(
        "last-token-unseen",
        "the last token is never looked at: a bound is one too low",
        (lambda z, t: search(z, t[:-1]),),
    ),
    KnownMistake(
        "batch-reversed",
        "the answers are in the reverse order of the points",
        (lambda z, t: search(z, t)[::-1],),
    ),
)
TIE_MISTAKES = (
    KnownMistake(
        "last-of-equals",
        "the last of equally near tokens is taken: <= where < is meant",
        (last_of_equals,),
    ),
    KnownMistake(
        "square-root",
        "a square root rounds unequal distances to one number: compare the squares",
        (lambda z, t: np.sqrt(squared_distances(z, t)).argmin(axis=1),),
    ),
)


@check(
    {"nearest": draw_cases},
    Tolerance(
        64,
        "sums of 16 squares that agree to their rounding are a tie, and differences of near points "
        "are exact",
        scale=0,
    ),
    MISTAKES,
    right=(search,),
    only=lambda case: case.name not in TIES,
    returns=RETURNS,
)
def check_nearest(case: Case, adapter: Adapter, search: Function) -> Answers:
    """Check that each point's token is the nearest one (eq. 1); ties are free.

    It catches distances that cancel far from the origin, other metrics, and tokens never seen.

    Parameters
    ----------
    search : function
        ``search(points, tokens) -> codes``: points ``(N, D)``, tokens ``(K, D)``. Return the index
        of the nearest token of each point, integers ``(N,)`` from 0 to K − 1.

    Example
    -------
    >>> import numpy as np
    >>> def search(points, tokens):
    ...     return np.square(points[:, None] - tokens).sum(axis=2).argmin(axis=1)
    >>> print(check_nearest(search))
    check_nearest: all 3 comparisons pass
    """
    points, tokens = case.inputs["points"], case.inputs["tokens"]
    codes = adapter.take(search(adapter.give(points), adapter.give(tokens)))
    if codes.shape != (len(points),):
        return {"distance": codes}  # the comparison complains about the shape
    known = (codes >= 0) & (codes < len(tokens)) & (codes == np.round(codes))
    squared = np.square(points - tokens[np.where(known, codes, 0).astype(np.int64)]).sum(axis=1)
    return {"distance": np.where(known, squared, np.nan)}


@check(
    {"nearest": draw_cases},
    Tolerance(0, "these distances are exact in the precision asked for: the lowest index wins"),
    TIE_MISTAKES,
    right=(search,),
    only=lambda case: case.name in TIES,
    returns=RETURNS,
)
def check_tie_break(case: Case, adapter: Adapter, search: Function) -> Answers:
    """Check that of equally near tokens the lowest index wins.

    It catches the last of equals, and roots that make unequal distances equal.

    Parameters
    ----------
    search : function
        ``search(points, tokens) -> codes``, as for ``check_nearest``: points ``(N, D)``, tokens
        ``(K, D)``, codes ``(N,)``.

    Example
    -------
    >>> print(check_tie_break(last_of_equals, raises=False).suspects[0].name)
    last-of-equals
    """
    return {"codes": search(*adapter.give(case.inputs).values())}
