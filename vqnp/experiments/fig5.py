"""Figure 5: embeddings collapse when the encoder is too small."""

from collections.abc import Mapping
from typing import Any

from vqnp.diagnostics import outside
from vqnp.experiments.claims import Claim, claim_maker, differences, ratios
from vqnp.experiments.plans import PointsPlan
from vqnp.experiments.run import Result
from vqnp.experiments.spec import RunSpec
from vqnp.experiments.tables import Row, Table, column, select
from vqnp.plots import style
from vqnp.plots.sweep import by_seed, draw_sweep
from vqnp.validation import Array

TITLE = "A small encoder merges the modes, and decodes outside the data"
ABOUT = """
The runs have no pretraining, as in the paper, and the decoder always has 32 hidden units. Beyond
the paper's figure there is the sweep of the widths in between. There is also the paper's own
suggestion of one more layer before the quantizer, of the small encoder's width and of the large
one's.
"""
SMALL, LARGE = 4, 32
STATEMENTS = {
    "merged": "With 4 hidden units most peaks of the embeddings are merged.",
    "differentiated": "With 32 hidden units the embeddings are more clearly differentiated.",
    "tokens-outside": "With 4 hidden units part of the tokens lie outside the embeddings' "
    "distribution.",
    "reconstruction-outside": "With 4 hidden units the reconstruction falls outside the data in "
    "part.",
    "reconstruction-inside": "With 32 hidden units no reconstruction falls outside the data.",
    "mse": "A small encoder reconstructs worse.",
    "layer-narrow": "One more layer of 4 units before the quantizer mends the small encoder.",
    "layer-wide": "One more layer of 32 units before the quantizer mends the small encoder.",
}


def encoder_run(plan: PointsPlan, seed: int, hidden: int, extra: int | None = None) -> RunSpec:
    """Return the baseline from 2 to 1 dimensions with an encoder of ``hidden`` units.

    ``extra`` is the width of one more layer before the tokens.
    """
    clusters = plan.clusters(2)
    return plan.run(clusters, (2, 1), seed, pretrained=False, encoder_hidden=hidden, extra=extra)


def encoders(plan: PointsPlan) -> list[tuple[int, int | None]]:
    """Return the encoders compared: (hidden units, width of the extra layer or ``None``)."""
    widths = sorted({SMALL, LARGE, *plan.widths})
    return [(width, None) for width in widths] + [(SMALL, SMALL), (SMALL, LARGE)]


def runs(plan: PointsPlan) -> list[RunSpec]:
    """Return every encoder for every seed."""
    return [encoder_run(plan, seed, *sizes) for sizes in encoders(plan) for seed in plan.seeds]


def numbers(plan: PointsPlan, results: Mapping[RunSpec, Result]) -> list[Row]:
    """Return the numbers of every run."""
    return [
        {
            "hidden": hidden,
            "extra": extra,
            "seed": seed,
            **results[encoder_run(plan, seed, hidden, extra)].numbers,
        }
        for hidden, extra in encoders(plan)
        for seed in plan.seeds
    ]


def claims(plan: PointsPlan, table: Table) -> list[Claim]:
    """Return the claims of section 3.2 on points, and those on one more layer."""
    claim = claim_maker("fig5", STATEMENTS, seeds=plan.seeds, source="section 3.2, Fig. 5")

    def of(name: str, hidden: int, extra: int | None = None) -> list[float]:
        return column(table, name, hidden=hidden, extra=extra)

    def strayed(name: str, words: str, hidden: int) -> dict[str, Any]:
        return {
            "measured": f"share of {words}, {hidden} units",
            "values": of(name, hidden),
            "because": "1 % of new points of the same distribution would count as outside",
        }

    tokens = "tokens_outside", "tokens outside the embeddings"
    decoded = "reconstruction_outside", "reconstructions outside the data"

    return [
        claim(
            "merged",
            measured="modes of the embeddings, 4 units",
            values=of("embedding_modes", SMALL),
            bound=("<=", 5),
            because="most of ten peaks merged leaves at most five",
        ),
        claim(
            "differentiated",
            measured="modes of the embeddings, 32 − 4 units",
            values=differences(of("embedding_modes", LARGE), of("embedding_modes", SMALL)),
            bound=(">", 0),
        ),
        claim("tokens-outside", **strayed(*tokens, SMALL), bound=(">", 0.01)),
        claim("reconstruction-outside", **strayed(*decoded, SMALL), bound=(">", 0.01)),
        claim("reconstruction-inside", **strayed(*decoded, LARGE), bound=("<=", 0.01)),
        claim(
            "mse",
            measured="MSE, 4 / 32 units",
            values=ratios(of("mse", SMALL), of("mse", LARGE)),
            bound=(">", 1),
        ),
        *(
            claim(
                f"layer-{name}",
                measured="MSE, 4 units with / without the layer",
                values=ratios(of("mse", SMALL, width), of("mse", SMALL)),
                bound=("<", 1),
                source="section 3.2, last sentence; tested beyond the paper",
            )
            for name, width in (("narrow", SMALL), ("wide", LARGE))
        ),
    ]


