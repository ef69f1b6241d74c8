"""One picture of all results: how many times faster than the best peer.

Green is ahead, orange behind.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import Row, best_peer, load, rate, ratio
from vqnp.files import whole
from vqnp.plots import style

GRIDS = {"nearest": "Nearest token", "ema": "One EMA update"}
BARS = {
    "Convolutions, batch 256": ("conv",),
    "K-means, training and its memory": ("kmeans", "step", "synthetic", "memory"),
    "A step of each quantizer": ("quantizers",),
}
CELL = re.compile(r"N = ([\d,]+), K = ([\d,]+), D = (\d+)")


def save(directory: Path) -> None:
    """Draw the results in ``directory`` and write ``benchmarks.png`` beside them."""
    machine, rows = load(directory)
    with whole(directory / "benchmarks.png") as file:
        draw(machine, [row for row in rows if best_peer(row)]).savefig(
            file, format="png", metadata={"Software": None}
        )


@style.styled
def draw(machine: dict[str, Any], rows: list[Row]) -> Any:
    """Return the figure of ``rows``: grids for search and update, bars for all else."""
    of = {
        name: [row for row in rows if row["group"] == name]
        for name in dict.fromkeys(row["group"] for row in rows)
    }
    panels: list[Any] = [(cells, title, of[name]) for name, title in GRIDS.items() if name in of]
    for title, groups in BARS.items():
        if chosen := [row for name in groups for row in of.get(name, [])]:
            panels.append((bars, title, chosen))
    height = (len(panels) + 1) // 2
    figure, axes = style.new_figure(height, 2, 11.5, 4.2 * height)
    for place, panel in zip(axes.flat, panels, strict=False):
        drawing, title, chosen = panel
        drawing(place, chosen)
        place.set_title(title, loc="left")
    for place in axes.flat[len(panels) :]:
        place.remove()
    where = f"{machine['processor']}, {machine['threads']} threads"
    figure.suptitle(f"Times faster than the best peer (for memory: times less); {where}")
    return figure


def cells(axes: Any, rows: list[Row]) -> None:
    """Draw ratios as a table, one line for each N and K, one column for each D."""
    from matplotlib.colors import LinearSegmentedColormap

    found = {CELL.fullmatch(row["case"]).groups(): ratio(row) for row in rows}
    lines = list(dict.fromkeys((n, k) for n, k, _ in found))
    dims = sorted({d for *_, d in found}, key=int)
    table = np.full((len(lines), len(dims)), np.nan)
    for (n, k, d), value in found.items():
        table[lines.index((n, k)), dims.index(d)] = value
        text = f"{value:.2g}" if value < 10 else f"{value:.0f}"
        axes.text(dims.index(d), lines.index((n, k)), text, ha="center", va="center")
    colors = LinearSegmentedColormap.from_list(
        "behind to ahead", [style.BASELINE, "white", style.PRETRAINED]
    )
    axes.imshow(np.log2(table), cmap=colors, vmin=-3, vmax=3, aspect="auto")
    axes.set(
        xticks=range(len(dims)), xticklabels=dims, xlabel="D",
        yticks=range(len(lines)), yticklabels=[f"N = {n}, K = {k}" for n, k in lines],
    )  # fmt: skip


def bars(axes: Any, rows: list[Row]) -> None:
    """Draw ratios as bars from 1.

    Where the work is counted, the share of the matrix product's rate stands beside the bar.
    """
    values = [ratio(row) for row in rows]
    colors = [style.PRETRAINED if value >= 1 else style.BASELINE for value in values]
    axes.barh(range(len(rows)), [value - 1 for value in values], left=1, color=colors)
    axes.axvline(1, color="#333333", linewidth=0.8)
    for i, (row, value) in enumerate(zip(rows, values, strict=True)):
        share = rate(row) and f"  ({rate(row) / row['sgemm']:.0%} of sgemm)"
        axes.text(max(value, 1), i, f" {value:.2f}{share or ''}", va="center", fontsize=7.5)
    least, most = min(0.5, *values), max(values)
    names = [
        row["case"] if row["group"] in ("conv", "step") else f"{row['group']}: {row['case']}"
        for row in rows
    ]
    axes.set(
        yticks=range(len(rows)),
        yticklabels=names,
        xscale="log",
        xlim=(least, 3.5 * most),  # room for what stands beside the longest bar
    )
    ticks = [tick for tick in (0.25, 0.5, 1, 2, 4, 8, 16) if least <= tick <= 1.2 * most]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.invert_yaxis()
