"""How the limits of the verdict were chosen: they lie between good and collapsed codebooks.

The clouds have other seeds and sizes than those on which the verdict is tested.
"""

import itertools

import numpy as np
import pytest
from codebooks import KINDS, cloud

from vqnp import kmeans
from vqnp.diagnostics import verdict
from vqnp.diagnostics.reference import fit, kmeans_reference

pytestmark = pytest.mark.jit  # k-means takes minutes when it is interpreted

TOKENS, AT_WORK = 64, 19  # 30 % of them


def measured(dims, kinds):
    """Perplexity and loss over those of k-means, and the loss itself, of good and poor codebooks.

    Good ones are fitted to all embeddings, or to half of them. In poor ones 30 % are at work.
    """
    good, poor = [], []
    for dim, kind in itertools.product(dims, kinds):
        points = cloud(kind, 40 * TOKENS, dim, np.random.default_rng([5, dim, KINDS.index(kind)]))
        rows, found = kmeans_reference(points, TOKENS)
        sample, variance = points[rows], points[rows].var(axis=0).sum()
        theirs = fit(sample, found.tokens, found.codes)
        for kept, n_tokens, seen in (
            (good, TOKENS, points),
            (good, TOKENS, points[::2]),
            (poor, AT_WORK, points),
        ):
            ours = fit(sample, kmeans(seen, n_tokens, rng=1, iterations=30).tokens)
            loss = ours.squared_error
            kept.append(
                (
                    ours.perplexity / theirs.perplexity,
                    loss / theirs.squared_error,
                    loss / variance,
                )
            )
    return np.transpose(good), np.transpose(poor)


def test_limits_lie_between_good_and_collapsed_codebooks():
    good, poor = measured((1, 2, 8, 32, 64), KINDS)
    least, most, lowest = good[0].min(), poor[0].max(), poor[1].min()
    assert most < verdict.LOW_SHARE.value < least
    assert lowest > verdict.HIGHER_LOSS.value
    for said in (f"{least:.2f} times the perplexity of", f"{lowest:.2f} times the loss"):
        assert said in verdict.__doc__.replace("\n", " ")
    far = good[1][good[2] > verdict.SEEN_LOSS.value].max()
    assert (
        f"Good codebooks that lost 1 % or more stayed below {far + 0.1:.1f}."
        in verdict.FAR_LOSS.reason
    )


def test_limits_lie_between_them_for_large_codebooks(monkeypatch):
    """Above 4,096 tokens the reference starts at random, has ten embeddings a token, and 3 steps.

    Not among clusters: 64 random tokens miss some of 30, as thousands of tokens would not.
    """
    for name in ("LEAST_SAMPLE", "BUDGET_PRODUCTS", "PLUS_PLUS_TOKENS"):
        monkeypatch.setattr(f"vqnp.diagnostics.reference.{name}", 0)
    good, poor = measured((32, 64), [kind for kind in KINDS if kind != "clustered"])
    most = poor[0].max()
    assert most < verdict.LOW_SHARE.value < good[0].min()
    assert poor[1].min() > verdict.HIGHER_LOSS.value
    assert good[1].max() < verdict.FAR_LOSS.value
    assert f"at most {most:.2f} times the perplexity" in verdict.__doc__.replace("\n", " ")
