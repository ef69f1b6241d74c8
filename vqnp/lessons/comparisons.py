"""Runs compared: two arms seed by seed and epoch by epoch, codebooks and encoders size by size."""

from collections.abc import Mapping
from typing import Any

from vqnp.experiments import fig4, fig5, fig6
from vqnp.experiments.fig4b import bars
from vqnp.experiments.tables import Table, column, select
from vqnp.plots import history, style
from vqnp.training import EpochRecord


@style.styled
def seed_pairs(table: Table, quantities: Mapping[str, str]) -> Any:
    """Draw a panel for each of ``quantities`` (key: label) in the ``table``.

    A row has a case, a seed and an arm, ``row["pretrained"]``. A line joins the two runs of a seed.
    """
    cases = list(dict.fromkeys(row["case"] for row in table))
    figure, axes = style.new_figure(1, len(quantities), 8, 3.2)
    for panel, (quantity, label) in zip(axes[0], quantities.items(), strict=True):
        for place, case in enumerate(cases):
            at = (place - 0.2, place + 0.2)
            runs = sorted(select(table, case=case), key=lambda row: row["seed"])
            arms = [column(runs, quantity, pretrained=arm) for arm in (False, True)]  # (2, seeds)
            panel.plot(at, arms, color="#999999", linewidth=0.8, zorder=1)  # a line for each seed
            for x, values, (_, color, name) in zip(at, arms, style.ARMS, strict=True):
                panel.plot([x] * len(values), values, "o", color=color, label=name)
        panel.set_xticks(range(len(cases)), cases)
        panel.set(title=label, xlim=(-0.6, len(cases) - 0.4), ylim=(0, None))
    style.legend_below(figure)
    return figure


@style.styled
def arm_histories(arms: Mapping[str, tuple[bool, list[EpochRecord]]]) -> Any:
    """Draw error and perplexity by epoch for arms of (whether pretrained, records)."""
    figure, axes = style.new_figure(1, 2, 8, 3)
    colors = {arm: color for arm, color, _ in style.ARMS}
    names = (("reconstruction", "mean squared error"), ("perplexity", "perplexity"))
    for panel, (quantity, label) in zip(axes[0], names, strict=True):
        for name, (pretrained, records) in arms.items():
            history.draw_quantity(panel, records, quantity, colors[pretrained], label=name)
            born = sum(record.phase == "pretrain" for record in records)
            panel.axvline(born + 0.5, color=colors[pretrained], linewidth=0.8, linestyle=":")
        panel.set(xlabel="epoch (dotted: the codebook is born)", ylabel=label)
    axes[0, 0].set_yscale("log")
    fig4.plain_numbers(axes[0, 0].yaxis)
    axes[0, 1].set_ylim(0, None)
    axes[0, 1].legend()
    return figure


@style.styled
def errors_by_width(table: Table) -> Any:
    """Draw the error and the share outside the data against the encoder's width, as in Fig. 5."""
    figure, ((error, outside),) = style.new_figure(1, 2, 8, 3.4)
    fig5.sweep(error, table, "mse", "mean squared error")
    fig5.sweep(outside, table, "reconstruction_outside", "share outside the data", chance=0.01)
    return figure


@style.styled
def errors_by_parameters(table: Table) -> Any:
    """Draw the error of every run against its encoder's parameters; squares have another layer."""
    figure, ((panel,),) = style.new_figure(1, 1, 8, 3.6)
    for deeper, color, marker, label in (
        (False, style.EMBEDDING, "o", "two hidden layers"),
        (True, style.TOKEN, "s", "and one more before the quantizer"),
    ):
        rows = [row for row in table if (row["extra"] is not None) is deeper]
        x, y = column(rows, "parameters"), column(rows, "mse")
        panel.loglog(x, y, marker, color=color, alpha=0.85, label=label)
    for parameters, name in dict.fromkeys((row["parameters"], row["name"]) for row in table):
        top = parameters, max(column(table, "mse", parameters=parameters))
        panel.annotate(name, top, (0, 7), textcoords="offset points", ha="center", fontsize=7)
    panel.set(xlabel="parameters of the encoder", ylabel="mean squared error")
    panel.legend(loc="upper right")
    return figure


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
    for panel, (quantity, name) in zip(axes[0], names, strict=True):
        for marker, seed in zip("osD^v", sorted({row["seed"] for row in table}), strict=False):
            panel.semilogx(
                *ratios(table, quantity, seed),
                marker,
                base=2,
                color=style.PRETRAINED,
                alpha=0.7,
                markersize=5,
                label=f"seed {seed}",
            )
        panel.axhline(1, color=style.INK, linewidth=0.8)
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
    left.set(
        xlabel="perplexity over the test set", title=f"codebook of {table[0]['tokens']:,} tokens"
    )
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
    rank.semilogy(widths, widths, base=2, label="no more than channels", **style.GUIDE)
    rank.legend(loc="upper left", fontsize=7)
    return figure
