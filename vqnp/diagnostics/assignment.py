"""Assignment: each embedding's nearest token, and the error of taking the token in its place.

The embeddings are searched a block of rows at a time. The codes of a block are counted and dropped.
"""

from typing import NamedTuple

import numpy as np

from vqnp.diagnostics.spread import ratio, total_variance
from vqnp.quantize.search import nearest
from vqnp.validation import Counts, PointsLike, TokensLike, as_points, row_blocks


class Assignment(NamedTuple):
    """``counts`` ``(K,)``: embeddings a token; ``squared_error``: the mean of ‖z − t‖²."""

    counts: Counts
    squared_error: float


def quantization_error(embeddings: PointsLike, tokens: TokensLike) -> float:
    """Return the mean of ‖z − nearest token‖², divided by the total variance of the embeddings.

    A healthy codebook is near 0. A single token at the mean has 1. Above 1, the tokens lie
    elsewhere than the embeddings.

    Parameters
    ----------
    embeddings : array-like (..., D)
        The outputs of the encoder.
    tokens : array-like (K, D)
        The codebook.

    Returns
    -------
    float
        In [0, ∞]. Embeddings that all coincide give 0 on a token and ∞ off it.

    Raises
    ------
    TypeError
        For arrays of integers, because codes are easily given in the place of points.
    ValueError
        For tokens of another D than the embeddings', and for NaN or infinity.

    Examples
    --------
    >>> quantization_error([[0], [2], [10], [12]], [[6]])
    1.0
    """
    squared_error = assign(embeddings, tokens).squared_error
    return ratio(squared_error, total_variance(embeddings, "embeddings"), if_both_zero=0.0)


def assign(embeddings: PointsLike, tokens: TokensLike, *, progress: bool = False) -> Assignment:
    """Find the nearest of ``tokens`` ``(K, D)`` for ``embeddings`` ``(..., D)``.

    Two dtypes meet in the wider one. ``progress`` shows a bar. Raises ``TypeError`` or
    ``ValueError`` for arrays that are no finite points of one D.
    """
    from tqdm import tqdm

    tokens = as_points(tokens, "tokens")
    embeddings = as_points(embeddings, "embeddings", dim=tokens.shape[1])
    dtype = np.result_type(embeddings, tokens)
    tokens = tokens.astype(dtype, copy=False)
    counts = np.zeros(len(tokens), np.int64)
    squared = 0.0
    with tqdm(
        total=len(embeddings), unit=" embeddings", unit_scale=True, disable=not progress
    ) as bar:
        for rows in row_blocks(embeddings):
            codes, distances = nearest(embeddings[rows].astype(dtype, copy=False), tokens)
            counts += np.bincount(codes, minlength=len(tokens))
            squared += float(distances.sum(dtype=np.float64))
            bar.update(len(codes))
    return Assignment(counts, squared / len(embeddings))
