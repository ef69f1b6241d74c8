"""The figures on images at the width of a page, and what a reader asks of them: seed by seed, against a bound, epoch by epoch."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from vqnp.experiments.fig4 import curves, plain_numbers
from vqnp.experiments.fig4b import bars
from vqnp.plots import mosaic, style
from vqnp.training import EpochRecord
from vqnp.validation import Array

Table = Sequence[dict[str, Any]]
INK = "#333333"


@style.styled
def draw_sweep(table: Table, vectors: int) -> Any:
    """Draw Figure 4's error and perplexity, from the ``table`` of its numbers; k-means saw ``vectors`` embeddings."""
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
    """Draw what pretraining changes, seed by seed: error and perplexity with it over those without it, for every codebook."""
    figure, axes = style.new_figure(1, 2, 9, 3.4)
    for panel, (quantity, name) in zip(
        axes[0],
        (("mse", "error with / without pretraining"), ("perplexity", "perplexity with / without")),
        strict=True,
    ):
        for marker, seed in zip("osD^v", sorted({row["seed"] for row in table}), strict=False):
            sizes, values = ratios(table, quantity, seed)
            panel.plot(
                sizes,
                values,
                marker,
                color=style.PRETRAINED,
                alpha=0.7,
                markersize=5,
                label=f"seed {seed}",
            )
        panel.axhline(1, color=INK, linewidth=0.8)
        panel.set_xscale("log", base=2)
        panel.set(xlabel="tokens in the codebook", ylabel=name)
    axes[0, 1].set_yscale("log", base=2)  # from nothing to a few hundred times
    axes[0, 1].legend(loc="upper left", fontsize=7)
    return figure


def ratios(table: Table, quantity: str, seed: int) -> tuple[list[int], list[float]]:
    """Return the codebook sizes run with ``seed`` in both arms, and ``quantity`` with pretraining over that without."""
    value = {
        (row["tokens"], row["pretrained"]): row[quantity] for row in table if row["seed"] == seed
    }
    sizes = sorted(
        tokens for tokens, pretrained in value if pretrained and (tokens, False) in value
    )
    return sizes, [value[tokens, True] / value[tokens, False] for tokens in sizes]


@style.styled
def draw_causes(table: Table) -> Any:
    """Draw Figure 4b's perplexity and error for the largest codebook in the ``table``: a bar for each thing changed."""
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
    """Draw Figure 6's error and the embeddings' effective rank, from the ``table`` of its numbers, below the rank's bound."""
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
    """Draw the training error of each epoch, for the arm without (False) and with (True) pretraining; dashed before VQ begins."""
    figure, axes = style.new_figure(1, 1, 9, 3.2)
    panel = axes[0, 0]
    for arm, color, label in style.ARMS:
        errors = [record.reconstruction for record in histories[arm]]
        before = sum(record.phase == "pretrain" for record in histories[arm])
        epochs = np.arange(1, len(errors) + 1)
        panel.plot(
            epochs[:before],
            errors[:before],
            ".--",
            color=color,
            label=f"{label}: no VQ yet" if before else None,
        )
        panel.plot(epochs[before:], errors[before:], ".-", color=color, label=label)
    panel.set(xlabel="epoch", ylabel="mean squared error, training", yscale="log")
    plain_numbers(panel.yaxis)
    panel.legend(fontsize=8)
    return figure


@style.styled
def draw_images(rows: list[tuple[str, Array]]) -> Any:
    """Draw ``rows`` of (name, images ``(n, H, W, 3)`` uint8) one above the other."""
    figure, axes = style.new_figure(1, 1, 9, 0.2 + 0.75 * len(rows))
    mosaic.draw(axes[0, 0], rows)
    return figure
