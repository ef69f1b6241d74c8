"""Images side by side: people look before they read."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from vqnp.plots import style
from vqnp.validation import Array, as_array

GAP_PIXELS = 2  # white, between images
WIDTH_INCHES = 14
PANEL_INCHES, ROW_INCHES = 4.3, 0.62  # heights of a figure's panels, and of a row below them


@style.styled
def draw_images(rows: Sequence[tuple[str, Any]], *, axes: Any = None) -> Any:
    """Draw rows of images, one above the other, each with its name at the left.

    Parameters
    ----------
    rows : sequence of (str, array-like (n, H, W, 3) uint8)
        A name and its images, such as originals and reconstructions; n, H and W are the same.
    axes : matplotlib.axes.Axes, optional
        Where to draw; a new figure of pyplot's unless given.

    Returns
    -------
    matplotlib.axes.Axes
        The axes, without ticks of pixels.

    Raises
    ------
    ValueError
        For no rows, or rows whose images differ in number or size.

    Example
    -------
    >>> import numpy as np
    >>> images = np.zeros((4, 8, 8, 3), np.uint8)
    >>> axes = draw_images([("original", images), ("reconstruction", images + 9)])
    >>> [label.get_text() for label in axes.get_yticklabels()]
    ['original', 'reconstruction']
    """
    names, parts = [name for name, _ in rows], [as_array(images, "rows") for _, images in rows]
    if len({images.shape for images in parts}) != 1 or parts[0].ndim != 4:
        raise ValueError(
            "rows must hold images (n, H, W, 3) of one shape, "
            f"got {[images.shape for images in parts]}"
        )
    panel = style.panels(axes, 1, 9, 0.2 + 0.75 * len(rows))[0]
    panel.imshow(tiled(parts), interpolation="nearest")
    height = parts[0].shape[1] + GAP_PIXELS
    middles = [height * i + (height - GAP_PIXELS) / 2 for i in range(len(rows))]
    panel.set(xticks=[], yticks=middles, yticklabels=names)
    panel.tick_params(length=0, labelsize=8.5)
    panel.spines[:].set_visible(False)
    return panel


def tiled(rows: list[Array]) -> Array:
    """Return one image of rows ``(n, H, W, 3)`` of images, white between them."""
    padded = np.pad(  # (rows, n, H, W, 3), each with its margin
        rows, ((0, 0), (0, 0), (0, GAP_PIXELS), (0, GAP_PIXELS), (0, 0)), constant_values=255
    )
    count, n, height, width, channels = padded.shape
    # Pixels of one line of the picture become neighbors: (rows, H, n, W, 3).
    wall = padded.swapaxes(1, 2).reshape(count * height, n * width, channels)
    return wall[:-GAP_PIXELS, :-GAP_PIXELS]


def below(rows: int, panels: int = 1) -> tuple[Any, ...]:
    """Return a figure, its ``panels`` parts for panels, and its part for ``rows`` of images."""
    heights = [PANEL_INCHES] * panels + [ROW_INCHES * rows]
    figure = style.blank(WIDTH_INCHES, sum(heights))
    return figure, *figure.subfigures(len(heights), 1, height_ratios=heights)


def cut(picture: Array, rows: int) -> Array:
    """Return the lower part of a figure's ``picture`` ``(H, W, ...)``, with its ``rows``."""
    # The labels of the panels reach a little below their part.
    height = ROW_INCHES * rows - 0.07
    return picture[-round(picture.shape[1] * height / WIDTH_INCHES) :]
