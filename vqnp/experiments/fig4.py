"""Figure 4: on images, the larger the codebook the more it matters what it was initialized on.

Both arms see the same images, initial weights and number of epochs, over codebooks of growing size. All numbers are of test images:
the plain MSE of pixels in [-0.5, 0.5], and the perplexity of the codes of the whole test set. The sweep has one seed, its small,
middle and large codebook all of them.
"""

from typing import Any

from vqnp.experiments.claims import Claim, difference, ratio
from vqnp.experiments.image_setting import ImageSetting
from vqnp.experiments.images import ImagePlan, ImageResults, arm, row_of

TITLE = "Large codebooks go unused without pretraining"


def arms(plan: ImagePlan, tokens: int, seed: int) -> tuple[ImageSetting, ImageSetting]:
    """Return the setting without and the one with pretraining."""
    baseline, pretrained = (arm(plan, tokens, seed, pretrained=p) for p in (False, True))
    return baseline, pretrained


def settings(plan: ImagePlan) -> list[ImageSetting]:
    """Return both arms of every codebook size, for its seeds."""
    return [
        s
        for tokens in plan.tokens
        for seed in plan.seeds_of(tokens)
        for s in arms(plan, tokens, seed)
    ]


def numbers(plan: ImagePlan, results: ImageResults) -> list[dict[str, Any]]:
    """Return, for every codebook size, seed and arm, what was measured on the test set."""
    return [row_of(setting, results) for setting in settings(plan)]


def claims(plan: ImagePlan, results: ImageResults) -> list[Claim]:
    """Return the claims of section 3.1.2, the one against pretraining among them."""
    table = numbers(plan, results)
    small, middle, large = plan.ends
    source = "section 3.1.2, Fig. 4"
    direction = "the paper names a direction and no size"
    little = f"one part in twenty is little for {large / middle:g} times the tokens"

    def of(name: str, tokens: int, pretrained: bool) -> list[float]:
        return [
            row[name] for row in table if (row["tokens"], row["pretrained"]) == (tokens, pretrained)
        ]

    def gain(name: str, tokens: int) -> tuple[float, ...]:
        return ratio(of(name, tokens, True), of(name, tokens, False))

    def growth(name: str, pretrained: bool) -> tuple[float, ...]:
        return ratio(of(name, large, pretrained), of(name, middle, pretrained))

    def claim(
        id: str, statement: str, quantity: str, values: Any, side: Any, limit: float, why: str
    ) -> Claim:
        return Claim(
            f"fig4-{id}", "fig4", statement, source, quantity, values, side, limit, why, plan.seeds
        )

    return [
        claim("small-mse", "With few tokens, pretraining is a slight disadvantage.",
              f"MSE with / without pretraining, {small} tokens", gain("mse", small), ">", 1, direction),
        claim("large-mse", "With many tokens, pretraining lowers the error.",
              f"MSE with / without pretraining, {large} tokens", gain("mse", large), "<", 1, direction),
        claim("large-perplexity", "With many tokens, pretraining raises the perplexity.",
              f"perplexity with / without pretraining, {large} tokens", gain("perplexity", large), ">", 1, direction),
        claim("bottleneck-mse", f"Without pretraining, the error hardly falls beyond {middle} tokens.",
              f"MSE without pretraining, {large} / {middle} tokens", growth("mse", False), ">", 0.95, little),
        claim("bottleneck-perplexity", f"Without pretraining, the perplexity hardly grows beyond {middle} tokens.",
              f"perplexity without pretraining, {large} / {middle} tokens", growth("perplexity", False), "<", 1.05, little),
        claim("improves-mse", "With pretraining, more tokens go on lowering the error.",
              f"MSE with pretraining, {large} / {middle} tokens", growth("mse", True), "<", 1, direction),
        claim("improves-perplexity", "With pretraining, more tokens go on raising the perplexity.",
              f"perplexity with pretraining, {large} / {middle} tokens", growth("perplexity", True), ">", 1, direction),
        claim("more-evident", "The more tokens, the more evident the benefit of pretraining.",
              f"MSE with / without pretraining, {large} − {small} tokens", difference(gain("mse", large), gain("mse", small)),
              "<", 0, direction),
    ]  # fmt: skip
