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
PAPER, INK = "#f2f2f2", "#333333"


@style.styled
def draw_windows(image: Array, kernel_size: int, stride: int, padding: int, columns: Array) -> Any:
    """Draw four stops of a square kernel on ``image`` ``(H, W)``, and their ``columns``.

    Each stop is a row of the columns ``(stops, kh·kw)``.
    """
    padded = np.pad(image, padding)
    margin = np.pad(np.zeros(image.shape, bool), padding, constant_values=True)
    places = stops_of(padded.shape, kernel_size, stride)
    figure, parts = parted(9, 3.2, (0.75, 1))
    parts[0].suptitle(f"the kernel stops at {len(places)} places", fontsize=9, fontweight="normal")
    side = int(np.sqrt(len(places)))
    for axes, color, (y, x) in zip(
        parts[0].subplots(side, len(places) // side).flat, STOPS, places, strict=True
    ):
        seen = np.zeros(padded.shape, bool)
        seen[y : y + kernel_size, x : x + kernel_size] = True
        cells(axes, padded, np.where(seen, color, PAPER), margin)
    axes = parts[1].subplots()
    cells(axes, columns, np.repeat(np.array(STOPS)[:, None], columns.shape[1], axis=1))
    axes.set_title("and each of them is a row of the columns")
    return figure


@style.styled
def draw_product(columns: Array, weight: Array, out: Array, shape: tuple[int, int]) -> Any:
    """Draw ``columns`` ``(4, n)`` @ ``weight`` ``(n, 1)`` = ``out`` ``(4, 1)``, then its image."""
    wide = np.array(STOPS)[:, None]
    terms = [
        (columns, np.repeat(wide, columns.shape[1], axis=1), "columns"),
        (weight, np.full(weight.shape, style.EMBEDDING), "weight"),
        (out, wide, "output"),
        (out.reshape(shape), wide.reshape(shape), "as an image"),
    ]
    return equation(terms, "@=→")


@style.styled
def draw_matrix(matrix: Array, pixels: Sequence[str]) -> Any:
    """Draw im2col as a ``matrix`` ``(entries, pixels)`` of zeros and ones, and col2im beside it."""
    figure, axes = style.new_figure(1, 2, 9, 4, width_ratios=(1, 1.6))
    entries = len(matrix)
    for panel, values, title in zip(
        axes[0],
        (matrix, matrix.T),
        ("im2col: one 1 in each row", "col2im: the same matrix, transposed"),
        strict=True,
    ):
        panel.imshow(values, cmap="Greys", vmin=0, vmax=1.3)
        grid(panel, values.shape, "#dddddd")
        panel.set_title(title)
        panel.tick_params(length=0)
    axes[0, 0].set_xticks(range(len(pixels)), pixels)
    axes[0, 0].set(
        xlabel="pixel", ylabel="entry of the columns", yticks=range(0, entries, entries // 4)
    )
    axes[0, 1].set_yticks(range(len(pixels)), pixels)
    axes[0, 1].set(
        ylabel="pixel", xlabel="entry of the columns", xticks=range(0, entries, entries // 4)
    )
    return figure


@style.styled
def draw_counts(counts: Sequence[tuple[str, Array]]) -> Any:
    """Draw (title, counts ``(H, W)``) side by side; a darker pixel is copied more often."""
    figure, axes = style.new_figure(1, len(counts), 9, 3.3)
    most = max(values.max() for _, values in counts)
    for panel, (title, values) in zip(axes[0], counts, strict=True):
        panel.imshow(values, cmap="Blues", vmin=0, vmax=1.6 * most)
        write(panel, values)
        grid(panel, values.shape, "white")
        bare(panel)
        panel.set_title(title)
    return figure


@style.styled
def draw_stamps(x: Array, stamps: Sequence[Array], out: Array) -> Any:
    """Draw the four pixels of ``x`` ``(2, 2)``, their ``stamps``, and the sum ``out``."""
    colors = np.array(STOPS)
    terms = [(x, colors.reshape(2, 2), "input")]
    for color, stamp in zip(colors, stamps, strict=True):
        terms.append((stamp, np.where(stamp != 0, color, PAPER), ""))
    overlaps = sum(stamp != 0 for stamp in stamps) > 1
    terms.append(
        (out, np.where(overlaps, style.DATA, np.where(out != 0, style.EMBEDDING, PAPER)), "output")
    )
    return equation(terms, "→+++=", height=2.2)


@style.styled
def draw_filtered(image: Array, responses: Sequence[tuple[str, Array]]) -> Any:
    """Draw an ``image`` ``(H, W, 3)`` in [0, 1], and titled responses ``(H, W)``, grey at zero."""
    figure, axes = style.new_figure(1, 1 + len(responses), 9, 2.6)
    axes[0, 0].imshow(image)
    axes[0, 0].set_title("the photograph")
    bare(axes[0, 0])
    for panel, (title, response) in zip(axes[0, 1:], responses, strict=True):
        largest = np.quantile(np.abs(response), 0.99)
        panel.imshow(response, cmap="gray", vmin=-largest, vmax=largest)
        panel.set_title(title)
        bare(panel)
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
        panel.axhline(0, color=INK, linewidth=0.6)
        panel.axvline(0, color=INK, linewidth=0.6)
        panel.plot(x.ravel(), carried.ravel(), ".", color=color, markersize=3)
        panel.set(title=title, xlabel="input x")
    axes[0, 0].set_ylabel("what the skip carries")
    return figure


def cells(axes: Any, values: Array, colors: Array, faint: Array | None = None) -> None:
    """Draw ``values`` ``(H, W)`` in cells of light ``colors`` ``(H, W)``, the ``faint`` in grey."""
    from matplotlib.colors import to_rgb

    shades = np.array([[to_rgb(color) for color in row] for row in colors])
    paper = (colors == PAPER)[..., None]
    axes.imshow(np.where(paper, shades, 1 - 0.45 * (1 - shades)))
    write(axes, values, faint)
    grid(axes, values.shape, "white")
    bare(axes)


def write(axes: Any, values: Array, faint: Array | None = None) -> None:
    """Write the numbers ``values`` ``(H, W)`` into their cells."""
    for (row, column), value in np.ndenumerate(values):
        color = style.DATA if faint is not None and faint[row, column] else INK
        axes.text(column, row, f"{value:g}", ha="center", va="center", color=color, fontsize=8)


def grid(axes: Any, shape: tuple[int, ...], color: str) -> None:
    """Rule the lines between cells."""
    for place in np.arange(shape[0] + 1) - 0.5:
        axes.axhline(place, color=color, linewidth=1)
    for place in np.arange(shape[1] + 1) - 0.5:
        axes.axvline(place, color=color, linewidth=1)


def bare(axes: Any) -> None:
    """Leave nothing but the cells."""
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


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
        panel.text(0.5, 0.5, sign, ha="center", va="center", fontsize=14, color=INK)
        panel.set_axis_off()
    return figure


def parted(width: float, height: float, ratios: tuple[float, ...]) -> tuple[Any, Any]:
    """Return a figure and its parts side by side, their widths as ``ratios`` says."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subfigures(1, len(ratios), width_ratios=ratios)


def stops_of(shape: tuple[int, ...], kernel_size: int, stride: int) -> list[tuple[int, int]]:
    """Return the upper left corner of every window of a padded image, in the columns' order."""
    rows, columns = (range(0, size - kernel_size + 1, stride) for size in shape)
    return [(y, x) for y in rows for x in columns]
