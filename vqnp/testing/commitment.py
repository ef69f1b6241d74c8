"""Check of the commitment loss β ‖z − sg(token)‖² / (N·D) under EMA, with its gradients.

Through the stop-gradient sg nothing reaches the tokens.
"""

from typing import Any

import numpy as np

from vqnp.losses import commitment
from vqnp.testing.check import Adapter, Answers, Case, KnownMistake, Tolerance, check, draw, unpack
from vqnp.testing.run import Array, Cases, Function, from_seed


@from_seed
def draw_cases(rng: np.random.Generator) -> Cases:
    """Seven embeddings of five numbers; β is neither 1 nor 1/4, which some code has built in."""
    z, quantized, beta = draw(rng, 7, 5), draw(rng, 7, 5), 0.375
    value, slope = commitment(z, quantized)
    outputs = {
        "value": np.array(beta * value),
        "dembeddings": beta * slope,
        "dquantized": np.zeros((7, 5)),
    }
    yield Case("beta .375", {"embeddings": z, "quantized": quantized}, outputs, {"beta": beta})


def weighed(parts: Function, *, rows: bool = False) -> Function:
    """Return ``parts(beta)`` times the value, its gradient to z, and its gradient to the tokens.

    ``rows``: a sum over D and a mean over N.
    """

    def loss(z: Array, quantized: Array, beta: float) -> tuple[Any, Array, Array]:
        value, to_embeddings, to_tokens = parts(beta)
        count = len(z) if rows else z.size
        slope = 2 * (z - quantized) / count
        mean = np.square(z - quantized).sum() / count
        return value * mean, to_embeddings * slope, -to_tokens * slope

    return loss


MISTAKES = (
    KnownMistake(
        "beta-forgotten",
        "β is missing",
        (weighed(lambda beta: (1, 1, 0)),),
    ),
    KnownMistake(
        "beta-on-the-codebook",
        "β weighs the codebook's term ‖sg(z) − token‖² where it belongs to the commitment",
        (weighed(lambda beta: (1 + beta, 1, beta)),),
    ),
    KnownMistake(
        "codebook-term",
        "a codebook loss is added; under EMA the tokens follow averages and get no gradient",
        (weighed(lambda beta: (1 + beta, beta, 1)),),
    ),
    KnownMistake(
        "no-stop-gradient",
        "the gradient also reaches the tokens: stop it there",
        (weighed(lambda beta: (beta, beta, beta)),),
    ),
    KnownMistake(
        "stop-on-the-embeddings",
        "the gradient is stopped at z and reaches the tokens: the other way round",
        (weighed(lambda beta: (beta, 0, beta)),),
    ),
    KnownMistake(
        "no-gradient",
        "the loss has a value and no gradient: both sides are stopped",
        (weighed(lambda beta: (beta, 0, 0)),),
    ),
    KnownMistake(
        "mean-over-rows",
        "summed over D and averaged over N alone; the mean is over N·D",
        (weighed(lambda beta: (beta, beta, 0), rows=True),),
    ),
    KnownMistake(
        "factor-two-lost",
        "the gradient of a square has a factor 2",
        (weighed(lambda beta: (beta, beta / 2, 0)),),
    ),
    KnownMistake(
        "sign", "the gradient points the wrong way", (weighed(lambda beta: (beta, -beta, 0)),)
    ),
)


@check(
    {"commitment": draw_cases},
    Tolerance(64, "a mean of 35 squares, and gradients of three factors"),
    MISTAKES,
)
def check_commitment(case: Case, adapter: Adapter, loss: Function) -> Answers:
    """Check the commitment loss and where its gradient goes.

    It catches a misplaced β, a codebook loss, a misplaced stop-gradient, and means over rows.

    Parameters
    ----------
    loss : function
        ``loss(embeddings, quantized, beta) -> (value, dembeddings, dquantized)``: embeddings and
        their tokens ``(N, D)``, beta a float. Return β ‖z − token‖² / (N·D), a number, and the
        gradients ``(N, D)``. ``dquantized`` is zero, and may be None.

    Example
    -------
    >>> def loss(embeddings, quantized, beta):
    ...     difference = embeddings - quantized
    ...     return beta * (difference**2).mean(), 2 * beta * difference / difference.size, None
    >>> print(check_commitment(loss))
    check_commitment: all 3 comparisons pass
    """
    z, quantized = (adapter.give(case.inputs[name]) for name in ("embeddings", "quantized"))
    answer = loss(z, quantized, case.settings["beta"])
    value, dz, dquantized = unpack(answer, "value, dembeddings, dquantized")
    nothing = np.zeros(case.inputs["quantized"].shape)
    dquantized = nothing if dquantized is None else dquantized
    return {"value": value, "dembeddings": dz, "dquantized": dquantized}
