"""Labelled images as bytes, and two numbers between them and a model: the scaling and the variance.

Pixels stay uint8, ``(N, H, W, 3)``, because a float32 copy of all of them is four times as large.
:func:`pixels_to_float` turns one batch into float32 in [-0.5, 0.5].
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Int64, UInt8

from vqnp.validation import Codes, PixelFloats, Pixels, require_codes, require_plain, row_blocks

TestPixels = UInt8[np.ndarray, "M H W 3"]
TestLabels = Int64[np.ndarray, "M"]


@dataclass(frozen=True, eq=False)
class Images:
    """A training and a test set of images. Two are the same data if ``identity`` agrees.

    Parameters
    ----------
    name : str
        The name of the data in a report.
    train, test : ndarray (N, H, W, 3), (M, H, W, 3) of uint8
        Images of one size; the channels are red, green and blue.
    train_labels, test_labels : ndarray (N,), (M,) of int64
        Indices into ``label_names``.
    label_names : tuple of str
        The names of the classes.

    Raises
    ------
    TypeError
        For pixels that are no uint8, and labels that are no int64.
    ValueError
        For other shapes, images of two sizes, and labels without a name.

    Examples
    --------
    >>> black, label = np.zeros((1, 2, 2, 3), np.uint8), np.array([0])
    >>> Images("black", black, label, black, label, ("black",)).train.shape
    (1, 2, 2, 3)
    """

    name: str
    train: Pixels
    train_labels: Codes
    test: TestPixels
    test_labels: TestLabels
    label_names: tuple[str, ...]

    def __post_init__(self) -> None:
        for part in ("train", "test"):
            pixels, name = require_pixels(getattr(self, part), part), f"{part}_labels"
            labels = require_codes(getattr(self, name), name, len(self.label_names), len(pixels))
            if labels.dtype != np.int64:
                raise TypeError(f"{name} must be int64, got {labels.dtype}")
        if self.train.shape[1:] != self.test.shape[1:]:
            given = f"{self.train.shape}, {self.test.shape}"
            raise ValueError(f"train and test must hold images of one size, got {given}")

    def first(self, train: int, test: int, name: str | None = None) -> "Images":
        """Return the first ``train`` and ``test`` images, under a name that says so.

        The arrays are copies, so that the memory of the others can be freed. ``name`` replaces the
        name of the data. Raises ``ValueError`` when there are fewer images.
        """
        for part, count in (("train", train), ("test", test)):
            have = len(getattr(self, part))
            if not 1 <= count <= have:
                raise ValueError(
                    f"{part} must be 1 to {have:,} images of {self.name}, got {count:,}"
                )
        return Images(
            f"{name or self.name}: the first {train:,} training and {test:,} test images",
            self.train[:train].copy(),
            self.train_labels[:train].copy(),
            self.test[:test].copy(),
            self.test_labels[:test].copy(),
            self.label_names,
        )

    @cached_property
    def identity(self) -> str:
        """The SHA-256 (64 hexadecimal digits) of pixels, labels and shapes, without the names."""
        digest = hashlib.sha256()
        for array in (self.train, self.train_labels, self.test, self.test_labels):
            digest.update(f"{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def pixels_to_float(images: Pixels) -> PixelFloats:
    """Return ``images / 255 - 0.5`` as float32.

    Parameters
    ----------
    images : ndarray (B, H, W, 3) of uint8
        Bytes from 0 to 255.

    Returns
    -------
    ndarray (B, H, W, 3) of float32
        Numbers in [-0.5, 0.5].

    Raises
    ------
    TypeError, ValueError
        For another dtype or shape. Images that are scaled already are refused.

    Examples
    --------
    >>> pixels_to_float(np.array([[[[0, 51, 255]]]], np.uint8))
    array([[[[-0.5, -0.3,  0.5]]]], dtype=float32)
    """
    out = np.divide(require_pixels(images, "images"), np.float32(255), dtype=np.float32)
    out -= np.float32(0.5)
    return out


def pixel_variance(images: Pixels) -> float:
    """Return the variance of ``pixels_to_float(images)`` over all pixels and channels.

    The loss divides the mean squared error by this number. The error of always answering with the
    mean is then 1, and the commitment term weighs the same for data of any contrast.

    Parameters
    ----------
    images : ndarray (N, H, W, 3) of uint8
        The training images.

    Returns
    -------
    float
        In [0, 0.25]. The training set of CIFAR-10 has 0.0632704.

    Raises
    ------
    TypeError, ValueError
        For another dtype or shape.

    Examples
    --------
    >>> pixel_variance(np.array([[[[0, 0, 0]], [[255, 255, 255]]]], np.uint8))
    0.25
    """
    require_pixels(images, "images")
    counts = np.zeros(256, np.int64)  # of each byte: the sum is exact, without float copies
    for rows in row_blocks(images):
        counts += np.bincount(images[rows].reshape(-1), minlength=256)
    values = np.arange(256) / 255
    mean = counts @ values / images.size
    return float(counts @ (values - mean) ** 2 / images.size)


def require_pixels(images: Pixels, name: str) -> Pixels:
    """Return ``images`` once they are known to be uint8 ``(N, H, W, 3)``, not empty.

    Raises ``TypeError`` or ``ValueError``.
    """
    require_plain(images, name)
    if images.dtype != np.uint8:
        raise TypeError(f"{name} must be a NumPy array of uint8, got {images.dtype}")
    if images.ndim != 4 or images.shape[3] != 3 or 0 in images.shape:
        given = images.shape
        raise ValueError(f"{name} must have shape (N, H, W, 3) and hold an image, got {given}")
    return images
