"""Embeddings and tokens where they lie: densities along a line, or clouds in a plane."""

from typing import Any

import numpy as np

from vqnp.diagnostics.spread import principal_variances
from vqnp.plots import style
from vqnp.quantize.search import search
from vqnp.validation import Array, PointsLike, as_points

__all__ = ["draw_cloud", "project_to_plane"]


@style.styled
def draw_cloud(
    embeddings: PointsLike, tokens: PointsLike | None = None, *, axes: Any = None
) -> Any:
    """Draw embeddings, and over them the tokens; tokens that no embedding chooses are crosses.

    In one dimension you see densities, in the unit of the embeddings' standard deviation. In two
    you see the points. Above two you see the plane of the embeddings' first two principal
    components. At most ``style.SHOWN`` embeddings are drawn.

    Parameters
    ----------
    embeddings : array-like (..., D), float32 or float64
        What an encoder gives.
    tokens : array-like (K, D), optional
        The codebook.
    axes : matplotlib.axes.Axes, optional
        Where to draw; a new figure of pyplot's unless given.

    Returns
    -------
    matplotlib.axes.Axes
        The axes, for a title or a limit of your own.

    Raises
    ------
    TypeError, ValueError
        For arrays that are no points, or of different dimensions.

    Example
    -------
    >>> import numpy as np
    >>> axes = draw_cloud(np.random.default_rng(0).normal(size=(50, 3)), np.zeros((1, 3)))
    >>> axes.get_xlabel()
    'component 1'
    """
    points = as_points(embeddings, "embeddings")
    panel = style.panels(axes, 1, 5, 4)[0]
    book = used = None
    if tokens is not None:
        book = as_points(tokens, "tokens", dim=points.shape[1], dtype=points.dtype)
        used = np.isin(np.arange(len(book)), search(points, book)[0])
    draw_with_tokens(panel, points, book, used)
    return panel


def draw_with_tokens(axes: Any, points: Array, tokens: Array | None, used: Any) -> None:
    """Draw ``points`` ``(N, D)`` and ``tokens`` ``(K, D)``; ``used`` ``(K,)`` tells the chosen.

    You see densities for D = 1, and clouds above it.
    """
    if points.shape[1] == 1:
        style.along_a_line(axes, points, tokens)
        return
    (flat,) = project_to_plane(points, points)
    few = flat[:: max(1, len(flat) // style.SHOWN)]
    style.cloud(axes, few, style.EMBEDDING, "embeddings", alpha=0.4)
    axes.set_aspect("equal", adjustable="datalim")
    name = "coordinate" if points.shape[1] == 2 else "component"
    axes.set(xlabel=f"{name} 1", ylabel=f"{name} 2")
    if tokens is not None:
        (marks,) = project_to_plane(points, tokens)
        draw_tokens(axes, marks, used)


def draw_tokens(axes: Any, tokens: Array, used: Array, **look: Any) -> None:
    """Draw ``tokens`` ``(K, 2)``, as crosses where they are not ``used`` ``(K,)``."""
    crosses: Any = {"s": 16, "alpha": 0.9, "marker": "x", "linewidths": 0.8}
    dots: Any = {"s": 12, "alpha": 0.95}
    style.cloud(axes, tokens[~used], style.TOKEN, "tokens never chosen", **crosses | look)
    style.cloud(axes, tokens[used], style.TOKEN, "tokens in use", **dots | look)


def project_to_plane(reference: PointsLike, *clouds: PointsLike) -> list[Array]:
    """Return clouds in the plane in which a reference varies most.

    Parameters
    ----------
    reference : array-like (N, D)
        The points whose first two principal components span the plane.
    *clouds : array-like (n, D)
        What to project; up to D = 2 they are returned as they are.

    Returns
    -------
    list of arrays (n, 2), or (n, 1) for D = 1
        Each cloud, in coordinates from the reference's center.

    Example
    -------
    >>> import numpy as np
    >>> line = np.outer([-1.0, 0.0, 1.0], [3.0, 0.0, 4.0])
    >>> (flat,) = project_to_plane(line, line)
    >>> np.abs(flat[:, 0]).round(6).tolist()
    [5.0, 0.0, 5.0]
    """
    points = as_points(reference, "reference")
    others = [as_points(cloud, "clouds", dim=points.shape[1]) for cloud in clouds]
    if points.shape[1] <= 2:
        return others
    center = points.mean(axis=0, dtype=np.float64)
    directions = np.linalg.svd(points - center, full_matrices=False)[2]  # (D, D), widest first
    return [(cloud - center) @ directions[:2].T for cloud in others]


def explained_by_plane(points: Array) -> float:
    """Return the share of the variance of ``points`` ``(N, D)`` along their first two axes."""
    variances = principal_variances(points)
    return float(variances[:2].sum() / max(variances.sum(), np.finfo(float).tiny))
