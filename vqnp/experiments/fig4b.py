"""Figure 4b, beyond the paper: three causes that leave a large codebook unused, one at a time."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vqnp.experiments.claims import Claim, claim_maker, ratios
from vqnp.experiments.fig4 import numbers_and_steps
from vqnp.experiments.plans import ImagesPlan
from vqnp.experiments.run import Result, Spec
from vqnp.experiments.spec import RunSpec
from vqnp.experiments.tables import Row, Table, column, median, select
from vqnp.plots import style
from vqnp.quantize.codebook import DIALECTS, Dialect

TITLE = "The encoder, the sample for k-means and the moving averages, each on its own"
ABOUT = """
Beyond the paper. The paper's baseline differs from its remedy in the encoder that the codebook is
initialized on. There are two other suspects. A first batch may hold fewer vectors than there are
tokens, and some dialects (variants) of the moving averages drive unused tokens away. Here each of
the three is changed alone, from the baseline and from the remedy: the encoder, the number of images
that k-means sees, the dialect.
"""
COLUMNS = (
    ("perplexity", "perplexity over the test set", "{:.0f}"),
    ("codes_used", "tokens chosen at least once", "{:.0f}"),
    ("mse", "mean squared error", "{:.4f}"),
)


@dataclass(frozen=True)
class Change:
    """One change beside the encoder: more images for k-means, or the ``dialect``."""

    more_images: bool = False
    dialect: Dialect = "paper"

    def name(self, plan: ImagesPlan) -> str:
        """Say it in words."""
        if self.more_images:
            return f"k-means on {plan.sample_fig4b} images"
        return "paper" if self.dialect == "paper" else f"dialect {self.dialect}"


NOTHING, MORE_IMAGES = Change(), Change(more_images=True)
OTHER_DIALECTS = tuple(Change(dialect=dialect) for dialect in DIALECTS if dialect != "paper")
STATEMENTS = {
    "encoder": "pretraining alone, the rest kept, raises the perplexity.",
    "sample": "more images for k-means alone, the encoder untrained, raise the perplexity.",
    "encoder-first": "pretraining raises it more than more images for k-means do.",
} | {
    dialect: f"the dialect {dialect} alone, the encoder pretrained, costs half the perplexity."
    for dialect in DIALECTS
}


def arms(plan: ImagesPlan) -> list[tuple[Row, RunSpec]]:
    """Return every arm, a run of Figure 4 with one change, at every codebook size and seed."""
    return [
        (
            {
                "change": change.name(plan),
                "sample": sample,
                "dialect": change.dialect,
                "tokens": n_tokens,
                "seed": seed,
                "pretrained": pretrained,
            },
            plan.run(n_tokens, seed, pretrained=pretrained, sample=sample, dialect=change.dialect),
        )
        for n_tokens in plan.n_tokens_fig4b
        for pretrained in (False, True)
        for change in (NOTHING, MORE_IMAGES, *OTHER_DIALECTS)
        for sample in [plan.sample_fig4b if change.more_images else plan.sample]
        for seed in plan.seeds_fig4b
    ]


def measured(spec: RunSpec, results: Mapping[Spec, Result]) -> Row:
    """Return the numbers of a run on the test set, and the steps it was trained."""
    return numbers_and_steps(spec, results)


def claims(plan: ImagesPlan, table: Table) -> list[Claim]:
    """Return the claims on the perplexity at each codebook size."""
    return [
        claim
        for n_tokens in plan.n_tokens_fig4b
        for claim in claims_at(plan, select(table, tokens=n_tokens), n_tokens)
    ]


def claims_at(plan: ImagesPlan, rows: Table, n_tokens: int) -> list[Claim]:
    """Return the claims for one codebook size."""
    claim = claim_maker(
        "fig4b",
        STATEMENTS,
        seeds=plan.seeds_fig4b,
        source="beyond the paper",
        key=f"{n_tokens}-",
        about=f"{n_tokens} tokens: ",
    )

    def perplexity(change: Change, *, pretrained: bool) -> list[float]:
        return column(rows, "perplexity", change=change.name(plan), pretrained=pretrained)

    baseline = perplexity(NOTHING, pretrained=False)
    remedy = perplexity(NOTHING, pretrained=True)
    by_encoder = ratios(remedy, baseline)
    by_images = ratios(perplexity(MORE_IMAGES, pretrained=False), baseline)
    return [
        claim(
            "encoder",
            measured="perplexity with / without pretraining",
            values=by_encoder,
            bound=(">", 1),
            because="1 is no change",
        ),
        claim(
            "sample",
            measured=f"perplexity with k-means on {plan.sample_fig4b} / {plan.sample} images",
            values=by_images,
            bound=(">", 1),
            because="1 is no change",
        ),
        claim(
            "encoder-first",
            measured="gain by pretraining / gain by images",
            values=ratios(by_encoder, by_images),
            bound=(">", 1),
            because="1 is where both do as much",
        ),
        *(
            claim(
                change.dialect,
                measured=f"perplexity with {change.dialect} / paper",
                values=ratios(perplexity(change, pretrained=True), remedy),
                bound=("<", 0.5),
                because="half of it is more than seeds differ by",
            )
            for change in OTHER_DIALECTS
        ),
    ]


@style.styled
def draw(plan: ImagesPlan, results: Mapping[Spec, Result], table: Table) -> Any:
    """Draw a line of panels for each codebook size: a row of bars a change."""
    sizes = sorted({row["tokens"] for row in table})
    figure, axes = style.new_figure(len(sizes), len(COLUMNS), 14, 0.6 + 3.6 * len(sizes))
    figure.suptitle(headline(select(table, tokens=sizes[-1])))
    training = plan.training(plan.epochs, plan.n_tokens_fig4b)
    figure.supxlabel(training, fontsize=8.5, color=style.INK)
    for line, size in zip(axes, sizes, strict=True):
        for panel, (quantity, name, text) in zip(line, COLUMNS, strict=True):
            bars(panel, select(table, tokens=size), quantity, text)
            panel.set_xlabel(name)
        for panel in line[1:]:
            panel.set_yticklabels([])
        line[0].set_title(f"codebook of {size:,} tokens", loc="left")
    axes[0, -1].legend(
        ncols=2,
        fontsize=8,
        title="bars and numbers: medians; dots: seeds",
        loc="upper left",
        bbox_to_anchor=(0, 1.2),
    )
    return figure


def headline(table: Table) -> str:
    """Say what each cause does to the perplexity; the first row has no change."""
    nothing = table[0]
    sample = next(row["change"] for row in table if row["sample"] != nothing["sample"])
    start, images, encoder = (
        median(table, "perplexity", change=change, pretrained=pretrained)
        for change, pretrained in (
            (nothing["change"], False),
            (sample, False),
            (nothing["change"], True),
        )
    )
    return (
        f"Perplexity {start:.0f} of {nothing['tokens']:,} after {nothing['steps']:,} steps: more "
        f"images for k-means make it {images:.0f}, pretraining {encoder:.0f}"
    )


def bars(axes: Any, table: Table, quantity: str, text: str) -> None:
    """Draw ``quantity`` for each change and arm: the median as a bar, and a dot for each seed."""
    changes = list(dict.fromkeys(row["change"] for row in table))
    beside = {"xytext": (6, 0), "textcoords": "offset points", "va": "center", "fontsize": 7}
    for shift, (pretrained, color, label) in zip((-0.2, 0.2), style.ARMS, strict=True):
        for i, change in enumerate(changes):
            values = column(table, quantity, change=change, pretrained=pretrained)
            middle = median(table, quantity, change=change, pretrained=pretrained)
            axes.barh(
                i + shift,
                middle,
                height=0.36,
                color=color,
                alpha=0.75,
                label=None if i else label,
            )
            if len(values) > 1:
                axes.plot(values, [i + shift] * len(values), ".", color="#333333", markersize=3)
            axes.annotate(text.format(middle), (max(values), i + shift), **beside)
    axes.set_yticks(
        range(len(changes)),
        ["nothing else" if change == "paper" else change for change in changes],
    )
    axes.invert_yaxis()
    axes.margins(x=0.12)
