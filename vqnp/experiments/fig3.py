"""Figure 3: tokens collapse without pretraining, and spread with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vqnp.data import Digits, Source
from vqnp.experiments.claims import Claim, claim_maker, differences, ratios
from vqnp.experiments.plans import PointsPlan, baseline_and_pretrained
from vqnp.experiments.run import Result, Spec
from vqnp.experiments.spec import RunSpec
from vqnp.experiments.tables import Row, Table, column, median, select
from vqnp.experiments.views import ArmView, CaseView, view
from vqnp.plots import cloud, style

TITLE = "Tokens collapse without pretraining, and spread with it"
ABOUT = """
Each row is a data set. Its two arms differ in the schedule alone: fine-tuning from the start, or
half of the epochs as an autoencoder first. Both see the same data, initial weights and number of
epochs. Up to three dimensions are shown as they are. Above, t-SNE places points in the plane so
that neighbors stay neighbors, with one map for the data and both arms' reconstructions.
"""
STATEMENTS = {
    "start": "initialized on the untrained encoder, tokens cluster within a very small range.",
    "problem": "without pretraining, tokens collapse.",
    "uniform": "with pretraining, tokens are used more uniformly.",
    "covers": "with pretraining, the reconstruction comes closer to the distribution of the data.",
    "mse": "with pretraining, the error of reconstruction is smaller.",
    "narrow": "without pretraining, the reconstruction is narrower than the data.",
    "diverse": "with pretraining, less diversity is lost.",
    "shares": "with pretraining, tokens are shared out among the classes more as the embeddings "
    "are.",
}


@dataclass(frozen=True)
class Case:
    """A data set, the ``dims`` of a point and of a token, and the paper's letters of its panels."""

    key: str
    name: str
    data: Source
    dims: tuple[int, int]
    panels: str | None = None


