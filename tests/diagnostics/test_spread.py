import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqnp.diagnostics import effective_dimension, effective_rank, spread_ratio
from vqnp.diagnostics.spread import mean_and_covariance, total_variance

rng = np.random.default_rng(0)
CLOUD = rng.standard_normal((500, 4)) * [3, 2, 1, 0.5]
SQUARE = np.array([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])  # equal variance in both directions


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    # 37 rows of CLOUD: several blocks, the last one shorter
    monkeypatch.setattr("vqnp.validation.VALUES_A_BLOCK", 37 * 4)


def test_mean_and_covariance_in_blocks_are_numpys():
    mean, covariance = mean_and_covariance(CLOUD)
    np.testing.assert_allclose(mean, CLOUD.mean(axis=0), atol=1e-14)
    np.testing.assert_allclose(covariance, np.cov(CLOUD.T, bias=True), rtol=1e-12, atol=1e-14)


def test_no_cancellation_far_from_the_origin():
    """At 1e8, E[x²] − E[x]² has no digit left in float64. Here only the points are rounded."""
    _, covariance = mean_and_covariance(CLOUD + 1e8)
    np.testing.assert_allclose(covariance, np.cov(CLOUD.T, bias=True), atol=1e-6)
    assert total_variance(CLOUD + 1e8) == pytest.approx(total_variance(CLOUD), rel=1e-7)


def test_float32_points_are_summed_in_float64():
    exact = (CLOUD.astype(np.float32) + np.float32(1e4)).astype(np.float64)
    assert total_variance(exact.astype(np.float32)) == pytest.approx(
        exact.var(axis=0).sum(), rel=1e-12
    )


@pytest.mark.parametrize(
    "points", [np.full((7, 3), 0.1), np.full((7, 3), 0.1, np.float32), np.ones((1, 3))]
)
def test_points_that_coincide_have_no_spread(points):
    assert (
        total_variance(points) == 0.0
    )  # exactly: 0.1 has no exact mean, the difference to the first point has
    assert effective_dimension(points) == 0
    assert effective_rank(points) == 0.0
    assert spread_ratio(points, points) == 1.0


def test_a_line_has_dimension_and_rank_one():
    line = np.linspace(-1, 1, 20)[:, None] * [1.0, 2, -3] + 5
    assert effective_dimension(line) == 1
    assert effective_rank(line) == 1.0  # exactly: directions of pure rounding are dropped


def test_a_round_cloud_has_full_dimension_and_rank():
    assert effective_dimension(SQUARE) == 2
    assert effective_rank(SQUARE) == pytest.approx(2)


def test_dimension_counts_components_to_the_share():
    points = np.concatenate(
        [np.diag([8.0, 4, 2, 1]), -np.diag([8.0, 4, 2, 1])]
    )  # variances 64 : 16 : 4 : 1
    shares = np.cumsum([64, 16, 4, 1]) / 85  # 0.753, 0.941, 0.988, 1
    assert [effective_dimension(points, share - 1e-9) for share in shares] == [1, 2, 3, 4]
    assert effective_dimension(points) == 4
    assert effective_dimension(points, 0.98) == 3


def test_rank_is_the_entropy_of_the_singular_values_and_not_of_the_variances():
    points = np.concatenate([np.diag([3.0, 1]), -np.diag([3.0, 1])])  # singular values 3 : 1
    assert effective_rank(points) == pytest.approx(
        math.exp(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))
    )
    singular = np.linalg.svd(CLOUD - CLOUD.mean(axis=0), compute_uv=False)
    p = singular / singular.sum()
    assert effective_rank(CLOUD) == pytest.approx(np.exp(-(p * np.log(p)).sum()))


@given(st.integers(1, 6), st.integers(2, 9), st.floats(1e-3, 1e3), st.integers(0, 1000))
def test_dimension_and_rank_lie_in_range_and_ignore_scale_shift_and_order(d, n, scale, seed):
    points = np.random.default_rng(seed).standard_normal((n, d))
    moved = points[::-1] * scale + 3
    assert 1 <= effective_dimension(points) == effective_dimension(moved) <= min(d, n - 1)
    assert 1 <= effective_rank(points) <= min(d, n - 1) * (1 + 1e-9)
    assert effective_rank(moved) == pytest.approx(effective_rank(points), rel=1e-6)


def test_spread_ratio_is_a_ratio_of_deviations():
    assert spread_ratio(CLOUD * 0.25 + 7, CLOUD) == pytest.approx(0.25)
    assert spread_ratio(SQUARE, SQUARE * [[5, 1]]) == pytest.approx(math.sqrt(2 / 26))
    assert spread_ratio(np.zeros((1, 4)), CLOUD) == 0.0
    assert spread_ratio(CLOUD, np.zeros((3, 4))) == math.inf


def test_the_best_tokens_for_a_dense_middle_reach_farther_than_its_points():
    """The best density of many tokens on a line goes with p^(1/3) (Panter and Dite).

    For a Gaussian this is a Gaussian of √3 times the deviation. 32 tokens stay short of √3, because
    they cannot reach the tails. 1.1 tells them from crowding."""
    points = np.sort(np.random.default_rng(1).standard_normal(4000))
    tokens = np.quantile(points, (np.arange(32) + 0.5) / 32)
    for _ in range(100):  # Lloyd
        owners = np.abs(points[:, None] - tokens).argmin(axis=1)
        tokens = np.array([points[owners == k].mean() for k in range(32)])
    assert 1.1 < spread_ratio(tokens[:, None], points[:, None]) < math.sqrt(3)


@pytest.mark.parametrize("function", [effective_dimension, effective_rank, total_variance])
@pytest.mark.parametrize(
    ("points", "error", "message"),
    [
        (np.zeros(3), ValueError, r"shape \(N, D\), got \(3,\)"),
        (np.zeros((0, 3)), ValueError, "points is empty"),
        (np.zeros((3, 2), int), TypeError, "float32 or float64"),
        (np.array([[0.0], [np.nan]]), ValueError, r"NaN or infinity, first at index \(1, 0\)"),
        ([["a"]], TypeError, "points must be an array of real numbers, got <U1"),
    ],
)
def test_bad_points_are_refused(function, points, error, message):
    with pytest.raises(error, match=message):
        function(points)


def test_bad_shares_and_widths_are_refused():
    with pytest.raises(ValueError, match=r"share must lie in \[0, 1\)"):
        effective_dimension(CLOUD, 1.5)
    with pytest.raises(ValueError, match=r"tokens must have shape \(N, 4\)"):
        spread_ratio(SQUARE, CLOUD)


def test_any_spread_beside_none_is_infinite():
    assert spread_ratio(0.1 * CLOUD / CLOUD.std(), np.zeros((3, 4))) == math.inf
