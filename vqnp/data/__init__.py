"""The data: ten Gaussian clusters, handwritten digits, a user's own points; CIFAR-10, and image patches that need no download."""

from vqnp.data.cifar10 import load_cifar10
from vqnp.data.dataset import Dataset, standardize
from vqnp.data.fetch import fetch_cifar10
from vqnp.data.gaussians import clusters
from vqnp.data.handwritten import digits
from vqnp.data.images import Images, scale, variance
from vqnp.data.npy import load_array, load_points
from vqnp.data.patches import load_patches

__all__ = [
    "Dataset",
    "Images",
    "clusters",
    "digits",
    "fetch_cifar10",
    "load_array",
    "load_cifar10",
    "load_patches",
    "load_points",
    "scale",
    "standardize",
    "variance",
]
