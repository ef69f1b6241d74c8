"""Checks of what a quantizer sends back: the straight-through gradient and the commitment's.

The gradient of the output passes to the embeddings as it is. It is random, because all-ones would
not notice a reversed batch. The commitment loss is β ‖z − sg(token)‖² / (N·D). Through the
stop-gradient sg nothing reaches the tokens, and under EMA they get no gradient at all.
"""

from functools import partial

import numpy as np

from vqnp.testing.adapter import IMAGE, Functions, swap_axes
from vqnp.testing.check import Adapter, Answers, Function, KnownMistake, Tolerance, check, named
from vqnp.testing.golden import Array, Case, Cases, draw, from_seed
from vqnp.testing.nearest import search


@from_seed
def draw_cases(rng: np.random.Generator) -> Cases:
    """A latent of 2 images, 3 × 5 places and 4 channels; fewer tokens than places."""
    z, tokens, dout = draw(rng, 2, 3, 5, 4), draw(rng, 6, 4), draw(rng, 2, 3, 5, 4)
    yield Case("3 × 5 places", {"embeddings": z, "tokens": tokens, "dquantized": dout})


def codes_of(z: Array, tokens: Array) -> Array:
    """Return the codes ``(B, H, W)``."""
    return search(z.reshape(-1, z.shape[3]), tokens).reshape(z.shape[:3])


def quantize(z: Array, tokens: Array) -> Array:
    """The right output."""
    return tokens[codes_of(z, tokens)]


def passes(change: Function) -> Functions:
    """Return the right output with a gradient that ``change`` has changed."""
    return quantize, lambda z, tokens, dout: (change(dout), None)


def misread(z: Array, tokens: Array) -> Array:
    """Channels-first numbers cut into runs of D, as if channels were last."""
    first = np.ascontiguousarray(z.transpose(0, 3, 1, 2))
    return quantize(first.reshape(z.shape), tokens).reshape(first.shape).transpose(0, 2, 3, 1)


def to_tokens(z: Array, tokens: Array, dout: Array) -> Array:
    """The gradient of a plain look-up."""
    dtokens = np.zeros_like(tokens)
    np.add.at(dtokens, codes_of(z, tokens), dout)
    return dtokens


MISTAKES = (
    KnownMistake(
        "no-gradient",
        "nothing passes the look-up: write z + stop_gradient(token − z)",
        passes(np.zeros_like),
    ),
    KnownMistake(
        "all-ones",
        "the gradient of the output is ignored and ones are passed",
        passes(np.ones_like),
    ),
    KnownMistake("axes-swapped", "H and W are swapped in the gradient", passes(swap_axes)),
    KnownMistake(
        "batch-reversed",
        "the gradient comes back with the batch reversed",
        passes(lambda dout: dout[::-1]),
    ),
    KnownMistake("sign", "the gradient points the wrong way", passes(np.negative)),
    KnownMistake(
        "averaged",
        "the gradient is divided by the number of embeddings",
        passes(lambda dout: dout / dout[..., 0].size),
    ),
    KnownMistake(
        "gradient-to-tokens",
        "the gradient goes to the tokens and not to the embeddings: a plain look-up",
        (quantize, lambda z, tokens, dout: (None, to_tokens(z, tokens, dout))),
    ),
    KnownMistake(
        "gradient-to-both",
        "the tokens get a gradient as well; under EMA they get none",
        (quantize, lambda z, tokens, dout: (dout, to_tokens(z, tokens, dout))),
    ),
    KnownMistake(
        "not-quantized", "the output is z itself", (lambda z, tokens: z, passes(np.copy)[1])
    ),
    KnownMistake(
        "channels-misread",
        "channels-first latents are reshaped to (−1, D): move the channels last before",
        (misread, passes(np.copy)[1]),
    ),
)


