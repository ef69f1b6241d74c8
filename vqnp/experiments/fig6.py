"""Figure 6: on images too, a small encoder reconstructs worse."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from vqnp.experiments.claims import Claim, claim_maker, ratios
from vqnp.experiments.fig4 import image_row, originals_above, plain_numbers
from vqnp.experiments.plans import ImagesPlan
from vqnp.experiments.run import Result, Spec
from vqnp.experiments.spec import RunSpec
from vqnp.experiments.tables import Row, Table, column, median, select
from vqnp.plots import images, style
from vqnp.plots.sweep import by_seed, draw_sweep, seeds_shown
from vqnp.validation import Array

TITLE = "A small encoder loses what no decoder can bring back"
ABOUT = """
The runs have no pretraining, as in the paper, and the decoder always has the same width. A residual
block is half as wide inside as the encoder around it. The widest and the narrowest encoder have
as many seeds as the plan gives them. Those between have one. The few rectifiers of a narrow encoder
can all fall silent in training. All its embeddings coincide then. Such a dead encoder is drawn as a
cross, and no claim counts it, because it shows an accident and not a lack of capacity.
"""
STATEMENTS = {
    "mse": "Insufficient capacity of an encoder that lives increases the error.",
    "every-step": "Every step down in the width of living encoders increases the error.",
    "rank": "The embeddings of a small living encoder collapse into fewer directions.",
}
PANELS = (
    ("mse", "mean squared error (pixels in ±0.5)", "the error"),
    ("perplexity", "perplexity over the test set", "how evenly tokens are used"),
    (
        "embedding_rank",
        "effective rank of the embeddings",
        "in how many directions embeddings spread",
    ),
)


def encoders(plan: ImagesPlan) -> list[tuple[int, int]]:
    """Return the channels of every encoder with each of its seeds."""
    ends = plan.channels[0], plan.channels[-1]
    return [
        (channels, seed)
        for channels in plan.channels
        for seed in (plan.seeds_fig6 if channels in ends else plan.seeds_fig6[:1])
    ]


def runs(plan: ImagesPlan) -> list[RunSpec]:
    """Return every run."""
    return [plan.encoder_run(channels, seed) for channels, seed in encoders(plan)]


def numbers(plan: ImagesPlan, results: Mapping[Spec, Result]) -> list[Row]:
    """Return the numbers of every run on the test set."""
    return [
        {"channels": channels, **image_row(plan.encoder_run(channels, seed), results)}
        for channels, seed in encoders(plan)
    ]


def living(table: Table) -> list[Row]:
    """Return the rows of encoders whose embeddings do not all coincide."""
    return [row for row in table if row["embedding_rank"] > 0]


def narrow_and_seeds(plan: ImagesPlan, table: Table) -> tuple[int, tuple[int, ...]]:
    """Return the narrow encoder to compare with the widest, and the seeds where both live.

    Where there is no such seed, it is the narrowest encoder of the first seed that lives.
    """
    large, small, seeds = plan.channels[0], plan.channels[-1], plan.seeds_fig6
    alive = {(row["channels"], row["seed"]) for row in living(table)}
    both = tuple(seed for seed in seeds if {(large, seed), (small, seed)} <= alive)
    if both:
        return small, both
    return min((c for c, seed in alive if seed == seeds[0]), default=large), seeds[:1]


def claims(plan: ImagesPlan, table: Table) -> list[Claim]:
    """Return the claims of section 3.2 on images, about the encoders that live."""
    large, source = plan.channels[0], "section 3.2, Fig. 6"
    small, seeds = narrow_and_seeds(plan, table)
    claim = claim_maker("fig6", STATEMENTS, seeds=seeds, source=source)
    first = plan.seeds_fig6[:1]
    sweep = column(living(table), "mse", seed=first[0])

    def change(name: str, words: str) -> dict[str, Any]:
        def of(channels: int) -> list[float]:
            return [column(table, name, channels=channels, seed=seed)[0] for seed in seeds]

        measured = f"{words}, {small} / {large} channels, {table[0]['steps']:,} steps"
        return {"measured": measured, "values": ratios(of(small), of(large))}

    return [
        claim("mse", **change("mse", "MSE"), bound=(">", 1)),
        claim(
            "every-step",
            measured="smallest ratio of a width's MSE to the next wider one's",
            values=(min(ratios(sweep[1:], sweep[:-1]), default=0.0),),  # one alone is no step
            bound=(">", 1),
            seeds=first,
        ),
        claim(
            "rank",
            **change("embedding_rank", "effective rank of the embeddings"),
            source="section 3.2; measured beyond the paper",
            bound=("<", 0.5),
            because="half of the directions is the least that can be called a collapse; two "
            "channels have a rank of two at most, so this fails only if the wide encoder's is "
            "below four",
        ),
    ]


def draw(plan: ImagesPlan, results: Mapping[Spec, Result], table: Table) -> Any:
    """Draw the numbers of all runs, and the reconstructions of the first seed."""
    seed = plan.seeds_fig6[0]
    shown = {
        name_of(select(table, channels=channels, seed=seed)[0]): results[
            plan.encoder_run(channels, seed)
        ]
        for channels in plan.channels
    }
    training = plan.training(plan.epochs_fig6, (plan.n_tokens_fig6,), pretrained=False)
    return picture(table, originals_above(shown), plan.width, training)


def name_of(row: Row) -> str:
    """Return the channels of an encoder, and how many of its units never fire, if that is known."""
    silent = row.get("dead_units")  # earlier runs did not count them
    units = f", {silent} of {row['encoder_units']} units silent" if silent else ""
    return f"{row['channels']} channels{units}"


@style.styled
def picture(table: Table, rows: list[tuple[str, Array]], decoder: int, training: str) -> Any:
    """Draw the ``table`` and ``rows`` of (name, images); the decoder has ``decoder`` channels."""
    figure, top, bottom = images.below(len(rows))
    figure.suptitle(headline(table))
    style.note(top, training)
    axes = top.subplots(1, len(PANELS))
    for panel, (quantity, name, title) in zip(axes, PANELS, strict=True):
        draw_encoders(panel, table, quantity, name)
        panel.set(title=title, xlabel=f"channels of the encoder (decoder: {decoder})")
    for panel in axes[1:]:
        panel.set_ylim(0, None)
        panel.get_legend().remove()
    images.draw_images(rows, axes=bottom.subplots())
    return figure


def draw_encoders(axes: Any, table: Table, quantity: str, name: str) -> None:
    """Draw ``quantity``, called ``name``, against the channels; errors on a logarithmic axis."""
    sizes, values = by_seed(table, "channels", quantity)
    dead = by_seed(table, "channels", "embedding_rank")[1] == 0
    alive, look = np.where(dead, np.nan, values), {"color": style.RECONSTRUCTION, "first": True}
    draw_sweep(sizes, alive, label=seeds_shown(table), axes=axes, **look)
    if dead.any():
        crosses = axes.plot(sizes, np.where(dead, values, np.nan), "x", color=style.OUTSIDE)
        crosses[0].set_label("dead: all embeddings coincide")
        axes.legend(fontsize=7)
    axes.set(xlabel="channels of the encoder", ylabel=name)
    if quantity == "mse":
        axes.set_yscale("log")
        plain_numbers(axes.yaxis)


def headline(table: Table) -> str:
    """Say how many times the error of the widest living encoder the narrowest one has."""
    alive = living(table) or table
    narrow, wide = (end(row["channels"] for row in alive) for end in (min, max))
    times = median(alive, "mse", channels=narrow) / median(alive, "mse", channels=wide)
    dead = len(table) - len(living(table))
    return (
        f"After {table[0]['steps']:,} steps, an encoder of {narrow} channels has {times:.1f} times "
        f"the error of one of {wide}" + (f"; dead encoders: {dead} of {len(table)}" if dead else "")
    )
