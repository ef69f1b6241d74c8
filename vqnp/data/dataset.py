"""Points with, perhaps, labels: what every synthetic experiment trains on."""

import hashlib
from dataclasses import dataclass

import numpy as np

from vqnp.validation import Array, require_labels, require_points


@dataclass(frozen=True)
class Dataset:
    """``points`` ``(N, D)`` float32, ``labels`` ``(N,)`` int64 or ``None``, and a name for reports."""

    name: str
    points: Array
    labels: Array | None = None

    def __post_init__(self) -> None:
        require_points(self.points, "points")
        if self.labels is not None:
            require_labels(self.labels, "labels", len(self.points))

    @property
    def dim(self) -> int:
        """D, the number of coordinates of a point."""
        return int(self.points.shape[1])

    @property
    def identity(self) -> str:
        """The first 16 hexadecimal digits of the SHA-256 of points and labels: equal data, equal identity."""
        digest = hashlib.sha256(self.points.tobytes())
        if self.labels is not None:
            digest.update(self.labels.tobytes())
        return digest.hexdigest()[:16]


def standardize(points: Array) -> Array:
    """Return ``points`` ``(N, D)`` as float32 with mean 0 and standard deviation 1 in every column; a constant column becomes 0."""
    points = points.astype(np.float64)
    mean, deviation = points.mean(axis=0), points.std(axis=0)
    constant = (points == points[0]).all(axis=0)  # after rounding, its deviation need not be 0
    mean[constant], deviation[constant] = points[0, constant], 1
    return ((points - mean) / deviation).astype(np.float32)
