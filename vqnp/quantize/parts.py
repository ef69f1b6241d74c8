"""A quantizer made of others keeps their arrays among its own, under a name in front.

The quantizers inside are configuration: what ``residual.py`` calls its stage has no arrays of its
own. When it is needed, a copy of it borrows the arrays ``"0.tokens"``, ``"0.counts"``, ... of the
whole. So a checkpoint finds all of them, an optimizer moves them, and copies of the whole share
none.
"""

import numpy as np

from vqnp.quantize.cvq import CVQ
from vqnp.quantize.ema import EMA
from vqnp.quantize.gradient_codebook import GradientCodebook
from vqnp.quantize.quantizer import Gradients, Quantizer
from vqnp.validation import Array, require_codes

MOST_TOKENS = 1 << 16  # that are made into one array


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


def require_joint_codes(codes: Array, n_tokens: int, books: int, *, least: int = 0) -> Array:
    """Return ``codes`` once they are integers ``(N, books)`` in ``[least, n_tokens)``.

    Raises ``TypeError`` or ``ValueError``.
    """
    if not isinstance(codes, np.ndarray) or codes.ndim != 2 or codes.shape[1] != books:
        raise ValueError(f"codes must have shape (N, {books}), got shape {np.shape(codes)}")
    require_codes(np.where(codes == least, 0, codes).ravel(), "codes", n_tokens)
    return codes


def joint_codes(codes: Array, n_tokens: int) -> Array:
    """Number the rows of ``codes`` ``(N, H)`` with the first codebook's code the fastest."""
    return codes @ n_tokens ** np.arange(codes.shape[1])


def joint_tokens(whole: Quantizer, n_tokens: int, books: int) -> Array:
    """Return the vectors of all combinations of codes, in the order of :func:`joint_codes`.

    Raises ``ValueError`` where they are too many to be looked at.
    """
    if whole.n_tokens > MOST_TOKENS:
        raise ValueError(
            f"{n_tokens}^{books} vectors are too many for one array (at most {MOST_TOKENS:,}): "
            "look at one codebook at a time"
        )
    codes = np.arange(whole.n_tokens)[:, None] // n_tokens ** np.arange(books) % n_tokens
    return whole.decode(codes)
