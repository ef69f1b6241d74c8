import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqnp.diagnostics import energy_distance

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
    """In one dimension E|X − X′| = 2/√π; the mean of 200 runs is within a tenth or so of its expectation."""
    clouds = np.random.default_rng(1).standard_normal((200, 2, 50, 1))
    assert np.mean([energy_distance(x, y) for x, y in clouds]) == pytest.approx(
        2 * 2 / np.sqrt(np.pi) / 50, rel=0.2
    )


def test_a_seeded_sample_is_close():
    x, y = rng.standard_normal((2, 3000, 2))
    y += 1
    exact, sampled = energy_distance(x, y, sample=3000), energy_distance(x, y, sample=1000, seed=3)
    assert (
        sampled
        == energy_distance(x, y, sample=1000, seed=3)
        != energy_distance(x, y, sample=1000, seed=4)
    )
    assert sampled == pytest.approx(exact, rel=0.2)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"y must have shape \(N, 3\), got \(40, 2\)"):
        energy_distance(X, X[:, :2])
    with pytest.raises(ValueError, match="sample must be at least 1"):
        energy_distance(X, Y, sample=0)
    with pytest.raises(ValueError, match="x holds NaN"):
        energy_distance(np.full((2, 3), np.inf), Y)