@check(
    {"straight_through": draw_cases},
    Tolerance(4, "z + (token − z) rounds twice, a looked-up token not at all", scale=4.0),
    MISTAKES,
    right=passes(np.copy),
    images=True,
)
def check_straight_through(
    case: Case, adapter: Adapter, forward: Function, vjp: Function
) -> Answers:
    """Check output and gradients of the straight-through estimator, for latents not square.

    It catches a gradient that stops, one that reaches the tokens, and misread channels.

    Parameters
    ----------
    forward : function
        ``forward(embeddings, tokens) -> quantized``: embeddings ``(B, H, W, D)``, or
        ``(B, D, H, W)`` with ``layout="NCHW"``; tokens ``(K, D)``. Return the nearest tokens in
        the shape of the embeddings.
    vjp : function
        ``vjp(embeddings, tokens, dquantized) -> (dembeddings, dtokens)``: the gradients for that
        of the output. ``dtokens`` ``(K, D)`` is zero, and may be None. ``torch_vjp(forward)`` and
        ``jax_vjp(forward)`` make this function by autograd.

    Example
    -------
    >>> print(check_straight_through(quantize, lambda z, tokens, dquantized: (dquantized, None)))
    check_straight_through: all 3 comparisons pass
    """
    z, tokens, dout = (case.inputs[name] for name in ("embeddings", "tokens", "dquantized"))
    quantized = forward(adapter.give(z, IMAGE), adapter.give(tokens))
    gradients = vjp(adapter.give(z, IMAGE), adapter.give(tokens), adapter.give(dout, IMAGE))
    dz, dtokens = named(gradients, "dembeddings, dtokens").values()
    return {
        "quantized": adapter.take(quantized, IMAGE),
        "dembeddings": np.zeros(z.shape) if dz is None else adapter.take(dz, IMAGE),
        "dtokens": np.zeros(tokens.shape) if dtokens is None else dtokens,
    }


@from_seed
def draw_commitment_cases(rng: np.random.Generator) -> Cases:
    """Seven embeddings of five numbers; β is neither 1 nor 1/4, which some code has built in."""
    inputs = {"embeddings": draw(rng, 7, 5), "quantized": draw(rng, 7, 5)}
    yield Case("beta .375", inputs, settings={"beta": 0.375})


def weighed(
    z: Array, quantized: Array, beta: float, *, parts: Function, rows: bool = False
) -> tuple[float, Array, Array]:
    """Return ``parts(beta)`` times the value, its gradient to z, and its gradient to the tokens.

    ``rows``: a sum over D and a mean over N.
    """
    value, to_embeddings, to_tokens = parts(beta)
    count = len(z) if rows else z.size
    slope = 2 * (z - quantized) / count
    mean = np.square(z - quantized).sum() / count
    return value * mean, to_embeddings * slope, -to_tokens * slope


COMMITMENT_MISTAKES = (
    KnownMistake(
        "beta-forgotten",
        "β is missing",
        (partial(weighed, parts=lambda beta: (1, 1, 0)),),
    ),
    KnownMistake(
        "beta-on-the-codebook",
        "β weighs the codebook's term ‖sg(z) − token‖² where it belongs to the commitment",
        (partial(weighed, parts=lambda beta: (1 + beta, 1, beta)),),
    ),
    KnownMistake(
        "codebook-term",
        "a codebook loss is added; under EMA the tokens follow averages and get no gradient",
        (partial(weighed, parts=lambda beta: (1 + beta, beta, 1)),),
    ),
    KnownMistake(
        "no-stop-gradient",
        "the gradient also reaches the tokens: stop it there",
        (partial(weighed, parts=lambda beta: (beta, beta, beta)),),
    ),
    KnownMistake(
        "stop-on-the-embeddings",
        "the gradient is stopped at z and reaches the tokens: the other way round",
        (partial(weighed, parts=lambda beta: (beta, 0, beta)),),
    ),
    KnownMistake(
        "no-gradient",
        "the loss has a value and no gradient: both sides are stopped",
        (partial(weighed, parts=lambda beta: (beta, 0, 0)),),
    ),
    KnownMistake(
        "mean-over-rows",
        "summed over D and averaged over N alone; the mean is over N·D",
        (partial(weighed, parts=lambda beta: (beta, beta, 0), rows=True),),
    ),
    KnownMistake(
        "factor-two-lost",
        "the gradient of a square has a factor 2",
        (partial(weighed, parts=lambda beta: (beta, beta / 2, 0)),),
    ),
    KnownMistake(
        "sign",
        "the gradient points the wrong way",
        (partial(weighed, parts=lambda beta: (beta, -beta, 0)),),
    ),
)


@check(
    {"commitment": draw_commitment_cases},
    Tolerance(64, "a mean of 35 squares, and gradients of three factors"),
    COMMITMENT_MISTAKES,
    right=(partial(weighed, parts=lambda beta: (beta, beta, 0)),),
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
    answer = loss(*adapter.give(case.inputs).values(), case.settings["beta"])
    answers = named(answer, "value, dembeddings, dquantized")
    if answers["dquantized"] is None:
        answers["dquantized"] = np.zeros(case.inputs["quantized"].shape)
    return answers
