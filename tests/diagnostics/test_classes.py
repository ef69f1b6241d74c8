import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqnp.diagnostics import class_divergence, class_spread_ratio
from vqnp.diagnostics.classes import chance_divergence, jensen_shannon, within_class_variance

LABELS = np.repeat(np.arange(10), 30)
CENTRES = np.arange(10.0)[:, None] * 10 + [0, 0]
POINTS = CENTRES[LABELS] + np.random.default_rng(0).standard_normal((300, 2))


def test_tokens_in_proportion_have_no_divergence():
    assert class_divergence(np.repeat(CENTRES, 3, axis=0), POINTS, LABELS) == 0.0
    assert class_divergence(POINTS, POINTS, LABELS * 7 - 20) == 0.0  # any integers name the classes


def test_all_tokens_in_one_of_ten_classes():
    """p = (1, 0, …), q = 1/10: H(m) − H(q)/2 with m = 0.55 and nine times 0.05."""
    expected = -0.55 * math.log2(0.55) - 9 * 0.05 * math.log2(0.05) - math.log2(10) / 2
    assert class_divergence(CENTRES[:1].repeat(40, axis=0), POINTS, LABELS) == pytest.approx(
        expected
    )
    assert round(expected, 2) == 0.76


def test_random_tokens_show_the_chance_divergence():
    rng = np.random.default_rng(0)
    drawn = [class_divergence(POINTS[rng.choice(300, 128)], POINTS, LABELS) for _ in range(100)]
    # each is roughly chi-squared with 9 degrees of freedom: standard error of the mean 5 %
    assert np.mean(drawn) == pytest.approx(chance_divergence(128, 10), rel=0.2)
    assert chance_divergence(1, 10) == 1.0
    assert chance_divergence(128, 1) == 0.0


def test_tokens_are_matched_far_from_the_origin_and_in_a_sample():
    shift = np.float32(1e5)
    assert (
        class_divergence(
            CENTRES.astype(np.float32) + shift, POINTS.astype(np.float32) + shift, LABELS
        )
        == 0.0
    )
    assert class_divergence(CENTRES, POINTS, LABELS, sample=200) == 0.0


weights = st.lists(st.integers(0, 9), min_size=4, max_size=4).filter(any).map(np.array)


@given(weights, weights)
def test_jensen_shannon_lies_in_zero_to_one_and_is_symmetric(p, q):
    assert 0 <= jensen_shannon(p, q) <= 1 + 1e-12
    assert jensen_shannon(p, q) == pytest.approx(jensen_shannon(q, p), abs=1e-12)
    assert jensen_shannon(p, 3 * p) == pytest.approx(0, abs=1e-12)


def test_jensen_shannon_of_strangers_is_one_bit():
    assert jensen_shannon(np.array([1, 1, 0]), np.array([0, 0, 5])) == pytest.approx(1)


def test_within_class_variance_is_pooled_over_the_rows(monkeypatch):
    monkeypatch.setattr("vqnp.validation.VALUES_A_BLOCK", 7)
    points = np.array([[0.0], [2], [10], [16], [10], [16]])
    labels = np.array([5, 5, -1, -1, -1, -1])
    assert within_class_variance(points, labels) == pytest.approx((2 * 1 + 4 * 9) / 6)
    shuffled = np.array([3, 0, 5, 1, 2, 4])
    assert within_class_variance(points[shuffled] + 1e8, labels[shuffled]) == pytest.approx(38 / 6)


def test_class_spread_ratio_between_kept_and_collapsed():
    means = np.array([POINTS[label == LABELS].mean(axis=0) for label in range(10)])[LABELS]
    assert class_spread_ratio(POINTS, POINTS, LABELS) == 1.0
    assert class_spread_ratio(means + (POINTS - means) * 0.3, POINTS, LABELS) == pytest.approx(0.3)
    assert class_spread_ratio(means + 50, POINTS, LABELS) == 0.0
    assert class_spread_ratio(means, means, LABELS) == 1.0
    assert class_spread_ratio(POINTS, means, LABELS) == math.inf


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"labels must have shape \(300,\), got \(299,\)"):
        class_divergence(CENTRES, POINTS, LABELS[1:])
    with pytest.raises(TypeError, match="labels must be a NumPy array of integers, got float64"):
        class_spread_ratio(POINTS, POINTS, LABELS * 1.0)
    with pytest.raises(ValueError, match=r"tokens must have shape \(N, 2\)"):
        class_divergence(CENTRES[:, :1], POINTS, LABELS)
    with pytest.raises(
        ValueError, match=r"reconstruction must have the shape of data, \(300, 2\), got \(299, 2\)"
    ):
        class_spread_ratio(POINTS[1:], POINTS, LABELS)
