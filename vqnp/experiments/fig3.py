"""Figure 3: tokens collapse without pretraining, and what pretraining does about it.

Each row is a data set; its two arms differ in the schedule alone: fine-tuning from the start (the baseline), or half of the
epochs as an autoencoder first. Both see the same data, initial weights and number of epochs.
"""

from dataclasses import dataclass
from typing import Any

from vqnp.experiments.claims import Claim, difference, ratio
from vqnp.experiments.plans import Plan, Results, arm
from vqnp.experiments.spec import Digits, Setting, Source

TITLE = "Tokens collapse without pretraining, and spread with it"


@dataclass(frozen=True)
class Row:
    """A data set and the token size it is quantized to; ``panels`` are the paper's letters, if it shows this case."""

    key: str
    name: str
    data: Source
    token_dim: int
    panels: str | None = None

    def arms(self, plan: Plan, seed: int) -> tuple[Setting, Setting]:
        """Return the setting without and the one with pretraining."""
        baseline, pretrained = (
            arm(plan, self.data, self.token_dim, seed, pretrained=p) for p in (False, True)
        )
        return baseline, pretrained


def rows(plan: Plan) -> list[Row]:
    """Return the paper's three cases, the 4-dimensional one, the digits, and the user's own data if there are any."""
    table = [
        Row("2to1", "clusters, 2 → 1 dimensions", plan.clusters(2), 1, "a, b"),
        Row("3to1", "clusters, 3 → 1 dimensions", plan.clusters(3), 1, "c, d"),
        Row("8to4", "clusters, 8 → 4 dimensions", plan.clusters(8), 4, "e, f"),
        Row("4to2", "clusters, 4 → 2 dimensions", plan.clusters(4), 2),
        Row("digits", "handwritten digits, 64 → 4 dimensions", Digits(), 4),
    ]
    if plan.own is not None:
        dim = plan.own.load(0).dim
        token_dim = plan.own_token_dim or max(1, min(4, dim // 2))
        table.append(Row("own", f"own data, {dim} → {token_dim} dimensions", plan.own, token_dim))
    return table


def settings(plan: Plan) -> list[Setting]:
    """Return every row's two arms for every seed."""
    return [
        setting for row in rows(plan) for seed in plan.seeds for setting in row.arms(plan, seed)
    ]


def numbers(plan: Plan, results: Results) -> list[dict[str, Any]]:
    """Return, for every row, seed and arm, the diagnosis at the end and the tokens' range at the start and at the end."""
    return [
        {
            "row": row.key,
            "seed": seed,
            "pretrained": setting.pretrained,
            "mse": mean_squared_error(setting, results),
            "token_range_at_start": spread_of(results[setting].tokens_at_start),
            "token_range": spread_of(results[setting].tokens),
            **results[setting].diagnosis,
        }
        for row in rows(plan)
        for seed in plan.seeds
        for setting in row.arms(plan, seed)
    ]


def spread_of(points: Any) -> float:
    """Return the greatest extent of ``points`` ``(N, D)`` along an axis."""
    return float((points.max(axis=0) - points.min(axis=0)).max())


def mean_squared_error(setting: Setting, results: Results) -> float:
    """Return the mean squared error of a run's reconstruction of all of its data."""
    points = setting.data.load(setting.seed).points
    return float(((results[setting].reconstruction - points) ** 2).mean())


def claims(plan: Plan, results: Results) -> list[Claim]:
    """Return the claims of section 3.1.1 for every row."""
    table = numbers(plan, results)
    return [
        claim
        for row in rows(plan)
        for claim in row_claims(row, [n for n in table if n["row"] == row.key], plan)
    ]


def row_claims(row: Row, table: list[dict[str, Any]], plan: Plan) -> list[Claim]:
    """Return the claims for one row; those that need labels are left out where there are none."""
    without, with_ = ([n for n in table if n["pretrained"] is arm_] for arm_ in (False, True))
    source = (
        f"section 3.1.1, Fig. 3 ({row.panels})"
        if row.panels
        else "section 3.1.1, on data beyond the paper"
    )

    def of(name: str) -> tuple[list[float], list[float]]:
        return [n[name] for n in with_], [n[name] for n in without]

    def claim(
        id: str,
        statement: str,
        quantity: str,
        values: Any,
        side: Any,
        limit: float,
        why: str,
        by: str = source,
    ) -> Claim:
        named = f"{row.name}: {statement}"
        return Claim(
            f"fig3-{row.key}-{id}",
            "fig3",
            named,
            by,
            quantity,
            tuple(values),
            side,
            limit,
            why,
            plan.seeds,
        )

    direction = "the paper names a direction and no size"
    start_with, start_without = of("token_range_at_start")
    made = [
        claim("start", "initialized on the untrained encoder, tokens cluster within a very small range.",
              "token range at the start, without / with pretraining", ratio(start_without, start_with), "<", 0.5,
              "half of the other's range is the most that can be called small beside it", source.replace("3.1.1", "3.1")),
        claim("problem", "without pretraining, tokens collapse.", "perplexity without pretraining / tokens",
              [p / plan.tokens for p in of("perplexity")[1]], "<", 0.5,
              "below half, more than half of the codebook's worth is lost"),
        claim("uniform", "with pretraining, tokens are used more uniformly.", "perplexity with / without pretraining",
              ratio(*of("perplexity")), ">", 1, direction),
        claim("covers", "with pretraining, the reconstruction comes closer to the distribution of the data.",
              "energy distance to the data with / without pretraining", ratio(*of("energy_distance")), "<", 1, direction),
        claim("mse", "with pretraining, the error of reconstruction is smaller.", "MSE with / without pretraining",
              ratio(*of("mse")), "<", 1, direction, "beyond the paper, which reports no MSE here"),
    ]  # fmt: skip
    if with_[0]["class_spread_ratio"] is None:
        return made
    return [
        *made,
        claim("narrow", "without pretraining, the reconstruction is narrower than the data.",
              "within-class spread without pretraining, over the data's", of("class_spread_ratio")[1], "<", 1,
              "1 is the data's own spread", source.replace("3.1.1", "3.1")),
        claim("diverse", "with pretraining, less diversity is lost.", "within-class spread with − without pretraining",
              difference(*of("class_spread_ratio")), ">", 0, direction),
        claim("shares", "with pretraining, tokens are shared out among the classes more as the embeddings are.",
              "divergence of tokens' from embeddings' classes, with − without pretraining",
              difference(*of("class_divergence")), "<", 0, direction),
    ]  # fmt: skip
