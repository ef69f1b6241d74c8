"""A convolution on squared paper: windows, columns, products, copies of a pixel, stamps.

Cells hold small numbers, so you can do the sums. A stop of the kernel keeps its color.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from vqnp.plots import style
from vqnp.validation import Array

# Colors of four stops of the kernel.
STOPS = (style.TOKEN, style.RECONSTRUCTION, style.PRETRAINED, style.BASELINE)
PAPER = "#f2f2f2"


@style.styled
def draw_windows(image: Array, kernel_size: int, stride: int, padding: int, columns: Array) -> Any:
    """Draw the four stops of a square kernel on ``image`` ``(H, W)``, and their ``columns``.

    Each stop is a row of the columns ``(4, kh·kw)``.
    """
    padded = np.pad(image, padding)
    margin = np.pad(np.zeros(image.shape, bool), padding, constant_values=True)
    figure = style.blank(9, 3.2)
    left, right = figure.subfigures(1, 2, width_ratios=(0.75, 1))
    left.suptitle("the kernel stops at 4 places", fontsize=9, fontweight="normal")
    for axes, color, (down, across) in zip(
        left.subplots(2, 2).flat, STOPS, np.ndindex(2, 2), strict=True
    ):
        seen = np.zeros(padded.shape, bool)
        seen[stride * down :, stride * across :][:kernel_size, :kernel_size] = True
        cells(axes, padded, np.where(seen, color, PAPER), margin)
    matrix = right.subplots()
    cells(matrix, columns, np.repeat(np.array(STOPS)[:, None], columns.shape[1], axis=1))
    matrix.set_title("and each of them is a row of the columns")
    return figure


@style.styled
def draw_product(columns: Array, weight: Array, out: Array, shape: tuple[int, int]) -> Any:
    """Draw ``columns`` ``(4, n)`` @ ``weight`` ``(n, 1)`` = ``out`` ``(4, 1)``, then its image."""
    wide = np.array(STOPS)[:, None]
    return equation(
        [
            (columns, np.repeat(wide, columns.shape[1], axis=1), "columns"),
            (weight, np.full(weight.shape, style.EMBEDDING), "weight"),
            (out, wide, "output"),
            (out.reshape(shape), wide.reshape(shape), "as an image"),
        ],
        "@=→",
    )


@style.styled
def draw_matrix(matrix: Array, pixels: Sequence[str]) -> Any:
    """Draw im2col as a ``matrix`` ``(entries, pixels)`` of zeros and ones, and col2im beside it."""
    figure, ((left, right),) = style.new_figure(1, 2, 9, 4, width_ratios=(1, 1.6))
    look: Any = {"cmap": "Greys", "vmin": 0, "vmax": 1.3, "ruled": "#dddddd"}
    board(left, matrix, **look)
    board(right, matrix.T, **look)
    left.set_title("im2col: one 1 in each row")
    right.set_title("col2im: the same matrix, transposed")
    for pixel, entry in (left.xaxis, left.yaxis), (right.yaxis, right.xaxis):
        pixel.set_label_text("pixel")
        pixel.set_ticks(range(len(pixels)), pixels)
        entry.set_label_text("entry of the columns")
        entry.set_ticks(range(0, len(matrix), len(matrix) // 4))
    return figure


@style.styled
def draw_counts(counts: Sequence[tuple[str, Array]]) -> Any:
    """Draw (title, counts ``(H, W)``) side by side; a darker pixel is copied more often."""
    figure, axes = style.new_figure(1, len(counts), 9, 3.3)
    most = max(values.max() for _, values in counts)
    for panel, (title, values) in zip(axes[0], counts, strict=True):
        board(panel, values, cmap="Blues", vmin=0, vmax=1.6 * most)
        write(panel, values)
        panel.set_title(title)
    return figure


@style.styled
def draw_stamps(x: Array, stamps: Sequence[Array], out: Array) -> Any:
    """Draw the four pixels of ``x`` ``(2, 2)``, their ``stamps``, and the sum ``out``."""
    overlaps = sum(stamp != 0 for stamp in stamps) > 1
    sums = np.where(overlaps, style.DATA, np.where(out != 0, style.EMBEDDING, PAPER))
    return equation(
        [
            (x, np.array(STOPS).reshape(2, 2), "input"),
            *(
                (stamp, np.where(stamp != 0, color, PAPER), "")
                for color, stamp in zip(STOPS, stamps, strict=True)
            ),
            (out, sums, "output"),
        ],
        "→+++=",
        height=2.2,
    )


@style.styled
def draw_filtered(image: Array, responses: Sequence[tuple[str, Array]]) -> Any:
    """Draw an ``image`` ``(H, W, 3)`` in [0, 1], and titled responses ``(H, W)``, grey at zero."""
    figure, axes = style.new_figure(1, 1 + len(responses), 9, 2.6)
    for panel, (title, shown) in zip(axes[0], [("the photograph", image), *responses], strict=True):
        largest = np.quantile(np.abs(shown), 0.99)
        # A photograph has its own colors; the scale is for the responses.
        panel.imshow(shown, cmap="gray", vmin=-largest, vmax=largest)
        panel.set_title(title)
        panel.set_axis_off()
    return figure


@style.styled
def draw_skip(x: Array, overwritten: Array) -> Any:
    """Draw what a skip carries against its input ``x``: x itself, or the ``overwritten`` x."""
    figure, axes = style.new_figure(1, 2, 9, 3.2, sharey=True)
    panels = (
        ("the skip carries x", x, style.PRETRAINED),
        ("the branch rectified x in place", overwritten, style.TOKEN),
    )
    for panel, (title, carried, color) in zip(axes[0], panels, strict=True):
        panel.axhline(0, color=style.INK, linewidth=0.6)
        panel.axvline(0, color=style.INK, linewidth=0.6)
        panel.plot(x.ravel(), carried.ravel(), ".", color=color, markersize=3)
        panel.set(title=title, xlabel="input x")
    axes[0, 0].set_ylabel("what the skip carries")
    return figure


def cells(axes: Any, values: Array, colors: Array, faint: Array | None = None) -> None:
    """Draw ``values`` ``(H, W)`` in cells of light ``colors`` ``(H, W)``, the ``faint`` in grey."""
    from matplotlib.colors import to_rgba_array

    alphas = np.where(colors == PAPER, 1, 0.45)
    board(axes, to_rgba_array(colors.ravel(), alphas.ravel()).reshape(*colors.shape, 4))
    write(axes, values, faint)


def board(axes: Any, shades: Array, ruled: str = "white", **scale: Any) -> None:
    """Draw cells, ``shades`` ``(H, W)`` on a ``scale`` or ``(H, W, 4)`` colors, and the lines."""
    rows, columns = (np.arange(size + 1) - 0.5 for size in shades.shape[:2])
    axes.pcolormesh(columns, rows, shades, edgecolors=ruled, linewidth=1, **scale)
    axes.set(aspect="equal", ylim=(rows[-1], rows[0]), xticks=[], yticks=[])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def write(axes: Any, values: Array, faint: Array | None = None) -> None:
    """Write the numbers ``values`` ``(H, W)`` into their cells."""
    for (row, column), value in np.ndenumerate(values):
        color = style.DATA if faint is not None and faint[row, column] else style.INK
        axes.text(column, row, f"{value:g}", ha="center", va="center", color=color, fontsize=8)


def equation(terms: Sequence[tuple[Array, Array, str]], signs: str, height: float = 2.6) -> Any:
    """Draw (values, colors, title) side by side on one scale, with ``signs`` between them."""
    widths = [part for values, _, _ in terms for part in (values.shape[1], 0.8)][:-1]
    figure, axes = style.new_figure(1, len(widths), 9, height, width_ratios=widths)
    tallest = max(len(values) for values, _, _ in terms)
    for panel, (values, colors, title) in zip(axes[0, ::2], terms, strict=True):
        cells(panel, values, colors)
        middle = (len(values) - 1) / 2
        panel.set(title=title, ylim=(middle + tallest / 2, middle - tallest / 2))
    for panel, sign in zip(axes[0, 1::2], signs, strict=True):
        panel.text(0.5, 0.5, sign, ha="center", va="center", fontsize=14, color=style.INK)
        panel.set_axis_off()
    return figure
