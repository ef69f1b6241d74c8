"""Check of the straight-through quantizer: ``forward(embeddings, tokens) -> quantized`` and
``vjp(embeddings, tokens, dquantized) -> (dembeddings, dtokens)``.

Embeddings are the latents of images, ``(B, H, W, D)``, or ``(B, D, H, W)`` with ``layout="NCHW"``; tokens are ``(K, D)``. The gradient
of the output is random and is passed to the embeddings as it is; the tokens get none: zeros, or None.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from vqnp.quantize.search import nearest_numpy
from vqnp.testing.adapter import Arrays, Layout, Port, Precision
from vqnp.testing.check import Check, Functions, judge, unpack
from vqnp.testing.golden import Case, cases, draw
from vqnp.testing.nearest import squared_distances
from vqnp.testing.result import Mutant, Result, Tolerance
from vqnp.validation import Array

COPIED = Tolerance(4, "z + (token − z) rounds twice, a looked-up token not at all", scale=4.0)


def check_straight_through(
    forward: Callable[..., Any],
    vjp: Callable[..., Any],
    *,
    arrays: Arrays = "numpy",
    dtype: Precision = "float64",
    layout: Layout = "NHWC",
    raises: bool = True,
) -> Result:
    """Check output and gradients for a latent that is not square."""
    check = Check("check_straight_through", cases("straight_through"), _run, MUTANTS, COPIED)
    return judge(check, (forward, vjp), Port(arrays, dtype, layout), raises=raises)


def _run(case: Case, functions: Functions, port: Port) -> dict[str, Any]:
    forward, vjp = functions
    z, tokens, dout = (case.inputs[name] for name in ("embeddings", "tokens", "dquantized"))
    quantized = forward(port.image(z), port.give(tokens))
    dz, dtokens = unpack(
        vjp(port.image(z), port.give(tokens), port.image(dout)), "dembeddings, dtokens"
    )
    return {
        "quantized": port.image_back(quantized),
        "dembeddings": np.zeros(z.shape) if dz is None else port.image_back(dz),
        "dtokens": np.zeros(tokens.shape) if dtokens is None else dtokens,
    }


def codes_of(z: Array, tokens: Array) -> Array:
    """Return the codes ``(B, H, W)``."""
    return squared_distances(z.reshape(-1, z.shape[3]), tokens).argmin(axis=1).reshape(z.shape[:3])


def quantize(z: Array, tokens: Array) -> Array:
    """The right output."""
    return tokens[codes_of(z, tokens)]


def passes(change: Callable[[Array], Array]) -> Functions:
    """Return the right output with a gradient that ``change`` has changed."""
    return quantize, lambda z, tokens, dout: (change(dout), None)


def read_as_rows(z: Array) -> Array:
    """Channels-first numbers cut into runs of D, as if channels were last."""
    return np.ascontiguousarray(z.transpose(0, 3, 1, 2)).reshape(z.shape)


def written_back(quantized: Array) -> Array:
    """Undo ``read_as_rows``."""
    b, h, w, d = quantized.shape
    return quantized.reshape(b, d, h, w).transpose(0, 2, 3, 1)


def to_tokens(z: Array, tokens: Array, dout: Array) -> Array:
    """The gradient of a plain look-up."""
    dtokens = np.zeros_like(tokens)
    np.add.at(dtokens, codes_of(z, tokens), dout)
    return dtokens


def swap_axes(dout: Array) -> Array:
    """Read the numbers of ``(B, H, W, D)`` as those of ``(B, W, H, D)``."""
    b, h, w, d = dout.shape
    return dout.reshape(b, w, h, d).swapaxes(1, 2)


MUTANTS = (
    Mutant("no-gradient", "nothing passes the look-up: write z + stop_gradient(token − z)", passes(np.zeros_like)),
    Mutant("all-ones", "the gradient of the output is ignored and ones are passed", passes(np.ones_like)),
    Mutant("axes-swapped", "H and W are swapped in the gradient", passes(swap_axes)),
    Mutant("batch-reversed", "the gradient comes back with the batch reversed", passes(lambda dout: dout[::-1])),
    Mutant("sign", "the gradient points the wrong way", passes(np.negative)),
    Mutant("averaged", "the gradient is divided by the number of embeddings", passes(lambda dout: dout / dout[..., 0].size)),
    Mutant("gradient-to-tokens", "the gradient goes to the tokens and not to the embeddings: a plain look-up",
           (quantize, lambda z, tokens, dout: (None, to_tokens(z, tokens, dout)))),
    Mutant("gradient-to-both", "the tokens get a gradient as well; under EMA they get none",
           (quantize, lambda z, tokens, dout: (dout, to_tokens(z, tokens, dout)))),
    Mutant("not-quantized", "the output is z itself", (lambda z, tokens: z, passes(np.copy)[1])),
    Mutant("channels-misread", "channels-first latents are reshaped to (−1, D): move the channels last before",
           (lambda z, tokens: written_back(quantize(read_as_rows(z), tokens)), passes(np.copy)[1])),
)  # fmt: skip


def make_cases() -> tuple[Case, ...]:
    """A latent of 2 images, 3 × 5 places and 4 channels; fewer tokens than places."""
    rng = np.random.default_rng(11)
    z, tokens, dout = draw(rng, 2, 3, 5, 4), draw(rng, 6, 4), draw(rng, 2, 3, 5, 4)
    codes, _ = nearest_numpy(z.reshape(-1, 4), tokens)
    outputs = {
        "quantized": tokens[codes].reshape(z.shape),
        "dembeddings": dout,
        "dtokens": np.zeros(tokens.shape),
    }
    return (Case("3 × 5 places", {"embeddings": z, "tokens": tokens, "dquantized": dout}, outputs),)


MAKE = {"straight_through": make_cases}
