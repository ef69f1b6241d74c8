"""Images side by side: people look before they read."""

from typing import Any

import numpy as np

from vqnp.validation import Array

GAP = 2  # white pixels between images
ABOVE, ROW = 4.3, 0.62  # inches of a figure's panels, and of each row of images below them


def below(rows: int) -> tuple[Any, Any, Any]:
    """Return a figure with a part for panels above, and one for ``rows`` of images below."""
    from matplotlib.figure import Figure

    heights = (ABOVE, ROW * rows)
    figure = Figure(figsize=(14, sum(heights)), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=heights)
    return figure, *parts


def cut(picture: Array, rows: int) -> Array:
    """Return the lower part of a figure's ``picture`` ``(H, W, ...)``, with its ``rows`` of images."""
    below_labels = ABOVE + 0.07  # those of the panels reach a little below their part
    return picture[round(len(picture) * below_labels / (ABOVE + ROW * rows)) :]


def draw(axes: Any, rows: list[tuple[str, Array]]) -> None:
    """Draw ``rows`` of (name, images ``(n, H, W, 3)`` uint8), every row of as many images, one image above the other."""
    axes.imshow(tiled([images for _, images in rows]), interpolation="nearest")
    height = rows[0][1].shape[1] + GAP
    axes.set_yticks(
        [height * i + (height - GAP) / 2 for i in range(len(rows))], [name for name, _ in rows]
    )
    axes.set_xticks([])
    axes.tick_params(length=0, labelsize=8.5)
    axes.spines[:].set_visible(False)


def tiled(rows: list[Array]) -> Array:
    """Return one image of rows ``(n, H, W, 3)`` of images, white between them."""
    count, height, width, channels = rows[0].shape
    wall = np.full(
        (len(rows) * (height + GAP) - GAP, count * (width + GAP) - GAP, channels), 255, np.uint8
    )
    for i, images in enumerate(rows):
        for j, image in enumerate(images):
            top, left = i * (height + GAP), j * (width + GAP)
            wall[top : top + height, left : left + width] = image
    return wall
