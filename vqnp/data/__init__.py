"""The data: ten Gaussian clusters, handwritten digits, and a user's own points."""

from vqnp.data.clusters import clusters
from vqnp.data.dataset import Dataset, standardise
from vqnp.data.digits import digits
from vqnp.data.own import load_array, load_points

__all__ = ["Dataset", "clusters", "digits", "load_array", "load_points", "standardise"]
