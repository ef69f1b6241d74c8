"""Beyond the paper: every quantizer on the same data at the same bits, in one table.

``table_plan.py`` says what is run, ``methods.py`` has the rows, ``method_numbers.py`` their numbers
and ``table_claims.py`` what their sources claim. ``table_page.py`` makes the table of the page.
"""

import math
from collections.abc import Mapping
from operator import itemgetter
from typing import Any

import numpy as np

from vqnp.experiments.fig4 import plain_numbers
from vqnp.experiments.patch_code import PatchCode, PrincipalPatchCode
from vqnp.experiments.plans import EMBEDDINGS_AN_IMAGE
from vqnp.experiments.run import Result, Spec
from vqnp.experiments.spec import RunSpec
from vqnp.experiments.table_claims import claims
from vqnp.experiments.table_page import section, summary
from vqnp.experiments.table_plan import Case, TablePlan
from vqnp.experiments.tables import Row, Table, select
from vqnp.networks import ConvSettings
from vqnp.plots import style

__all__ = ["ABOUT", "TITLE", "arms", "claims", "draw", "measured", "references", "section"]

TITLE = "Quantizers side by side, at equal bits"
ABOUT = """
Beyond the paper. Every row has the same encoder, decoder, data, seeds, order of batches and steps
as all others. A method with a latent width of its own is given it by the encoder's last layer,
which in dVAE and EdVAE has a logit for every code. A row with a start on embeddings is run with and
without pretraining. All errors are those of reconstructions from the codes alone. K-means on raw
patches has the same bits an image, and needs no network. A row with a higher error loses to it.
"""
PATCHES = (
    ("patches", "k-means, raw patches", PatchCode),
    ("components", "k-means, PCA of patches", PrincipalPatchCode),
)
CODECS = tuple(key for key, _, _ in PATCHES)  # what is trained by no gradient
PATCH_NUMBERS = 48  # of a patch of 4 × 4 pixels


def arms(plan: TablePlan) -> list[tuple[Row, Spec]]:
    """Return the runs of every row that exists, images first, then the codes of raw patches."""
    made: list[tuple[Row, Spec]] = []
    for case in plan.cases:
        for bits, seed in sizes(plan, case):
            for method in plan.rows:
                for pretrained in method.arms if bits == case.bits or method.large else ():
                    spec = plan.run(method, case, bits, seed, pretrained=pretrained)
                    if spec is not None:
                        row = facts(case, method.key, method.name, bits, seed, pretrained)
                        made.append((row, spec))
    images = plan.cases[0]
    return made + [
        (facts(images, key, name, bits, seed, False), kind(images.data, 1 << bits, seed))
        for key, name, kind in PATCHES
        for bits, seed in sizes(plan, images)
    ]


def facts(case: Case, key: str, name: str, bits: int, seed: int, pretrained: bool) -> Row:
    """Return what is known of a run beforehand; it is ``main`` at the bits that all rows have."""
    return {
        "case": case.key,
        "method": key,
        "name": name,
        "nominal_bits": bits,
        "main": bits == case.bits,
        "pretrained": pretrained,
        "seed": seed,
    }


def sizes(plan: TablePlan, case: Case) -> list[tuple[int, int]]:
    """Return the bits and seeds of a case: all seeds at its own bits, the first at others."""
    seeds = plan.seeds(case)
    large = plan.bits_large if case.data_dim is None else ()
    return [(case.bits, seed) for seed in seeds] + [(bits, seeds[0]) for bits in large]


def references(plan: TablePlan) -> list[PatchCode]:
    """Return a code of raw patches for every size on images, and those of the curve."""
    data = plan.images.data
    sized = [
        spec.quantizer.n_tokens
        for facts, spec in arms(plan)
        if isinstance(spec, RunSpec) and facts["case"] == "images"
    ]
    return [PatchCode(data, n) for n in sorted({*sized, *(1 << bits for bits in plan.curve)})]


