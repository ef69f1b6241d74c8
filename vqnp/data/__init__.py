"""The data sets, one a file: its loader, and beside it the frozen settings that name the data.

Begin with dataset and gaussians, the points of the paper. Reading order of the others:
handwritten, npy, arrays, images, patches, cifar10, fetch, untrusted.
"""

from vqnp.data.arrays import load_any
from vqnp.data.cifar10 import Cifar10, load_cifar10
from vqnp.data.dataset import Dataset, Source, standardize
from vqnp.data.fetch import fetch_cifar10
from vqnp.data.gaussians import Clusters, clusters
from vqnp.data.handwritten import Digits, digits
from vqnp.data.images import Images, pixel_variance, pixels_to_float
from vqnp.data.npy import OwnPoints, load_array, load_points
from vqnp.data.patches import Patches, load_patches

__all__ = [
    "Cifar10",
    "Clusters",
    "Dataset",
    "Digits",
    "Images",
    "OwnPoints",
    "Patches",
    "Source",
    "clusters",
    "digits",
    "fetch_cifar10",
    "load_any",
    "load_array",
    "load_cifar10",
    "load_patches",
    "load_points",
    "pixel_variance",
    "pixels_to_float",
    "standardize",
]
