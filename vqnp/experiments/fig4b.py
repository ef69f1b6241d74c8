"""Figure 4b: which of three causes leaves a large codebook unused?

Beyond the paper. Its baseline differs from its remedy in the encoder that the codebook is initialized on; but a first batch may hold
fewer vectors than there are tokens, and some ways of keeping the moving averages drive unused tokens away. Here each of the
three is changed alone, from the baseline and from the remedy: the encoder, the number of images that k-means sees, the dialect of the
averages.
"""

from dataclasses import dataclass
from typing import Any

from vqnp.experiments.claims import Claim, ratio
from vqnp.experiments.image_setting import ImageSetting
from vqnp.experiments.images import ImagePlan, ImageResults, arm, row_of
from vqnp.quantize.ema import DIALECTS, Dialect

TITLE = "The encoder, the sample for k-means and the moving averages, each on its own"


@dataclass(frozen=True)
class Change:
    """What is changed beside the encoder: ``many`` images for k-means, or the ``dialect`` of the moving averages."""

    many: bool = False
    dialect: Dialect = "paper"

    def name(self, plan: ImagePlan) -> str:
        """Say it in words."""
        if self.many:
            return f"k-means on {plan.many} images"
        return "paper" if self.dialect == "paper" else f"dialect {self.dialect}"


CHANGES = (
    Change(),
    Change(many=True),
    *(Change(dialect=dialect) for dialect in DIALECTS if dialect != "paper"),
)


def setting(
    plan: ImagePlan, change: Change, tokens: int, seed: int, pretrained: bool
) -> ImageSetting:
    """Return one arm of the table."""
    sample = plan.many if change.many else None
    return arm(plan, tokens, seed, pretrained=pretrained, sample=sample, dialect=change.dialect)


def arms(plan: ImagePlan) -> list[tuple[Change, ImageSetting]]:
    """Return every arm at every codebook size, for every seed."""
    return [
        (change, setting(plan, change, tokens, seed, pretrained))
        for tokens in plan.confounds
        for pretrained in (False, True)
        for change in CHANGES
        for seed in plan.confound_seeds
    ]


def settings(plan: ImagePlan) -> list[ImageSetting]:
    """Return every run."""
    return [run for _, run in arms(plan)]


def numbers(plan: ImagePlan, results: ImageResults) -> list[dict[str, Any]]:
    """Return, for every arm and seed, what was changed and what was measured on the test set."""
    return [
        {
            "change": change.name(plan),
            "sample": run.sample,
            "dialect": run.quantizer.dialect,
            **row_of(run, results),
        }
        for change, run in arms(plan)
    ]


def claims(plan: ImagePlan, results: ImageResults) -> list[Claim]:
    """Return what each change does to the perplexity at each codebook size."""
    return [claim for tokens in plan.confounds for claim in claims_at(plan, results, tokens)]


def claims_at(plan: ImagePlan, results: ImageResults, tokens: int) -> list[Claim]:
    """Return the claims for one codebook size."""
    seeds = plan.confound_seeds

    def perplexity(change: Change, pretrained: bool) -> list[float]:
        return [
            results[setting(plan, change, tokens, seed, pretrained)].numbers["perplexity"]
            for seed in seeds
        ]

    def claim(
        id: str, statement: str, quantity: str, values: Any, side: Any, limit: float, why: str
    ) -> Claim:
        named = f"{tokens} tokens: {statement}"
        return Claim(
            f"fig4b-{tokens}-{id}",
            "fig4b",
            named,
            "beyond the paper",
            quantity,
            values,
            side,
            limit,
            why,
            seeds,
        )

    same, many = Change(), Change(many=True)
    encoder = ratio(perplexity(same, True), perplexity(same, False))
    sample = ratio(perplexity(many, False), perplexity(same, False))
    made = [
        claim("encoder", "pretraining alone, the rest kept, raises the perplexity.", "perplexity with / without pretraining",
              encoder, ">", 1, "1 is no change"),
        claim("sample", "more images for k-means alone, the encoder untrained, raise the perplexity.",
              f"perplexity with k-means on {plan.many} / {plan.sample} images", sample, ">", 1, "1 is no change"),
        claim("encoder-first", "pretraining raises it more than more images for k-means do.",
              "gain by pretraining / gain by images", ratio(encoder, sample), ">", 1, "1 is where both do as much"),
    ]  # fmt: skip
    for change in CHANGES[2:]:
        values = ratio(perplexity(change, True), perplexity(same, True))
        made.append(
            claim(change.dialect, f"the dialect {change.dialect} alone, the encoder pretrained, costs half the perplexity.",
                  f"perplexity with {change.dialect} / paper", values, "<", 0.5, "half of it is more than seeds differ by")
        )  # fmt: skip
    return made
