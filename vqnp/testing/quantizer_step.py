"""Checks of the order of things in a quantizer: search and look up, take the loss, and only then move the codebook.

``check_quantizer_step``: ``step(state, embeddings, decay) -> (quantized, state)`` in training (dialect `paper`, embeddings
``(N, D)``): ``quantized`` are the tokens from before the update. ``check_evaluation``: ``evaluate(state, embeddings) ->
(quantized, state)``: nothing changes. The state is that of ``check_ema``.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from vqnp.quantize.ema import Codebook, ema_update
from vqnp.quantize.nearest import nearest_numpy
from vqnp.testing.arrays import Arrays, Port, Precision
from vqnp.testing.check import Check, Functions, judge, unpack
from vqnp.testing.ema import State, ema, read_paper, start_of
from vqnp.testing.golden import Case, cases, draw
from vqnp.testing.nearest import squared_distances
from vqnp.testing.result import Mutant, Result, Tolerance
from vqnp.validation import Array

ROUNDED = Tolerance(
    64, "one step adds some sixteen embeddings of up to 4 each and divides them by small counts", scale=4.0
)
UNCHANGED = Tolerance(0, "evaluation looks tokens up and changes no state: no number is computed")


def check_quantizer_step(
    step: Callable[..., Any], *, arrays: Arrays = "numpy", dtype: Precision = "float64", raises: bool = True
) -> Result:
    """Check one training step: output by the old tokens, then the new state."""
    check = Check("check_quantizer_step", _named("training"), _trained, STEP_MUTANTS, ROUNDED)
    return judge(check, (step,), Port(arrays, dtype), raises=raises)


def check_evaluation(
    evaluate: Callable[..., Any], *, arrays: Arrays = "numpy", dtype: Precision = "float64", raises: bool = True
) -> Result:
    """Check that evaluation quantizes and leaves the state alone."""
    check = Check("check_evaluation", _named("evaluation"), _evaluated, EVALUATION_MUTANTS, UNCHANGED)
    return judge(check, (evaluate,), Port(arrays, dtype), raises=raises)


def _named(name: str) -> tuple[Case, ...]:
    return tuple(case for case in cases("quantizer_step") if case.name == name)


def _trained(case: Case, functions: Functions, port: Port) -> dict[str, Any]:
    return _called(case, functions, port, case.settings["decay"])


def _evaluated(case: Case, functions: Functions, port: Port) -> dict[str, Any]:
    return _called(case, functions, port)


def _called(case: Case, functions: Functions, port: Port, *decay: float) -> dict[str, Any]:
    answer = functions[0](port.give(start_of(case)), port.give(case.inputs["embeddings"]), *decay)
    quantized, state = unpack(answer, "quantized, state")
    return {"quantized": quantized} | {name: state[name] for name in ("tokens", "counts", "sums") if name in state}


def search(state: State, embeddings: Array) -> Array:
    """Return the codes."""
    return squared_distances(embeddings, state["tokens"]).argmin(axis=1)


def updated_first(state: State, embeddings: Array, decay: float = 0.9) -> tuple[Array, State]:
    """The codes are those of the old tokens, the output those of the new."""
    codes = search(state, embeddings)
    state = ema(read_paper)(state, embeddings, codes, decay)
    return state["tokens"][codes], state


def searched_after(state: State, embeddings: Array, decay: float = 0.9) -> tuple[Array, State]:
    """Output by the new tokens and a search among them."""
    _, state = updated_first(state, embeddings, decay)
    return state["tokens"][search(state, embeddings)], state


def updates_too(state: State, embeddings: Array, decay: float = 0.9) -> tuple[Array, State]:
    """The right thing in training, and wrong in evaluation."""
    return state["tokens"][search(state, embeddings)], updated_first(state, embeddings, decay)[1]


def not_updated(state: State, embeddings: Array, decay: float = 0.9) -> tuple[Array, State]:
    """The right thing in evaluation, and wrong in training."""
    return state["tokens"][search(state, embeddings)], state


def initialised_again(state: State, embeddings: Array) -> tuple[Array, State]:
    """The first embeddings become the tokens."""
    new = state | {"tokens": embeddings[: len(state["tokens"])]}
    return not_updated(new, embeddings)


STEP_MUTANTS = (
    Mutant("updated-before-lookup", "the output is looked up after the update: look up, take the loss, then update", (updated_first,)),
    Mutant("updated-before-search", "the codebook moves before the search: search, take the loss, then update", (searched_after,)),
    Mutant("not-updated", "the codebook does not move in training", (not_updated,)),
    Mutant("updated-twice", "the codebook moves twice in one step",
           (lambda state, z, decay: (not_updated(state, z)[0],
                                     ema(read_paper)(updates_too(state, z, decay)[1], z, search(state, z), decay)),)),
)  # fmt: skip
EVALUATION_MUTANTS = (
    Mutant("updates-in-evaluation", "the codebook moves in evaluation: freeze it there", (updates_too,)),
    Mutant("updated-before-lookup", "the codebook moves in evaluation, and before the output is looked up", (updated_first,)),
    Mutant("initialised-in-evaluation", "the codebook is placed on the embeddings of an evaluation", (initialised_again,)),
)  # fmt: skip


def make_cases() -> tuple[Case, ...]:
    """One step in training and one in evaluation, from the same state."""
    rng = np.random.default_rng(7)
    state = Codebook.start(draw(rng, 7, 3), rng.integers(1, 9, 7) / 2, rng=rng)
    state.sums[:] = state.sums.astype(np.float32)
    inputs = {name: getattr(state, name).copy() for name in ("tokens", "counts", "sums")}
    inputs["embeddings"] = draw(rng, 24, 3)
    codes, _ = nearest_numpy(inputs["embeddings"], state.tokens)
    quantized = {"quantized": inputs["tokens"][codes]}
    ema_update(state, inputs["embeddings"], codes, 0.9)
    after = {name: getattr(state, name) for name in ("tokens", "counts", "sums")}
    before = {name: inputs[name] for name in after}
    return (
        Case("training", inputs, quantized | after, {"decay": 0.9}),
        Case("evaluation", inputs, quantized | before),
    )


MAKE = {"quantizer_step": make_cases}
