"""Two more checks of the moving averages: padded batches, and codes that get no hits for long.

The state is that of ``check_ema``.
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
from vqnp.testing.ema import (
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
    zeroed,
)


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
    step = partial(moved, dialect=dialect)
    return (
        KnownMistake(
            "padding-counted",
            "padded embeddings are counted: leave out what the mask leaves out",
            (lambda state, z, codes, decay, mask: step(state, z, codes, decay),),
        ),
        KnownMistake(
            "mask-inverted",
            "the mask is read the other way round: True marks embeddings, False padding",
            (lambda state, z, codes, decay, mask: step(state, z[~mask], codes[~mask], decay),),
        ),
        KnownMistake(
            "padding-zeroed",
            "padded embeddings are set to zero, but still counted in L",
            (lambda state, z, codes, decay, mask: step(state, z * mask[:, None], codes, decay),),
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