def draw(plan: PointsPlan, results: Mapping[RunSpec, Result], table: Table) -> Any:
    """Draw both encoders of the first seed, and the sweep over all seeds."""
    seed = plan.seeds[0]
    data = plan.clusters(2).load(seed).points
    panels = [
        (f"{hidden} hidden units", data, results[encoder_run(plan, seed, hidden)])
        for hidden in (SMALL, LARGE)
    ]
    return picture(panels, table)


@style.styled
def picture(panels: list[tuple[str, Array, Result]], table: Table) -> Any:
    """Draw ``panels`` of (name, data ``(N, 2)``, result of one seed), and the ``table``."""
    figure, axes = style.new_figure(2, 3, 14, 8)
    small, large = (result.numbers["embedding_modes"] for _, _, result in panels)
    figure.suptitle(
        f"A small encoder merges the modes: {small} peaks left with {panels[0][0]}, "
        f"{large} with {panels[1][0]}"
    )
    for (above, below), (name, data, result) in zip(axes.T[:2], panels, strict=True):
        measured = result.numbers
        style.along_a_line(above, result["embeddings"], result["tokens"])
        above.set_title(
            f"{name}: {measured['embedding_modes']} peaks, "
            f"{measured['tokens_outside']:.0%} of tokens outside"
        )
        above.legend(loc="upper right")
        draw_reconstruction(below, data, result["reconstruction"])
        below.set_title(
            f"{name}: {measured['reconstruction_outside']:.1%} of reconstructions outside the data"
        )
    style.share_axes(axes[0, 0], axes[0, 1], "x")
    style.share_axes(axes[1, 0], axes[1, 1], "xy")
    sweep(axes[0, 2], table, "mse", "mean squared error")
    strayed = ("reconstruction_outside", "reconstructions outside the data")
    sweep(axes[1, 2], table, *strayed, chance=0.01)
    return figure


def draw_reconstruction(axes: Any, data: Array, reconstruction: Array) -> None:
    """Draw the data, and the distinct reconstructions inside and outside of them."""
    strayed = outside(reconstruction, data)
    few = data[:: max(1, len(data) // style.SHOWN)]
    style.cloud(axes, few, style.DATA, "data", alpha=0.35)
    for rows, color, label, least in (
        (~strayed, style.RECONSTRUCTION, "reconstruction", 8),
        (strayed, style.OUTSIDE, "outside the data", 30),
    ):
        if rows.any():
            points, share = style.distinct(reconstruction[rows])
            areas = (2000 * share * rows.mean()).clip(least, 80)
            style.cloud(axes, points, color, label, s=areas, alpha=0.9)
    axes.set(xlabel="coordinate 1", ylabel="coordinate 2", aspect="equal")
    axes.legend(loc="upper left", fontsize=7)


def sweep(axes: Any, table: Table, quantity: str, name: str, chance: float | None = None) -> None:
    """Draw ``quantity`` against the encoder's width: dots of seeds, a line through the medians.

    Squares and diamonds have one more layer.
    """
    plain = by_seed(select(table, extra=None), "hidden", quantity)
    draw_sweep(*plain, color=style.RECONSTRUCTION, label="median; dots: seeds", axes=axes)
    extras = sorted({(row["hidden"], row["extra"]) for row in table if row["extra"] is not None})
    for (hidden, extra), shift, marker in zip(extras, (0.86, 1.16), ("s", "D"), strict=False):
        values = column(table, quantity, hidden=hidden, extra=extra)
        axes.plot(
            [hidden * shift] * len(values),
            values,
            marker,
            color=style.TOKEN,
            alpha=0.8,
            markersize=5,
            label=f"{hidden} units and a layer of {extra}",
        )
    if chance is not None:
        axes.axhline(chance, label="chance", **style.GUIDE)
    axes.set(xlabel="hidden units of the encoder (decoder: 32)", ylabel=name, ylim=(0, None))
    axes.set_title(f"{name}, all encoders and seeds")
    axes.legend(fontsize=7)
