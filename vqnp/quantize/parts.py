"""A quantizer made of others keeps their arrays among its own, under a name in front.

The quantizers inside are configuration: what ``residual.py`` calls its stage has no arrays of its
own. When it is needed, a copy of it borrows the arrays ``"0.tokens"``, ``"0.counts"``, ... of the
whole. So a checkpoint finds all of them, an optimizer moves them, and copies of the whole share
none.
"""

from dataclasses import replace
from typing import Any

from vqnp.quantize.cvq import CVQ
from vqnp.quantize.ema import EMA
from vqnp.quantize.gradient_codebook import GradientCodebook
from vqnp.quantize.quantizer import Gradients, Quantizer
from vqnp.validation import Array


def borrow(part: Quantizer, whole: Quantizer, name: str) -> Quantizer:
    """Return a copy of ``part`` that works on the arrays that ``whole`` keeps for ``name``.

    Raises ``RuntimeError`` before ``whole`` is initialized, where ``part`` needs that.
    """
    # In the middle of a step, ``replace`` would check the configuration once more.
    borrower = object.__new__(type(part))
    vars(borrower).update(vars(part), params={}, buffers={})
    prefix = f"{name}."
    for own, kept in ((borrower.params, whole.params), (borrower.buffers, whole.buffers)):
        for key, array in kept.items():
            if key.startswith(prefix):
                own[key[len(prefix) :]] = array
    if not borrower.initialized:
        raise RuntimeError("there is no codebook yet: call initialize(z, batch=...) first")
    return borrower


def place(part: Quantizer, whole: Quantizer, name: str, z: Array, **named: Any) -> Quantizer:
    """Return a copy of ``part`` initialized on ``z``, whose arrays ``whole`` holds from now on."""
    made = replace(part)
    made.initialize(z, **named)
    whole.params.update(under(name, made.params))
    whole.buffers.update(under(name, made.buffers))
    return made


def under(name: str, arrays: dict[str, Array]) -> Gradients:
    """Return ``arrays`` with ``name`` in front of their names."""
    return {f"{name}.{key}": value for key, value in arrays.items()}


class Wrapper:
    """What quantizers share that are one other quantizer in another space.

    Its arrays are kept under the name ``INNER``.
    """

    quantizer: Quantizer
    INNER: str

    @property
    def draws(self) -> bool:
        """Whether the quantizer inside draws."""
        return self.quantizer.draws

    @property
    def n_tokens(self) -> int:
        """K, the size of the codebook."""
        return self.quantizer.n_tokens

    @property
    def inner(self: Any) -> Quantizer:
        """The quantizer inside, with its arrays; ``RuntimeError`` before ``initialize``."""
        return borrow(self.quantizer, self, self.INNER)

    @property
    def tokens(self) -> Array:
        """The tokens ``(K, D)`` of the quantizer inside."""
        return self.inner.tokens


def require_codebook(quantizer: Quantizer, *, straight_through: bool = False) -> None:
    """Raise ``TypeError`` unless ``quantizer`` keeps the tokens of one codebook.

    With ``straight_through``, raise ``ValueError`` unless it passes gradients so.
    """
    if not isinstance(quantizer, EMA | GradientCodebook | CVQ):
        raise TypeError(
            f"quantizer must be EMA, GradientCodebook or CVQ, which keep a codebook, "
            f"got {quantizer!r}"
        )
    if straight_through and getattr(quantizer, "estimator", "straight-through") != (
        "straight-through"
    ):
        raise ValueError(
            "the gradient passes through the whole at once: give the estimator to the whole, "
            f"got {quantizer!r} inside"
        )
