"""Figure 4: the larger the codebook, the more its initialization matters.

The sweep compares codebooks after equal training. ``course.py`` follows some of them through it.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from vqnp.experiments import course
from vqnp.experiments.claims import Claim, claim_maker, differences, ratios
from vqnp.experiments.patch_code import PatchCode
from vqnp.experiments.plans import EMBEDDINGS_AN_IMAGE, ImagesPlan, baseline_and_pretrained
from vqnp.experiments.run import Result, Spec
from vqnp.experiments.spec import RunSpec
from vqnp.experiments.tables import Row, Table, column, select
from vqnp.plots import images, style
from vqnp.plots.sweep import by_seed, draw_sweep, seeds_shown
from vqnp.validation import Array

TITLE = "Large codebooks go unused without pretraining"
ABOUT = """
Both arms see the same images, initial weights and number of epochs, with codebooks of growing
size. All numbers are of test images: the plain MSE of pixels in [-0.5, 0.5], and the perplexity of
the codes of the whole test set. The sweep has one seed. Its small, middle and large codebook have
all of them. The gray line is the error of k-means on raw patches of 4 × 4 pixels, which has the
same bits for an image. A codebook above this line is undertrained. The panels in the middle follow
some codebooks step by step, on the same test images at every look.
"""
PANELS = (
    ("mse", "mean squared error (pixels in ±0.5)", "the error"),
    ("perplexity", "perplexity over the test set", "how evenly tokens are used"),
    ("codes_used", "tokens chosen at least once", "how many are used at all"),
    ("token_dimension", "effective dimension of the tokens", "in how many directions they spread"),
)
PATCHES = "k-means on raw 4 × 4 patches"


def arms(plan: ImagesPlan) -> list[tuple[Row, RunSpec]]:
    """Return the runs of the sweep, then those that only the course needs."""
    swept = [
        spec
        for n_tokens in plan.n_tokens
        for seed in (plan.seeds if n_tokens in plan.n_tokens_all_seeds else plan.seeds[:1])
        for spec in baseline_and_pretrained(plan, n_tokens, seed)
    ]
    followed = course.runs(plan)
    return [
        (
            {
                "tokens": spec.quantizer.n_tokens,
                "seed": spec.seed,
                "pretrained": spec.pretrained,
                "followed": spec in followed,
            },
            spec,
        )
        for spec in dict.fromkeys([*swept, *followed])
    ]


def references(plan: ImagesPlan) -> list[PatchCode]:
    """Return a code of raw patches for each codebook size."""
    sizes = sorted({spec.quantizer.n_tokens for _, spec in arms(plan)})
    return [PatchCode(plan.data, size) for size in sizes]


def measured(spec: RunSpec, results: Mapping[Spec, Result]) -> Row:
    """Return the numbers and the course of a run, and the error of raw patches at its bits."""
    patches = results[PatchCode(spec.data, spec.quantizer.n_tokens)]
    course = results[spec].info["course"]
    return {
        **numbers_and_steps(spec, results),
        "patch_mse": patches.numbers["mse"],
        "course": course,
    }


def numbers_and_steps(spec: RunSpec, results: Mapping[Spec, Result]) -> Row:
    """Return the numbers of a run on the test set, and the steps it was trained."""
    result = results[spec]
    return {"steps": result.info["course"][-1]["step"], **result.numbers}


def swept(table: Table) -> list[Row]:
    """Return the rows of the sweep; those that were trained for longer are left out."""
    steps = [row.get("steps", 0) for row in table]  # earlier tables do not name them
    return [row for row, own in zip(table, steps, strict=True) if own == min(steps)]


def claims(plan: ImagesPlan, table: Table) -> list[Claim]:
    """Return the claims of section 3.1.2, the one against pretraining among them, and ours."""
    return [*sweep_claims(plan, swept(table)), *course.claims(plan, table)]


def sweep_claims(plan: ImagesPlan, table: Table) -> list[Claim]:
    """Return the claims of section 3.1.2."""
    small, middle, large = plan.n_tokens_all_seeds
    statements = {
        "small-mse": "With few tokens, pretraining is a slight disadvantage.",
        "large-mse": "With many tokens, pretraining lowers the error.",
        "large-perplexity": "With many tokens, pretraining raises the perplexity.",
        "bottleneck-mse": f"Without pretraining, the error hardly falls beyond {middle} tokens.",
        "bottleneck-perplexity": "Without pretraining, the perplexity hardly grows "
        f"beyond {middle} tokens.",
        "improves-mse": "With pretraining, more tokens go on lowering the error.",
        "improves-perplexity": "With pretraining, more tokens go on raising the perplexity.",
        "more-evident": "The more tokens, the more evident the benefit of pretraining.",
    }
    claim = claim_maker("fig4", statements, seeds=plan.seeds, source="section 3.1.2, Fig. 4")
    after = f"after {table[0]['steps']:,} steps"
    little = f"one part in twenty is little for {large / middle:g} times the tokens"

    def of(quantity: str, n_tokens: int, arm: str) -> list[float]:
        return column(table, quantity.lower(), tokens=n_tokens, pretrained=arm == "with")

    def gain(quantity: str, n_tokens: int) -> dict[str, Any]:
        return {
            "measured": f"{quantity} with / without pretraining, {n_tokens} tokens, {after}",
            "values": ratios(of(quantity, n_tokens, "with"), of(quantity, n_tokens, "without")),
        }

    def growth(quantity: str, arm: str) -> dict[str, Any]:
        return {
            "measured": f"{quantity} {arm} pretraining, {large} / {middle} tokens, {after}",
            "values": ratios(of(quantity, large, arm), of(quantity, middle, arm)),
        }

    return [
        claim("small-mse", **gain("MSE", small), bound=(">", 1)),
        claim("large-mse", **gain("MSE", large), bound=("<", 1)),
        claim("large-perplexity", **gain("perplexity", large), bound=(">", 1)),
        claim("bottleneck-mse", **growth("MSE", "without"), bound=(">", 0.95), because=little),
        claim(
            "bottleneck-perplexity",
            **growth("perplexity", "without"),
            bound=("<", 1.05),
            because=little,
        ),
        claim("improves-mse", **growth("MSE", "with"), bound=("<", 1)),
        claim("improves-perplexity", **growth("perplexity", "with"), bound=(">", 1)),
        claim(
            "more-evident",
            measured=f"MSE with / without pretraining, {large} − {small} tokens, {after}",
            values=differences(gain("MSE", large)["values"], gain("MSE", small)["values"]),
            bound=("<", 0),
        ),
    ]


def draw(plan: ImagesPlan, results: Mapping[Spec, Result], table: Table) -> Any:
    """Draw the numbers of all runs, and the reconstructions of the first seed."""
    arms = {
        f"{spec.quantizer.n_tokens:,} tokens, {name} pretraining": results[spec]
        for n_tokens in plan.n_tokens_all_seeds
        for name, spec in zip(
            ("without", "with"), baseline_and_pretrained(plan, n_tokens, plan.seeds[0]), strict=True
        )
    }
    vectors = plan.sample * EMBEDDINGS_AN_IMAGE
    training = plan.training(plan.epochs, (plan.n_tokens[0], plan.n_tokens[-1]))
    return picture(table, originals_above(arms), vectors, training)


def originals_above(named: dict[str, Result]) -> list[tuple[str, Array]]:
    """Return rows of images: the originals, then the reconstructions of each result."""
    originals = next(iter(named.values()))["originals"]
    made = [(name, result["reconstructions"]) for name, result in named.items()]
    return [("original", originals), *made]


@style.styled
def picture(table: Table, rows: list[tuple[str, Array]], vectors: int, training: str) -> Any:
    """Draw the ``table`` and ``rows`` of (name, images); k-means saw ``vectors`` embeddings."""
    figure, top, middle, bottom = images.below(len(rows), panels=2)
    own, followed = swept(table), course.pairs(table)
    figure.suptitle(headline(own))
    style.note(top, f"{training}\n{beaten(own)}")
    axes = top.subplots(1, len(PANELS))
    draw_sweeps(axes, own, vectors)
    axes[3].set_ylim(0, None)
    style.note(middle, "The course: does the codebook recover by training on?")
    course.draw(middle.subplots(1, len(course.sizes(followed)), squeeze=False)[0], followed)
    images.draw_images(rows, axes=bottom.subplots())
    return figure


def draw_sweeps(axes: Any, table: Table, vectors: int) -> None:
    """Draw the first of ``PANELS`` into ``axes``; k-means saw ``vectors`` embeddings."""
    table = swept(table)
    sizes = sorted({row["tokens"] for row in table})
    for panel, (quantity, name, title) in zip(axes, PANELS, strict=False):
        for pretrained, color, label in style.ARMS:
            runs = by_seed(select(table, pretrained=pretrained), "tokens", quantity)
            named = label if panel is axes[1] else ""
            draw_sweep(*runs, color=color, label=named, first=True, axes=panel)
        panel.set(title=title, xlabel="tokens in the codebook", ylabel=name)
        if quantity in ("perplexity", "codes_used"):
            panel.semilogy(sizes, sizes, base=2, label="all tokens, evenly", **style.GUIDE)
        if sizes[0] <= vectors <= sizes[-1]:
            panel.axvline(vectors, label="vectors k-means saw", **style.GUIDE | {"linestyle": "--"})
    if "patch_mse" in table[0]:  # earlier tables do not have it
        patches = [column(table, "patch_mse", tokens=size)[0] for size in sizes]
        axes[0].plot(sizes, patches, "s-", markersize=3, color=style.DATA, label=PATCHES)
        axes[0].legend(fontsize=7)
    axes[0].set_yscale("log")
    plain_numbers(axes[0].yaxis)
    lines = f"lines: {seeds_shown(table)}"
    axes[1].legend(loc="upper left", fontsize=7, title=lines, title_fontsize=7)


def headline(table: Table) -> str:
    """Say how many evenly used tokens the largest codebook is worth, and after how many steps."""
    largest = max(row["tokens"] for row in table)
    without, with_ = (
        np.median(column(table, "perplexity", tokens=largest, pretrained=pretrained))
        for pretrained in (False, True)
    )
    return (
        f"After {table[0]['steps']:,} steps, {largest:,} tokens are worth {without:,.0f} evenly "
        f"used ones without pretraining, and {with_:,.0f} with it"
    )


def beaten(table: Table) -> str:
    """Say for which codebooks k-means on raw patches has the lower error, the first seed's runs."""
    seed, parts = table[0]["seed"], []
    for pretrained, _, label in style.ARMS:
        rows = sorted(select(table, seed=seed, pretrained=pretrained), key=lambda r: r["tokens"])
        lost = [row["tokens"] for row in rows if row["mse"] > row["patch_mse"]]
        from_there_on = lost == [row["tokens"] for row in rows][-len(lost) :]
        where = (
            "at no size"
            if not lost
            else f"from {lost[0]:,} tokens on"
            if from_there_on
            else f"at {', '.join(f'{size:,}' for size in lost)} tokens"
        )
        parts.append(f"{where} {label}")
    return f"The codebook loses to k-means on raw patches {' and '.join(parts)}."


def plain_numbers(axis: Any) -> None:
    """Write ticks of a logarithmic axis as decimals; errors span too little for powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    axis.set_major_locator(LogLocator(subs=(1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(LogLocator(subs=()))
