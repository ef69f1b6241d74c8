"""The figures on images at the width of a page: seed by seed, and beside bounds."""

from collections.abc import Sequence
from typing import Any

from vqnp.experiments import fig4, fig6
from vqnp.experiments.fig4b import bars
from vqnp.plots import style

Table = Sequence[dict[str, Any]]


@style.styled
def draw_sweep(table: Table, vectors: int) -> Any:
    """Draw Figure 4's error and perplexity from its ``table``; k-means saw ``vectors``."""
    figure, axes = style.new_figure(1, 2, 9, 3.6)
    fig4.draw_sweeps(axes[0], table, vectors)
    return figure


@style.styled
def draw_ratios(table: Table) -> Any:
    """Draw error and perplexity with pretraining over those without it, seed by seed."""
    figure, axes = style.new_figure(1, 2, 9, 3.4)
    names = (
        ("mse", "error with / without pretraining"),
        ("perplexity", "perplexity with / without"),
    )
    look = {"color": style.PRETRAINED, "alpha": 0.7, "markersize": 5}
    for panel, (quantity, name) in zip(axes[0], names, strict=True):
        for marker, seed in zip("osD^v", sorted({row["seed"] for row in table}), strict=False):
            panel.plot(*ratios(table, quantity, seed), marker, label=f"seed {seed}", **look)
        panel.axhline(1, color=style.INK, linewidth=0.8)
        panel.set_xscale("log", base=2)
        panel.set(xlabel="tokens in the codebook", ylabel=name)
    axes[0, 1].set_yscale("log", base=2)  # from nothing to a few hundred times
    axes[0, 1].legend(loc="upper left", fontsize=7)
    return figure


def ratios(table: Table, quantity: str, seed: int) -> tuple[list[int], list[float]]:
    """Return the sizes that both arms ran with ``seed``, and ``quantity`` with over without."""
    value = {
        (row["tokens"], row["pretrained"]): row[quantity] for row in table if row["seed"] == seed
    }
    sizes = sorted(
        tokens for tokens, pretrained in value if pretrained and (tokens, False) in value
    )
    return sizes, [value[tokens, True] / value[tokens, False] for tokens in sizes]


@style.styled
def draw_causes(table: Table) -> Any:
    """Draw Figure 4b's perplexity and error of one codebook: a bar for each change."""
    figure, ((left, right),) = style.new_figure(1, 2, 9, 3.6)
    bars(left, table, "perplexity", "{:.0f}")
    bars(right, table, "mse", "{:.4f}")
    size = table[0]["tokens"]
    left.set(xlabel="perplexity over the test set", title=f"codebook of {size:,} tokens")
    right.set(xlabel="mean squared error (pixels in ±0.5)", yticklabels=[])
    style.legend_below(figure, fontsize=8)
    return figure


@style.styled
def draw_encoders(table: Table) -> Any:
    """Draw Figure 6's error, and the effective rank of the embeddings below its bound."""
    figure, ((error, rank),) = style.new_figure(1, 2, 9, 3.4)
    fig6.draw_encoders(error, table, "mse", "mean squared error (pixels in ±0.5)")
    fig6.draw_encoders(rank, table, "embedding_rank", "effective rank of the embeddings")
    widths = sorted({row["channels"] for row in table})
    rank.plot(widths, widths, label="no more than channels", **style.GUIDE)
    rank.set_yscale("log", base=2)
    rank.legend(loc="upper left", fontsize=7)
    return figure
