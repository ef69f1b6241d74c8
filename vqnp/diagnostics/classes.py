"""Classes: their shares of the tokens, and the spread within them that a reconstruction keeps."""

import math

import numpy as np

from vqnp.diagnostics.distances import SAMPLE_POINTS, nearest_rows
from vqnp.diagnostics.sample import sample_rows
from vqnp.diagnostics.spread import ratio
from vqnp.diagnostics.usage import entropy
from vqnp.validation import (
    Array,
    CodesLike,
    PointsLike,
    Rng,
    TokensLike,
    as_labels,
    as_points,
    as_seed,
    require_integer,
    row_blocks,
)


def class_divergence(
    tokens: TokensLike,
    embeddings: PointsLike,
    labels: CodesLike,
    *,
    sample: int = SAMPLE_POINTS,
    rng: Rng = 0,
) -> float:
    """Return the Jensen-Shannon divergence between the classes' shares of tokens and embeddings.

    A token, dead or not, belongs to the class of its nearest embedding. A healthy codebook is near
    0: each class has its share of the tokens. It has 0.76 bits when one of ten equal classes holds
    every token. K tokens drawn at random from the embeddings of C classes have about
    ``chance_divergence(K, C)``.

    Parameters
    ----------
    tokens : array-like (K, D)
        The codebook.
    embeddings : array-like (..., D)
        The outputs of the encoder. The nearest of them gives a token its class.
    labels : array-like (N,) of integers
        The class of each embedding.
    sample : int
        Of more embeddings, this many are drawn and searched.
    rng : int or numpy.random.Generator
        The seed or generator of the sample.

    Returns
    -------
    float
        Bits, in [0, 1].

    Raises
    ------
    TypeError
        For labels that are no integers, and for points that are no floats.
    ValueError
        For points of different D, for NaN, and for another number of labels than embeddings.

    Examples
    --------
    >>> class_divergence([[0], [9]], [[0], [1], [8], [9]], [0, 0, 1, 1])
    0.0
    """
    embeddings = as_points(embeddings, "embeddings")
    tokens = as_points(tokens, "tokens", dim=embeddings.shape[1])
    classes = np.unique(as_labels(labels, "labels", len(embeddings)), return_inverse=True)[1]
    rows = sample_rows(len(embeddings), require_integer(sample, "sample", least=1), as_seed(rng))
    owners = classes[rows][nearest_rows(embeddings[rows], tokens)]  # (K,)
    n_classes = int(classes.max()) + 1
    return jensen_shannon(
        np.bincount(owners, minlength=n_classes), np.bincount(classes, minlength=n_classes)
    )


def chance_divergence(n_tokens: int, n_classes: int) -> float:
    """Return (C − 1) / (8 K ln 2) bits: the divergence of K random draws from C classes.

    The leading term for K much larger than C; the divergence itself is at most 1.
    """
    return min(1.0, (n_classes - 1) / (8 * n_tokens * math.log(2)))


def jensen_shannon(first: Array, second: Array) -> float:
    """Return H((p + q)/2) − (H(p) + H(q))/2 in bits, for weights ``(C,)`` over their sums."""
    p, q = first / first.sum(), second / second.sum()
    return max(0.0, entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2) / math.log(2)


def class_spread_ratio(reconstruction: PointsLike, data: PointsLike, labels: CodesLike) -> float:
    """Return the spread within a class that the reconstruction has, over that of the data.

    The spread is the pooled within-class standard deviation. It is the root mean squared distance
    of the rows from the mean of their class. Healthy is 1. Collapsed is 0: each class has shrunk to
    a point.

    Parameters
    ----------
    reconstruction, data : array-like (..., D)
        Row by row the same examples.
    labels : array-like (N,) of integers
        The class of each row.

    Returns
    -------
    float
        In [0, ∞]. Classes that are points give 1 in both arrays, and ∞ in the data alone.

    Raises
    ------
    ValueError
        For a reconstruction of another shape than the data, for another number of labels, and for
        NaN. Arrays of another kind raise a ``TypeError``.

    Examples
    --------
    >>> class_spread_ratio([[1], [3], [8], [8]], [[0], [4], [8], [8]], [0, 0, 1, 1])
    0.5
    """
    data = as_points(data, "data")
    reconstruction = as_points(reconstruction, "reconstruction", dim=data.shape[1])
    if len(reconstruction) != len(data):
        raise ValueError(
            f"reconstruction must have the shape of data, {data.shape}, got {reconstruction.shape}"
        )
    labels = as_labels(labels, "labels", len(data))
    kept, there = within_class_variance(reconstruction, labels), within_class_variance(data, labels)
    return math.sqrt(ratio(kept, there, if_both_zero=1.0))


def within_class_variance(points: Array, labels: Array) -> float:
    """Return the mean squared distance of ``points`` ``(N, D)`` from the mean of their class.

    It is summed in float64, in blocks. Each class is measured from its first member. A class that
    is a point then contributes exactly 0.
    """
    _, first, classes, counts = np.unique(
        labels, return_index=True, return_inverse=True, return_counts=True
    )
    origin = points[first].astype(np.float64)  # (C, D)
    mean = np.zeros_like(origin)
    for rows in row_blocks(points):
        np.add.at(mean, classes[rows], points[rows] - origin[classes[rows]])
    mean /= counts[:, None]
    squared = 0.0
    for rows in row_blocks(points):
        centered = points[rows] - origin[classes[rows]] - mean[classes[rows]]
        squared += float(np.square(centered).sum())
    return squared / len(points)
