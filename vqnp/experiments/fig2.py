"""Figure 2: ten clusters through an untrained encoder, and through a trained one."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from vqnp.diagnostics import count_modes
from vqnp.diagnostics.modes import bandwidth, peaks_on_line
from vqnp.experiments.claims import Claim, claim_maker, differences, ratios
from vqnp.experiments.plans import PointsPlan
from vqnp.experiments.run import Result, Spec
from vqnp.experiments.spec import RunSpec
from vqnp.experiments.tables import Row, Table
from vqnp.plots import style
from vqnp.validation import Array

TITLE = "The untrained encoder squeezes ten clusters into a small range"
ABOUT = """
The codebook is initialized on the embeddings of one of the two encoders. Those of the untrained
encoder crowd into a small range and have fewer peaks than the data. Those of the trained one
spread out. It is an autoencoder's, trained for 100 epochs, from 2 dimensions to 1.
"""
STATEMENTS = {
    "range": "The untrained encoder's outputs cluster in a relatively small range.",
    "untrained-peaks": "The untrained encoder's output has fewer peaks than the input.",
    "trained-peaks": "The trained encoder's output displays as many peaks as the input.",
}


def arms(plan: PointsPlan) -> list[tuple[Row, RunSpec]]:
    """Return a run from 2 to 1 dimensions with pretraining for every seed; it has both encoders."""
    return [
        ({"seed": seed}, plan.run(plan.clusters(2), (2, 1), seed, pretrained=True))
        for seed in plan.seeds
    ]


def measured(spec: RunSpec, results: Mapping[Spec, Result]) -> Row:
    """Return the modes of the data, and range and modes of both encoders' embeddings."""
    result = results[spec]
    return {
        "data_modes": count_modes(spec.data.load(spec.seed).points),
        "untrained": range_and_modes(result["untrained"]),
        "trained": range_and_modes(result["at_start"]),
    }


def range_and_modes(embeddings: Array) -> dict[str, float]:
    """Return least, greatest, range and number of modes of embeddings ``(N, 1)``."""
    low, high = float(embeddings.min()), float(embeddings.max())
    return {"min": low, "max": high, "range": high - low, "modes": count_modes(embeddings)}


def claims(plan: PointsPlan, table: Table) -> list[Claim]:
    """Return the claims of section 3.1 on the encoder before training."""
    claim = claim_maker("fig2", STATEMENTS, seeds=plan.seeds, source="section 3.1, Fig. 2")
    data_modes = [row["data_modes"] for row in table]

    def of(encoder: str, name: str) -> list[float]:
        return [row[encoder][name] for row in table]

    return [
        claim(
            "range",
            measured="range untrained / range trained",
            values=ratios(of("untrained", "range"), of("trained", "range")),
            bound=("<", 0.5),
            because="half the trained encoder's range is the most that can be called small "
            "beside it",
        ),
        *(
            claim(
                f"{encoder}-peaks",
                measured=f"modes of the {encoder} embeddings − modes of the data",
                values=differences(of(encoder, "modes"), data_modes),
                bound=bound,
                because="clusters that overlap in the data count as one there too",
            )
            for encoder, bound in (("untrained", ("<", 0)), ("trained", (">=", 0)))
        ),
    ]


def draw(plan: PointsPlan, results: dict[RunSpec, Result], table: Table) -> Any:
    """Draw the first seed."""
    spec = arms(plan)[0][1]
    data, result = spec.data.load(spec.seed), results[spec]
    return picture(data.points, data.labels, result["untrained"], result["at_start"], table[0])


@style.styled
def picture(data: Array, labels: Array, untrained: Array, trained: Array, row: Row) -> Any:
    """Draw data ``(N, 2)`` with labels, embeddings ``(N, 1)``, and the ranges in ``row``."""
    small, large = row["untrained"], row["trained"]
    figure, axes = style.new_figure(1, 3, 12, 3.9)
    figure.suptitle(
        "The untrained encoder squeezes the data into "
        f"{small['range'] / large['range']:.0%} of the trained one's range"
    )
    scatter, left, right = axes[0]
    style.cloud(scatter, style.thinned(data), style.DATA, "data")
    scatter.set(
        title=f"(data) ten clusters: {row['data_modes']} peaks",
        xlabel="coordinate 1",
        ylabel="coordinate 2",
        aspect="equal",
    )
    scatter.legend(loc="upper left", markerscale=3)
    share_of_classes(left, untrained, labels, "(a) untrained encoder", small)
    share_of_classes(right, trained, labels, "(b) trained encoder", large)
    left.set_ylabel("density of embeddings")
    inset = right.inset_axes([0.68, 0.74, 0.3, 0.16])
    ends = [[small["min"], large["min"]], [small["max"], large["max"]]]
    inset.hlines([1, 0], *ends, color=style.EMBEDDING, linewidth=5)
    inset.set(yticks=[1, 0], yticklabels=["(a)", "(b)"], ylim=(-0.8, 1.8))
    inset.set_title("ranges on one scale", size=7)
    inset.tick_params(labelsize=7)
    return figure


def share_of_classes(
    axes: Any, embeddings: Array, labels: Array, encoder: str, extent: dict[str, float]
) -> None:
    """Draw the density in which peaks are counted, the peaks, and the density of each class."""
    values = embeddings[:, 0].astype(np.float64)
    low, high = style.span(values)
    grid, width = np.linspace(low, high, 800), bandwidth(values)
    whole, peaks = style.density(values, grid, width), peaks_on_line(values)
    fill = {"color": style.EMBEDDING, "alpha": 0.5, "linewidth": 0}
    axes.fill_between(grid, whole, label="embeddings", **fill)
    for i, label in enumerate(np.unique(labels)):
        members = values[labels == label]
        curve = style.density(members, grid, width) * len(members) / len(values)
        axes.plot(
            grid,
            curve,
            color="#333333",
            linewidth=0.6,
            label=None if i else "each of the ten clusters",
        )
    above = np.interp(peaks, grid, whole) + 0.03 * whole.max()
    axes.plot(peaks, above, "v", color=style.TOKEN, markersize=5, label="peaks")
    axes.set(
        title=f"{encoder}: {extent['min']:.2f} to {extent['max']:.2f}, {extent['modes']} peaks",
        xlabel="embedding",
        xlim=(low, high),
        ylim=(0, 1.35 * whole.max()),
    )
    axes.legend(loc="upper left", fontsize=7)
