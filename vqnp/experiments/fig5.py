"""Figure 5: embeddings collapse when the encoder is too small; the decoder keeps its 32 hidden units throughout.

Without pretraining, as in the paper. Beyond the figure: the sweep of widths in between, and the paper's own suggestion, one more
layer before the quantizer, of the small encoder's width and of the large one's.
"""

from typing import Any

from vqnp.experiments.claims import Claim, difference, ratio
from vqnp.experiments.fig3 import mean_squared_error
from vqnp.experiments.plans import Plan, Results, arm
from vqnp.experiments.spec import Setting

TITLE = "A small encoder merges the modes, and decodes outside the data"
SMALL, LARGE = 4, 32


def encoder(plan: Plan, seed: int, hidden: int, extra: int | None = None) -> Setting:
    """Return the 2 → 1 baseline with an encoder of ``hidden`` units, and perhaps an ``extra`` layer before the tokens."""
    return arm(
        plan, plan.clusters(2), 1, seed, pretrained=False, encoder_hidden=hidden, extra=extra
    )


def encoders(plan: Plan) -> list[tuple[int, int | None]]:
    """Return the encoders compared: (hidden units, width of the extra layer or ``None``)."""
    widths = sorted({SMALL, LARGE, *plan.widths})
    return [(width, None) for width in widths] + [(SMALL, SMALL), (SMALL, LARGE)]


def settings(plan: Plan) -> list[Setting]:
    """Return every encoder for every seed."""
    return [encoder(plan, seed, *sizes) for sizes in encoders(plan) for seed in plan.seeds]


def numbers(plan: Plan, results: Results) -> list[dict[str, Any]]:
    """Return, for every encoder and seed, the diagnosis at the end."""
    return [
        {
            "hidden": setting.encoder_hidden,
            "extra": setting.extra,
            "seed": setting.seed,
            "mse": mean_squared_error(setting, results),
            **results[setting].diagnosis,
        }
        for setting in settings(plan)
    ]


def claims(plan: Plan, results: Results) -> list[Claim]:
    """Return the claims of section 3.2 on synthetic data, and what one more layer does."""
    table = numbers(plan, results)

    def of(name: str, hidden: int, extra: int | None = None) -> list[float]:
        return [row[name] for row in table if (row["hidden"], row["extra"]) == (hidden, extra)]

    def claim(
        id: str,
        statement: str,
        quantity: str,
        values: Any,
        side: Any,
        limit: float,
        why: str,
        source: str,
    ) -> Claim:
        return Claim(
            f"fig5-{id}",
            "fig5",
            statement,
            source,
            quantity,
            tuple(values),
            side,
            limit,
            why,
            plan.seeds,
        )

    paper, beyond = "section 3.2, Fig. 5", "section 3.2, last sentence; tested beyond the paper"
    chance = "1 % of new points of the same distribution would count as outside"
    direction = "the paper names a direction and no size"
    return [
        claim("merged", "With 4 hidden units most peaks of the embeddings are merged.", "modes of the embeddings, 4 units",
              of("embedding_modes", SMALL), "<=", 5, "most of ten peaks merged leaves at most five", paper),
        claim("differentiated", "With 32 hidden units the embeddings are more clearly differentiated.",
              "modes of the embeddings, 32 − 4 units",
              difference(of("embedding_modes", LARGE), of("embedding_modes", SMALL)), ">", 0, direction, paper),
        claim("tokens-outside", "With 4 hidden units part of the tokens lie outside the embeddings' distribution.",
              "share of tokens outside the embeddings, 4 units", of("tokens_outside", SMALL), ">", 0.01, chance, paper),
        claim("reconstruction-outside", "With 4 hidden units the reconstruction falls outside the data in part.",
              "share of reconstructions outside the data, 4 units", of("reconstruction_outside", SMALL), ">", 0.01, chance, paper),
        claim("reconstruction-inside", "With 32 hidden units no reconstruction falls outside the data.",
              "share of reconstructions outside the data, 32 units", of("reconstruction_outside", LARGE), "<=", 0.01, chance, paper),
        claim("mse", "A small encoder reconstructs worse.", "MSE, 4 / 32 units", ratio(of("mse", SMALL), of("mse", LARGE)), ">", 1,
              direction, paper),
        claim("layer-narrow", "One more layer of 4 units before the quantizer mends the small encoder.",
              "MSE, 4 units with / without the layer", ratio(of("mse", SMALL, SMALL), of("mse", SMALL)), "<", 1, direction, beyond),
        claim("layer-wide", "One more layer of 32 units before the quantizer mends the small encoder.",
              "MSE, 4 units with / without the layer", ratio(of("mse", SMALL, LARGE), of("mse", SMALL)), "<", 1, direction, beyond),
    ]  # fmt: skip
