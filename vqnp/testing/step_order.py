"""Checks of the order of things in a quantizer: search and look up, take the loss, and only then move the codebook.

``check_quantizer_step``: ``step(state, embeddings, decay) -> (quantized, state)`` in training, in a dialect (embeddings
``(N, D)``): ``quantized`` are the tokens from before the update. ``check_evaluation``: ``evaluate(state, embeddings) ->
(quantized, state)``: nothing changes. The state is that of ``check_ema``.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from vqnp.quantize.ema import DIALECTS, Codebook, Dialect, ema_update, require_dialect
from vqnp.quantize.search import nearest_numpy
from vqnp.testing.adapter import Arrays, Port, Precision
from vqnp.testing.check import Check, Functions, judge, unpack
from vqnp.testing.ema import READ, State, ema, start_of
from vqnp.testing.golden import Case, cases, draw
from vqnp.testing.nearest import squared_distances
from vqnp.testing.result import Mutant, Result, Tolerance
from vqnp.validation import Array

ROUNDED = Tolerance(
    64,
    "one step adds some sixteen embeddings of up to 4 each and divides them by small counts",
    scale=4.0,
)
UNCHANGED = Tolerance(0, "evaluation looks tokens up and changes no state: no number is computed")


def check_quantizer_step(
    step: Callable[..., Any],
    *,
    dialect: Dialect = "paper",
    arrays: Arrays = "numpy",
    dtype: Precision = "float64",
    raises: bool = True,
) -> Result:
    """Check one training step: output by the old tokens, then the new state."""
    require_dialect(dialect)
    check = Check(
        f"check_quantizer_step, dialect {dialect}",
        _named(dialect),
        _trained,
        step_mutants(dialect),
        ROUNDED,
    )
    return judge(check, (step,), Port(arrays, dtype), raises=raises)


def check_evaluation(
    evaluate: Callable[..., Any],
    *,
    arrays: Arrays = "numpy",
    dtype: Precision = "float64",
    raises: bool = True,
) -> Result:
    """Check that evaluation quantizes and leaves the state alone."""
    check = Check(
        "check_evaluation", _named("evaluation"), _evaluated, EVALUATION_MUTANTS, UNCHANGED
    )
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
    return {"quantized": quantized} | {
        name: state[name] for name in ("tokens", "counts", "sums") if name in state
    }


def search(state: State, embeddings: Array) -> Array:
    """Return the codes."""
    return squared_distances(embeddings, state["tokens"]).argmin(axis=1)


def output(state: State, codes: Array, after: State) -> tuple[Array, State]:
    """Return the tokens of ``codes`` in one state, and another as the new one."""
    return state["tokens"][codes], after


def initialized_again(state: State, embeddings: Array) -> tuple[Array, State]:
    """The first embeddings become the tokens."""
    new = state | {"tokens": embeddings[: len(state["tokens"])]}
    return output(new, search(new, embeddings), new)


def steps_of(dialect: Dialect) -> dict[str, Callable[..., tuple[Array, State]]]:
    """Return every order in which a step of ``dialect`` can be taken, by name."""
    update = ema(READ[dialect])

    def ordered(give: Callable[..., tuple[Array, State]]) -> Callable[..., tuple[Array, State]]:
        def step(before: State, z: Array, decay: float = 0.9) -> tuple[Array, State]:
            codes = search(before, z)
            return give(before, update(before, z, codes, decay), codes, z, decay)

        return step

    return {
        "right": ordered(lambda before, after, codes, z, decay: output(before, codes, after)),
        "updated-before-lookup": ordered(
            lambda before, after, codes, z, decay: output(after, codes, after)
        ),
        "updated-before-search": ordered(
            lambda before, after, codes, z, decay: output(after, search(after, z), after)
        ),
        "not-updated": ordered(
            lambda before, after, codes, z, decay: output(before, codes, before)
        ),
        "updated-twice": ordered(
            lambda before, after, codes, z, decay: output(
                before, codes, update(after, z, codes, decay)
            )
        ),
    }


SAYS = {
    "updated-before-lookup": "the output is looked up after the update: look up, take the loss, then update",
    "updated-before-search": "the codebook moves before the search: search, take the loss, then update",
    "not-updated": "the codebook does not move in training",
    "updated-twice": "the codebook moves twice in one step",
}


def step_mutants(dialect: Dialect) -> tuple[Mutant, ...]:
    """Return what goes wrong with the order of a step."""
    steps = steps_of(dialect)
    return tuple(Mutant(name, says, (steps[name],)) for name, says in SAYS.items())


_PAPER = steps_of("paper")
EVALUATION_MUTANTS = (
    Mutant("updates-in-evaluation", "the codebook moves in evaluation: freeze it there", (_PAPER["right"],)),
    Mutant("updated-before-lookup", "the codebook moves in evaluation, and before the output is looked up",
           (_PAPER["updated-before-lookup"],)),
    Mutant("initialized-in-evaluation", "the codebook is placed on the embeddings of an evaluation", (initialized_again,)),
)  # fmt: skip


def make_cases() -> tuple[Case, ...]:
    """One step a dialect in training, and one in evaluation, from the same state."""
    rng = np.random.default_rng(7)
    state = Codebook.start(draw(rng, 7, 3), rng.integers(1, 9, 7) / 2, rng=rng)
    inputs = {name: getattr(state, name).copy() for name in ("tokens", "counts", "sums")}
    inputs["embeddings"] = draw(rng, 24, 3)
    codes, _ = nearest_numpy(inputs["embeddings"], state.tokens)
    quantized = {"quantized": inputs["tokens"][codes]}
    made = [
        Case(
            "evaluation",
            inputs,
            quantized | {name: inputs[name] for name in ("tokens", "counts", "sums")},
        )
    ]
    for dialect in DIALECTS:
        book = Codebook(inputs["tokens"].copy(), inputs["counts"].copy(), inputs["sums"].copy())
        ema_update(book, inputs["embeddings"], codes, 0.9, dialect)
        after = {"tokens": book.tokens, "counts": book.counts, "sums": book.sums}
        made.append(Case(dialect, inputs, quantized | after, {"decay": 0.9}))
    return tuple(made)


MAKE = {"quantizer_step": make_cases}
