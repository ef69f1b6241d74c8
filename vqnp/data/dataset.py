"""Points with labels, the settings that name a data set, and the standard scaler."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from vqnp.files import as_json
from vqnp.validation import (
    Array,
    Points,
    PointsLike,
    as_array,
    as_labels,
    as_points,
    require_finite,
)


@dataclass(frozen=True)
class Source:
    """The settings of a data set, without its arrays: they print, compare and go to JSON.

    Each data set has one, beside its loader. ``load(seed)`` returns the data.
    """

    def load(self, seed: int) -> Any:
        """Return the data for ``seed``; each kind of source says how."""
        raise NotImplementedError

    def to_json(self) -> dict[str, Any]:
        """Return the kind and the settings that enter a comparison."""
        return as_json(self, kind=type(self).__name__)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Points to train on, and perhaps their labels. Two are the same data if ``identity`` agrees.

    A report calls them by their name.

    Parameters
    ----------
    name : str
        For example the name of a file.
    points : array-like (N, D) of float32 or float64
        Converted as :func:`vqnp.validation.as_points` says.
    labels : array-like (N,) of integers, optional
        The class of each point.

    Raises
    ------
    TypeError, ValueError
        For points or labels of another type or shape.

    Examples
    --------
    >>> data = Dataset("two points", [[0.0, 1.0], [2.0, 3.0]], [0, 1])
    >>> data.dim, data.labels
    (2, array([0, 1]))
    """

    name: str
    points: Points
    labels: Array | None = None

    def __post_init__(self) -> None:
        points = as_points(self.points, "points")
        object.__setattr__(self, "points", points)  # frozen means frozen for its users
        if self.labels is not None:
            object.__setattr__(self, "labels", as_labels(self.labels, "labels", len(points)))

    @property
    def dim(self) -> int:
        """D, the number of coordinates of a point."""
        return int(self.points.shape[1])

    @property
    def identity(self) -> str:
        """The first 16 hexadecimal digits of the SHA-256 of points and labels."""
        digest = hashlib.sha256(self.points.tobytes())
        if self.labels is not None:
            digest.update(self.labels.tobytes())
        return digest.hexdigest()[:16]


def standardize(points: PointsLike) -> Points:
    """Return points with mean 0 and standard deviation 1 in every column.

    Parameters
    ----------
    points : array-like (N, D)
        Any real numbers. The statistics are computed in float64.

    Returns
    -------
    ndarray (N, D) of float32
        A constant column becomes 0.

    Raises
    ------
    TypeError, ValueError
        For anything that is no array of finite real numbers of two axes, or that is empty.

    Examples
    --------
    >>> standardize([[0, 5], [2, 5]])
    array([[-1.,  0.],
           [ 1.,  0.]], dtype=float32)
    """
    points = as_array(points, "points").astype(np.float64)
    if points.ndim != 2 or 0 in points.shape:
        raise ValueError(f"points must have shape (N, D) and not be empty, got {points.shape}")
    require_finite(points, "points")
    # Powers of two change no digit, and squares of 1e200 or 1e-200 are numbers again.
    points = np.ldexp(points, -np.frexp(np.abs(points).max(axis=0))[1])
    mean, deviation = points.mean(axis=0), points.std(axis=0)
    constant = (points == points[0]).all(axis=0)  # rounding can give it a deviation above 0
    mean[constant], deviation[constant] = points[0, constant], 1
    return ((points - mean) / deviation).astype(np.float32)
