"""Checks of where the moving averages start, and restart: token, L and M belong together.

The state is that of ``check_ema``: tokens ``(K, D)``, L ``counts`` ``(K,)``, M ``sums`` ``(K, D)``.
"""

from functools import partial

import numpy as np

from vqnp.quantize.codebook import DIALECTS, Dialect
from vqnp.testing.check import (
    Adapter,
    Answers,
    Array,
    Case,
    Cases,
    Function,
    KnownMistake,
    Tolerance,
    check,
    draw,
    from_seed,
)
from vqnp.testing.ema import ARRAYS, State, begin, weighted

ONE_PRODUCT = Tolerance(2, "M is one product, L · token")


@from_seed
def draw_cases(rng: np.random.Generator) -> Cases:
    """One start a dialect, from the same clusters; one of them is empty."""
    inputs = {"tokens": draw(rng, 6, 3), "counts": np.array([3.0, 0.5, 0, 7, 1.25, 4])}
    return (Case(dialect, inputs) for dialect in DIALECTS)


@from_seed
def draw_revival_cases(rng: np.random.Generator) -> Cases:
    """Two of six codes are revived."""
    inputs = weighted(draw(rng, 6, 3), rng.integers(1, 9, 6) / 2)
    inputs |= {"codes": np.array([4, 1]), "new_tokens": draw(rng, 2, 3)}
    yield Case("two codes", inputs | {"new_counts": np.array([1.5, 2.25])})


def start_by(counts: Function, weights: Function, tokens: Array, n: Array) -> State:
    """Start with L = ``counts(n)`` and M = ``weights(n)`` · token, for n hits a batch."""
    return {"tokens": tokens, "counts": counts(n), "sums": weights(n)[:, None] * tokens, "steps": 0}


STARTS: dict[str, tuple[str, Function, Function]] = {
    "sums-not-weighted": (
        "M is the token alone; it is L · token, else codes jump at the first step",
        np.copy,
        np.ones_like,
    ),
    "counts-zero": (
        "L starts at 0 but M does not: codes without hits fly away",
        np.zeros_like,
        np.copy,
    ),
    "counts-one": (
        "the start of dialect counts-one: L = 1, M = token",
        np.ones_like,
        np.ones_like,
    ),
    "all-zero": (
        "the start of dialect debiased: L and M are 0, the first step throws the tokens away",
        np.zeros_like,
        np.zeros_like,
    ),
    "counts-normalised": (
        "L is a share of the batch; it is the number of hits expected of a batch",
        lambda n: n / n.sum(),
        lambda n: n / n.sum(),
    ),
    "from-k-means": (
        "the start of dialect paper: L = hits, M = L · token",
        np.copy,
        np.copy,
    ),
}
UNWEIGHTED = STARTS | {"counts-zero": (STARTS["counts-zero"][0], np.zeros_like, np.ones_like)}
DISTINCT: dict[Dialect, tuple[str, ...]] = {  # the wrong starts that can be told apart there
    "paper": tuple(name for name in STARTS if name != "from-k-means"),
    "counts-one": ("counts-zero", "from-k-means", "sums-not-weighted", "all-zero"),
    "smoothed-state": ("counts-one", "from-k-means"),  # its M is not compared
    "debiased": ("counts-zero", "from-k-means", "counts-one"),
}


def mistakes_of(dialect: Dialect) -> tuple[KnownMistake, ...]:
    """Return the wrong starts of ``dialect``."""
    starts = STARTS if dialect == "paper" else UNWEIGHTED
    return tuple(
        KnownMistake(name, starts[name][0], (partial(start_by, *starts[name][1:]),))
        for name in DISTINCT[dialect]
    )


def revived(
    state: State, codes: Array, tokens: Array, counts: Array, *, moving: tuple[str, ...] = ARRAYS
) -> State:
    """Revive codes, of which only ``moving`` is moved."""
    for name in moving:
        state[name][codes] = weighted(tokens, counts)[name]
    return state


REVIVAL_MISTAKES = (
    KnownMistake(
        "token-only",
        "the token moves without L and M: its first hit pulls it back",
        (partial(revived, moving=("tokens",)),),
    ),
    KnownMistake(
        "sums-forgotten",
        "M is still that of the dead code",
        (partial(revived, moving=("tokens", "counts")),),
    ),
    KnownMistake(
        "counts-forgotten",
        "L is still that of the dead code",
        (partial(revived, moving=("tokens", "sums")),),
    ),
)


@check(
    {"ema_start": draw_cases},
    ONE_PRODUCT,
    mistakes_of,
    right=lambda case: (partial(begin, case.name, rng=np.random.default_rng(0)),),
)
def check_ema_start(
    case: Case, adapter: Adapter, start: Function, *, dialect: Dialect = "paper"
) -> Answers:
    """Check the state in which a dialect starts, right after k-means.

    It catches an M that is not L · token: with it, codes jump at the first step.

    Parameters
    ----------
    start : function
        ``start(tokens, counts) -> state``: tokens ``(K, D)`` and the expected hits of a batch,
        counts ``(K,)``. Return a dictionary of tokens ``(K, D)``, counts L ``(K,)`` and sums M
        ``(K, D)``. The M of `smoothed-state` is noise and is not compared.
    dialect : "paper", "counts-one", "smoothed-state" or "debiased"
        The variant of the averages, see ``vqnp/quantize/ema.py``.

    Example
    -------
    >>> def start(tokens, counts):
    ...     return {"tokens": tokens, "counts": counts, "sums": counts[:, None] * tokens}
    >>> print(check_ema_start(start))
    check_ema_start, dialect paper: all 3 comparisons pass
    """
    state = start(*adapter.give(case.inputs).values())
    compared = ARRAYS[:2] if case.name == "smoothed-state" else ARRAYS  # its M is noise
    return {name: state[name] for name in compared}


@check(
    {"revival": draw_revival_cases},
    ONE_PRODUCT,
    REVIVAL_MISTAKES,
    right=lambda case: (revived,),
)
def check_revival(case: Case, adapter: Adapter, revive: Function) -> Answers:
    """Check that L and M of a revived code move with its token.

    It catches an old L or M, which pulls the token back to where it died at its first hit.

    Parameters
    ----------
    revive : function
        ``revive(state, codes, tokens, counts) -> state``: the state as for ``check_ema``, R dead
        codes ``(R,)``, their new tokens ``(R, D)`` and weights ``(R,)``. Return the state with
        tokens ``(K, D)``, counts ``(K,)`` and sums ``(K, D)``, in which M = L · token for them.

    Example
    -------
    >>> def revive(state, codes, tokens, counts):
    ...     state["tokens"][codes] = tokens
    ...     state["counts"][codes] = counts
    ...     state["sums"][codes] = counts[:, None] * tokens
    ...     return state
    >>> print(check_revival(revive))
    check_revival: all 3 comparisons pass
    """
    given = adapter.give(case.inputs)
    state = {name: given[name] for name in ARRAYS} | {"steps": 5}
    state = revive(state, given["codes"], given["new_tokens"], given["new_counts"])
    return {name: state[name] for name in ARRAYS}