def on_images(spec: Spec) -> bool:
    """Tell whether ``spec`` trains a model on images."""
    return isinstance(spec, RunSpec) and isinstance(spec.sizes, ConvSettings)


def measured(spec: Spec, results: Mapping[Spec, Result]) -> Row:
    """Return the numbers of a run, and on images those beside raw patches at its bits.

    A run that diverged has the reason in their place.
    """
    numbers = dict(results[spec].numbers)
    if isinstance(spec, PatchCode):
        numbers |= patch_facts(spec, numbers)
    if "diverged" in numbers:
        return numbers
    numbers["used_share"] = numbers["codes_used"] / numbers["tokens"]
    if on_images(spec) or isinstance(spec, PatchCode):
        patch_mse = results[PatchCode(spec.data, numbers["tokens"])].numbers["mse"]
        numbers |= {"patch_mse": patch_mse, "mse_over_patches": numbers["mse"] / patch_mse}
    if isinstance(spec, RunSpec):
        numbers["epochs"] = spec.pretrain + spec.finetune
        if on_images(spec):
            numbers["epochs_to_beat"] = epochs_to_beat(spec, results[spec], patch_mse)
    return numbers


def patch_facts(spec: PatchCode, numbers: Row) -> Row:
    """Return what a trained row has, too: bits, shares and the numbers that are stored."""
    dim = spec.components if isinstance(spec, PrincipalPatchCode) else PATCH_NUMBERS
    basis = (dim + 1) * PATCH_NUMBERS if isinstance(spec, PrincipalPatchCode) else 0
    return {
        "tokens": spec.n_tokens,
        "token_dim": dim,
        "bits": math.log2(spec.n_tokens),
        "entropy_bits": math.log2(numbers["perplexity"]),
        "embeddings_an_example": EMBEDDINGS_AN_IMAGE,
        "perplexity_share": numbers["perplexity"] / spec.n_tokens,
        "parameters": spec.n_tokens * dim + basis,
    }


def epochs_to_beat(spec: RunSpec, result: Result, patch_mse: float) -> float | None:
    """Return the epochs until the error of the course is below that of raw patches."""
    an_epoch = math.ceil(spec.data.train / spec.train.batch_size)  # type: ignore[attr-defined]
    for look in result.info["course"]:
        if look["mse"] < patch_mse:
            return float(look["step"] / an_epoch)
    ended = not spec.finetune and result.numbers["mse"] < patch_mse  # it has no course
    return float(spec.pretrain) if ended else None


def draw(plan: TablePlan, results: Mapping[Spec, Result], table: Table) -> Any:
    """Draw error against bits, and error and perplexity of every row."""
    curve = [(1 << bits, results[PatchCode(plan.images.data, 1 << bits)]) for bits in plan.curve]
    return picture(plan, table, [(n, code.numbers) for n, code in curve])


@style.styled
def picture(plan: TablePlan, table: Table, curve: list[tuple[int, Row]]) -> Any:
    """Draw the ``table``, and the ``curve`` of codes of raw patches, by their tokens."""
    rows = [row for row in summary(table) if row["main"] and row["mse"] is not None]
    names = list(dict.fromkeys(row["name"] for row in rows))
    figure = style.blank(14, 7.6 + 0.17 * len(names))
    figure.suptitle(headline(rows))
    top, bottom = figure.subfigures(2, 1, height_ratios=[4.6, 2.6 + 0.17 * len(names)])
    every = [row for row in summary(table) if row["case"] == "images" and row["mse"] is not None]
    for axes, bits, title in zip(
        top.subplots(1, 2, sharey=True),
        ("bits_an_image", "entropy_an_image"),
        ("bits of the codes, all tokens alike", "entropy of the codes"),
        strict=True,
    ):
        draw_rates(axes, every, curve, bits)
        axes.set(title=f"Error against rate: {title}", xlabel="bits an image")
    figure.axes[0].set_ylabel("mean squared error from codes")
    panels = bottom.subplots(1, 1 + len(plan.cases), sharey=True)
    draw_rows(panels[0], select(rows, case="images"), names, "mse_over_patches")
    panels[0].axvline(1, **style.GUIDE)
    panels[0].set(title="images: error / raw k-means", xscale="log")
    plain_numbers(panels[0].xaxis)
    for axes, case in zip(panels[1:], plan.cases, strict=True):
        draw_rows(axes, select(rows, case=case.key), names, "perplexity_share")
        axes.set(title=f"{case.name}: perplexity / tokens", xlim=(-0.02, 1.02))
    panels[0].set_yticks(range(len(names)), names, fontsize=7)
    panels[0].set_ylim(len(names) - 0.5, -0.5)
    panels[0].legend(fontsize=7, loc="best")
    return figure


