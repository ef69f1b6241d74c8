"""One look for all pictures: a color means one thing, and color-blind readers can tell it.

The colors are those of Okabe and Ito (2008).
"""

from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np

from vqnp import threads
from vqnp.files import whole
from vqnp.validation import Array

DATA, EMBEDDING, TOKEN, RECONSTRUCTION, OUTSIDE = (
    "#9a9a9a",
    "#56b4e9",
    "#d55e00",
    "#0072b2",
    "#cc79a7",
)
SHOWN = 2000  # points drawn of a cloud; more only darken the page
BASELINE, PRETRAINED = "#e69f00", "#009e73"
INK = "#333333"
GUIDE: Any = {"color": INK, "linewidth": 0.8, "linestyle": ":"}  # a line to compare with
ARMS = ((False, BASELINE, "without pretraining"), (True, PRETRAINED, "with pretraining"))

RC: Any = {
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.prop_cycle": f"cycler(color={[EMBEDDING, BASELINE, RECONSTRUCTION, PRETRAINED]})",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.titlesize": 12.5,
    "figure.titleweight": "bold",
    "legend.frameon": False,
    "figure.dpi": 110,  # in a notebook: 8 inches are 880 pixels
    "savefig.dpi": 150,
    "svg.hashsalt": "vqnp",
}


def styled(draw: Callable) -> Callable:
    """Make ``draw`` work in this style.

    Matplotlib reads the sizes when a title or a legend is made, so the figure cannot carry them.
    """

    @wraps(draw)
    def in_style(*arguments: Any, **options: Any) -> Any:
        import matplotlib as mpl

        with mpl.rc_context(RC):
            return draw(*arguments, **options)

    return in_style


