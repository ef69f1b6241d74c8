"""Real data without a download: scikit-learn's 1,797 handwritten digits of 8 × 8 pixels."""

from dataclasses import dataclass

import numpy as np

from vqnp.data.dataset import Dataset, Source, standardize


@dataclass(frozen=True)
class Digits(Source):
    """The handwritten digits; the same for every seed."""

    def load(self, seed: int) -> Dataset:
        """Return the data; ``seed`` has no effect."""
        return digits()


def digits() -> Dataset:
    """Return the handwritten digits as points, standardized.

    Returns
    -------
    Dataset
        ``points`` float32 ``(1797, 64)`` and ``labels`` 0 to 9.

    Examples
    --------
    >>> digits().points.shape
    (1797, 64)
    """
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return Dataset("handwritten digits, 8 × 8 pixels", standardize(images), labels.astype(np.int64))
