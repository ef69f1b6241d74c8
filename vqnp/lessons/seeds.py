"""Two arms, seed by seed and epoch by epoch: you see where the seeds agree, and where not."""

from collections.abc import Mapping
from typing import Any

from vqnp.experiments.fig4 import plain_numbers
from vqnp.experiments.tables import column, select
from vqnp.plots import history, style
from vqnp.training import EpochRecord


@style.styled
def seed_pairs(table: list[dict[str, Any]], quantities: Mapping[str, str]) -> Any:
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
                named = None if place else name
                panel.plot([x] * len(values), values, "o", color=color, label=named)
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
    plain_numbers(axes[0, 0].yaxis)
    axes[0, 1].set_ylim(0, None)
    axes[0, 1].legend(loc="lower right")
    return figure
