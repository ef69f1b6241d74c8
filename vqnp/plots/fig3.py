"""Figure 3 as a picture: a row a data set; left without, right with pretraining; for each, what is decoded and what is quantized."""

from typing import Any

import numpy as np

from vqnp.experiments.views import ArmView, RowView
from vqnp.plots import style


@style.styled
def draw(rows: list[tuple[str, RowView, dict[str, Any], dict[str, Any]]], n_seeds: int) -> Any:
    """Draw rows of (name, view of one seed, medians over the seeds without pretraining, and with).

    The medians hold ``perplexity``, ``codes_used``, ``n_tokens`` and, where there are labels, ``class_spread_ratio``.
    """
    figure, axes = style.new_figure(len(rows), 4, 14, 2.9 * len(rows))
    gains = [with_["perplexity"] / without["perplexity"] for _, _, without, with_ in rows]
    figure.suptitle(
        f"Pretraining raises the perplexity of the codebook in {sum(gain > 1 for gain in gains)} of {len(rows)} data sets, "
        f"up to {max(gains):.1f} times\n(pictures: the first seed; numbers: medians of {n_seeds} seeds)"
    )
    for line, (name, view, without, with_) in zip(axes, rows, strict=True):
        arms = (
            ("without pretraining", view.baseline, without),
            ("with pretraining", view.pretrained, with_),
        )
        for column, (arm, shown, medians) in enumerate(arms):
            outcome = decoded(figure, line[2 * column], view, shown)
            outcome.set_title(
                f"{name}\n{arm}: {outcome_of(medians)}"
                if medians["class_spread_ratio"] is not None
                else name
            )
            quantized(line[2 * column + 1], view, shown)
            line[2 * column + 1].set_title(
                f"{arm}: perplexity {medians['perplexity']:.0f} of {medians['n_tokens']:.0f}\n{use_of(medians)}"
            )
        if (
            not view.latent_mapped
        ):  # the units of t-SNE are arbitrary, and so is the height of a density
            style.share_axes(line[1], line[3], "x" if view.baseline.tokens.shape[1] == 1 else "xy")
    handles = [legend_mark(color, label) for color, label in LEGEND]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


LEGEND = (
    (style.DATA, "data"),
    (style.RECONSTRUCTION, "reconstruction (area: share of the data)"),
    (style.EMBEDDING, "embeddings"),
    (style.TOKEN, "tokens (cross: never chosen)"),
)


def legend_mark(color: str, label: str) -> Any:
    """Return the legend's entry for one kind of cloud."""
    from matplotlib.lines import Line2D

    return Line2D([], [], linestyle="", marker="o", color=color, label=label)


def outcome_of(medians: dict[str, Any]) -> str:
    """Say how much of the classes' spread the reconstruction keeps."""
    return f"{medians['class_spread_ratio']:.0%} of the classes' spread kept"


def use_of(medians: dict[str, Any]) -> str:
    """Say how many tokens are ever chosen."""
    return f"{medians['codes_used']:.0f} of them ever chosen"


def decoded(figure: Any, axes: Any, view: RowView, arm: ArmView) -> Any:
    """Draw the data and, over it, the distinct reconstructions with areas by their share; returns the axes drawn on."""
    solid = view.data.shape[1] == 3
    if solid:
        place = axes.get_subplotspec()
        axes.remove()
        axes = figure.add_subplot(place, projection="3d")
        axes.tick_params(labelsize=6, pad=-3)
        axes.xaxis.labelpad = axes.yaxis.labelpad = axes.zaxis.labelpad = -8
    depth = {"depthshade": False} if solid else {}
    style.cloud(axes, view.data, style.DATA, "data", alpha=0.35, **depth)
    areas = np.clip(1500 * arm.reconstruction_share, 4, 80)
    style.cloud(
        axes,
        arm.reconstruction,
        style.RECONSTRUCTION,
        "reconstruction",
        s=areas,
        alpha=0.85,
        **depth,
    )
    limits = [style.span(view.data[:, i], view.baseline.reconstruction[:, i], view.pretrained.reconstruction[:, i])
              for i in range(view.data.shape[1])]  # fmt: skip
    name = "t-SNE" if view.mapped else "coordinate"
    axes.set(xlim=limits[0], ylim=limits[1], xlabel=f"{name} 1", ylabel=f"{name} 2")
    if solid:
        axes.set(zlim=limits[2], zlabel=f"{name} 3")
    return axes


def quantized(axes: Any, view: RowView, arm: ArmView) -> None:
    """Draw embeddings and tokens: as densities in one dimension, as clouds in two or more."""
    if arm.tokens.shape[1] == 1:
        style.along_a_line(axes, arm.embeddings, arm.tokens)
        return
    style.cloud(axes, arm.embeddings[:style.SHOWN], style.EMBEDDING, "embeddings", alpha=0.35)
    used = arm.token_share > 0
    style.cloud(
        axes,
        arm.tokens[~used],
        style.TOKEN,
        "tokens never chosen",
        s=18,
        alpha=0.9,
        marker="x",
        linewidths=0.8,
    )
    style.cloud(axes, arm.tokens[used], style.TOKEN, "tokens", s=14, alpha=0.95)
    name = "t-SNE" if view.latent_mapped else "coordinate"
    axes.set(xlabel=f"{name} 1", ylabel=f"{name} 2")
