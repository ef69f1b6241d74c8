"""Check of the commitment loss β ‖z − sg(token)‖² / (N·D) under EMA, with its gradients:

``loss(embeddings, quantized, beta) -> (value, dembeddings, dquantized)``, arrays ``(N, D)``. Through the stop-gradient sg nothing
reaches the tokens: ``dquantized`` is zero, and may be None.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from vqnp.losses import commitment
from vqnp.testing.adapter import Arrays, Port, Precision
from vqnp.testing.check import Check, Functions, judge, unpack
from vqnp.testing.golden import Case, cases, draw
from vqnp.testing.result import Mutant, Result, Tolerance
from vqnp.validation import Array

ROUNDED = Tolerance(64, "a mean of 35 squares, and gradients of three factors")


def check_commitment(
    loss: Callable[..., Any],
    *,
    arrays: Arrays = "numpy",
    dtype: Precision = "float64",
    raises: bool = True,
) -> Result:
    """Check the value and where its gradient goes."""
    check = Check("check_commitment", cases("commitment"), _run, MUTANTS, ROUNDED)
    return judge(check, (loss,), Port(arrays, dtype), raises=raises)


def _run(case: Case, functions: Functions, port: Port) -> dict[str, Any]:
    z, quantized = (port.give(case.inputs[name]) for name in ("embeddings", "quantized"))
    answer = functions[0](z, quantized, case.settings["beta"])
    value, dz, dquantized = unpack(answer, "value, dembeddings, dquantized")
    nothing = np.zeros(case.inputs["quantized"].shape)
    return {
        "value": value,
        "dembeddings": dz,
        "dquantized": nothing if dquantized is None else dquantized,
    }


def weighed(
    to_embeddings: float, to_tokens: float, value: float = 1.0, *, rows: bool = False
) -> Callable[..., Any]:
    """Return the loss with its parts weighed by these multiples; ``rows``: a sum over D and a mean over N."""

    def loss(z: Array, quantized: Array, beta: float) -> tuple[Any, Array, Array]:
        count = len(z) if rows else z.size
        slope = 2 * beta * (z - quantized) / count
        return (
            value * beta * np.square(z - quantized).sum() / count,
            to_embeddings * slope,
            -to_tokens * slope,
        )

    return loss


def unweighed(z: Array, quantized: Array, beta: float) -> tuple[Any, Array, Array]:
    """β is forgotten."""
    return weighed(1, 0)(z, quantized, 1.0)


def swapped(z: Array, quantized: Array, beta: float) -> tuple[Any, Array, Array]:
    """β weighs the codebook's term, and 1 the commitment."""
    value, slope, _ = weighed(1, 0)(z, quantized, 1.0)
    return (1 + beta) * value, slope, -beta * slope


def both_terms(z: Array, quantized: Array, beta: float) -> tuple[Any, Array, Array]:
    """The codebook's term is there as well; under EMA there is none."""
    value, slope, _ = weighed(1, 0)(z, quantized, 1.0)
    return (1 + beta) * value, beta * slope, -slope


MUTANTS = (
    Mutant("beta-forgotten", "β is missing", (unweighed,)),
    Mutant("beta-on-the-codebook", "β weighs the codebook's term ‖sg(z) − token‖² where it belongs to the commitment", (swapped,)),
    Mutant("codebook-term", "a codebook loss is added; under EMA the tokens follow averages and get no gradient", (both_terms,)),
    Mutant("no-stop-gradient", "the gradient also reaches the tokens: stop it there", (weighed(1, 1),)),
    Mutant("stop-on-the-embeddings", "the gradient is stopped at z and reaches the tokens: the other way round", (weighed(0, 1),)),
    Mutant("no-gradient", "the loss has a value and no gradient: both sides are stopped", (weighed(0, 0),)),
    Mutant("mean-over-rows", "summed over D and averaged over N alone; the mean is over N·D", (weighed(1, 0, rows=True),)),
    Mutant("factor-two-lost", "the gradient of a square has a factor 2", (weighed(0.5, 0),)),
    Mutant("sign", "the gradient points the wrong way", (weighed(-1, 0),)),
)  # fmt: skip


def make_cases() -> tuple[Case, ...]:
    """Seven embeddings of five numbers; β is neither 1 nor 1/4, which some code has built in."""
    rng = np.random.default_rng(10)
    z, quantized, beta = draw(rng, 7, 5), draw(rng, 7, 5), 0.375
    value, slope = commitment(z, quantized)
    outputs = {
        "value": np.array(beta * value),
        "dembeddings": beta * slope,
        "dquantized": np.zeros((7, 5)),
    }
    return (Case("beta .375", {"embeddings": z, "quantized": quantized}, outputs, {"beta": beta}),)


MAKE = {"commitment": make_cases}
