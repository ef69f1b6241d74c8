"""Checks of the search for the nearest token (eq. 1): ``search(points, tokens) -> codes``, points ``(N, D)``, tokens ``(K, D)``.

``check_nearest`` judges by the distance lost: two tokens that a rounding cannot tell apart are equally right. Which index wins
where distances are exactly equal is another question, and ``check_tie_break`` asks it: the lowest.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from vqnp.quantize.search import nearest_numpy
from vqnp.testing.adapter import Arrays, Port, Precision, to_numpy
from vqnp.testing.check import Check, Functions, judge
from vqnp.testing.golden import Case, cases, draw
from vqnp.testing.result import Mutant, Result, Tolerance
from vqnp.validation import Array

LOST = Tolerance(
    64,
    "differences of near points are exact, and two sums of 16 squares that agree to their rounding are a tie",
    scale=0,
)
EXACT = Tolerance(0, "these distances are exact in the precision asked for: the lowest index wins")


def check_nearest(
    search: Callable[..., Any],
    *,
    arrays: Arrays = "numpy",
    dtype: Precision = "float64",
    raises: bool = True,
) -> Result:
    """Check that each point's token is no farther than the nearest, also far from the origin; ties are free."""
    return judge(
        Check("check_nearest", _named("distance"), _distances, MUTANTS, LOST),
        (search,),
        Port(arrays, dtype),
        raises=raises,
    )


def check_tie_break(
    search: Callable[..., Any],
    *,
    arrays: Arrays = "numpy",
    dtype: Precision = "float64",
    raises: bool = True,
) -> Result:
    """Check that of equally near tokens the lowest index is taken, and that unequal distances are not made ties."""
    return judge(
        Check("check_tie_break", _named("codes"), _codes, TIE_MUTANTS, EXACT),
        (search,),
        Port(arrays, dtype),
        raises=raises,
    )


def _named(output: str) -> tuple[Case, ...]:
    return tuple(case for case in cases("nearest") if output in case.outputs)


def _codes(case: Case, functions: Functions, port: Port) -> dict[str, Any]:
    return {
        "codes": functions[0](port.give(case.inputs["points"]), port.give(case.inputs["tokens"]))
    }


def _distances(case: Case, functions: Functions, port: Port) -> dict[str, Any]:
    codes = to_numpy(_codes(case, functions, port)["codes"])
    points, tokens = case.inputs["points"], case.inputs["tokens"]
    if codes.shape != (len(points),):
        return {"distance": codes}  # the wrong shape is what there is to say
    known = (codes >= 0) & (codes < len(tokens)) & (codes == np.round(codes))
    squared = np.square(points - tokens[np.where(known, codes, 0).astype(np.int64)]).sum(axis=1)
    return {"distance": np.where(known, squared, np.nan)}


def squared_distances(points: Array, tokens: Array) -> Array:
    """Return Σ (z − t)² as ``(N, K)``."""
    return np.square(points[:, None] - tokens).sum(axis=2)


def expanded(points: Array, tokens: Array) -> Array:
    """The formula that cancels."""
    squares = np.square(points).sum(axis=1)[:, None] + np.square(tokens).sum(axis=1)
    return (squares - 2 * points @ tokens.T).argmin(axis=1)


def last_of_equals(points: Array, tokens: Array) -> Array:
    """The highest index wins."""
    return len(tokens) - 1 - squared_distances(points, tokens[::-1]).argmin(axis=1)


def cosine(points: Array, tokens: Array) -> Array:
    """The token of the most similar direction."""
    return (points @ (tokens / np.linalg.norm(tokens, axis=1, keepdims=True)).T).argmax(axis=1)


MUTANTS = (
    Mutant("expanded-square", "‖z‖² − 2 z·t + ‖t‖² cancels far from the origin: subtract first, or center both", (expanded,)),
    Mutant("dot-product", "the largest z·t is not the nearest token: ‖t‖² / 2 is missing", (lambda z, t: (z @ t.T).argmax(axis=1),)),
    Mutant("cosine", "tokens are compared by direction; check that they should be normalised", (cosine,)),
    Mutant("farthest", "the farthest token is taken: argmax of distances, or argmin of their negatives",
           (lambda z, t: squared_distances(z, t).argmax(axis=1),)),
    Mutant("first-dimension", "only the first dimension is compared", (lambda z, t: squared_distances(z[:, :1], t[:, :1]).argmin(axis=1),)),
    Mutant("last-token-unseen", "the last token is never looked at: a bound that is one too low",
           (lambda z, t: squared_distances(z, t[:-1]).argmin(axis=1),)),
    Mutant("batch-reversed", "the answers are in the reverse order of the points",
           (lambda z, t: squared_distances(z, t).argmin(axis=1)[::-1],)),
)  # fmt: skip
TIE_MUTANTS = (
    Mutant("last-of-equals", "the last of equally near tokens is taken: <= where < is meant", (last_of_equals,)),
    Mutant("square-root", "a square root rounds unequal distances to one number: compare the squares",
           (lambda z, t: np.sqrt(squared_distances(z, t)).argmin(axis=1),)),
)  # fmt: skip


def _case(name: str, points: Array, tokens: Array, output: str, **settings: Any) -> Case:
    codes, distances = nearest_numpy(points, tokens)
    return Case(
        name,
        {"points": points, "tokens": tokens},
        {output: codes if output == "codes" else distances},
        settings,
    )


def make_cases() -> tuple[Case, ...]:
    """Points about the origin, one-dimensional ones, points far off it in either precision, and exact ties."""
    rng = np.random.default_rng(1)
    z32, t32 = (
        (100 + 0.1 * draw(rng, n, 16)).astype(np.float32).astype(np.float64) for n in (60, 48)
    )
    z64, t64 = (2.0**24 + 0.1 * draw(rng, n, 16) for n in (60, 48))
    grid = np.array([[4.0, 0], [0, 0], [2, 0]])
    between = np.array([[4.0, 1], [0, 1], [2, 1], [1, 1], [3, 1]]).repeat(3, axis=0)
    points, tokens = draw(rng, 40, 5), draw(rng, 23, 5)
    tokens[-1] = points[3] + 0.125  # the last token is wanted, too
    return (
        _case("about the origin", points, tokens, "distance"),
        _case("one dimension", draw(rng, 40, 1), draw(rng, 23, 1), "distance"),
        _case("far off, float32", z32, t32, "distance", dtype="float32"),
        _case("far off, float64", z64, t64, "distance", dtype="float64"),
        _case("every token twice, points between two", between, np.tile(grid, (2, 1)), "codes"),
        *(_almost_tied(np.dtype(dtype)) for dtype in ("float32", "float64")),
    )


def _almost_tied(dtype: Any) -> Case:
    """The second token is nearer by one unit in the last place, yet the roots of both distances are one number."""
    whole = np.array([[3.0, 1, 0], [4, 1, 0]])[int(dtype == np.float64)]  # 10 and 17
    unit = np.spacing(dtype.type((whole**2).sum()))  # an even power of two, so that it is a square
    tokens = np.array([[*whole, np.sqrt(unit)], [*whole, 0]])
    return _case(f"almost a tie, {dtype.name}", np.zeros((1, 4)), tokens, "codes", dtype=dtype.name)


MAKE = {"nearest": make_cases}
