"""What collapses: tokens while they train, the outcome, and the heights that an encoder gives.

Embeddings and tokens are those of one moment, or stacked along a first axis of T moments.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vqnp.diagnostics import perplexity_of_counts
from vqnp.experiments import fig2, fig3, fig5
from vqnp.plots import cloud, style
from vqnp.quantize import nearest
from vqnp.validation import Array

# Its name, embeddings (N, D), and tokens (K, D) unless there are none yet.
Moment = tuple[str, Array, Array | None]


class Outcome(NamedTuple):
    """A model at the end: data and reconstruction ``(N, I)``, embeddings ``(N, D)``, and tokens.

    ``outside`` ``(N,)`` tells the reconstructions to mark as outside the data.
    """

    name: str
    data: Array
    reconstruction: Array
    embeddings: Array
    tokens: Array
    outside: Array | None = None


@style.styled
def moments_side_by_side(shown: Sequence[Moment], columns: int = 3) -> Any:
    """Draw moments side by side, ``columns`` in a row, each on a scale of its own; D is 1 or 2."""
    figure, panels = style.wrapped(len(shown), columns)
    for panel, (name, embeddings, tokens) in zip(panels, shown, strict=True):
        draw_moment(panel, embeddings, tokens, f"{name}\n")
    panels[0].legend(loc="best", fontsize=7, markerscale=1.5)
    return figure


def draw_moment(axes: Any, embeddings: Array, tokens: Array | None, name: str = "") -> None:
    """Draw embeddings ``(N, D)`` and tokens ``(K, D)``, titled by their perplexity."""
    cloud.draw_cloud(embeddings, tokens, axes=axes)
    said = "no tokens yet"
    if tokens is not None:
        counts = np.bincount(nearest(embeddings, tokens)[0], minlength=len(tokens))
        said = f"perplexity {perplexity_of_counts(counts):.0f} of {len(tokens)}"
    axes.set_title(name + said)


@style.styled
def token_tracks(parts: Sequence[tuple[str, Array, Array, Array]]) -> Any:
    """Draw a line for each token over the shaded density of the embeddings, part by part.

    A part has the name of its times, times ``(T,)``, embeddings ``(T, N, 1)`` and tokens
    ``(T, K, 1)``. Its scale is its own.
    """
    figure, axes = style.new_figure(1, len(parts), 8, 3.8)
    for panel, (name, times, embeddings, tokens) in zip(axes[0], parts, strict=True):
        low, high = style.span(embeddings, tokens)
        shade_embeddings(panel, times, embeddings[..., 0], np.linspace(low, high, 161))
        panel.plot(times, tokens[..., 0], color=style.TOKEN, linewidth=0.5, alpha=0.7)
        panel.set(xlabel=name, xlim=(times[0], times[-1]), ylim=(low, high))
    axes[0, 0].set_ylabel("where embeddings and tokens are")
    axes[0, 0].legend(
        handles=[
            style.legend_mark(style.EMBEDDING, "embeddings"),
            style.legend_mark(style.TOKEN, "tokens"),
        ],
        loc="upper left",
    )
    return figure


def shade_embeddings(axes: Any, times: Array, embeddings: Array, edges: Array) -> None:
    """Shade the density of ``embeddings`` ``(T, N)`` between ``edges`` at ``times`` ``(T,)``."""
    from matplotlib.colors import LinearSegmentedColormap

    shades = LinearSegmentedColormap.from_list("embeddings", ["#ffffff", style.EMBEDDING])
    counts = np.stack([np.histogram(row, edges)[0] for row in embeddings], axis=1)  # (bins, T)
    # A share of each time's densest bin; its root, because thin places must be seen.
    shade = np.sqrt(counts / counts.max(axis=0))
    middles = (edges[:-1] + edges[1:]) / 2
    axes.pcolormesh(times, middles, shade, cmap=shades, shading="nearest", rasterized=True)


@style.styled
def outcomes(shown: Sequence[Outcome], same_data: bool = True) -> Any:
    """Draw a column for each: decoded tokens, and tokens below; ``same_data`` shares the scale.

    Above two dimensions you see data and reconstruction in the plane of the data's first two
    principal components.
    """
    figure, axes = style.new_figure(2, len(shown), 8, 5.6)
    for (above, below), outcome in zip(axes.T, shown, strict=True):
        data, reconstruction = cloud.project_to_plane(
            outcome.data, outcome.data, outcome.reconstruction
        )
        mask = np.zeros(len(data), bool) if outcome.outside is None else outcome.outside
        fig5.draw_reconstruction(above, data, reconstruction, mask)
        what = "coordinate" if outcome.data.shape[1] <= 2 else "component"
        above.set(title=outcome.name, xlabel=f"{what} 1", ylabel=f"{what} 2")
        above.get_legend().remove()
        draw_moment(below, outcome.embeddings, outcome.tokens)
    for panel in axes[0, 1:] if same_data else []:
        style.share_axes(axes[0, 0], panel, "xy")
    strayed = any(outcome.outside is not None for outcome in shown)
    marks = (*fig3.LEGEND, (style.OUTSIDE, "outside the data")) if strayed else fig3.LEGEND
    handles = [style.legend_mark(color, label) for color, label in marks]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=7)
    return figure


@style.styled
def embedding_densities(encoders: Mapping[str, Array], labels: Array) -> Any:
    """Draw the density of each encoder's embeddings ``(N, 1)``, and of each cluster's."""
    figure, axes = style.new_figure(1, len(encoders), 8, 3.4)
    for panel, (name, embeddings) in zip(axes[0], encoders.items(), strict=True):
        extent = fig2.describe(fig2.range_and_modes(embeddings))
        fig2.share_of_classes(panel, embeddings, labels, f"{name}: {extent}")
    axes[0, 0].set_ylabel("density of embeddings")
    return figure


class EncoderMap(NamedTuple):
    """An encoder from two dimensions to one: data ``(N, 2)``, heights, and the decoded line.

    ``height`` ``(len(y), len(x))`` is the embedding at the places ``x`` and ``y`` of the grid.
    ``levels`` are the heights whose contours are drawn, rising. ``line`` ``(M, 2)`` are decoded
    embeddings, evenly spaced.
    """

    name: str
    data: Array
    x: Array
    y: Array
    height: Array
    levels: Array
    line: Array


@style.styled
def encoder_maps(shown: Sequence[EncoderMap]) -> Any:
    """Draw the contours of each encoder's height among the data; below, the decoded line."""
    figure, axes = style.new_figure(2, len(shown), 8, 6)
    for (above, below), part in zip(axes.T, shown, strict=True):
        few = part.data[:: max(1, len(part.data) // style.SHOWN)]
        for panel in (above, below):
            style.cloud(panel, few, style.DATA, "data", alpha=0.35)
            panel.set(
                xlim=(part.x[0], part.x[-1]),
                ylim=(part.y[0], part.y[-1]),
                aspect="equal",
                xlabel="coordinate 1",
                ylabel="coordinate 2",
            )
        above.contour(
            part.x,
            part.y,
            part.height,
            part.levels,
            colors=style.EMBEDDING,
            linewidths=0.9,
            linestyles="solid",
        )
        below.plot(*part.line.T, color=style.RECONSTRUCTION, linewidth=1)
        above.set_title(f"{part.name}: lines of equal embedding")
        below.set_title("what the embeddings decode to")
    return figure
