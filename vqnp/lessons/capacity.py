"""What an encoder of the plane can tell apart: its height over the plane, and what the decoder makes of every height."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from vqnp.experiments import fig5
from vqnp.plots import style
from vqnp.plots.style import SHOWN
from vqnp.validation import Array


class EncoderMap(NamedTuple):
    """An encoder from two dimensions to one: data ``(N, 2)``, its embedding over a grid, and the decoded line.

    ``height`` ``(len(y), len(x))`` is the embedding at the places ``x`` and ``y`` of the grid, ``levels`` those heights, in
    ascending order, whose contours are drawn, ``line`` ``(M, 2)`` what the decoder makes of evenly spaced embeddings.
    """

    name: str
    data: Array
    x: Array
    y: Array
    height: Array
    levels: Array
    line: Array


@style.styled
def encoder_maps(shown: Sequence[EncoderMap]) -> Any:
    """Draw, above, contour lines of each encoder's height among the data; below, the decoded line among the data."""
    figure, axes = style.new_figure(2, len(shown), 8, 6)
    for (above, below), part in zip(axes.T, shown, strict=True):
        few = part.data[:: max(1, len(part.data) // SHOWN)]
        for panel in (above, below):
            style.cloud(panel, few, style.DATA, "data", alpha=0.35)
            panel.set(xlim=(part.x[0], part.x[-1]), ylim=(part.y[0], part.y[-1]), aspect="equal")
            panel.set(xlabel="coordinate 1", ylabel="coordinate 2")
        above.contour(
            part.x,
            part.y,
            part.height,
            part.levels,
            colors=style.EMBEDDING,
            linewidths=0.9,
            linestyles="solid",
        )
        below.plot(*part.line.T, color=style.RECONSTRUCTION, linewidth=1)
        above.set_title(f"{part.name}: lines of equal embedding")
        below.set_title("what the embeddings decode to")
    return figure


@style.styled
def errors_by_width(table: list[dict[str, Any]]) -> Any:
    """Draw error and share of reconstructions outside the data against the encoder's width, as Figure 5 does."""
    figure, axes = style.new_figure(1, 2, 8, 3.4)
    left, right = axes[0]
    fig5.sweep(left, table, "mse", "mean squared error")
    fig5.sweep(
        right,
        table,
        "reconstruction_outside",
        "share of reconstructions outside the data",
        chance=0.01,
    )
    for panel in (left, right):
        panel.set_title("")
    return figure


@style.styled
def errors_by_parameters(table: list[dict[str, Any]]) -> Any:
    """Draw the error of every run against the number of its encoder's parameters; squares have one more layer."""
    figure, axes = style.new_figure(1, 1, 8, 3.6)
    panel = axes[0, 0]
    for deeper, color, marker, label in (
        (False, style.EMBEDDING, "o", "two hidden layers"),
        (True, style.TOKEN, "s", "and one more before the quantizer"),
    ):
        rows = [row for row in table if (row["extra"] is not None) is deeper]
        places = [row["parameters"] for row in rows], [row["mse"] for row in rows]
        panel.plot(*places, marker, color=color, alpha=0.85, label=label)
    for parameters, name in dict.fromkeys((row["parameters"], row["name"]) for row in table):
        top = max(row["mse"] for row in table if row["parameters"] == parameters)
        panel.annotate(
            name, (parameters, top), (0, 7), textcoords="offset points", ha="center", fontsize=7
        )
    panel.set(
        xscale="log", yscale="log", xlabel="parameters of the encoder", ylabel="mean squared error"
    )
    panel.legend(loc="upper right")
    return figure
