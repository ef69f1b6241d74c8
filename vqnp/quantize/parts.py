"""A quantizer made of others keeps their arrays among its own, under a name in front.

The quantizers inside are configuration: what ``residual.py`` calls its stage has no arrays of its
own. When it is needed, a copy of it borrows the arrays ``"0.tokens"``, ``"0.counts"``, ... of the
whole. So a checkpoint finds all of them, an optimizer moves them, and copies of the whole share
none.
"""

from dataclasses import replace

from vqnp.quantize.cvq import CVQ
from vqnp.quantize.ema import EMA
from vqnp.quantize.gradient_codebook import GradientCodebook
from vqnp.quantize.quantizer import Gradients, Quantizer
from vqnp.validation import Array


def borrow(part: Quantizer, whole: Quantizer, name: str) -> Quantizer:
    """Return a copy of ``part`` that works on the arrays that ``whole`` keeps for ``name``.

    Raises ``RuntimeError`` before ``whole`` is initialized, where ``part`` needs that.
    """
    copy = replace(part)
    for own, kept in ((copy.params, whole.params), (copy.buffers, whole.buffers)):
        prefix = f"{name}."
        found = (key for key in kept if key.startswith(prefix))
        own.update({key.removeprefix(prefix): kept[key] for key in found})
    if not copy.initialized:
        raise RuntimeError("there is no codebook yet: call initialize(z, batch=...) first")
    return copy


def keep(part: Quantizer, whole: Quantizer, name: str) -> None:
    """Let ``whole`` hold the arrays of ``part``, a copy that has just been initialized."""
    whole.params.update(under(name, part.params))
    whole.buffers.update(under(name, part.buffers))


def under(name: str, arrays: dict[str, Array]) -> Gradients:
    """Return ``arrays`` with ``name`` in front of their names."""
    return {f"{name}.{key}": value for key, value in arrays.items()}


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
