"""Checks of the order in a quantizer: search, look up, take the loss, and only then update.

The state is that of ``check_ema``. ``quantized`` are the tokens from before the update.
"""

from functools import partial
from typing import Any

import numpy as np

from vqnp.quantize.codebook import DIALECTS, Dialect
from vqnp.testing.check import Adapter, Answers, Function, KnownMistake, Tolerance, check, named
from vqnp.testing.ema import ARRAYS, State, dialects_beside, moved, start_of, weighted
from vqnp.testing.golden import Array, Case, Cases, draw, from_seed
from vqnp.testing.nearest import search


@from_seed
def draw_cases(rng: np.random.Generator) -> Cases:
    """One step a dialect in training, and one in evaluation, from the same state."""
    state = weighted(draw(rng, 7, 3), rng.integers(1, 9, 7) / 2)
    inputs = state | {"embeddings": draw(rng, 24, 3)}
    yield Case("evaluation", inputs)
    yield from (Case(dialect, inputs, settings={"decay": 0.9}) for dialect in DIALECTS)


@from_seed
def draw_faint_cases(rng: np.random.Generator) -> Cases:
    """One step a dialect from an L so small that ε shows in float32.

    Six embeddings leave at least one of seven codes without hits. There, L is about 1e-4 and ε is
    1e-5, so that the smoothed counts differ from L by more than float32 rounds.
    """
    state = weighted(draw(rng, 7, 3), rng.integers(1, 9, 7) / 8192)
    inputs = state | {"embeddings": draw(rng, 6, 3)}
    for dialect in DIALECTS:
        yield Case(f"{dialect}, faint", inputs, settings={"decay": 0.9, "dialect": dialect})


def evaluated(state: State, embeddings: Array) -> tuple[Array, State]:
    """The right evaluation."""
    return state["tokens"][search(embeddings, state["tokens"])], state


def initialized_again(state: State, embeddings: Array) -> tuple[Array, State]:
    """The first embeddings become the tokens."""
    return evaluated(state | {"tokens": embeddings[: len(state["tokens"])]}, embeddings)


def stepped(
    before: State,
    z: Array,
    decay: float = 0.9,
    *,
    dialect: Dialect = "paper",
    late: bool = False,
    twice: bool = False,
) -> tuple[Array, State]:
    """Take a step of ``dialect``; ``late`` looks up after the update, ``twice`` updates twice."""
    codes = search(z, before["tokens"])
    after = moved(before, z, codes, decay, dialect=dialect)
    quantized = (after if late else before)["tokens"][codes]
    return quantized, moved(after, z, codes, decay, dialect=dialect) if twice else after


def step_mistakes(dialect: Dialect) -> tuple[KnownMistake, ...]:
    """Return the other dialects, and what goes wrong with the order of a step."""
    return (
        *dialects_beside(dialect, lambda other: partial(stepped, dialect=other)),
        KnownMistake(
            "updated-before-lookup",
            "the output is looked up after the update: look up first, update last",
            (partial(stepped, dialect=dialect, late=True),),
        ),
        KnownMistake(
            "updated-before-search",
            "the codebook moves before the search: search first, update last",
            (lambda *batch: evaluated(stepped(*batch, dialect=dialect)[1], batch[1]),),
        ),
        KnownMistake(
            "not-updated",
            "the codebook does not move in training",
            (lambda before, z, decay: evaluated(before, z),),
        ),
        KnownMistake(
            "updated-twice",
            "the codebook moves twice in one step",
            (partial(stepped, dialect=dialect, twice=True),),
        ),
    )


EVALUATION_MISTAKES = (
    KnownMistake(
        "updates-in-evaluation",
        "the codebook moves in evaluation: freeze it there",
        (stepped,),
    ),
    KnownMistake(
        "updated-before-lookup",
        "the codebook moves in evaluation, and before the output is looked up",
        (partial(stepped, late=True),),
    ),
    KnownMistake(
        "initialized-in-evaluation",
        "the codebook is placed on the embeddings of an evaluation",
        (initialized_again,),
    ),
)


def _answers(answer: Any) -> Answers:
    quantized, state = named(answer, "quantized, state").values()
    return {"quantized": quantized} | {name: state[name] for name in ARRAYS if name in state}


@check(
    {"quantizer_step": draw_cases},
    Tolerance(0, "evaluation looks tokens up and changes no state: no number is computed"),
    EVALUATION_MISTAKES,
    right=(evaluated,),
    only=lambda case: case.name == "evaluation",
)
def check_evaluation(case: Case, adapter: Adapter, evaluate: Function) -> Answers:
    """Check that evaluation quantizes and leaves the state alone.

    It catches a codebook that moves, or is placed anew, on the embeddings of an evaluation.

    Parameters
    ----------
    evaluate : function
        ``evaluate(state, embeddings) -> (quantized, state)``: the state as for ``check_ema``,
        embeddings ``(N, D)``. Return the token of each embedding, ``(N, D)``, and the state as
        it is: tokens ``(K, D)``, counts ``(K,)``, sums ``(K, D)``.

    Example
    -------
    >>> def evaluate(state, embeddings):
    ...     return state["tokens"][search(embeddings, state["tokens"])], state
    >>> print(check_evaluation(evaluate))
    check_evaluation: all 4 comparisons pass
    """
    return _answers(evaluate(adapter.give(start_of(case)), adapter.give(case.inputs["embeddings"])))


@check(
    {"quantizer_step": draw_cases, "quantizer_step_faint": draw_faint_cases},
    Tolerance(
        64,
        "one step adds some sixteen embeddings; the bound is relative to each array's largest "
        "number, because the dialects differ by ε = 1e-5 in L",
    ),
    step_mistakes,
    right=lambda case: (partial(stepped, dialect=case.settings.get("dialect", case.name)),),
    only=lambda case: case.name != "evaluation",
)
def check_quantizer_step(
    case: Case, adapter: Adapter, step: Function, *, dialect: Dialect = "paper"
) -> Answers:
    """Check one training step: the output by the old tokens, then the new state.

    It catches a codebook that moves too early, twice or never. It recognizes other dialects.

    Parameters
    ----------
    step : function
        ``step(state, embeddings, decay) -> (quantized, state)``: the state as for ``check_ema``,
        embeddings ``(N, D)``. Return the token of each embedding, ``(N, D)``, from before the
        update, and the state after it: tokens ``(K, D)``, counts ``(K,)``, sums ``(K, D)``.
    dialect : "paper", "counts-one", "smoothed-state" or "debiased"
        The variant of the averages, see ``vqnp/quantize/ema.py``.

    Example
    -------
    >>> print(check_quantizer_step(stepped))
    check_quantizer_step, dialect paper: all 8 comparisons pass
    """
    given = adapter.give(start_of(case)), adapter.give(case.inputs["embeddings"])
    return _answers(step(*given, case.settings["decay"]))
