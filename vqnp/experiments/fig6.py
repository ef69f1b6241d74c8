"""Figure 6: on images too, a small encoder reconstructs worse."""

from collections.abc import Mapping
from typing import Any

from vqnp.experiments.claims import Claim, claim_maker, ratios
from vqnp.experiments.fig4 import image_row, originals_above, plain_numbers
from vqnp.experiments.plans import ImagesPlan
from vqnp.experiments.run import Result, Spec
from vqnp.experiments.spec import RunSpec
from vqnp.experiments.tables import Row, Table, column, median
from vqnp.plots import images, style
from vqnp.plots.sweep import by_seed, draw_sweep, seeds_shown
from vqnp.validation import Array

TITLE = "A small encoder loses what no decoder can bring back"
ABOUT = """
The runs have no pretraining, as in the paper, and the decoder always has the same width. A residual
block is half as wide inside as the encoder around it. The widest and the narrowest encoder have
as many seeds as the plan gives them. Those between have one.
"""
STATEMENTS = {
    "mse": "Insufficient capacity of the encoder increases the error.",
    "every-step": "Every step down in the encoder's width increases the error.",
    "rank": "The embeddings of a small encoder collapse into fewer directions.",
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


def claims(plan: ImagesPlan, table: Table) -> list[Claim]:
    """Return the claims of section 3.2 on images."""
    large, small = plan.channels[0], plan.channels[-1]
    source = "section 3.2, Fig. 6"
    claim = claim_maker("fig6", STATEMENTS, seeds=plan.seeds_fig6, source=source)
    first = plan.seeds_fig6[:1]
    sweep = column(table, "mse", seed=first[0])

    def change(name: str, words: str) -> dict[str, Any]:
        return {
            "measured": f"{words}, {small} / {large} channels",
            "values": ratios(*(column(table, name, channels=end) for end in (small, large))),
        }

    return [
        claim("mse", **change("mse", "MSE"), bound=(">", 1)),
        claim(
            "every-step",
            measured="smallest ratio of a width's MSE to the next wider one's",
            values=(min(ratios(sweep[1:], sweep[:-1])),),
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
    shown = {
        f"{channels} channels": results[plan.encoder_run(channels, plan.seeds_fig6[0])]
        for channels in plan.channels
    }
    return picture(table, originals_above(shown), plan.width)


@style.styled
def picture(table: Table, rows: list[tuple[str, Array]], decoder: int) -> Any:
    """Draw the ``table`` and ``rows`` of (name, images); the decoder has ``decoder`` channels."""
    figure, top, bottom = images.below(len(rows))
    figure.suptitle(headline(table))
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
    runs = by_seed(table, "channels", quantity)
    draw_sweep(*runs, color=style.RECONSTRUCTION, label=seeds_shown(table), first=True, axes=axes)
    axes.set(xlabel="channels of the encoder", ylabel=name)
    if quantity == "mse":
        axes.set_yscale("log")
        plain_numbers(axes.yaxis)


def headline(table: Table) -> str:
    """Say how many times the widest encoder's error the narrowest one has."""
    narrow, wide = (end(row["channels"] for row in table) for end in (min, max))
    times = median(table, "mse", channels=narrow) / median(table, "mse", channels=wide)
    return f"An encoder of {narrow} channels has {times:.1f} times the error of one of {wide}"
