"""The paper's synthetic data (section 5.2): ten Gaussian clusters of 1,000 points, standardized.

The paper leaves the layout open. Here the clusters are isotropic with standard deviation 1 and their centers uniform in
[-10, 10] along every axis, before the standard scaler.
"""

import numpy as np

from vqnp.data.dataset import Dataset, standardize
from vqnp.validation import require_integer


def clusters(
    dim: int,
    seed: int = 0,
    *,
    classes: int = 10,
    per_class: int = 1000,
    reach: float = 10.0,
    spread: float = 1.0,
) -> Dataset:
    """Return ``classes * per_class`` points of ``dim`` coordinates, standardized, labelled by cluster, in order of label.

    Centers are uniform in ±``reach``, points normal around them with standard deviation ``spread``, both in units from before
    the scaler. Raises ``ValueError`` when a count is below 1 or ``reach`` or ``spread`` is not positive.
    """
    for value, name in ((dim, "dim"), (classes, "classes"), (per_class, "per_class")):
        require_integer(value, name, least=1)
    if reach <= 0 or spread <= 0:
        raise ValueError(f"reach and spread must be positive, got {reach} and {spread}")
    rng = np.random.default_rng(seed)
    centers = rng.uniform(-reach, reach, (classes, dim))
    labels = np.repeat(np.arange(classes), per_class)
    points = centers[labels] + spread * rng.standard_normal((len(labels), dim))
    return Dataset(
        f"{classes} clusters in {dim} dimensions, seed {seed}", standardize(points), labels
    )
