"""Images without a download: 32 × 32 patches of the two photographs that come with scikit-learn, a temple and a flower.

Each photograph is cut into five upright strips of equal width. The middle one is for testing and the rest for training, and a patch
lies wholly on one side, so no test pixel is a train pixel; within a side, patches overlap. The strips are upright so that each of them
runs from the top of the picture to the bottom, sky to ground.
"""

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from vqnp.data.images import Images
from vqnp.validation import Array, require_integer

SIDE = 32


def load_patches(train: int = 2_000, test: int = 500, seed: int = 0) -> Images:
    """Return ``train`` and ``test`` patches, uint8 ``(N, 32, 32, 3)``, labelled by the photograph they are from.

    Positions are drawn from ``seed``, none twice; the test patches depend on ``seed`` and ``test`` alone.
    Raises ``ValueError`` when more patches are asked for than there are positions.
    """
    from sklearn.datasets import load_sample_images

    pictures = np.stack(load_sample_images().images)  # (2, 427, 640, 3), the temple first
    name = f"{train:,} training and {test:,} test patches of scikit-learn's two photographs, seed {seed}"
    return Images(name, *cut_patches(pictures, train, test, seed), ("china", "flower"))


def cut_patches(
    pictures: Array, train: int, test: int, seed: int
) -> tuple[Array, Array, Array, Array]:
    """Return train patches ``(train, 32, 32, C)`` and which picture each is from ``(train,)`` int64, then the same for test.

    ``pictures`` ``(P, H, W, C)`` are of any dtype, at least 32 pixels high and 160 wide.
    """
    require_integer(train, "train", least=1)
    require_integer(test, "test", least=1)
    require_integer(seed, "seed", least=0)
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
    windows = sliding_window_view(
        pictures, (SIDE, SIDE), axis=(1, 2)
    )  # (P, rows, columns, C, 32, 32), a view
    positions = (len(pictures), windows.shape[1], len(edges))
    if count > math.prod(positions):
        raise ValueError(
            f"{name} must be at most {math.prod(positions):,}, the number of different patches, got {count:,}"
        )
    chosen = rng.choice(math.prod(positions), count, replace=False)
    picture, row, edge = np.unravel_index(chosen, positions)
    patches = windows[picture, row, edges[edge]]  # (count, C, 32, 32)
    return np.ascontiguousarray(np.moveaxis(patches, 1, -1)), picture.astype(np.int64)
