"""Where an encoder puts the clusters: Figure 2 for a lesson, one panel an encoder."""

from collections.abc import Mapping
from typing import Any

from vqnp.experiments import fig2
from vqnp.plots import style
from vqnp.validation import Array


@style.styled
def panels(encoders: Mapping[str, Array], labels: Array) -> Any:
    """Draw, for each encoder by name, the density of its embeddings ``(N, 1)`` and of each cluster's; scales are their own."""
    figure, axes = style.new_figure(1, len(encoders), 8, 3.4)
    for panel, (name, embeddings) in zip(axes[0], encoders.items(), strict=True):
        fig2.share_of_classes(
            panel, embeddings, labels, f"{name}: {fig2.describe(fig2.range_and_modes(embeddings))}"
        )
    axes[0, 0].set_ylabel("density of embeddings")
    return figure
