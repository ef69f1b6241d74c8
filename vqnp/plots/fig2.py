"""Figure 2 as a picture: the data, then the embeddings of the untrained and of the trained encoder."""

from typing import Any

import numpy as np

from vqnp.diagnostics.modes import bandwidth, peaks_on_line
from vqnp.plots import style
from vqnp.validation import Array


@style.styled
def draw(
    data: Array, labels: Array, untrained: Array, trained: Array, numbers: dict[str, Any]
) -> Any:
    """Draw one seed: data ``(N, 2)`` with labels, embeddings ``(N, 1)``, and its row of the figure's numbers."""
    small, large = numbers["untrained"], numbers["trained"]
    figure, axes = style.new_figure(1, 3, 12, 3.9)
    figure.suptitle(
        f"The untrained encoder squeezes the data into {small['range'] / large['range']:.0%} of the trained one's range"
    )
    scatter, left, right = axes[0]
    style.cloud(scatter, data[:: max(1, len(data) // style.SHOWN)], style.DATA, "data")
    scatter.set(
        title=f"(data) ten clusters: {numbers['data_modes']} peaks",
        xlabel="coordinate 1",
        ylabel="coordinate 2",
        aspect="equal",
    )
    scatter.legend(loc="upper left", markerscale=3)
    share_of_classes(left, untrained, labels, f"(a) untrained encoder: {describe(small)}")
    share_of_classes(right, trained, labels, f"(b) trained encoder: {describe(large)}")
    left.set_ylabel("density of embeddings")
    inset = right.inset_axes([0.68, 0.74, 0.3, 0.16])
    inset.hlines(
        [1, 0],
        [small["min"], large["min"]],
        [small["max"], large["max"]],
        color=style.EMBEDDING,
        linewidth=5,
    )
    inset.set(
        yticks=[1, 0], yticklabels=["(a)", "(b)"], ylim=(-0.8, 1.8), title="ranges on one scale"
    )
    inset.tick_params(labelsize=7)
    inset.title.set_size(7)
    return figure


def describe(extent: dict[str, Any]) -> str:
    """Say where the embeddings lie and how many peaks they have."""
    return f"{extent['min']:.2f} to {extent['max']:.2f}, {extent['modes']} peaks"


def share_of_classes(axes: Any, embeddings: Array, labels: Array, title: str) -> None:
    """Draw the density in which peaks are counted, the peaks, and inside it the density of each class."""
    values = embeddings[:, 0].astype(np.float64)
    low, high = style.span(values)
    grid, width = np.linspace(low, high, 800), bandwidth(values)
    whole, peaks = style.density(values, grid, width), peaks_on_line(values)
    axes.fill_between(
        grid, whole, color=style.EMBEDDING, alpha=0.5, linewidth=0, label="embeddings"
    )
    for i, label in enumerate(np.unique(labels)):
        own = values[labels == label]
        curve = style.density(own, grid, width) * len(own) / len(values)
        axes.plot(
            grid,
            curve,
            color="#333333",
            linewidth=0.6,
            label=None if i else "each of the ten clusters",
        )
    axes.plot(
        peaks,
        np.interp(peaks, grid, whole) + 0.03 * whole.max(),
        "v",
        color=style.TOKEN,
        markersize=5,
        label="peaks",
    )
    axes.set(title=title, xlabel="embedding", xlim=(low, high), ylim=(0, 1.35 * whole.max()))
    axes.legend(loc="upper left", fontsize=7)
