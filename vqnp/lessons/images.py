"""The figures on images at the width of a page: seed by seed, beside bounds, epoch by epoch."""

from collections.abc import Sequence
from typing import Any

from vqnp.experiments.fig4 import curves, plain_numbers
from vqnp.experiments.fig4b import bars
from vqnp.plots import history, images, style
from vqnp.training import EpochRecord
from vqnp.validation import Array

Table = Sequence[dict[str, Any]]
INK = "#333333"


@style.styled
def draw_sweep(table: Table, vectors: int) -> Any:
    """Draw Figure 4's error and perplexity from its ``table``; k-means saw ``vectors``."""
    figure, axes = style.new_figure(1, 2, 9, 3.6)
    names = (
        ("mse", "mean squared error (pixels in ±0.5)"),
        ("perplexity", "perplexity over the test set"),
    )
    for panel, (quantity, name) in zip(axes[0], names, strict=True):
        curves(panel, table, quantity)
        panel.axvline(
            vectors, color=INK, linewidth=0.8, linestyle="--", label="vectors k-means saw"
        )
        panel.set(xlabel="tokens in the codebook", ylabel=name, yscale="log")
    plain_numbers(axes[0, 0].yaxis)
    sizes = sorted({row["tokens"] for row in table})
    axes[0, 1].plot(
        sizes, sizes, color=INK, linewidth=0.8, linestyle=":", label="all tokens, evenly"
    )
    axes[0, 1].set_yscale("log", base=2)
    axes[0, 1].legend(
        loc="upper left", fontsize=7, title=f"lines: {style.seeds_shown(table)}", title_fontsize=7
    )
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
        panel.axhline(1, color=INK, linewidth=0.8)
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
    """Draw Figure 4b's perplexity and error of the largest codebook: a bar for each change."""
    rows = [row for row in table if row["tokens"] == max(row["tokens"] for row in table)]
    figure, axes = style.new_figure(1, 2, 9, 3.6)
    bars(axes[0, 0], rows, "perplexity", "{:.0f}")
    bars(axes[0, 1], rows, "mse", "{:.4f}")
    axes[0, 0].set(
        xlabel="perplexity over the test set", title=f"codebook of {rows[0]['tokens']:,} tokens"
    )
    axes[0, 1].set(xlabel="mean squared error (pixels in ±0.5)", yticklabels=[])
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=8
    )
    return figure


@style.styled
def draw_encoders(table: Table) -> Any:
    """Draw Figure 6's error, and the effective rank of the embeddings below its bound."""
    figure, axes = style.new_figure(1, 2, 9, 3.4)
    widths = sorted({row["channels"] for row in table})
    names = (
        ("mse", "mean squared error (pixels in ±0.5)"),
        ("embedding_rank", "effective rank of the embeddings"),
    )
    for panel, (quantity, name) in zip(axes[0], names, strict=True):
        style.sweep(
            panel, table, "channels", quantity, style.RECONSTRUCTION, style.seeds_shown(table)
        )
        panel.set(xlabel="channels of the encoder", ylabel=name)
        panel.set_xticks(widths, [str(width) for width in widths])
    axes[0, 0].set_yscale("log")
    plain_numbers(axes[0, 0].yaxis)
    axes[0, 1].plot(
        widths, widths, color=INK, linewidth=0.8, linestyle=":", label="no more than channels"
    )
    axes[0, 1].set_yscale("log", base=2)
    axes[0, 1].legend(loc="upper left", fontsize=7)
    return figure


@style.styled
def draw_training(histories: dict[bool, Sequence[EpochRecord]]) -> Any:
    """Draw the training error of both arms by epoch; dashed as long as there are no tokens."""
    figure, axes = style.new_figure(1, 1, 9, 3.2)
    panel = axes[0, 0]
    for arm, color, label in style.ARMS:
        history.draw_quantity(panel, histories[arm], "reconstruction", color, label, marker=".")
    panel.set(xlabel="epoch", ylabel="mean squared error, training", yscale="log")
    plain_numbers(panel.yaxis)
    panel.legend(fontsize=8)
    return figure


@style.styled
def draw_images(rows: list[tuple[str, Array]]) -> Any:
    """Draw ``rows`` of (name, images ``(n, H, W, 3)`` uint8) one above the other."""
    figure, axes = style.new_figure(1, 1, 9, 0.2 + 0.75 * len(rows))
    images.draw_images(rows, axes=axes[0, 0])
    return figure
