"""Checks of the order in a quantizer: search, look up, take the loss, and only then update.

The state is that of ``check_ema``. ``quantized`` are the tokens from before the update.
"""

from functools import partial
from typing import Any

import numpy as np

from vqnp.quantize.codebook import DIALECTS, Dialect
from vqnp.quantize.search import nearest_numpy
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
    unpack,
)
from vqnp.testing.ema import ARRAYS, State, dialects_beside, moved, start_of, weighted


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


def search(state: State, embeddings: Array) -> Array:
    """Return the codes."""
    return nearest_numpy(embeddings, state["tokens"])[0]


def evaluated(state: State, embeddings: Array) -> tuple[Array, State]:
    """The right evaluation."""
    return state["tokens"][search(state, embeddings)], state


def initialized_again(state: State, embeddings: Array) -> tuple[Array, State]:
    """The first embeddings become the tokens."""
    return evaluated(state | {"tokens": embeddings[: len(state["tokens"])]}, embeddings)


def steps_of(dialect: Dialect) -> dict[str, Function]:
    """Return every order in which a step of ``dialect`` can be taken, by name."""
    update = partial(moved, dialect=dialect)

    def ordered(give: Function) -> Function:
        def step(before: State, z: Array, decay: float = 0.9) -> tuple[Array, State]:
            codes = search(before, z)
            return give(before, update(before, z, codes, decay), codes, z, decay)

        return step

    return {
        "right": ordered(lambda before, after, codes, *batch: (before["tokens"][codes], after)),
        "updated-before-lookup": ordered(
            lambda before, after, codes, *batch: (after["tokens"][codes], after)
        ),
        "updated-before-search": ordered(
            lambda before, after, codes, z, decay: evaluated(after, z)
        ),
        "not-updated": lambda before, z, decay: evaluated(before, z),
        "updated-twice": ordered(
            lambda before, after, codes, z, decay: (
                before["tokens"][codes],
                update(after, z, codes, decay),
            )
        ),
    }


SAYS = {
    "updated-before-lookup": "the output is looked up after the update: look up first, update last",
    "updated-before-search": "the codebook moves before the search: search first, update last",
    "not-updated": "the codebook does not move in training",
    "updated-twice": "the codebook moves twice in one step",
}


def step_mistakes(dialect: Dialect) -> tuple[KnownMistake, ...]:
    """Return the other dialects, and what goes wrong with the order of a step."""
    steps = steps_of(dialect)
    return (
        *dialects_beside(dialect, lambda other: steps_of(other)["right"]),
        *(KnownMistake(name, says, (steps[name],)) for name, says in SAYS.items()),
    )


EVALUATION_MISTAKES = (
    KnownMistake(
        "updates-in-evaluation",
        "the codebook moves in evaluation: freeze it there",
        (steps_of("paper")["right"],),
    ),
    KnownMistake(
        "updated-before-lookup",
        "the codebook moves in evaluation, and before the output is looked up",
        (steps_of("paper")["updated-before-lookup"],),
    ),
    KnownMistake(
        "initialized-in-evaluation",
        "the codebook is placed on the embeddings of an evaluation",
        (initialized_again,),
    ),
)


def _answers(answer: Any) -> Answers:
    quantized, state = unpack(answer, "quantized, state")
    return {"quantized": quantized} | {name: state[name] for name in ARRAYS if name in state}


@check(
    {"quantizer_step": draw_cases},
    Tolerance(0, "evaluation looks tokens up and changes no state: no number is computed"),
    EVALUATION_MISTAKES,
    right=lambda case: (evaluated,),
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
    ...     return state["tokens"][search(state, embeddings)], state
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
    right=lambda case: (steps_of(case.settings.get("dialect", case.name))["right"],),
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
    >>> print(check_quantizer_step(steps_of("paper")["right"]))
    check_quantizer_step, dialect paper: all 8 comparisons pass
    """
    given = adapter.give(start_of(case)), adapter.give(case.inputs["embeddings"])
    return _answers(step(*given, case.settings["decay"]))
