"""Figure 5 as a picture: a small and a large encoder side by side, and the sweep of widths between them."""

from typing import Any

import numpy as np

from vqnp.experiments.run import Result
from vqnp.plots import style
from vqnp.validation import Array


@style.styled
def draw(panels: list[tuple[str, Array, Result, Array]], table: list[dict[str, Any]]) -> Any:
    """Draw ``panels`` of (name, data ``(N, 2)``, result of one seed, which of its reconstructions are outside the data ``(N,)``),
    and the ``table`` of numbers over all encoders and seeds."""
    figure, axes = style.new_figure(2, 3, 14, 8)
    small, large = (result.diagnosis for _, _, result, _ in panels)
    figure.suptitle(
        f"A small encoder merges the modes: {small['embedding_modes']} peaks left with {panels[0][0]}, "
        f"{large['embedding_modes']} with {panels[1][0]}"
    )
    for column, (name, data, result, outside) in enumerate(panels):
        numbers = result.diagnosis
        style.along_a_line(axes[0, column], result.embeddings, result.tokens)
        axes[0, column].set_title(
            f"{name}: {numbers['embedding_modes']} peaks, {numbers['tokens_outside']:.0%} of tokens outside"
        )
        axes[0, column].legend(loc="upper right")
        decoded(axes[1, column], data, result.reconstruction, outside)
        axes[1, column].set_title(
            f"{name}: {numbers['reconstruction_outside']:.1%} of reconstructions outside the data"
        )
    style.share_axes(axes[0, 0], axes[0, 1], "x")
    style.share_axes(axes[1, 0], axes[1, 1], "xy")
    sweep(axes[0, 2], table, "mse", "mean squared error")
    sweep(
        axes[1, 2], table, "reconstruction_outside", "reconstructions outside the data", chance=0.01
    )
    return figure


def decoded(axes: Any, data: Array, reconstruction: Array, outside: Array) -> None:
    """Draw the data, the distinct reconstructions, and those of them that are ``outside`` ``(N,)`` the data."""
    style.cloud(axes, data[:: max(1, len(data) // style.SHOWN)], style.DATA, "data", alpha=0.35)
    for rows, color, label in (
        (~outside, style.RECONSTRUCTION, "reconstruction"),
        (outside, style.OUTSIDE, "outside the data"),
    ):
        if rows.any():
            points, share = style.distinct(reconstruction[rows])
            areas = np.clip(
                2000 * share * rows.mean(), 8 if color == style.RECONSTRUCTION else 30, 80
            )
            style.cloud(axes, points, color, label, s=areas, alpha=0.9)
    axes.set(xlabel="coordinate 1", ylabel="coordinate 2", aspect="equal")
    axes.legend(loc="upper left", fontsize=7)


def sweep(
    axes: Any, table: list[dict[str, Any]], quantity: str, name: str, chance: float | None = None
) -> None:
    """Draw ``quantity`` against the encoder's width: every seed a dot, a line through the medians; squares: one more layer."""
    widths = sorted({row["hidden"] for row in table if row["extra"] is None})
    medians = []
    for width in widths:
        values = [row[quantity] for row in table if (row["hidden"], row["extra"]) == (width, None)]
        medians.append(float(np.median(values)))
        axes.plot(
            [width] * len(values), values, "o", color=style.EMBEDDING, alpha=0.8, markersize=5
        )
    axes.plot(widths, medians, color=style.RECONSTRUCTION, label="median; dots: seeds")
    extras = sorted({(row["hidden"], row["extra"]) for row in table if row["extra"] is not None})
    for (hidden, extra), shift, marker in zip(extras, (0.86, 1.16), ("s", "D"), strict=False):
        values = [
            row[quantity] for row in table if (row["hidden"], row["extra"]) == (hidden, extra)
        ]
        axes.plot([hidden * shift] * len(values), values, marker, color=style.TOKEN, alpha=0.8, markersize=5,
                  label=f"{hidden} units and a layer of {extra}")  # fmt: skip
    if chance is not None:
        axes.axhline(chance, color="#333333", linewidth=0.8, linestyle=":", label="chance")
    axes.set_xscale("log", base=2)
    axes.set_xticks(widths, [str(width) for width in widths])
    axes.set(xlabel="hidden units of the encoder (decoder: 32)", ylabel=name, ylim=(0, None))
    axes.set_title(f"{name}, all encoders and seeds")
    axes.legend(fontsize=7)
