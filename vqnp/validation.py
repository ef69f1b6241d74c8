"""Errors that speak the user's language: which argument, what was given, what was expected."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

BLOCK = 1 << 20  # elements looked at together, so that an array larger than memory can be checked


class NotFiniteError(ValueError):
    """Numbers that are NaN or infinite."""


def require_points(
    array: Array, name: str, *, dim: int | None = None, finite: bool = True
) -> Array:
    """Return ``array`` C-contiguous once it is known to be a non-empty, finite float ``(N, D)`` array.

    Raises ``TypeError`` for another type or dtype, ``ValueError`` for another shape, for ``D != dim``, and for NaN or infinity;
    where these show in a result that is smaller, ``finite=False`` leaves looking for them to the caller.
    """
    require_float(array, name)
    if array.ndim != 2:
        raise ValueError(f"{name} must have shape (N, D), got {array.shape}")
    if 0 in array.shape:
        raise ValueError(f"{name} is empty: shape {array.shape}")
    if dim is not None and array.shape[1] != dim:
        raise ValueError(f"{name} must have shape (N, {dim}), got {array.shape}")
    if finite:
        require_finite(array, name)
    return np.ascontiguousarray(array)


def require_float(array: Array, name: str) -> None:
    """Raise ``TypeError`` unless ``array`` is a float32 or float64 NumPy array."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name} must be a NumPy array, got {type(array).__name__}")
    if array.dtype not in (np.float32, np.float64):
        raise TypeError(f"{name} must be float32 or float64, got {array.dtype}")


def require_finite(array: Array, name: str) -> None:
    """Raise ``NotFiniteError``, a ``ValueError``, naming the first place that holds NaN or infinity; a block of rows at a time."""
    rows = max(1, BLOCK * len(array) // max(1, array.size))
    for start in range(0, len(array), rows):
        finite = np.isfinite(array[start : start + rows])
        if not finite.all():
            row, *place = map(int, np.argwhere(~finite)[0])
            raise NotFiniteError(
                f"{name} holds NaN or infinity, first at index {(start + row, *place)}"
            )


def require_labels(labels: Array, name: str, count: int) -> Array:
    """Return ``labels`` once they are known to be ``count`` integers in one dimension; raises ``ValueError`` or ``TypeError``."""
    if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "iu":
        raise TypeError(
            f"{name} must be a NumPy array of integers, got {getattr(labels, 'dtype', type(labels).__name__)}"
        )
    if labels.shape != (count,):
        raise ValueError(f"{name} must have shape ({count},), got {labels.shape}")
    return labels


def require_mask(mask: Array, name: str, count: int) -> None:
    """Raise ``TypeError`` or ``ValueError`` unless ``mask`` is an array of ``count`` bools."""
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_:
        raise TypeError(
            f"{name} must be a NumPy array of bool, got {getattr(mask, 'dtype', type(mask).__name__)}"
        )
    if mask.shape != (count,):
        raise ValueError(f"{name} must have shape ({count},), got {mask.shape}")


def require_codes(codes: Array, name: str, n_tokens: int, count: int | None = None) -> Array:
    """Return ``codes`` once they are known to be integers in ``[0, n_tokens)``, ``count`` of them; raises like the others."""
    if not isinstance(codes, np.ndarray) or codes.ndim != 1:
        raise ValueError(f"{name} must be a NumPy array of shape (N,), got shape {np.shape(codes)}")
    require_labels(codes, name, len(codes) if count is None else count)
    if codes.size and not (codes.min() >= 0 and codes.max() < n_tokens):
        raise ValueError(f"{name} must lie in [0, {n_tokens}), got {codes.min()} to {codes.max()}")
    return codes


def require_integer(value: Any, name: str, *, least: int) -> int:
    """Return ``value`` once it is known to be an integer of at least ``least``; raises ``TypeError`` or ``ValueError``."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    return int(value)


def require_share(value: float, name: str) -> float:
    """Return ``value`` once it is known to lie in ``[0, 1)``; raises ``ValueError``."""
    if not 0 <= value < 1:
        raise ValueError(f"{name} must lie in [0, 1), got {value}")
    return float(value)
