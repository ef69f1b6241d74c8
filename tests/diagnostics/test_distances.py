import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqnp.diagnostics import energy_distance, outside, share_outside
from vqnp.diagnostics.distances import nearest_rows

LINE = np.arange(100.0)[:, None]  # nearest others are all 1 away


def test_outside_is_farther_than_the_cloud_is_sparse():
    points = np.array([[-0.9], [-1.1], [50.5], [99.9], [103]])
    assert share_outside(points, LINE) == 2 / 5


def test_the_reference_is_compared_with_others_and_not_with_itself():
    """With itself as its nearest point every distance would be 0, and everything outside."""
    assert share_outside(LINE + 0.5, LINE) == 0.0


def test_the_quantile_bounds_the_distances_among_the_reference():
    reference = np.concatenate([LINE[:98], [[200.0], [203]]])  # 98 distances of 1, two of 3
    assert outside([[-2.0]], reference, 0.97).all()
    assert not outside([[-2.0]], reference, 0.99).any()


@pytest.mark.parametrize("dim", [1, 2, 8, 20])
def test_new_points_of_the_same_distribution_are_outside_by_chance(dim):
    """0.01 is chance; 0.02 is five standard errors above it, the threshold's own error included."""
    rng = np.random.default_rng(dim)
    reference, points = rng.standard_normal((2, 3000, dim))
    assert 0.002 < share_outside(points, reference) < 0.02


@pytest.mark.parametrize("dim", [2, 20])
def test_members_are_never_outside_even_where_all_coincide(dim):
    reference = np.random.default_rng(0).standard_normal((5, dim))[np.arange(200) % 5] + 1e3
    assert share_outside(reference[:7], reference) == 0.0
    assert share_outside(reference[:7] + 1e-3, reference) == 1.0


def test_far_from_the_origin_distances_survive():
    """The search computes ‖x‖² − 2 x·y + ‖y‖², in which squared distances drown at 1e8."""
    rng = np.random.default_rng(0)
    reference, points = rng.standard_normal((2, 500, 20))
    near = share_outside(points * 1.3, reference)
    assert near > 0.05
    assert share_outside(points * 1.3 + 1e8, reference + 1e8) == pytest.approx(near, abs=1e-3)


def test_a_sample_stands_in_for_many_points():
    rng = np.random.default_rng(0)
    reference, points = rng.standard_normal((2, 4000, 2))
    shares = [share_outside(points, reference, sample=500, rng=seed) for seed in (0, 0, 1)]
    assert shares[0] == shares[1] != shares[2]
    assert all(share < 0.03 for share in shares)


def test_a_single_reference_point_has_no_other():
    assert share_outside(np.array([[1.0, 2], [1, 3]]), np.array([[1.0, 2]])) == 0.5


def test_nearest_rows_are_the_nearest():
    rng = np.random.default_rng(0)
    reference, points = rng.standard_normal((20, 18)), rng.standard_normal((9, 18))
    np.testing.assert_array_equal(
        nearest_rows(reference, points), _distances(points, reference).argmin(axis=1)
    )
    others = _distances(reference, reference) + np.diag(np.full(20, np.inf))
    np.testing.assert_array_equal(nearest_rows(reference), others.argmin(axis=1))


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"points must have shape \(N, 1\)"):
        share_outside(np.zeros((3, 2)), LINE)
    with pytest.raises(ValueError, match="reference is empty"):
        share_outside(LINE, LINE[:0])
    with pytest.raises(ValueError, match=r"quantile must lie in \[0, 1\)"):
        outside(LINE, LINE, 99)
    with pytest.raises(ValueError, match="sample must be at least 1"):
        share_outside(LINE, LINE, sample=0)


def _distances(x, y):
    return np.linalg.norm(x[:, None] - y, axis=2)


rng = np.random.default_rng(0)
X, Y = rng.standard_normal((40, 3)), rng.standard_normal((30, 3)) + 1


def test_two_points_are_twice_their_distance_apart():
    assert energy_distance(np.array([[0.0, 0]]), np.array([[3.0, 4]])) == pytest.approx(10)


def test_hand_count_with_the_pairs_of_a_point_and_itself():
    """E‖X − Y‖ = 1, E‖X − X′‖ = 1 over all four pairs (2 over the unequal ones), E‖Y − Y′‖ = 0."""
    assert energy_distance(np.array([[-1.0], [1]]), np.array([[0.0]])) == pytest.approx(
        2 * 1 - 1 - 0
    )


def test_it_is_the_definition():
    def mean(a, b):
        return np.mean([np.linalg.norm(p - q) for p in a for q in b])

    assert energy_distance(X, Y) == pytest.approx(2 * mean(X, Y) - mean(X, X) - mean(Y, Y))


@given(st.integers(0, 1000), st.floats(0.1, 10))
def test_not_negative_symmetric_and_in_the_unit_of_the_points(seed, scale):
    x, y = np.random.default_rng(seed).standard_normal((2, 8, 2))
    value = energy_distance(x, y)
    assert value >= 0
    assert energy_distance(y, x) == pytest.approx(value)
    assert energy_distance(x * scale, y * scale) == pytest.approx(value * scale)


def test_a_cloud_is_at_distance_zero_from_itself_sampled_or_not():
    assert energy_distance(X, X) == 0.0
    assert energy_distance(X, X, sample=10) == 0.0
    assert energy_distance(X, X[::-1]) == pytest.approx(0, abs=1e-14)


def test_chance_is_two_mean_distances_over_n():
    """In one dimension E|X − X′| = 2/√π; a mean of 200 runs is within about a tenth of that."""
    clouds = np.random.default_rng(1).standard_normal((200, 2, 50, 1))
    assert np.mean([energy_distance(x, y) for x, y in clouds]) == pytest.approx(
        2 * 2 / np.sqrt(np.pi) / 50, rel=0.2
    )


def test_a_seeded_sample_is_close():
    x, y = rng.standard_normal((2, 3000, 2))
    y += 1
    exact, sampled = energy_distance(x, y, sample=3000), energy_distance(x, y, sample=1000, rng=3)
    assert (
        sampled
        == energy_distance(x, y, sample=1000, rng=3)
        != energy_distance(x, y, sample=1000, rng=4)
    )
    assert sampled == pytest.approx(exact, rel=0.2)


def test_bad_clouds_are_refused():
    with pytest.raises(ValueError, match=r"y must have shape \(N, 3\), got \(40, 2\)"):
        energy_distance(X, X[:, :2])
    with pytest.raises(ValueError, match="sample must be at least 1"):
        energy_distance(X, Y, sample=0)
    with pytest.raises(ValueError, match="x holds NaN"):
        energy_distance(np.full((2, 3), np.inf), Y)
