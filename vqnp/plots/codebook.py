"""A codebook at a glance: where its tokens lie, how often each is chosen, how far they spread."""

from typing import Any

import numpy as np

from vqnp.diagnostics.sample import sample_rows
from vqnp.diagnostics.spread import principal_variances
from vqnp.plots import style
from vqnp.plots.cloud import draw_with_tokens, explained_by_plane
from vqnp.quantize.search import search
from vqnp.validation import Array, CountsLike, PointsLike, as_array, as_points

__all__ = ["draw_codebook", "draw_spread", "draw_usage"]

MOST_SHOWN = 4000  # embeddings, and tokens, drawn at most


@style.styled
def draw_codebook(
    embeddings: PointsLike,
    tokens: PointsLike,
    counts: CountsLike | None = None,
    *,
    axes: Any = None,
    rng: Any = 0,
) -> Any:
    """Draw where the tokens lie, how often each is chosen, and how far they spread.

    Parameters
    ----------
    embeddings : array-like (..., D), float32 or float64
        What an encoder gives.
    tokens : array-like (K, D)
        The codebook.
    counts : array-like (K,), optional
        The embeddings that chose each token; counted here unless given.
    axes : sequence of three matplotlib.axes.Axes, optional
        Where to draw; a new figure of pyplot's unless given.
    rng : int or numpy.random.Generator
        Draws which 4,000 embeddings and tokens are shown, where there are more.

    Returns
    -------
    array (3,) of matplotlib.axes.Axes
        Positions, usage and spread.

    Raises
    ------
    TypeError, ValueError
        For arrays that are no points, of different dimensions, or another number of axes.

    Example
    -------
    >>> import numpy as np
    >>> z = np.random.default_rng(0).normal(size=(100, 2))
    >>> positions, usage, spread = draw_codebook(z, z[:5])
    >>> usage.get_title()
    'how often each is chosen: 5 of 5 at all'
    """
    # Each picture looks for NaN in what it draws; a file larger than memory is read once less.
    points = as_points(embeddings, "embeddings", finite=False)
    book = as_points(tokens, "tokens", dim=points.shape[1], dtype=points.dtype)
    if counts is None:
        counts = np.bincount(search(points, book)[0], minlength=len(book))
    found = style.panels(axes, 3, 14, 4.4)
    draw_positions(
        found[0], points, book, as_array(counts, "counts") > 0, np.random.default_rng(rng)
    )
    draw_usage(counts, axes=found[1])
    draw_spread(points, book, axes=found[2])
    return found


def draw_positions(axes: Any, embeddings: Array, tokens: Array, used: Array, rng: Any) -> None:
    """Draw embeddings and tokens; above two dimensions, say how much of the variance is seen."""
    seed = int(rng.integers(1 << 32))
    few, kept = (sample_rows(len(cloud), MOST_SHOWN, seed) for cloud in (embeddings, tokens))
    draw_with_tokens(axes, embeddings[few], tokens[kept], used[kept])
    title = "where the tokens lie"
    if tokens.shape[1] > 2:
        title += f": a plane that holds {explained_by_plane(embeddings[few]):.0%} of the variance"
    axes.set_title(title)
    axes.legend(fontsize=7)


@style.styled
def draw_usage(counts: CountsLike, *, axes: Any = None) -> Any:
    """Draw each token's share of the embeddings, most chosen first, beside the even share.

    Parameters
    ----------
    counts : array-like (K,)
        The embeddings that chose each token; at least one of them is positive.
    axes : matplotlib.axes.Axes, optional
        Where to draw; a new figure of pyplot's unless given.

    Returns
    -------
    matplotlib.axes.Axes
        The axes; the vertical one is logarithmic, so tokens without embeddings are not seen.

    Raises
    ------
    ValueError
        For counts that are all zero, or that are not (K,).

    Example
    -------
    >>> draw_usage([4, 0, 1]).get_title()
    'how often each is chosen: 2 of 3 at all'
    """
    array = as_array(counts, "counts")
    if array.ndim != 1 or not array.sum() > 0:
        raise ValueError(f"counts must be (K,) with a positive sum, got {array.shape}")
    panel = style.panels(axes, 1, 5, 4)[0]
    share, used = np.sort(array)[::-1] / array.sum(), int((array > 0).sum())
    panel.plot(np.arange(1, used + 1), share[:used], color=style.TOKEN, label="tokens in use")
    panel.axhline(1 / len(array), label="an even share", **style.GUIDE)
    panel.set(
        title=f"how often each is chosen: {used} of {len(array)} at all",
        xlabel="token, most chosen first",
        ylabel="share of the embeddings",
        xlim=(1, max(2, len(array))),
        yscale="log",
    )
    panel.legend(fontsize=7)
    return panel


@style.styled
def draw_spread(embeddings: PointsLike, tokens: PointsLike, *, axes: Any = None) -> Any:
    """Draw the standard deviation along each principal component, of embeddings and of tokens.

    Parameters
    ----------
    embeddings : array-like (..., D), float32 or float64
        What an encoder gives.
    tokens : array-like (K, D)
        The codebook. Its components are its own.
    axes : matplotlib.axes.Axes, optional
        Where to draw; a new figure of pyplot's unless given.

    Returns
    -------
    matplotlib.axes.Axes
        The axes.

    Raises
    ------
    TypeError, ValueError
        For arrays that are no points.

    Example
    -------
    >>> import numpy as np
    >>> square = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    >>> axes = draw_spread(square, 3 * square)
    >>> [line.get_ydata().tolist() for line in axes.lines]
    [[1.0, 1.0], [3.0, 3.0]]
    """
    panel = style.panels(axes, 1, 5, 4)[0]
    for points, color, label, marker in (
        (embeddings, style.EMBEDDING, "embeddings", "o"),
        (tokens, style.TOKEN, "tokens", "s"),
    ):
        deviations = np.sqrt(principal_variances(points, label))
        components = np.arange(1, len(deviations) + 1)
        panel.plot(components, deviations, f"{marker}-", color=color, markersize=4, label=label)
    panel.set(
        title="how far they spread, direction by direction",
        xlabel="principal component",
        ylabel="standard deviation",
        ylim=(0, None),
    )
    panel.xaxis.get_major_locator().set_params(integer=True)
    panel.legend(fontsize=7)
    return panel