def cases(plan: PointsPlan) -> list[Case]:
    """Return the paper's three cases, two more, and the user's own points if there are any."""
    table = [
        Case("2to1", "clusters, 2 → 1 dimensions", plan.clusters(2), (2, 1), "a, b"),
        Case("3to1", "clusters, 3 → 1 dimensions", plan.clusters(3), (3, 1), "c, d"),
        Case("8to4", "clusters, 8 → 4 dimensions", plan.clusters(8), (8, 4), "e, f"),
        Case("4to2", "clusters, 4 → 2 dimensions", plan.clusters(4), (4, 2)),
        Case("digits", "handwritten digits, 64 → 4 dimensions", Digits(), (64, 4)),
    ]
    if plan.user_points is not None:
        dim = plan.user_points.load(0).dim
        token_dim = plan.user_token_dim or max(1, min(4, dim // 2))
        if token_dim > dim:
            raise ValueError(
                f"a token of your points (--token-size) may have at most their {dim} dimensions, "
                f"got {token_dim}"
            )
        table.append(
            Case(
                "own",
                f"own data, {dim} → {token_dim} dimensions",
                plan.user_points,
                (dim, token_dim),
            )
        )
    return table


def arms(plan: PointsPlan) -> list[tuple[Row, RunSpec]]:
    """Return both arms of every case for every seed."""
    return [
        ({"row": case.key, "seed": seed, "pretrained": spec.pretrained}, spec)
        for case in cases(plan)
        for seed in plan.seeds
        for spec in baseline_and_pretrained(plan, case.data, case.dims, seed)
    ]


def measured(spec: RunSpec, results: Mapping[Spec, Result]) -> Row:
    """Return the tokens' largest range along an axis, at start and end, and the run's numbers."""
    result = results[spec]
    return {
        "token_range_at_start": float(np.ptp(result["tokens_at_start"], axis=0).max()),
        "token_range": float(np.ptp(result["tokens"], axis=0).max()),
        **result.numbers,
    }


def claims(plan: PointsPlan, table: Table) -> list[Claim]:
    """Return the claims of section 3.1.1 for every case."""
    return [
        claim
        for case in cases(plan)
        for claim in claims_on(case, select(table, row=case.key), plan)
    ]


def claims_on(case: Case, rows: Table, plan: PointsPlan) -> list[Claim]:
    """Return the claims for one case; the last three need labels."""
    shown = f"Fig. 3 ({case.panels})" if case.panels else "on data beyond the paper"
    claim = claim_maker(
        "fig3",
        STATEMENTS,
        seeds=plan.seeds,
        source=f"section 3.1.1, {shown}",
        key=f"{case.key}-",
        about=f"{case.name}: ",
    )

    def of(name: str, pretrained: bool) -> list[float]:
        return column(rows, name, pretrained=pretrained)

    def change(name: str, words: str, sign: str) -> dict[str, Any]:
        compare = {"/": ratios, "−": differences}[sign]
        return {
            "measured": f"{words} with {sign} without pretraining",
            "values": compare(of(name, True), of(name, False)),
        }

    made = [
        claim(
            "start",
            source=f"section 3.1, {shown}",
            measured="token range at the start, without / with pretraining",
            values=ratios(*(of("token_range_at_start", arm) for arm in (False, True))),
            bound=("<", 0.5),
            because="half of the other's range is the most that can be called small beside it",
        ),
        claim(
            "problem",
            measured="perplexity without pretraining / tokens",
            values=[perplexity / plan.n_tokens for perplexity in of("perplexity", False)],
            bound=("<", 0.5),
            because="below half, more than half of the codebook's worth is lost",
        ),
        claim("uniform", **change("perplexity", "perplexity", "/"), bound=(">", 1)),
        claim(
            "covers",
            **change("energy_distance", "energy distance to the data", "/"),
            bound=("<", 1),
        ),
        claim(
            "mse",
            **change("mse", "MSE", "/"),
            bound=("<", 1),
            source="beyond the paper, which reports no MSE here",
        ),
    ]
    if rows[0]["class_spread_ratio"] is None:
        return made
    return [
        *made,
        claim(
            "narrow",
            source=f"section 3.1, {shown}",
            measured="within-class spread without pretraining, over the data's",
            values=of("class_spread_ratio", False),
            bound=("<", 1),
            because="1 is the data's own spread",
        ),
        claim(
            "diverse", **change("class_spread_ratio", "within-class spread", "−"), bound=(">", 0)
        ),
        claim(
            "shares",
            **change("class_divergence", "divergence of tokens' from embeddings' classes,", "−"),
            bound=("<", 0),
        ),
    ]


def draw(plan: PointsPlan, results: dict[RunSpec, Result], table: Table) -> Any:
    """Draw clouds of the first seed, and medians of all."""
    shown = []
    for case in cases(plan):
        specs = baseline_and_pretrained(plan, case.data, case.dims, plan.seeds[0])
        points = case.data.load(plan.seeds[0]).points
        seen = view(points, [results[spec] for spec in specs], plan.seeds[0])
        shown.append((case.name, seen, select(table, row=case.key)))
    return picture(shown, len(plan.seeds))


@style.styled
def picture(shown: Sequence[tuple[str, CaseView, Table]], n_seeds: int) -> Any:
    """Draw rows of (name, view of one seed, numbers of all seeds)."""
    figure, axes = style.new_figure(len(shown), 4, 14, 2.9 * len(shown))
    gains = [
        median(rows, "perplexity", pretrained=True) / median(rows, "perplexity", pretrained=False)
        for _, _, rows in shown
    ]
    figure.suptitle(
        "Pretraining raises the perplexity of the codebook in "
        f"{sum(gain > 1 for gain in gains)} of {len(shown)} data sets, "
        f"up to {max(gains):.1f} times\n"
        f"(pictures: the first seed; numbers: medians of {n_seeds} seeds)"
    )
    for line, (name, seen, rows) in zip(axes, shown, strict=True):
        for i, arm in enumerate(seen.arms):
            numbers_of_arm = select(rows, pretrained=bool(i))
            outcome = draw_reconstruction(figure, line[2 * i], seen, arm)
            outcome.set_title(name + spread_kept(arm.name, numbers_of_arm))
            draw_codebook(line[2 * i + 1], seen, arm)
            line[2 * i + 1].set_title(usage(arm.name, numbers_of_arm))
        # The units of t-SNE are arbitrary, and so is the height of a density.
        if not seen.latent_mapped:
            style.share_axes(line[1], line[3], "x" if seen.arms[0].tokens.shape[1] == 1 else "xy")
    handles = [style.legend_mark(color, label) for color, label in LEGEND]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


LEGEND = (
    (style.DATA, "data"),
    (style.RECONSTRUCTION, "reconstruction (area: share of the data)"),
    (style.EMBEDDING, "embeddings"),
    (style.TOKEN, "tokens (cross: never chosen)"),
)


def spread_kept(arm: str, rows: Table) -> str:
    """Say how much of the classes' spread the reconstruction keeps, where there are classes."""
    if rows[0]["class_spread_ratio"] is None:
        return ""
    return f"\n{arm}: {median(rows, 'class_spread_ratio'):.0%} of the classes' spread kept"


def usage(arm: str, rows: Table) -> str:
    """Say how evenly tokens are used, and how many are ever chosen."""
    perplexity, used = median(rows, "perplexity"), median(rows, "codes_used")
    of_all = f"{perplexity:.0f} of {rows[0]['n_tokens']}"
    return f"{arm}: perplexity {of_all}\n{used:.0f} of them ever chosen"


def draw_reconstruction(figure: Any, axes: Any, seen: CaseView, arm: ArmView) -> Any:
    """Draw the data and, over it, the reconstructions; returns the axes drawn on."""
    if seen.data.shape[1] == 1:
        draw_on_line(axes, seen, arm)
        return axes
    solid = seen.data.shape[1] == 3
    if solid:
        position = axes.get_subplotspec()
        axes.remove()
        axes = figure.add_subplot(position, projection="3d")
        axes.tick_params(labelsize=6, pad=-3)
        axes.xaxis.labelpad = axes.yaxis.labelpad = axes.zaxis.labelpad = -8
    depth = {"depthshade": False} if solid else {}
    style.cloud(axes, seen.data, style.DATA, "data", alpha=0.35, **depth)
    marks = {"s": np.clip(1500 * arm.reconstruction_share, 4, 80), "alpha": 0.85, **depth}
    style.cloud(axes, arm.reconstruction, style.RECONSTRUCTION, "reconstruction", **marks)
    clouds = [seen.data, *(each.reconstruction for each in seen.arms)]
    name = "t-SNE" if seen.mapped else "coordinate"
    for i, axis in enumerate("xyz"[: seen.data.shape[1]]):
        limits = style.span(*(cloud[:, i] for cloud in clouds))
        axes.set(**{f"{axis}lim": limits, f"{axis}label": f"{name} {i + 1}"})
    return axes


def draw_on_line(axes: Any, seen: CaseView, arm: ArmView) -> None:
    """Draw the density of one-dimensional data, and the share of each distinct reconstruction."""
    low, high = style.span(seen.data, *(each.reconstruction for each in seen.arms))
    grid = np.linspace(low, high, 800)
    heights = style.density(seen.data[:, 0], grid, (high - low) / 150)
    axes.fill_between(grid, heights, color=style.DATA, alpha=0.5, linewidth=0)
    shares = arm.reconstruction_share / arm.reconstruction_share.max() * heights.max()
    axes.vlines(arm.reconstruction[:, 0], 0, shares, color=style.RECONSTRUCTION, linewidth=1)
    axes.set(xlim=(low, high), xlabel="coordinate 1", ylabel="density")


def draw_codebook(axes: Any, seen: CaseView, arm: ArmView) -> None:
    """Draw embeddings and tokens: as densities in one dimension, as clouds in two or more."""
    if arm.tokens.shape[1] == 1:
        style.along_a_line(axes, arm.embeddings, arm.tokens)
        return
    style.cloud(axes, arm.embeddings[: style.SHOWN], style.EMBEDDING, "embeddings", alpha=0.35)
    cloud.draw_tokens(axes, arm.tokens, arm.token_share > 0)
    name = "t-SNE" if seen.latent_mapped else "coordinate"
    axes.set(xlabel=f"{name} 1", ylabel=f"{name} 2")
