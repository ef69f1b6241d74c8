"""The paper's synthetic data (section 5.2): ten Gaussian clusters of 1,000 points, standardized.

The paper does not give the positions of the clusters. Here the clusters are isotropic with standard
deviation 1. Their centers are uniform in [-10, 10] along every axis, before the standard scaler.
"""

from dataclasses import dataclass

import numpy as np

from vqnp.data.dataset import Dataset, Source, standardize
from vqnp.validation import Rng, as_rng, require_integer, require_integers, require_positive


@dataclass(frozen=True)
class Clusters(Source):
    """The ten Gaussian clusters in ``dim`` dimensions; each seed gives other positions."""

    dim: int
    per_class: int = 1000

    def __post_init__(self) -> None:
        require_integers(self, "dim", "per_class", least=1)

    def load(self, seed: int) -> Dataset:
        """Return the data for ``seed``."""
        return clusters(self.dim, rng=seed, per_class=self.per_class)


def clusters(
    dim: int,
    *,
    rng: Rng = 0,
    classes: int = 10,
    per_class: int = 1000,
    reach: float = 10.0,
    spread: float = 1.0,
) -> Dataset:
    """Return points in Gaussian clusters, standardized, in order of their labels.

    Parameters
    ----------
    dim : int
        D, the number of coordinates.
    rng : int or numpy.random.Generator
        The seed or generator of centers and points.
    classes, per_class : int
        The number of clusters, and of points in each.
    reach : float
        Centers are uniform in ±reach on every axis, before the scaler.
    spread : float
        The standard deviation of the points around their center, before the scaler.

    Returns
    -------
    Dataset
        ``points`` float32 ``(classes * per_class, dim)`` and ``labels`` int64.

    Raises
    ------
    ValueError
        For a count below 1, and for a ``reach`` or ``spread`` that is not positive.

    Examples
    --------
    >>> data = clusters(2, rng=0)
    >>> data.name, data.points.shape
    ('10 clusters in 2 dimensions, seed 0', (10000, 2))
    """
    for value, name in ((dim, "dim"), (classes, "classes"), (per_class, "per_class")):
        require_integer(value, name, least=1)
    require_positive(reach, "reach")
    require_positive(spread, "spread")
    seeded = "" if isinstance(rng, np.random.Generator) else f", seed {rng}"
    rng = as_rng(rng)
    centers = rng.uniform(-reach, reach, (classes, dim))
    labels = np.repeat(np.arange(classes), per_class)  # (N,)
    points = centers[labels] + spread * rng.standard_normal((len(labels), dim))  # (N, D)
    return Dataset(f"{classes} clusters in {dim} dimensions{seeded}", standardize(points), labels)
