"""Figure 4 as a picture: what a growing codebook gives either arm in numbers, and below it what they reconstruct."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from vqnp.plots import mosaic, style
from vqnp.validation import Array

PANELS = (
    ("mse", "mean squared error (pixels in ±0.5)", "the error"),
    ("perplexity", "perplexity over the test set", "how evenly tokens are used"),
    ("codes_used", "tokens chosen at least once", "how many are used at all"),
    ("token_dimension", "effective dimension of the tokens", "in how many directions they spread"),
)


@style.styled
def draw(table: list[dict[str, Any]], rows: list[tuple[str, Array]], vectors: int) -> Any:
    """Draw the ``table`` of all runs' numbers and ``rows`` of (name, images); k-means saw ``vectors`` embeddings."""
    figure, top, bottom = mosaic.below(len(rows))
    figure.suptitle(headline(table))
    axes = top.subplots(1, len(PANELS))
    for panel, (quantity, name, title) in zip(axes, PANELS, strict=True):
        curves(panel, table, quantity)
        panel.set(title=title, xlabel="tokens in the codebook", ylabel=name)
    sizes = sorted({row["tokens"] for row in table})
    for panel in axes[1:3]:
        panel.plot(
            sizes, sizes, color="#333333", linewidth=0.8, linestyle=":", label="all tokens, evenly"
        )
        panel.set_yscale("log", base=2)
    if sizes[0] <= vectors <= sizes[-1]:
        for panel in axes:
            panel.axvline(
                vectors, color="#333333", linewidth=0.8, linestyle="--", label="vectors k-means saw"
            )
    axes[0].set_yscale("log")
    plain_numbers(axes[0].yaxis)
    axes[3].set_ylim(0, None)
    axes[1].legend(
        loc="upper left", fontsize=7, title=f"lines: {style.seeds_shown(table)}", title_fontsize=7
    )
    mosaic.draw(bottom.subplots(), rows)
    return figure


def headline(table: list[dict[str, Any]]) -> str:
    """Say what the largest codebook is worth to either arm."""
    largest = max(row["tokens"] for row in table)
    without, with_ = (
        np.median(
            [
                row["perplexity"]
                for row in table
                if (row["tokens"], row["pretrained"]) == (largest, arm)
            ]
        )
        for arm, _, _ in style.ARMS
    )
    return f"{largest:,} tokens are worth {without:,.0f} evenly used ones without pretraining, and {with_:,.0f} with it"


def curves(axes: Any, table: Sequence[dict[str, Any]], quantity: str) -> None:
    """Draw ``quantity`` against the codebook's size for both arms: a line through the first seed, the others as dots."""
    for arm, color, label in style.ARMS:
        style.sweep(
            axes,
            [row for row in table if row["pretrained"] is arm],
            "tokens",
            quantity,
            color,
            label,
        )


def plain_numbers(axis: Any) -> None:
    """Write the ticks of a logarithmic axis as plain decimals: an error spans too little for powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    axis.set_major_locator(LogLocator(subs=(1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(LogLocator(subs=()))
