"""Labelled images as bytes, and the two numbers between them and a model: the scaling and the variance.

Pixels stay uint8, ``(N, H, W, 3)``, until a batch of them is needed: :func:`scale` turns that batch into float32 in [-0.5, 0.5].
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from vqnp.validation import Array, require_codes

BLOCK = 1 << 20  # pixels counted at a time


@dataclass(frozen=True, eq=False)
class Images:
    """A training and a test set. Two are the same data when their ``identity`` is.

    ``train`` ``(N, H, W, 3)`` and ``test`` ``(M, H, W, 3)`` are uint8, channels red, green, blue; ``train_labels`` ``(N,)`` and
    ``test_labels`` ``(M,)`` are int64 indices into ``label_names``; ``name`` says in a report what the data is.
    Raises ``ValueError`` or ``TypeError`` for anything else.
    """

    name: str
    train: Array
    train_labels: Array
    test: Array
    test_labels: Array
    label_names: tuple[str, ...]

    def __post_init__(self) -> None:
        for part in ("train", "test"):
            pixels = require_pixels(getattr(self, part), part)
            labels = require_codes(
                getattr(self, f"{part}_labels"),
                f"{part}_labels",
                len(self.label_names),
                len(pixels),
            )
            if labels.dtype != np.int64:
                raise TypeError(f"{part}_labels must be int64, got {labels.dtype}")
        if self.train.shape[1:] != self.test.shape[1:]:
            raise ValueError(
                f"train and test must hold images of one size, got {self.train.shape}, {self.test.shape}"
            )

    def first(self, train: int, test: int, name: str | None = None) -> "Images":
        """Return the first ``train`` and ``test`` images, copied so that the others can be forgotten, under a name that says so.

        ``name`` replaces what the data is called. Raises ``ValueError`` when there are fewer.
        """
        for part, count in (("train", train), ("test", test)):
            if not 1 <= count <= len(getattr(self, part)):
                raise ValueError(
                    f"{part} must be 1 to {len(getattr(self, part)):,} images of {self.name}, got {count:,}"
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
        """The SHA-256 (64 hexadecimal digits) of the pixels and labels and their shapes; the names do not enter."""
        digest = hashlib.sha256()
        for array in (self.train, self.train_labels, self.test, self.test_labels):
            digest.update(f"{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def scale(images: Array) -> Array:
    """Return uint8 ``images`` ``(B, H, W, 3)`` as float32 ``images / 255 - 0.5``, in [-0.5, 0.5]."""
    out = np.divide(
        require_pixels(images, "images"), np.float32(255), dtype=np.float32
    )  # (B, H, W, 3)
    out -= np.float32(0.5)
    return out


def variance(images: Array) -> float:
    """Return the variance of ``scale(images)`` over every pixel and channel of uint8 ``images`` ``(N, H, W, 3)``.

    The loss divides the mean squared error by the training set's, so that 1 is the error of always answering with the mean and
    the commitment term weighs the same whatever the contrast of the data. CIFAR-10's published training set has 0.0632704.

    A byte has 256 values, so a histogram holds all there is to know: the sum is exact and no float copy is made.
    """
    pixels = require_pixels(images, "images").reshape(-1)
    counts = np.zeros(256, np.int64)
    for start in range(0, pixels.size, BLOCK):
        counts += np.bincount(pixels[start : start + BLOCK], minlength=256)
    values = np.arange(256) / 255
    mean = counts @ values / pixels.size
    return float(counts @ (values - mean) ** 2 / pixels.size)


def require_pixels(images: Array, name: str) -> Array:
    """Return ``images`` once they are known to be uint8 ``(N, H, W, 3)`` and not empty; raises ``TypeError`` or ``ValueError``."""
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8:
        raise TypeError(
            f"{name} must be a NumPy array of uint8, got {getattr(images, 'dtype', type(images).__name__)}"
        )
    if images.ndim != 4 or images.shape[3] != 3 or 0 in images.shape:
        raise ValueError(
            f"{name} must have shape (N, H, W, 3) and hold an image, got {images.shape}"
        )
    return images
