"""Checks of the moving averages at their edges: start, restart, padding, and long without hits.

The state is that of ``check_ema``: tokens ``(K, D)``, L ``counts`` ``(K,)``, M ``sums`` ``(K, D)``.
Token, L and M belong together from the first step on.
"""

from functools import partial

import numpy as np

from vqnp.quantize.codebook import DIALECTS, Dialect
from vqnp.testing.check import Adapter, Answers, Function, KnownMistake, Tolerance, check
from vqnp.testing.ema import (
    ARRAYS,
    ROUNDED,
    STEPS,
    State,
    begin,
    case_of,
    draw_batches,
    moved,
    read_by,
    right,
    run_steps,
    weighted,
    zeroed,
)
from vqnp.testing.golden import Array, Case, Cases, draw, from_seed

ONE_PRODUCT = Tolerance(2, "M is one product, L · token")


@from_seed
def draw_start_cases(rng: np.random.Generator) -> Cases:
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


def start_mistakes(dialect: Dialect) -> tuple[KnownMistake, ...]:
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
    {"ema_start": draw_start_cases},
    ONE_PRODUCT,
    start_mistakes,
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
    right=(revived,),
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


@from_seed
def draw_mask_cases(rng: np.random.Generator) -> Cases:
    """One case a dialect, with a third of each batch padded by something far away."""
    tokens = draw(rng, 6, 2)
    inputs = draw_batches(rng, tokens)
    inputs["mask"] = np.stack([rng.permutation(16) >= 5 for _ in range(STEPS)])
    inputs["embeddings"][~inputs["mask"]] += 8
    for dialect in DIALECTS:
        start = begin(dialect, tokens, np.full(6, 2.0), rng)
        yield case_of(dialect, start, inputs, dialect=dialect)


def mask_mistakes(dialect: Dialect) -> tuple[KnownMistake, ...]:
    """Return what goes wrong with padding."""
    return (
        KnownMistake(
            "padding-counted",
            "padded embeddings are counted: leave out what the mask leaves out",
            (lambda state, z, codes, decay, mask: moved(state, z, codes, decay, dialect=dialect),),
        ),
        KnownMistake(
            "mask-inverted",
            "the mask is read the other way round: True marks embeddings, False padding",
            (
                lambda state, z, codes, decay, mask: moved(
                    state, z, codes, decay, ~mask, dialect=dialect
                ),
            ),
        ),
        KnownMistake(
            "padding-zeroed",
            "padded embeddings are set to zero, but still counted in L",
            (
                lambda state, z, codes, decay, mask: moved(
                    state, z * mask[:, None], codes, decay, dialect=dialect
                ),
            ),
        ),
    )


@check({"ema_mask": draw_mask_cases}, ROUNDED, mask_mistakes, right=right)
def check_ema_mask(
    case: Case, adapter: Adapter, step: Function, *, dialect: Dialect = "paper"
) -> Answers:
    """Check that padding does not move the averages.

    It catches padding that is counted, zeroed padding, and an inverted mask.

    Parameters
    ----------
    step : function
        ``step(state, embeddings, codes, decay, mask) -> state``, as for ``check_ema``. The mask
        ``(N,)`` of bool is False where an embedding ``(D,)`` and its code are only padding.
    dialect : "paper", "counts-one", "smoothed-state" or "debiased"
        The variant of the averages, see ``vqnp/quantize/ema.py``.

    Example
    -------
    >>> (known,) = [m for m in mask_mistakes("paper") if m.name == "padding-zeroed"]
    >>> print(check_ema_mask(*known.functions, raises=False).suspects[0].sentence)
    padded embeddings are set to zero, but still counted in L
    """
    return run_steps(case, adapter, step)


@from_seed
def draw_unused_cases(rng: np.random.Generator) -> Cases:
    """L starts at the smallest normal number, so that forty steps show what thousands would."""
    for dtype in np.float32, np.float64:
        tokens, steps = draw(rng, 3, 2), 40
        counts = np.array([2.0, *[float(np.finfo(dtype).tiny)] * 2])
        inputs = {
            "embeddings": np.tile(tokens[0], (steps, 4, 1)),
            "codes": np.zeros((steps, 4), np.int64),
        }
        name, start = dtype.__name__, begin("paper", tokens, counts, rng)
        yield case_of(name, start, inputs, dialect="paper", dtype=name)


def divided(state: State, hits: Array, *, least: float = 0) -> Array:
    """M / L, with L no less than ``least``."""
    return state["sums"] / np.maximum(state["counts"], least)[:, None]


UNUSED_MISTAKES = (
    KnownMistake(
        "unused-divided",
        "M / L is computed without hits, too, and both fade into denormal numbers: keep the old "
        "token",
        (partial(read_by, read=divided),),
    ),
    KnownMistake(
        "counts-clamped",
        "M / max(L, ε): once L is clamped below, M fades alone and the token goes to the origin",
        (partial(read_by, read=partial(divided, least=1e-5)),),
    ),
    KnownMistake(
        "unused-slides",
        "smoothed counts let codes without hits slide to the origin",
        (partial(moved, dialect="counts-one"),),
    ),
    KnownMistake("unused-zeroed", "codes without hits become 0", (partial(read_by, read=zeroed),)),
)


@check(
    {"ema_unused": draw_unused_cases},
    Tolerance(0, "without hits M / L does not change: the token stays exactly where it is"),
    UNUSED_MISTAKES,
    right=right,
)
def check_ema_unused(case: Case, adapter: Adapter, step: Function) -> Answers:
    """Check that a code keeps its token to the bit when L and M have faded (dialect `paper`).

    It catches M / L of denormal numbers, a clamped L, and tokens that slide to the origin.

    Parameters
    ----------
    step : function
        ``step(state, embeddings, codes, decay) -> state``, as for ``check_ema``: tokens and sums
        ``(K, D)``, counts ``(K,)``, embeddings ``(N, D)``, codes ``(N,)``. Some codes get no hits
        for forty steps.

    Example
    -------
    >>> known = UNUSED_MISTAKES[1].functions[0]  # M / max(L, ε)
    >>> print(check_ema_unused(known, raises=False).suspects[0].name)
    counts-clamped
    """
    return {"tokens without hits": run_steps(case, adapter, step)["tokens"][-1, 1:]}
