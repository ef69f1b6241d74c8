"""Figure 6 as a picture: what a narrower encoder costs in numbers, and below it what is reconstructed from it."""

from typing import Any

import numpy as np

from vqnp.plots import mosaic, style
from vqnp.plots.fig4 import plain_numbers
from vqnp.validation import Array

PANELS = (
    ("mse", "mean squared error (pixels in ±0.5)", "the error"),
    ("perplexity", "perplexity over the test set", "how evenly tokens are used"),
    (
        "embedding_rank",
        "effective rank of the embeddings",
        "in how many directions embeddings spread",
    ),
)


@style.styled
def draw(table: list[dict[str, Any]], rows: list[tuple[str, Array]], decoder: int) -> Any:
    """Draw the ``table`` of all runs' numbers and ``rows`` of (name, images); the decoder has ``decoder`` channels."""
    figure, top, bottom = mosaic.below(len(rows))
    figure.suptitle(headline(table))
    axes = top.subplots(1, len(PANELS))
    widths = sorted({row["channels"] for row in table})
    for panel, (quantity, name, title) in zip(axes, PANELS, strict=True):
        style.sweep(
            panel, table, "channels", quantity, style.RECONSTRUCTION, style.seeds_shown(table)
        )
        panel.set_xticks(widths, [str(width) for width in widths])
        panel.set(title=title, xlabel=f"channels of the encoder (decoder: {decoder})", ylabel=name)
    axes[0].set_yscale("log")
    plain_numbers(axes[0].yaxis)
    for panel in axes[1:]:
        panel.set_ylim(0, None)
    axes[0].legend(loc="upper right", fontsize=7)
    mosaic.draw(bottom.subplots(), rows)
    return figure


def headline(table: list[dict[str, Any]]) -> str:
    """Say how much worse the narrowest encoder is than the widest."""
    narrow, wide = (pick(row["channels"] for row in table) for pick in (min, max))
    mse = {
        width: np.median([row["mse"] for row in table if row["channels"] == width])
        for width in (narrow, wide)
    }
    return f"An encoder of {narrow} channels has {mse[narrow] / mse[wide]:.1f} times the error of one of {wide}"
