"""The code to beat: k-means (eq. 2) on raw patches of 4 × 4 pixels, with the bits of the VQ-VAE.

A VQ-VAE names one of K tokens for each 4 × 4 pixels of an image. K-means on the pixels does so
too, without any training of a network. A VQ-VAE that loses to it is undertrained.

With the first principal components of the patches in their place, k-means is cheaper, and loses
what lies outside of their plane.

Shapes: images ``(N, H, W, 3)`` uint8, patches ``(n, 48)``.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np

from vqnp.data import Images, Source, pixels_to_float
from vqnp.diagnostics.usage import perplexity_of_counts
from vqnp.files import as_json
from vqnp.quantize.lloyd import kmeans
from vqnp.quantize.projected import principal_directions
from vqnp.quantize.search import nearest
from vqnp.validation import Array

SIDE = 4  # pixels of a patch, as many as an embedding stands for
# The work grows with K times the patches. These bound it: 1,048,576 patches for 65,536 tokens.
PATCHES_A_TOKEN, PATCHES_AT_LEAST = 16, 100_000
ITERATIONS = 20  # of Lloyd's algorithm, at most
IMAGES_A_BATCH = 256


@dataclass(frozen=True)
class PatchCode:
    """The settings of such a code: like those of a run, they compare and name its file."""

    data: Source
    n_tokens: int
    seed: int = 0

    def to_json(self) -> Any:
        """Return every setting as JSON values."""
        return as_json(self, kind=type(self).__name__)

    @property
    def slug(self) -> str:
        """A file name: the settings you look for first, then a digest of all."""
        digest = sha256(repr(self).encode()).hexdigest()[:8]
        kind = type(self.data).__name__.lower()
        return f"{kind}-raw-tokens{self.n_tokens}-kmeans-seed{self.seed}-{digest}"

    def measure(self, images: Images) -> dict[str, float]:
        """Return the error of the code and how its tokens are used."""
        return patch_numbers(images, self.n_tokens, rng=self.seed)


@dataclass(frozen=True)
class PrincipalPatchCode(PatchCode):
    """The same on the first ``components`` principal components of the patches."""

    components: int = 8

    def measure(self, images: Images) -> dict[str, float]:
        """Return the error of the code and how its tokens are used."""
        return patch_numbers(images, self.n_tokens, components=self.components, rng=self.seed)


def patch_error(images: Images, n_tokens: int, *, rng: int = 0) -> float:
    """Return the mean squared error of pixels in ±0.5 over the test images."""
    return patch_numbers(images, n_tokens, rng=rng)["mse"]


def patch_numbers(
    images: Images, n_tokens: int, *, components: int | None = None, rng: int = 0
) -> dict[str, float]:
    """Return the mean squared error of pixels in ±0.5 over the test images, and the usage.

    The tokens, and ``components`` principal directions, are fitted to a sample of the training
    patches.
    """
    random = np.random.default_rng(rng)
    sample = sample_patches(images.train, max(PATCHES_AT_LEAST, PATCHES_A_TOKEN * n_tokens), random)
    squared, counts = 0.0, np.zeros(n_tokens, np.int64)
    if components is not None:
        mean, directions = principal_directions(sample, components)

    def kept(patches: Array) -> Array:
        return patches if components is None else ((patches - mean) @ directions).astype(np.float32)

    # k-means++ passes through the sample for each of 65,536 tokens; Lloyd's steps are fewer.
    inside = kept(sample)
    tokens = kmeans(inside, n_tokens, rng=random, start="random", iterations=ITERATIONS).tokens
    for start in range(0, len(images.test), IMAGES_A_BATCH):
        patches = all_patches(images.test[start : start + IMAGES_A_BATCH])
        inside = kept(patches)
        codes, distances = nearest(inside, tokens)
        squared += float(distances.sum(dtype=np.float64))
        if components is not None:  # the directions are at right angles, so that squares add up
            off = patches - mean - inside @ directions.T
            squared += float(np.square(off).sum(dtype=np.float64))
        counts += np.bincount(codes, minlength=n_tokens)
    return {
        "mse": squared / images.test.size,
        "perplexity": perplexity_of_counts(counts),
        "codes_used": int((counts > 0).sum()),
    }


def all_patches(images: Array) -> Array:
    """Return every patch of ``images``, which do not overlap, as ``(n, 48)`` float32."""
    n, height, width, channels = images.shape
    grid = images.reshape(n, height // SIDE, SIDE, width // SIDE, SIDE, channels).swapaxes(2, 3)
    return flat(grid.reshape(-1, SIDE, SIDE, channels))


def sample_patches(images: Array, most: int, rng: np.random.Generator) -> Array:
    """Return ``most`` of the patches of ``images`` as ``(n, 48)``, or all where there are fewer."""
    n, height, width, channels = images.shape
    places = n, height // SIDE, width // SIDE
    count = int(np.prod(places))
    chosen = rng.choice(count, min(most, count), replace=False)
    image, row, column = np.unravel_index(chosen, places)
    grid = images.reshape(n, height // SIDE, SIDE, width // SIDE, SIDE, channels)
    return flat(grid[image, row, :, column])  # (n, SIDE, SIDE, channels)


def flat(patches: Array) -> Array:
    """Return uint8 ``patches`` ``(n, SIDE, SIDE, channels)`` as rows of floats in ±0.5."""
    return pixels_to_float(np.ascontiguousarray(patches)).reshape(len(patches), -1)
