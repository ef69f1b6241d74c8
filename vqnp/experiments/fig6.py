"""Figure 6: on images too, a small encoder reconstructs worse; the decoder keeps its width throughout.

Without pretraining, as in the paper. A residual block is half as wide inside as the encoder around it. The encoders between the
widest and the narrowest have one seed, those two as many as the plan gives them.
"""

from typing import Any

from vqnp.experiments.claims import Claim, ratio
from vqnp.experiments.image_setting import ImageSetting
from vqnp.experiments.images import ImagePlan, ImageResults, encoder, row_of

TITLE = "A small encoder loses what no decoder can bring back"


def settings(plan: ImagePlan) -> list[ImageSetting]:
    """Return every encoder for its seeds."""
    return [
        encoder(plan, channels, seed)
        for channels in plan.channels
        for seed in plan.seeds_at(channels)
    ]


def first(plan: ImagePlan, channels: int) -> ImageSetting:
    """Return the run of an encoder with the first seed."""
    return encoder(plan, channels, plan.encoder_seeds[0])


def numbers(plan: ImagePlan, results: ImageResults) -> list[dict[str, Any]]:
    """Return, for every encoder and seed, what was measured on the test set."""
    return [{"channels": run.sizes.encoder_width, **row_of(run, results)} for run in settings(plan)]


def claims(plan: ImagePlan, results: ImageResults) -> list[Claim]:
    """Return the claims of section 3.2 on images."""
    table = numbers(plan, results)
    large, small = plan.channels[0], plan.channels[-1]
    first = plan.encoder_seeds[:1]
    sweep = [row["mse"] for row in table if row["seed"] == first[0]]

    def of(name: str, channels: int) -> list[float]:
        return [row[name] for row in table if row["channels"] == channels]

    direction = "the paper names a direction and no size"
    source = "section 3.2, Fig. 6"
    return [
        Claim("fig6-mse", "fig6", "Insufficient capacity of the encoder increases the error.", source,
              f"MSE, {small} / {large} channels", ratio(of("mse", small), of("mse", large)), ">", 1, direction,
              plan.encoder_seeds),
        Claim("fig6-every-step", "fig6", "Every step down in the encoder's width increases the error.", source,
              "smallest ratio of a width's MSE to the next wider one's", (min(ratio(sweep[1:], sweep[:-1])),), ">", 1,
              direction, first),
        Claim("fig6-rank", "fig6", "The embeddings of a small encoder collapse into fewer directions.",
              "section 3.2; measured beyond the paper", f"effective rank of the embeddings, {small} / {large} channels",
              ratio(of("embedding_rank", small), of("embedding_rank", large)), "<", 0.5,
              "half of the directions is the least that can be called a collapse; two channels have a rank of two at most, "
              "so this fails only if the wide encoder's is below four", plan.encoder_seeds),
    ]  # fmt: skip
