"""One pass through the embeddings: how often each token is the nearest, and how far away it is.

The embeddings are searched a block of rows at a time; the codes of a block are counted and forgotten.
"""

from typing import NamedTuple

import numpy as np

from vqnp.diagnostics.blocks import row_blocks
from vqnp.diagnostics.spread import ratio, total_variance
from vqnp.quantize.search import nearest
from vqnp.validation import Array, require_points


class Assignment(NamedTuple):
    """``counts`` ``(K,)`` int64: embeddings a token; ``squared_error``: mean of ‖z − t‖² over the embeddings."""

    counts: Array
    squared_error: float


def assign(embeddings: Array, tokens: Array, *, progress: bool = False) -> Assignment:
    """Search the nearest of ``tokens`` ``(K, D)`` for ``embeddings`` ``(N, D)``, in the wider of their two dtypes.

    ``progress`` shows a bar. Raises ``TypeError`` or ``ValueError`` unless both are finite float arrays of one D.
    """
    from tqdm import tqdm

    tokens = require_points(tokens, "tokens")
    embeddings = require_points(embeddings, "embeddings", dim=tokens.shape[1])
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


def quantization_error(embeddings: Array, tokens: Array) -> float:
    """Return the mean of ‖z − nearest token‖² over the embeddings, divided by their total variance.

    Range [0, ∞). Healthy: near 0. 1 is what a single token at the mean achieves; above 1 the tokens lie elsewhere than the
    embeddings. Embeddings that all coincide give 0 on a token and ∞ off it. Raises as ``assign`` does.
    """
    return relative_error(assign(embeddings, tokens), total_variance(embeddings, "embeddings"))


def relative_error(assignment: Assignment, variance: float) -> float:
    """Return the squared error of an assignment divided by the embeddings' total ``variance``."""
    return ratio(assignment.squared_error, variance, if_both_zero=0.0)
