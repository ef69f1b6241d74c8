"""Your own points, from ``.npy`` files."""

from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap, read_array

from vqnp.data.dataset import Dataset, Source, standardize
from vqnp.files import named, require_header
from vqnp.validation import AnyArray, require_finite, require_flag, require_instance, require_labels


@dataclass(frozen=True)
class OwnPoints(Source):
    """Your points, and perhaps labels, in ``.npy`` files; the same for every seed."""

    points: str
    labels: str | None = None

    def load(self, seed: int) -> Dataset:
        """Return the data; ``seed`` has no effect.

        Raises as ``load_points`` does, and ``ValueError`` for points that are all the same.
        """
        data = load_points(self.points, self.labels)
        if (data.points == data.points[0]).all():
            raise ValueError(f"{self.points} must hold at least two different points")
        return data


def load_points(path: str | PathLike[str], labels: str | PathLike[str] | None = None) -> Dataset:
    """Return the points of a ``.npy`` file, standardized.

    Parameters
    ----------
    path : str or path
        The file of an array ``(N, D)`` of real numbers.
    labels : str or path, optional
        The file of an array ``(N,)`` of integers.

    Returns
    -------
    Dataset
        ``points`` float32 ``(N, D)``, ``labels`` int64 or None, named after the file.

    Raises
    ------
    ValueError, TypeError
        For a file that is damaged, or has another shape or dtype. The message names the file.

    Examples
    --------
    >>> np.save("points.npy", [[0, 1], [2, 3], [4, 5]])
    >>> load_points("points.npy").points.shape
    (3, 2)
    """
    points = load_array(path)
    if points.ndim != 2 or 0 in points.shape:
        raise ValueError(f"{path} must hold points of shape (N, D), got {points.shape}")
    if points.dtype.kind not in "fiu":
        raise TypeError(f"{path} must hold real numbers, got {points.dtype}")
    require_finite(points, str(path))
    if labels is not None:
        given = require_labels(load_array(labels), str(labels), len(points)).astype(np.int64)
    return Dataset(Path(path).name, standardize(points), None if labels is None else given)


def load_array(path: str | PathLike[str], mmap: bool = False) -> AnyArray:
    """Return the array of a ``.npy`` file. Nothing in it is unpickled.

    Parameters
    ----------
    path : str or path
        The file.
    mmap : bool
        Leave the array on disk until it is read.

    Raises
    ------
    ValueError
        For a file that is damaged or holds Python objects. The message names the file.

    Examples
    --------
    >>> np.save("array.npy", [1, 2, 3])
    >>> load_array("array.npy")
    array([1, 2, 3])
    """
    require_flag(mmap, "mmap")
    require_instance(path, str | PathLike, "path")
    with Path(path).open("rb") as file, named(path, "is not a whole .npy file of numbers"):
        require_header(file, Path(path).stat().st_size)
        if mmap:
            return open_memmap(path, mode="r")
        file.seek(0)
        return read_array(file, allow_pickle=False)
