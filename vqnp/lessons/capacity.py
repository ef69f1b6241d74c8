"""The capacity of an encoder: its height over the plane, and the decoded line of heights."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from vqnp.experiments import fig5
from vqnp.experiments.tables import column
from vqnp.plots import style
from vqnp.validation import Array


class EncoderMap(NamedTuple):
    """An encoder from two dimensions to one: data ``(N, 2)``, heights, and the decoded line.

    ``height`` ``(len(y), len(x))`` is the embedding at the places ``x`` and ``y`` of the grid.
    ``levels`` are the heights whose contours are drawn, rising. ``line`` ``(M, 2)`` are decoded
    embeddings, evenly spaced.
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
    """Draw the contours of each encoder's height among the data; below, the decoded line."""
    figure, axes = style.new_figure(2, len(shown), 8, 6)
    for (above, below), part in zip(axes.T, shown, strict=True):
        few = part.data[:: max(1, len(part.data) // style.SHOWN)]
        for panel in (above, below):
            style.cloud(panel, few, style.DATA, "data", alpha=0.35)
            panel.set(
                xlim=(part.x[0], part.x[-1]),
                ylim=(part.y[0], part.y[-1]),
                aspect="equal",
                xlabel="coordinate 1",
                ylabel="coordinate 2",
            )
        contours = above.contour(part.x, part.y, part.height, part.levels, colors=style.EMBEDDING)
        contours.set(linewidths=0.9, linestyles="solid")
        below.plot(*part.line.T, color=style.RECONSTRUCTION, linewidth=1)
        above.set_title(f"{part.name}: lines of equal embedding")
        below.set_title("what the embeddings decode to")
    return figure


@style.styled
def errors_by_width(table: list[dict[str, Any]]) -> Any:
    """Draw the error and the share outside the data against the encoder's width, as in Fig. 5."""
    figure, ((error, outside),) = style.new_figure(1, 2, 8, 3.4)
    fig5.sweep(error, table, "mse", "mean squared error")
    fig5.sweep(outside, table, "reconstruction_outside", "outside the data", chance=0.01)
    return figure


@style.styled
def errors_by_parameters(table: list[dict[str, Any]]) -> Any:
    """Draw the error of every run against its encoder's parameters; squares have another layer."""
    figure, ((panel,),) = style.new_figure(1, 1, 8, 3.6)
    for deeper, color, marker, label in (
        (False, style.EMBEDDING, "o", "two hidden layers"),
        (True, style.TOKEN, "s", "and one more before the quantizer"),
    ):
        rows = [row for row in table if (row["extra"] is not None) is deeper]
        x, y = column(rows, "parameters"), column(rows, "mse")
        panel.loglog(x, y, marker, color=color, alpha=0.85, label=label)
    for parameters, name in dict.fromkeys((row["parameters"], row["name"]) for row in table):
        top = parameters, max(column(table, "mse", parameters=parameters))
        panel.annotate(name, top, (0, 7), textcoords="offset points", ha="center", fontsize=7)
    panel.set(xlabel="parameters of the encoder", ylabel="mean squared error")
    panel.legend(loc="upper right")
    return figure
