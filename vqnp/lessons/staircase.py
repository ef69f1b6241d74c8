"""The quantizer as a staircase over one number z: its loss, and the slopes that z borrows."""

from typing import Any

import numpy as np

from vqnp.plots import style
from vqnp.validation import Array

PATHS = (style.EMBEDDING, style.BASELINE, style.RECONSTRUCTION)


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
    look: Any = {"color": style.TOKEN, "markersize": 4, "label": "where it is taken: at the token"}
    axes.plot(tokens, np.interp(tokens, z, smooth), "o", **look)
    axes.set_title("Straight-through: on every tread the slope at its token")
    axes.legend()
    return figure


@style.styled
def descents(panels: list[tuple[str, float, Array, dict[str, Array]]]) -> Any:
    """Draw panels of (title, target, tokens, up to three paths of z ``(steps,)`` by name).

    Tokens are ``(K,)``, or ``(steps, K)`` if they move.
    """
    figure, (line,) = style.new_figure(1, len(panels), 4.1 * len(panels), 3.4)
    for axes, (title, target, tokens, paths) in zip(line, panels, strict=True):
        steps = len(next(iter(paths.values())))
        still = np.broadcast_to(tokens, (steps, tokens.shape[-1]))
        axes.plot(still, color=style.TOKEN, linewidth=1, alpha=0.8)
        axes.lines[-1].set_label("tokens")
        axes.axhline(target, label="what the decoder should see", **style.GUIDE)
        for (name, path), color in zip(paths.items(), PATHS, strict=False):
            axes.plot(path, color=color, label=name)
        axes.set(title=title, xlabel="step", ylabel="z")
    style.legend_below(figure, ncols=2 * len(panels))
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
