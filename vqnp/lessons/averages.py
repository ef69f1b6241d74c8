"""The moving averages at work: tokens on their way, and a code that no embedding chooses."""

from typing import Any

import numpy as np

from vqnp.plots import style
from vqnp.validation import Array


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
