"""Vector quantization in the plane, where every point, token and cell can be seen.

A token's Voronoi cell is every place that is nearer to it than to any other token. The darker a
cell, the more it adds to the distortion, the mean squared distance of the points from their tokens.
The shade is the root of the sum, because small ones must show beside large ones.
"""

import math
from typing import Any

import numpy as np

from vqnp.plots import style
from vqnp.quantize.search import nearest
from vqnp.validation import Array

LINE = "#333333"


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
    paths = {
        name: tokens.reshape(-1, *tokens.shape[-2:]) for name, tokens in codebooks.items()
    }  # (S, K, 2)
    found = {name: nearest(points, np.ascontiguousarray(path[-1])) for name, path in paths.items()}
    costs = {
        name: np.bincount(codes, squared, paths[name].shape[1])
        for name, (codes, squared) in found.items()
    }
    darkest = max(cost.max() for cost in costs.values())
    columns = min(3, len(paths))
    rows = math.ceil(len(paths) / columns)
    figure, axes = style.new_figure(
        rows, columns, 8 if columns > 1 else 4.2, 8 / max(2, columns) * rows + 0.2
    )
    for panel, (name, path) in zip(axes.flat, paths.items(), strict=False):
        used = np.bincount(found[name][0], minlength=path.shape[1]) > 0
        draw_cells(panel, points, path[-1], used, np.sqrt(costs[name] / darkest))
        panel.plot(*np.moveaxis(path, 2, 0), color=style.TOKEN, linewidth=0.8)
        panel.set_title(f"{name}: {costs[name].sum() / len(points):.3f}")
        if columns > 1:
            panel.set(xticks=[], yticks=[])
    for panel in axes.flat[len(paths) :]:
        panel.remove()
    return figure


def draw_cells(axes: Any, points: Array, tokens: Array, used: Array, shades: Array) -> None:
    """Draw ``points``, ``tokens`` ``(K, 2)``, and cells of ``shades`` ``(K,)`` in [0, 1]."""
    from matplotlib.collections import PolyCollection
    from matplotlib.colors import to_rgba

    colors = [to_rgba(style.RECONSTRUCTION, 0.5 * shade) for shade in shades]
    axes.add_collection(
        PolyCollection(cell_outlines(tokens), facecolors=colors, edgecolors=LINE, linewidths=0.5)
    )
    size = 22 if len(tokens) <= 16 else 7
    style.cloud(axes, points, style.DATA, "points", s=3, zorder=2)
    look: Any = {"s": size, "alpha": 1, "zorder": 3}
    style.cloud(axes, tokens[used], style.TOKEN, "tokens", **look)
    crosses = look | {"marker": "x", "linewidths": 1}
    style.cloud(axes, tokens[~used], style.TOKEN, "tokens never chosen", **crosses)
    (left, right), (low, high) = (style.span(column, margin=0.08) for column in points.T)
    axes.set(xlim=(left, right), ylim=(low, high), aspect="equal")
    axes.spines[:].set(visible=True, linewidth=0.5, color=LINE)


@style.styled
def nearest_choices(points: Array, tokens: Array) -> Any:
    """Draw lines from ``points`` ``(N, 2)`` to ``tokens`` ``(K, 2)``, thick ones to the nearest."""
    codes, _ = nearest(points, tokens)
    figure, axes = style.new_figure(1, 1, 4.6, 3.2)
    panel = axes[0, 0]
    beside: Any = {"textcoords": "offset points", "va": "center"}
    for i, point in enumerate(points):
        for k, token in enumerate(tokens):
            width, dashes = (2, "-") if k == codes[i] else (0.5, ":")
            ends = np.array([point, token]).T
            panel.plot(*ends, color=LINE, linewidth=width, linestyle=dashes)
        panel.annotate(f"point {i}", point, (-6, 0), ha="right", **beside)
    for k, token in enumerate(tokens):
        panel.annotate(f"token {k}", token, (6, 0), color=style.TOKEN, **beside)
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
        panel.axvline(goal, color=LINE, linewidth=0.8, linestyle=":", label=goal_name)
        panel.set(title=f"start: {name}", ylabel="runs")
    axes[-1, 0].set_xlabel("distortion at the end")
    axes[0, 0].legend()
    return figure


@style.styled
def distortion_by_size(sizes: Array, distortions: Array, mark: int) -> Any:
    """Draw ``distortions`` ``(S,)`` against the numbers of tokens ``sizes`` ``(S,)``.

    The left panel has the stairs around the size ``mark``, the right one doubling axes.
    """
    figure, axes = style.new_figure(1, 2, 8, 3.1)
    stairs, lines = axes[0]
    small = sizes <= 2 * mark
    stairs.step(sizes[small], distortions[small], ".-", where="post", color=style.TOKEN)
    stairs.axvline(mark, color=LINE, linewidth=0.8, linestyle=":")
    stairs.annotate(
        f"K = {mark}", (mark, stairs.get_ylim()[1]), xytext=(4, -10), textcoords="offset points"
    )
    stairs.set(
        title="every token is a step down", xlabel="tokens K", ylabel="distortion", ylim=(0, None)
    )
    stairs.xaxis.get_major_locator().set_params(integer=True)
    lines.plot(sizes, distortions, ".-", color=style.TOKEN, label="measured")
    guide = sizes >= mark
    lines.plot(
        sizes[guide],
        distortions[-1] * sizes[-1] / sizes[guide],
        color=LINE,
        linewidth=0.8,
        linestyle=":",
        label="∝ 1 / K",
    )
    lines.set(title="the same, and larger codebooks", xlabel="tokens K", ylabel="distortion")
    lines.set_xscale("log", base=2)
    lines.set_yscale("log", base=2)
    lines.legend()
    return figure
