"""A user's own points, from ``.npy`` files."""

from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap, read_array

from vqnp.data.dataset import Dataset, standardize
from vqnp.validation import Array, require_finite, require_labels


def load_points(path: str | Path, labels: str | Path | None = None) -> Dataset:
    """Return the array ``(N, D)`` in ``path``, standardized, with the integer labels ``(N,)`` in ``labels`` if given.

    Raises ``ValueError`` or ``TypeError`` naming the file when it is not a whole ``.npy`` file of finite numbers in that shape.
    """
    points = load_array(path)
    if points.ndim != 2 or 0 in points.shape:
        raise ValueError(f"{path} must hold points of shape (N, D), got {points.shape}")
    if not np.issubdtype(points.dtype, np.floating) and not np.issubdtype(points.dtype, np.integer):
        raise TypeError(f"{path} must hold real numbers, got {points.dtype}")
    require_finite(points, str(path))
    given = (
        None
        if labels is None
        else require_labels(load_array(labels), str(labels), len(points)).astype(np.int64)
    )
    return Dataset(Path(path).name, standardize(points), given)


def load_array(path: str | Path, mmap: bool = False) -> Array:
    """Return the array in a ``.npy`` file, never unpickling; with ``mmap`` it stays on disk until it is read."""
    try:
        if mmap:
            return open_memmap(path, mode="r")
        with Path(path).open("rb") as file:
            return read_array(file, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} is not a whole .npy file of numbers: {error}") from error
