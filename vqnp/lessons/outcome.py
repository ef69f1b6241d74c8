"""The outcome of training: decoded tokens, tokens among embeddings, densities of embeddings."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vqnp.experiments import fig2, fig5
from vqnp.lessons import training_moments
from vqnp.plots import cloud, style
from vqnp.validation import Array


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
        training_moments.draw_moment(below, outcome.embeddings, outcome.tokens)
    for panel in axes[0, 1:] if same_data else []:
        style.share_axes(axes[0, 0], panel, "xy")
    style.legend_below(figure, fontsize=7)
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
