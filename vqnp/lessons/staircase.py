"""The quantizer as a staircase: its loss, the slopes that z borrows, and tokens that follow z."""

from typing import Any

import numpy as np

from vqnp.plots import style
from vqnp.validation import Array


@style.styled
def staircase_and_loss(z: Array, quantized: Array, loss: Array, smooth: Array) -> Any:
    """Draw the ``quantized`` z, and its ``loss`` beside the ``smooth`` loss of z.

    All are ``(n,)``, over ``z`` in rising order.
    """
    figure, ((above,), (below,)) = style.new_figure(2, 1, 6.5, 5, sharex=True)
    above.plot(z, z, "--", color=style.DATA, linewidth=1, label="z itself")
    _in_pieces(above, z, quantized, quantized, label="its token")
    above.set(ylabel="what the decoder sees", title="The quantizer is a staircase")
    above.legend()
    _losses(below, z, quantized, loss, smooth)
    below.set_title("and the loss behind it is flat on every tread")
    return figure


@style.styled
def borrowed_slopes(
    z: Array, quantized: Array, loss: Array, smooth: Array, at: Array, slopes: Array
) -> Any:
    """Draw the loss, and strokes with ``slopes`` ``(m,)`` at the places ``at`` ``(m,)``."""
    figure, ((axes,),) = style.new_figure(1, 1, 6.5, 3.6)
    _losses(axes, z, quantized, loss, smooth)
    reach = 0.022 * (z[-1] - z[0])
    along = np.array([[-reach], [0], [reach]])  # a stroke's ends and its middle
    strokes = at + along, np.interp(at, z, loss) + slopes * along  # (3, m)
    axes.plot(*strokes, color=style.PRETRAINED, linewidth=1.6)
    axes.lines[-1].set_label("the slope that z is told")
    tokens = np.unique(quantized)
    axes.plot(
        tokens,
        np.interp(tokens, z, smooth),
        "o",
        color=style.TOKEN,
        markersize=4,
        label="where it is taken: at the token",
    )
    axes.set_title("Straight-through: on every tread the slope at its token")
    axes.legend()
    return figure


@style.styled
def descents(panels: list[tuple[str, float, Array, dict[str, Array]]]) -> Any:
    """Draw panels of (title, target, tokens, paths of z ``(steps,)`` by name).

    Tokens are ``(K,)``, or ``(steps, K)`` if they move.
    """
    figure, (line,) = style.new_figure(1, len(panels), 4.1 * len(panels), 3.4)
    for axes, (title, target, tokens, paths) in zip(line, panels, strict=True):
        steps = len(next(iter(paths.values())))
        still = np.broadcast_to(tokens, (steps, tokens.shape[-1]))
        axes.plot(still, color=style.TOKEN, linewidth=1, alpha=0.8)
        axes.lines[-1].set_label("tokens")
        axes.axhline(target, label="what the decoder should see", **style.GUIDE)
        for name, path in paths.items():
            axes.plot(path, label=name)
        axes.set(title=title, xlabel="step", ylabel="z")
    style.legend_below(figure, fontsize=7)
    return figure


@style.styled
def token_paths(embeddings: Array, path: Array, remaining: dict[str, Array]) -> Any:
    """Draw ``embeddings`` ``(N, 2)`` and the ``path`` ``(steps, K, 2)`` of each token.

    Beside it you see the part of the way that is ``remaining`` ``(steps,)``, by name.
    """
    figure, ((place, way),) = style.new_figure(1, 2, 8.2, 3.6)
    style.cloud(place, embeddings, style.EMBEDDING, "embeddings", s=8)
    place.plot(path[:, :, 0], path[:, :, 1], ".-", color=style.TOKEN, linewidth=0.8, markersize=3)
    circles: Any = {"color": style.TOKEN, "markersize": 6}
    place.plot(*path[0].T, "o", markerfacecolor="white", label="tokens at the start", **circles)
    place.plot(*path[-1].T, "o", label="after the last step", **circles)
    for k, (x, y) in enumerate(path[-1]):
        place.annotate(f"{k}", (x, y), xytext=(6, 5), textcoords="offset points")
    place.set(
        title="where the tokens go", xlabel="coordinate 1", ylabel="coordinate 2", aspect="equal"
    )
    place.legend(fontsize=7)
    for i, (name, left) in enumerate(remaining.items()):
        # Where all agree you see smaller circles inside larger ones.
        rings = circles | {"markersize": 9 * (1 - i / len(remaining)), "markerfacecolor": "none"}
        way.semilogy(left, "o", label=name, **rings)
    way.axhline(0.5, **style.GUIDE)
    way.set(
        title="the same share of it at every step",
        xlabel="step",
        ylabel="share of the way that is left",
    )
    way.legend(fontsize=7)
    return figure


@style.styled
def unused_code(distances: dict[str, Array], fates: dict[str, str]) -> Any:
    """Draw, for each dialect, the distance from the origin of a token without hits.

    It begins at a distance of 1. The title names its fate.
    """
    count = len(distances)
    figure, (panels,) = style.new_figure(1, count, 2.1 * count, 3, sharex=True, sharey=True)
    for axes, (dialect, distance) in zip(panels, distances.items(), strict=True):
        axes.axhline(1, **style.GUIDE)
        axes.plot(distance, "-o", color=style.TOKEN, markersize=4, markevery=[0])
        axes.set(title=f"{dialect}:\n{fates[dialect]}", xlabel="step without a hit")
    least = min(distance[distance > 0].min() for distance in distances.values())
    panels[0].set_yscale("symlog", linthresh=10 ** np.floor(np.log10(least)))
    panels[0].set(ylabel="distance from the origin\n(1: where it began)", ylim=(0, None))
    return figure


def _losses(axes: Any, z: Array, quantized: Array, loss: Array, smooth: Array) -> None:
    axes.plot(z, smooth, "--", color=style.DATA, linewidth=1, label="loss, were z not quantized")
    _in_pieces(axes, z, loss, quantized, label="loss through the quantizer")
    axes.set(xlabel="embedding z", ylabel="loss")
    axes.legend()


def _in_pieces(axes: Any, z: Array, values: Array, quantized: Array, label: str) -> None:
    """Draw ``values`` tread by tread, because a line up the riser would show values never taken."""
    risers = np.flatnonzero(np.diff(quantized)) + 1
    x, y = (np.insert(part, risers, np.nan) for part in (z, values))
    axes.plot(x, y, color=style.TOKEN, linewidth=2, label=label)