def draw_rates(axes: Any, rows: list[Row], curve: list[tuple[int, Row]], rate: str) -> None:
    """Draw the error of every row against its bits an image, and the curve of raw patches."""
    fixed = rate == "bits_an_image"
    bits = [math.log2(n if fixed else code["perplexity"]) for n, code in curve]
    rates, errors = EMBEDDINGS_AN_IMAGE * np.array(bits), [code["mse"] for _, code in curve]
    axes.plot(rates, errors, "s-", color=style.DATA, markersize=3, label=PATCHES[0][1])
    trained = [row for row in rows if row["method"] not in CODECS]
    groups = [(select(trained, pretrained=arm), color, label) for arm, color, label in style.ARMS]
    components = (select(rows, method="components"), style.TOKEN, PATCHES[1][1])
    for own, color, label in [*groups, components]:
        x, y = ([row[name] for row in own] for name in (rate, "mse"))
        axes.plot(x, y, "o", color=color, alpha=0.6, markersize=4, label=label)
    for row in extremes(trained) if not fixed else []:
        at = row[rate], row["mse"]
        axes.annotate(row["name"], at, fontsize=6.5, xytext=(3, 3), textcoords="offset points")
    axes.set_yscale("log")
    plain_numbers(axes.yaxis)
    axes.legend(fontsize=7)


def extremes(rows: list[Row]) -> list[Row]:
    """Return the rows that a reader looks for: least and greatest of error and of entropy."""
    found = [
        end(rows, key=itemgetter(by))
        for by in ("mse", "entropy_bits")
        for end in (min, max)
        if rows
    ]
    return list({row["name"]: row for row in found}.values())


def draw_rows(axes: Any, rows: list[Row], names: list[str], quantity: str) -> None:
    """Draw a dot for each arm of each of ``names``, with a line over its seeds."""
    arms = [(select(rows, pretrained=arm), color, label) for arm, color, label in style.ARMS]
    codecs = [row for row in rows if row["method"] in CODECS]
    for some, color, label in [*arms, (codecs, style.DATA, "")]:  # gray ones lie on top
        own = [row for row in some if row[quantity] is not None]
        places = [names.index(row["name"]) for row in own]
        axes.plot([row[quantity] for row in own], places, "o", color=color, markersize=4.5,
                  label=label or None)  # fmt: skip
        lows, highs = ([row["ranges"][quantity][end] for row in own] for end in (0, 1))
        axes.hlines(places, lows, highs, color=color, linewidth=1)
    axes.grid(axis="y", linewidth=0.3)


def headline(rows: list[Row]) -> str:
    """Say how many rows beat raw k-means, and how far apart their perplexities are."""
    own = [row for row in select(rows, case="images") if row["method"] not in CODECS]
    beat = sum(row["mse_over_patches"] < 1 for row in own)
    shares = [row["perplexity_share"] for row in own] or [0.0]
    return (
        f"{beat} of {len(own)} rows beat k-means on raw patches; their perplexity is from "
        f"{min(shares):.0%} to {max(shares):.0%} of the tokens"
    )
