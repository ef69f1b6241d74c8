"""Images without a download: patches of the two photographs that come with scikit-learn.

The photographs show a temple and a flower; a patch has 32 × 32 pixels. Each photograph is cut into
five upright strips of equal width. The middle strip is for testing, the others are for training.
A patch lies in one strip only, so no test pixel is a training pixel. Patches of one set overlap.
Upright strips all run from the top of the picture to the bottom, from sky to ground.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from vqnp.data.dataset import Source
from vqnp.data.images import Images
from vqnp.validation import Array, Rng, as_seed, require_integer

SIDE = 32  # pixels


@dataclass(frozen=True)
class Patches(Source):
    """Patches of two photographs; the same for every seed of a run."""

    train: int = 1_000
    test: int = 500

    def load(self, seed: int) -> Images:
        """Return the images; ``seed`` has no effect."""
        return load_patches(self.train, self.test)


def load_patches(train: int = 2_000, test: int = 500, *, rng: Rng = 0) -> Images:
    """Return patches of two photographs, labelled by the photograph.

    Parameters
    ----------
    train, test : int
        The number of patches.
    rng : int or numpy.random.Generator
        The seed of the positions, or a generator from which a seed is drawn. No position is drawn
        twice. The test patches depend on the seed and on ``test`` alone.

    Returns
    -------
    Images
        uint8 ``(train, 32, 32, 3)`` and ``(test, 32, 32, 3)``.

    Raises
    ------
    ValueError
        For more patches than there are positions.

    Examples
    --------
    >>> images = load_patches(train=4, test=2)
    >>> images.train.shape, images.label_names
    ((4, 32, 32, 3), ('china', 'flower'))
    """
    from sklearn.datasets import load_sample_images

    seed = as_seed(rng)
    pictures = np.stack(load_sample_images().images)  # (2, 427, 640, 3), the temple first
    patches = cut_patches(pictures, train, test, seed)
    counts = f"{train:,} training and {test:,} test patches"
    name = f"{counts} of scikit-learn's two photographs, seed {seed}"
    return Images(name, *patches, ("china", "flower"))


def cut_patches(
    pictures: Array, train: int, test: int, seed: int
) -> tuple[Array, Array, Array, Array]:
    """Return training patches ``(train, 32, 32, C)``, their pictures ``(train,)``, and so for test.

    ``pictures`` ``(P, H, W, C)`` have any dtype, at least 32 rows and at least 160 columns.
    """
    require_integer(train, "train", least=1)
    require_integer(test, "test", least=1)
    width = pictures.shape[2]
    left, right = 2 * width // 5, 3 * width // 5  # the test strip
    edge = np.arange(width - SIDE + 1)  # where a patch's left edge may lie
    testing = edge[(edge >= left) & (edge + SIDE <= right)]
    training = edge[(edge + SIDE <= left) | (edge >= right)]
    return (
        *_draw(pictures, training, train, "train", np.random.default_rng([seed, 0])),
        *_draw(pictures, testing, test, "test", np.random.default_rng([seed, 1])),
    )


def _draw(
    pictures: Array, edges: Array, count: int, name: str, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Cut ``count`` patches at different positions, their left edges among ``edges``."""
    # (P, rows, columns, C, 32, 32), a view
    windows = sliding_window_view(pictures, (SIDE, SIDE), axis=(1, 2))
    positions = (len(pictures), windows.shape[1], len(edges))
    most = math.prod(positions)
    if count > most:
        expected = f"at most {most:,}, the number of different patches"
        raise ValueError(f"{name} must be {expected}, got {count:,}")
    chosen = rng.choice(most, count, replace=False)
    picture, row, edge = np.unravel_index(chosen, positions)
    patches = windows[picture, row, edges[edge]]  # (count, C, 32, 32)
    return np.ascontiguousarray(np.moveaxis(patches, 1, -1)), picture.astype(np.int64)