def blank(width: float, height: float) -> Any:
    """Return a Matplotlib figure, drawn without a window."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def new_figure(
    rows: int, columns: int, width: float, height: float, **options: Any
) -> tuple[Any, Any]:
    """Return a figure, drawn without a window, and its axes ``(rows, columns)``."""
    figure = blank(width, height)
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def wrapped(count: int, columns: int) -> tuple[Any, Array]:
    """Return a figure of a page's width and its ``count`` panels, ``columns`` in a row."""
    rows, side = -(-count // columns), 8 / max(2, columns)
    figure, axes = new_figure(rows, columns, side * columns, (side + 0.3) * rows)
    for empty in axes.flat[count:]:
        empty.remove()
    return figure, axes.flat[:count]


def panels(axes: Any, count: int, width: float, height: float) -> Array:
    """Return ``axes`` as an array of ``count``; without any, those of a new figure of pyplot's.

    Pyplot shows the figure at the end of a notebook's cell, and in a script at ``plt.show()``.
    """
    if axes is None:
        import matplotlib.pyplot as plt

        axes = plt.subplots(1, count, figsize=(width, height), layout="constrained")[1]
    found = np.atleast_1d(axes)
    if found.shape != (count,):
        raise ValueError(f"axes must be {count} axes, got an array of shape {found.shape}")
    return found


@styled
def save(figure: Any, stem: Path) -> None:
    """Write ``figure`` as ``stem.png`` and ``stem.svg``, each whole or not at all.

    The bytes depend on the figure alone.
    """
    for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
        with whole(stem.with_suffix(f".{kind}")) as file:
            figure.savefig(file, format=kind, metadata=metadata)


def cloud(axes: Any, points: Array, color: str, label: str, **marks: Any) -> None:
    """Scatter ``points`` ``(N, 2)`` or ``(N, 3)``, as pixels also in an SVG, to keep it small."""
    options = {"s": 4, "alpha": 0.5, "linewidths": 0, "rasterized": True, **marks}
    axes.scatter(*points.T, color=color, label=label, **options)


def thinned(points: Array) -> Array:
    """Return every n-th of ``points`` ``(N, ...)``, about ``SHOWN`` of them."""
    return points[:: max(1, len(points) // SHOWN)]


def density(values: Array, grid: Array, bandwidth: float) -> Array:
    """Return a Gaussian kernel density of ``values`` ``(N,)`` on an even ``grid``.

    A histogram is smoothed, because thousands of kernels are slow.
    """
    from scipy.ndimage import gaussian_filter1d

    step = grid[1] - grid[0]
    counts, _ = np.histogram(values, np.append(grid - step / 2, grid[-1] + step / 2))
    return gaussian_filter1d(counts / (len(values) * step), bandwidth / step, mode="constant")


def along_a_line(axes: Any, embeddings: Array, tokens: Array | None = None) -> None:
    """Draw the densities of ``embeddings`` and ``tokens``, both ``(n, 1)``, and token strokes.

    The unit is the embeddings' standard deviation, counted from their mean, because an encoder's
    own units mean nothing beside another's.
    """
    center, unit = float(embeddings.mean()), float(embeddings.std()) or 1.0
    points = (embeddings[:, 0] - center) / unit
    marks = points[:0] if tokens is None else (tokens[:, 0] - center) / unit
    low, high = span(np.concatenate([points, marks]))
    grid, bandwidth = np.linspace(low, high, 800), (high - low) / 150
    heights = density(points, grid, bandwidth)
    axes.fill_between(grid, heights, color=EMBEDDING, alpha=0.5, linewidth=0, label="embeddings")
    axes.axhline(0, color=INK, linewidth=0.6)
    top = 1.05 * heights.max()
    if len(marks):
        curve = density(marks, grid, bandwidth)
        axes.plot(grid, curve, color=TOKEN, linewidth=1.2, label="tokens")
        axes.plot(
            marks,
            np.full(len(marks), 0.04),
            "|",
            color=TOKEN,
            markersize=8,
            transform=axes.get_xaxis_transform(),
        )
        top = max(top, 1.05 * curve.max())
    axes.set(
        xlabel="embedding (standard deviations)",
        ylabel="density",
        xlim=(low, high),
        ylim=(-0.09 * top, top),
    )


def span(*arrays: Array, margin: float = 0.05) -> tuple[float, float]:
    """Return limits that hold all values of ``arrays`` with a little room."""
    low, high = min(float(a.min()) for a in arrays), max(float(a.max()) for a in arrays)
    room = margin * (high - low) or 1.0
    return low - room, high + room


def share_axes(left: Any, right: Any, which: str) -> None:
    """Give two panels the same limits along the axes in ``which``, ``"x"`` or ``"xy"``."""
    for axis in which:
        limits = [getattr(axes, f"get_{axis}lim")() for axes in (left, right)]
        for axes in (left, right):
            axes.set(
                **{f"{axis}lim": (min(low for low, _ in limits), max(high for _, high in limits))}
            )


def distinct(points: Array) -> tuple[Array, Array]:
    """Return the distinct rows of ``points`` ``(N, D)`` and the share of each."""
    rows, counts = np.unique(points, axis=0, return_counts=True)
    return rows, counts / len(points)


def tsne(clouds: Sequence[Array], seed: int) -> list[Array]:
    """Lay all ``clouds`` ``(n, D)`` out together in the plane by t-SNE, each as ``(n, 2)``."""
    from sklearn.manifold import TSNE

    together = np.concatenate(clouds)
    with threads.limit():
        flat = TSNE(
            perplexity=min(30.0, (len(together) - 1) / 3),  # a handful of points has few neighbors
            init="pca",
            learning_rate="auto",
            random_state=seed,
        ).fit_transform(together)
    return np.split(flat, np.cumsum([len(cloud) for cloud in clouds])[:-1])


def legend_below(figure: Any, **options: Any) -> None:
    """Name below ``figure`` what its panels draw, each label once."""
    entries: Any = {
        label: handle
        for axes in figure.axes
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        entries.values(), entries, loc="outside lower center", ncols=len(entries), **options
    )


def note(figure: Any, text: str) -> None:
    """Write ``text`` in small print below the title of ``figure``, or of a part without one."""
    figure.suptitle(text, fontsize=8.5, fontweight="normal", color=INK)


def legend_mark(color: str, label: str) -> Any:
    """Return a legend's entry for one kind of cloud."""
    from matplotlib.lines import Line2D

    return Line2D([], [], linestyle="", marker="o", color=color, label=label)
