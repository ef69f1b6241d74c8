"""The codebook of k-means, and the tokens that do the work of one."""

from pathlib import Path

import numpy as np
import pytest

from vqnp import kmeans
from vqnp.diagnostics import diagnose, diagnose_usage
from vqnp.diagnostics import remedies as module
from vqnp.diagnostics.reference import NEAR, fit, kmeans_reference, near_duplicates
from vqnp.diagnostics.remedies import remedies

pytestmark = pytest.mark.jit  # k-means takes minutes when it is interpreted

RNG = np.random.default_rng(0)
CLOUD = RNG.standard_normal((2000, 3))


def test_the_reference_is_the_packages_kmeans_with_a_fixed_seed():
    rows, found = kmeans_reference(CLOUD, 10)
    tokens = found.tokens
    np.testing.assert_array_equal(rows, np.arange(2000))
    np.testing.assert_array_equal(tokens, kmeans(CLOUD, 10, rng=0, iterations=30).tokens)
    assert diagnose(CLOUD, tokens, rng=5).reference == diagnose(CLOUD, tokens, rng=6).reference


def test_a_sample_stands_for_many_embeddings(monkeypatch):
    monkeypatch.setattr("vqnp.diagnostics.reference.LEAST_SAMPLE", 500)
    rows, _ = kmeans_reference(CLOUD, 10)
    assert len(rows) == 500
    diagnosis = diagnose(CLOUD, CLOUD[:10])
    assert diagnosis.reference.n_embeddings == 500
    assert len(kmeans_reference(CLOUD, 60)[0]) == 600  # ten a token


def test_steps_stop_at_the_budget(monkeypatch):
    steps = []

    def counted(sample, n_tokens, *, iterations, **_):
        steps.append(iterations)
        return kmeans(sample, n_tokens, iterations=1)

    monkeypatch.setattr("vqnp.diagnostics.reference.kmeans", counted)
    for budget in (1, 10 * CLOUD.size * 5, 1 << 38):
        monkeypatch.setattr("vqnp.diagnostics.reference.BUDGET_PRODUCTS", budget)
        kmeans_reference(CLOUD, 5)
    assert steps == [3, 10, 30]


def test_the_codebook_is_measured_as_the_definition_says():
    tokens = CLOUD[:20]
    squared = np.square(CLOUD[:, None] - tokens).sum(axis=2)
    measured = fit(CLOUD, tokens)
    np.testing.assert_array_equal(
        measured.counts, np.bincount(squared.argmin(axis=1), minlength=20)
    )
    assert measured.squared_error == pytest.approx(squared.min(axis=1).mean())
    given = fit(CLOUD, tokens, squared.argmin(axis=1))
    assert given.squared_error == measured.squared_error


def test_tokens_nearer_than_a_tenth_of_their_error_do_the_work_of_one():
    tokens = np.array([[0.0], [0.99 * NEAR], [5.0], [5 + 1.01 * NEAR], [9.0], [9.0], [9.0]])
    ones = np.ones(7)
    np.testing.assert_array_equal(near_duplicates(tokens, ones, ones), [0, 0, 2, 3, 4, 4, 4])
    small = near_duplicates(tokens, ones, 1e-4 * ones)  # an error of 0.01
    np.testing.assert_array_equal(small, [0, 1, 2, 3, 4, 4, 4])


def test_groups_of_any_size_are_joined():
    """A token's nearest is one of many copies, so that one round joins them in part."""
    tokens = RNG.permutation(np.repeat(100 * RNG.standard_normal((5, 2)), 40, axis=0))
    groups = near_duplicates(tokens, np.ones(200), np.ones(200))
    assert len(np.unique(groups)) == 5
    np.testing.assert_array_equal(tokens[groups], tokens)
    assert all(groups[first] == first for first in np.unique(groups))


def test_usage_alone():
    found = diagnose_usage(RNG.integers(0, 8, (10, 20)), n_tokens=9)
    assert (found.n_embeddings, found.n_tokens, found.codes_used) == (200, 9, 8)
    assert found.dead_tokens == (8,)
    assert found.entropy_bits == pytest.approx(np.log2(found.perplexity))
    assert found.verdict == "cannot tell"
    assert diagnose_usage(counts=[50, 50, 0]).perplexity == pytest.approx(2)
    assert diagnose_usage([0, 3]).n_tokens == 4
    one = diagnose_usage(counts=[0, 100, 0])
    assert (one.verdict, one.signs) == (
        "collapsed",
        {"Tokens collapse": ["one token serves every embedding"]},
    )


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, ValueError, "give codes or counts"),
        ({"codes": [0], "counts": [1]}, ValueError, "give codes or counts"),
        ({"codes": [0, 5], "n_tokens": 4}, ValueError, r"codes must lie in \[0, 4\)"),
        ({"codes": [0.5]}, TypeError, "codes must be a NumPy array of integers"),
        ({"codes": []}, (TypeError, ValueError), "codes"),
        ({"counts": [1, -1]}, ValueError, "counts must be"),
        ({"counts": [0, 0]}, ValueError, "counts must be"),
    ],
)
def test_what_is_no_usage_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        diagnose_usage(**arguments)


def names(diagnosis):
    return [remedy.name for remedy in remedies(diagnosis)]


def test_remedies_fit_the_verdict():
    good = kmeans(CLOUD, 20, rng=0).tokens
    assert names(diagnose(CLOUD, good)) == []
    dead = names(diagnose(CLOUD, np.concatenate([good[:2], np.full((18, 3), 99.0)])))
    assert dead[0] == "Pretrain, then quantize"
    assert "Revive dead tokens" in dead
    assert names(diagnose(CLOUD, good[::-1] + 9))[-1] == "A quantizer without a codebook"
    assert names(diagnose(CLOUD, CLOUD[:1] + 5))[0] == "Check that both belong together"
    assert names(diagnose(CLOUD[:50], good)) == ["More embeddings"]
    merged = names(diagnose(CLOUD * 0, good))
    assert merged[0] == "A wider encoder, or a longer pretraining"


def test_every_remedy_leads_somewhere():
    root = Path(__file__).parents[2]
    found = [each for each in vars(module).values() if isinstance(each, module.Remedy)]
    assert len(found) == 10
    assert all((root / remedy.where).exists() for remedy in found)
