"""Vector quantization in the plane, where every point, token and cell can be seen.

A token's Voronoi cell is every place that is nearer to it than to any other token. The darker a
cell, the more it adds to the distortion, the mean squared distance of the points from their tokens.
The shade is the root of the sum, because small ones must show beside large ones.
"""

from typing import Any

import numpy as np

from vqnp.plots import cloud, style
from vqnp.quantize.search import nearest
from vqnp.validation import Array


def cell_outlines(tokens: Array) -> list[Array]:
    """Return the corners ``(n, 2)`` of each token's cell, in order.

    Raises ``ValueError`` for ``tokens`` ``(K, 2)`` of which two are equal.
    """
    from scipy.spatial import Voronoi

    if len(np.unique(tokens, axis=0)) < len(tokens):
        raise ValueError("two tokens at one place share their cell")
    # Four more tokens, beyond what a picture shows, close the outer cells.
    far = tokens.mean(axis=0) + 1000 * (1 + np.ptp(tokens)) * np.array(
        [[1, 0], [0, 1], [-1, 0], [0, -1]]
    )
    diagram = Voronoi(np.concatenate([tokens, far]))
    return [
        diagram.vertices[diagram.regions[region]] for region in diagram.point_region[: len(tokens)]
    ]


@style.styled
def voronoi_cells(points: Array, codebooks: dict[str, Array]) -> Any:
    """Draw the cells of each named codebook ``(K, 2)`` over the ``points`` ``(N, 2)``.

    Crosses are tokens that no point chooses. A codebook ``(S, K, 2)`` is a path: lines lead to its
    last tokens. Panels share limits and shades.
    """
    paths = [tokens.reshape(-1, *tokens.shape[-2:]) for tokens in codebooks.values()]  # (S, K, 2)
    darkest = max(np.bincount(*nearest(points, path[-1])).max() for path in paths)
    columns = min(3, len(paths))
    figure, panels = style.wrapped(len(paths), columns)
    for panel, name, path in zip(panels, codebooks, paths, strict=True):
        distortion = draw_cells(panel, points, path[-1], darkest)
        panel.plot(*np.moveaxis(path, 2, 0), color=style.TOKEN, linewidth=0.8)
        panel.set_title(f"{name}: {distortion:.3f}")
        if columns > 1:
            panel.set(xticks=[], yticks=[])
    return figure


def draw_cells(axes: Any, points: Array, tokens: Array, darkest: float) -> float:
    """Draw ``points``, ``tokens`` ``(K, 2)`` and their cells; return the distortion.

    A cell that adds ``darkest`` to the sum of squared distances has the darkest shade.
    """
    codes, squared = nearest(points, tokens)
    hits, costs = (np.bincount(codes, each, len(tokens)) for each in (None, squared))
    for corners, shade in zip(cell_outlines(tokens), np.sqrt(costs / darkest), strict=True):
        axes.fill(
            *corners.T,
            facecolor=(style.RECONSTRUCTION, 0.5 * shade),
            edgecolor=style.INK,
            linewidth=0.5,
        )
    style.cloud(axes, points, style.DATA, "points", s=3, zorder=2)
    size = 22 if len(tokens) <= 16 else 7
    cloud.draw_tokens(axes, tokens, hits > 0, s=size, alpha=1, zorder=3)
    axes.set(
        xlim=style.span(points[:, 0], margin=0.08),
        ylim=style.span(points[:, 1], margin=0.08),
        aspect="equal",
    )
    axes.spines[:].set(visible=True, linewidth=0.5, color=style.INK)
    return float(squared.mean())


@style.styled
def nearest_choices(points: Array, tokens: Array) -> Any:
    """Draw lines from ``points`` ``(N, 2)`` to ``tokens`` ``(K, 2)``, thick ones to the nearest."""
    figure, ((panel,),) = style.new_figure(1, 1, 4.6, 3.2)
    beside: Any = {"textcoords": "offset points", "va": "center"}
    for k, token in enumerate(tokens):
        ties = np.stack([points, np.broadcast_to(token, points.shape)], axis=1)  # (N, 2 ends, 2)
        panel.plot(*ties.T, **style.GUIDE)
        panel.annotate(f"token {k}", token, (6, 0), color=style.TOKEN, **beside)
    chosen = np.stack([points, tokens[nearest(points, tokens)[0]]], axis=1)
    panel.plot(*chosen.T, color=style.INK, linewidth=2)
    for i, point in enumerate(points):
        panel.annotate(f"point {i}", point, (-6, 0), ha="right", **beside)
    style.cloud(panel, points, style.DATA, "points", s=36, alpha=1, zorder=3)
    style.cloud(panel, tokens, style.TOKEN, "tokens", s=36, alpha=1, zorder=3)
    panel.set(aspect="equal", xlabel="coordinate 1", ylabel="coordinate 2")
    panel.margins(x=0.2, y=0.1)
    return figure


@style.styled
def kmeans_endpoints(distortions: dict[str, Array], goal: float, goal_name: str) -> Any:
    """Draw the final distortions ``(runs,)`` of each kind of start, beside the ``goal``."""
    figure, axes = style.new_figure(
        len(distortions), 1, 8, 1.1 * len(distortions) + 0.8, sharex=True, sharey=True
    )
    bins = np.linspace(0, 1.02 * max(values.max() for values in distortions.values()), 70)
    for panel, (name, values) in zip(axes[:, 0], distortions.items(), strict=True):
        panel.hist(values, bins, color=style.TOKEN, label=f"{len(values)} runs")
        panel.axvline(goal, label=goal_name, **style.GUIDE)
        panel.set(title=f"start: {name}", ylabel="runs")
    axes[-1, 0].set_xlabel("distortion at the end")
    axes[0, 0].legend()
    return figure


@style.styled
def distortion_by_size(sizes: Array, distortions: Array, mark: int) -> Any:
    """Draw ``distortions`` ``(S,)`` against the numbers of tokens ``sizes`` ``(S,)``.

    The left panel has the stairs around the size ``mark``, the right one doubling axes.
    """
    figure, ((stairs, lines),) = style.new_figure(1, 2, 8, 3.1)
    small = sizes <= 2 * mark
    stairs.step(sizes[small], distortions[small], ".-", where="post", color=style.TOKEN)
    stairs.axvline(mark, **style.GUIDE)
    stairs.annotate(
        f"K = {mark}", (mark, stairs.get_ylim()[1]), xytext=(4, -10), textcoords="offset points"
    )
    stairs.set(
        title="every token is a step down", xlabel="tokens K", ylabel="distortion", ylim=(0, None)
    )
    stairs.xaxis.get_major_locator().set_params(integer=True)
    lines.loglog(sizes, distortions, ".-", base=2, color=style.TOKEN, label="measured")
    large = sizes[sizes >= mark]
    lines.plot(large, distortions[-1] * sizes[-1] / large, label="∝ 1 / K", **style.GUIDE)
    lines.set(title="the same, and larger codebooks", xlabel="tokens K", ylabel="distortion")
    lines.legend()
    return figure
