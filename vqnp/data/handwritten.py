"""Real data from the first day: scikit-learn's bundled handwritten digits, 1,797 images of 8 × 8 pixels, standardized."""

import numpy as np

from vqnp.data.dataset import Dataset, standardize


def digits() -> Dataset:
    """Return the digits as points ``(1797, 64)`` float32 with labels 0 to 9."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return Dataset("handwritten digits, 8 × 8 pixels", standardize(images), labels.astype(np.int64))
