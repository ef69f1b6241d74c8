"""How fairly the classes are served: tokens a class, and what the reconstruction keeps of a class's spread."""

import math

import numpy as np

from vqnp.diagnostics.blocks import row_blocks, sample_rows
from vqnp.diagnostics.distances import SAMPLE, nearest_rows
from vqnp.diagnostics.spread import ratio
from vqnp.diagnostics.usage import entropy
from vqnp.validation import Array, require_integer, require_labels, require_points


def class_divergence(
    tokens: Array, embeddings: Array, labels: Array, *, sample: int = SAMPLE, seed: int = 0
) -> float:
    """Return the Jensen-Shannon divergence, in bits, between how tokens and how embeddings are shared among the classes.

    A token ``(K, D)`` belongs to the class of its nearest embedding ``(N, D)``, dead or not; ``labels`` ``(N,)`` are any
    integers. Range [0, 1]. Healthy: near 0, each class has its share of the tokens. Collapsed: large; 0.76 when one of ten
    equal classes holds every token. K tokens drawn at random from the embeddings of C classes show about
    ``chance_divergence(K, C)``. Of more than ``sample`` embeddings a seeded sample is searched.
    Raises ``TypeError`` or ``ValueError`` for bad arrays.
    """
    embeddings = require_points(embeddings, "embeddings")
    tokens = require_points(tokens, "tokens", dim=embeddings.shape[1])
    classes = np.unique(require_labels(labels, "labels", len(embeddings)), return_inverse=True)[1]
    rows = sample_rows(len(embeddings), require_integer(sample, "sample", least=1), seed)
    owners = classes[rows][nearest_rows(embeddings[rows], tokens)]  # (K,)
    n_classes = int(classes.max()) + 1
    return jensen_shannon(
        np.bincount(owners, minlength=n_classes), np.bincount(classes, minlength=n_classes)
    )


def chance_divergence(n_tokens: int, n_classes: int) -> float:
    """Return (C − 1) / (8 K ln 2) bits: the divergence of K random draws from their own distribution over C classes.

    The leading term for K much larger than C; the divergence itself never passes 1.
    """
    return min(1.0, (n_classes - 1) / (8 * n_tokens * math.log(2)))


def jensen_shannon(first: Array, second: Array) -> float:
    """Return H((p + q)/2) − (H(p) + H(q))/2 in bits, in [0, 1], for weights ``(C,)`` >= 0 divided by their sums."""
    p, q = first / first.sum(), second / second.sum()
    return max(0.0, entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2) / math.log(2)


def class_spread_ratio(reconstruction: Array, data: Array, labels: Array) -> float:
    """Return the pooled within-class standard deviation of ``reconstruction`` ``(N, D)`` over that of ``data`` ``(N, D)``.

    Pooled: the root mean squared distance of the rows from the mean of their class. Range [0, ∞]. Healthy: 1, the spread is
    kept. Collapsed: 0, each class has shrunk to a point. Classes that are points in both give 1, in the data alone ∞.
    Raises ``TypeError`` or ``ValueError`` for bad arrays or different shapes.
    """
    data = require_points(data, "data")
    reconstruction = require_points(reconstruction, "reconstruction", dim=data.shape[1])
    if len(reconstruction) != len(data):
        raise ValueError(
            f"reconstruction must have the shape of data, {data.shape}, got {reconstruction.shape}"
        )
    labels = require_labels(labels, "labels", len(data))
    return math.sqrt(
        ratio(
            within_class_variance(reconstruction, labels),
            within_class_variance(data, labels),
            if_both_zero=1.0,
        )
    )


def within_class_variance(points: Array, labels: Array) -> float:
    """Return the mean squared distance of ``points`` ``(N, D)`` from the mean of their class; in blocks, in float64.

    Each class is measured from its first member, so that a class that is a point contributes exactly 0.
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
        squared += float(
            np.square(points[rows] - origin[classes[rows]] - mean[classes[rows]]).sum()
        )
    return squared / len(points)
