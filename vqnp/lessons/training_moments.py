"""A codebook while it trains: single moments side by side, and the way of every token from one moment to the next.

Embeddings and tokens are those of one moment, or stacked along a first axis of T moments.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from vqnp.diagnostics import perplexity_of_counts
from vqnp.plots import cloud, style
from vqnp.quantize import nearest
from vqnp.validation import Array

Moment = tuple[
    str, Array, Array | None
]  # its name, embeddings (N, D), tokens (K, D) unless there are none yet


@style.styled
def moments_side_by_side(shown: Sequence[Moment], columns: int = 3) -> Any:
    """Draw moments side by side, ``columns`` in a row, each on a scale of its own; D is 1 or 2."""
    rows = math.ceil(len(shown) / columns)
    figure, axes = style.new_figure(rows, columns, 8, (8 / columns + 0.3) * rows)
    for panel, (name, embeddings, tokens) in zip(axes.flat, shown, strict=False):
        draw_moment(panel, embeddings, tokens, f"{name}\n")
    for empty in axes.flat[len(shown) :]:
        empty.remove()
    axes[0, 0].legend(loc="best", fontsize=7, markerscale=1.5)
    return figure


@style.styled
def one_moment(name: str, embeddings: Array, tokens: Array | None) -> Any:
    """Draw one moment: a frame of the film."""
    figure, axes = style.new_figure(1, 1, 5, 4)
    draw_moment(axes[0, 0], embeddings, tokens, f"{name}\n")
    axes[0, 0].legend(loc="upper right")
    return figure


def draw_moment(axes: Any, embeddings: Array, tokens: Array | None, name: str = "") -> None:
    """Draw embeddings ``(N, D)`` and tokens ``(K, D)``: densities along a line, or clouds in the plane; dead tokens are crosses.

    Above two dimensions the plane is that of the embeddings' first two principal components.
    """
    if tokens is None:
        cloud.draw_points(axes, embeddings)
        axes.set_title(f"{name}no tokens yet")
        return
    counts = np.bincount(nearest(embeddings, tokens)[0], minlength=len(tokens))
    cloud.draw_with_tokens(axes, embeddings, tokens, counts > 0)
    axes.set_title(f"{name}perplexity {perplexity_of_counts(counts):.0f} of {len(tokens)}")


@style.styled
def token_tracks(parts: Sequence[tuple[str, Array, Array, Array]]) -> Any:
    """Draw parts of (name of the times, times ``(T,)``, embeddings ``(T, N, 1)``, tokens ``(T, K, 1)``), each on its own scale.

    Behind the lines of the tokens lies the density of the embeddings at each time.
    """
    figure, axes = style.new_figure(1, len(parts), 8, 3.8)
    for panel, (name, times, embeddings, tokens) in zip(axes[0], parts, strict=True):
        low, high = style.span(embeddings, tokens)
        shade_embeddings(panel, times, embeddings[..., 0], np.linspace(low, high, 161))
        panel.plot(times, tokens[..., 0], color=style.TOKEN, linewidth=0.5, alpha=0.7)
        panel.set(xlabel=name, xlim=(times[0], times[-1]), ylim=(low, high))
    axes[0, 0].set_ylabel("where embeddings and tokens are")
    marks = [
        legend_mark(color, label)
        for color, label in ((style.EMBEDDING, "embeddings"), (style.TOKEN, "tokens"))
    ]
    axes[0, 0].legend(handles=marks, loc="upper left")
    return figure


def shade_embeddings(axes: Any, times: Array, embeddings: Array, edges: Array) -> None:
    """Shade how the ``embeddings`` ``(T, N)`` are spread over the bins between ``edges`` at each of the ``times`` ``(T,)``."""
    from matplotlib.colors import LinearSegmentedColormap

    shades = LinearSegmentedColormap.from_list("embeddings", ["#ffffff", style.EMBEDDING])
    counts = np.stack([np.histogram(row, edges)[0] for row in embeddings], axis=1)  # (bins, T)
    shade = np.sqrt(
        counts / counts.max(axis=0)
    )  # of a time's densest bin; the root lets thin places be seen
    axes.pcolormesh(
        times, (edges[:-1] + edges[1:]) / 2, shade, cmap=shades, shading="nearest", rasterized=True
    )


def legend_mark(color: str, label: str) -> Any:
    """Return the legend's entry for what is drawn in ``color``."""
    from matplotlib.lines import Line2D

    return Line2D([], [], color=color, label=label, linewidth=3)
