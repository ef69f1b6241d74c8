import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqnp.data import clusters
from vqnp.quantize import kmeans, nearest
from vqnp.quantize.lloyd import (
    batch_statistics,
    batch_statistics_loop,
    batch_statistics_numpy,
    lloyd,
    lloyd_step,
    lloyd_step_loop,
    lloyd_step_numpy,
    plus_plus,
)

STEPS = (lloyd_step_loop, lloyd_step_numpy, lloyd_step)


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def points():
    return clusters(2, per_class=60).points.astype(np.float64)


def quiet_kmeans(*args, **settings):
    """K-means where it is known that some tokens get no points."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return kmeans(*args, **settings)


def test_a_step_worked_out_by_hand():
    """Points 0 and 1 choose token 0, and their mean is 1/2. Points 4 and 7 choose 5: 11/2."""
    line, tokens = np.array([[0.0], [1.0], [4.0], [7.0]]), np.array([[0.0], [5.0]])
    codes, distances = nearest(line, tokens)
    assert codes.tolist() == [0, 0, 1, 1]
    assert distances.tolist() == [0, 1, 1, 4]
    for step in STEPS:
        assert step(line, tokens, codes, distances).tolist() == [[0.5], [5.5]]


def test_kmeans_worked_out_by_hand():
    """The tokens start at 0 and 1. The second takes 1, 4 and 7 and moves to 4, where it loses 1.

    The second step moves the tokens to 1/2 and 11/2, and changes no code: k-means stops. The
    inertia is 2 · (1/2)² + 2 · (3/2)² = 5.
    """
    line = np.array([[0.0], [1.0], [4.0], [7.0]])
    found = lloyd(line, np.array([[0.0], [1.0]]), 100)
    assert found.tokens.tolist() == [[0.5], [5.5]]
    assert found.codes.tolist() == [0, 0, 1, 1]
    assert found.counts.tolist() == [2, 2]
    assert (found.inertia, found.iterations) == (5, 2)


@pytest.mark.parametrize("k", [1, 10, 32])
def test_same_start_gives_the_clusters_of_scikit_learn(points, k):
    from sklearn.cluster import KMeans

    start = points[rng().choice(len(points), k, replace=False)]
    ours = lloyd(points, start, 300)
    theirs = KMeans(k, init=start, n_init=1, tol=0, max_iter=300).fit(points)
    # means of some dozen numbers of size 1
    np.testing.assert_allclose(ours.tokens, theirs.cluster_centers_, rtol=0, atol=1e-13)
    np.testing.assert_array_equal(ours.codes, theirs.labels_)
    assert ours.inertia == pytest.approx(theirs.inertia_, rel=1e-12)


@pytest.mark.parametrize("k", [10, 32])
def test_own_start_comes_close_to_scikit_learn(points, k):
    """Within 15 % in the mean of six seeds.

    At every draw scikit-learn keeps the best of 2 + ln k candidates, which is worth some percent.
    """
    from sklearn.cluster import KMeans

    ours = [kmeans(points, k, rng=rng(seed)).inertia for seed in range(6)]
    theirs = [
        KMeans(k, n_init=1, tol=0, random_state=seed).fit(points).inertia_ for seed in range(6)
    ]
    assert np.mean(ours) < 1.15 * np.mean(theirs)


@st.composite
def assignments(draw):
    n, k, dims = draw(st.integers(1, 60)), draw(st.integers(1, 9)), draw(st.integers(1, 4))
    draws = rng(draw(st.integers(0, 2**32)))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    return draws.normal(size=(n, dims)).astype(dtype), draws.integers(0, k, n), k


@given(assignments())
def test_three_sums_agree_to_the_last_bit(assignment):
    expected = batch_statistics_loop(*assignment)
    for found in (batch_statistics_numpy(*assignment), batch_statistics(*assignment)):
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_array_equal(found[1], expected[1])
    assert expected[0].sum() == len(assignment[1])


@given(assignments(), st.integers(0, 2))
def test_three_steps_agree_to_the_last_bit(assignment, copies):
    """Also for tokens without points, more of them than points, and points equally far away."""
    points, _, k = assignment
    points = np.concatenate([points, *[points] * copies])
    tokens = np.concatenate([points[:1] + i * 7 for i in range(k)])
    codes, distances = nearest(points, tokens)
    expected = lloyd_step_loop(points, tokens, codes, distances)
    assert expected.dtype == points.dtype
    for step in (lloyd_step_numpy, lloyd_step):
        np.testing.assert_array_equal(step(points, tokens, codes, distances), expected)


def test_every_step_lowers_the_inertia(points):
    tokens = points[:20]
    codes, distances = nearest(points, tokens)
    before = distances.sum()
    for _ in range(5):
        tokens = lloyd_step(points, tokens, codes, distances)
        codes, distances = nearest(points, tokens)
        assert distances.sum() < before
        before = distances.sum()


@pytest.mark.parametrize("iterations", [1, 2, 100])
def test_codes_counts_and_inertia_are_of_a_fresh_assignment(points, iterations):
    found = kmeans(points, 32, rng=rng(), start="random", iterations=iterations)
    codes, distances = nearest(points, found.tokens)
    np.testing.assert_array_equal(found.codes, codes)
    np.testing.assert_array_equal(found.counts, np.bincount(codes, minlength=32))
    assert found.inertia == pytest.approx(distances.sum())
    assert found.iterations <= iterations
    if iterations == 100:  # it stood still before: every token is the mean of its points
        assert found.iterations < 100
        means = [points[codes == k].mean(axis=0) for k in range(32)]
        np.testing.assert_allclose(found.tokens, means, rtol=0, atol=1e-13)


@pytest.mark.parametrize("start", ["k-means++", "greedy k-means++", "random"])
def test_same_seed_same_tokens(points, start):
    first, again, other = (kmeans(points, 16, rng=rng(seed), start=start) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.tokens, again.tokens)
    assert not np.array_equal(first.tokens, other.tokens)


def test_plus_plus_draws_in_proportion_to_the_squared_distance():
    """The points are 0, 1 and 3.

    After 0, 1 is drawn with probability 1/10. After 1, 0 has 1/5, and after 3, it has 9/13.
    """
    line, draws = np.array([[0.0], [1.0], [3.0]]), rng()
    first, second = np.array([plus_plus(line, 2, draws)[:, 0] for _ in range(3000)]).T
    assert not np.any(first == second)
    for start, other, probability in ((0, 1, 1 / 10), (1, 0, 1 / 5), (3, 0, 9 / 13)):
        found = (second[first == start] == other).mean()
        assert (
            abs(found - probability) < 4 * (probability * (1 - probability) / 900) ** 0.5
        )  # four deviations
        assert (first == start).mean() == pytest.approx(1 / 3, abs=4 * (2 / 9 / 3000) ** 0.5)


def test_of_several_draws_the_one_stays_that_lowers_the_distances_most():
    """The points are 0, 1 and 3.

    From 0, 1 leaves distances of 4 and 3 leaves 1; from 1, 0 leaves 4 and 3 leaves 1; from 3,
    0 and 1 leave 1 each. Of 40 draws, the better one is always among them.
    """
    line, draws = np.array([[0.0], [1.0], [3.0]]), rng()
    pairs = [plus_plus(line, 2, draws, drawn=40)[:, 0].tolist() for _ in range(100)]
    assert {tuple(pair) for pair in pairs} <= {(0, 3), (1, 3), (3, 0), (3, 1)}
    assert {pair[0] for pair in pairs} == {0, 1, 3}  # the first one is any


def test_empty_tokens_move_to_the_farthest_points_in_order():
    line = np.array([[0.0], [1.0], [5.0], [9.0]])
    tokens = np.array([[0.0], [-50.0], [-60.0]])  # the second and third are chosen by no point
    for step in STEPS:
        moved = step(line, tokens, *nearest(line, tokens))
        assert moved[:, 0].tolist() == [15 / 4, 9, 5]


def test_empty_tokens_beyond_the_number_of_points_stay():
    line = np.array([[0.0], [1.0]])
    tokens = np.array([[0.0], [-50.0], [-60.0], [-70.0]])
    for step in STEPS:
        moved = step(line, tokens, *nearest(line, tokens))
        assert moved[:, 0].tolist() == [1 / 2, 1, 0, -70]


@given(
    st.integers(1, 12),
    st.integers(1, 12),
    st.sampled_from(["k-means++", "random"]),
    st.integers(0, 2**32),
)
def test_tokens_lie_among_the_points_and_none_is_lost(k, distinct, start, seed):
    """Of points with many duplicates, with more or fewer tokens than distinct places."""
    places = rng(seed).normal(10, 1, (distinct, 2))
    points = places[rng(seed).integers(distinct, size=12)]
    found = quiet_kmeans(points, k, rng=rng(seed), start=start)
    assert found.tokens.shape == (k, 2)
    assert found.counts.sum() == 12
    assert np.all(found.tokens >= points.min(axis=0) - 1e-12)
    assert np.all(found.tokens <= points.max(axis=0) + 1e-12)


def test_one_token_is_the_mean(points):
    found = kmeans(points, 1, rng=rng())
    np.testing.assert_allclose(found.tokens, points.mean(axis=0, keepdims=True), rtol=0, atol=1e-14)
    assert found.counts.tolist() == [len(points)]


def test_as_many_tokens_as_points(points):
    found = kmeans(points[:20], 20, rng=rng())
    assert found.inertia == 0
    assert sorted(map(tuple, found.tokens)) == sorted(map(tuple, points[:20]))


def test_more_tokens_than_points_are_copies_that_start_unused(points):
    with pytest.warns(
        UserWarning,
        match="n_tokens is 50 for 20 points: 30 tokens are copies of points and start unused",
    ):
        found = kmeans(points[:20], 50, rng=rng())
    assert set(map(tuple, found.tokens)) == set(map(tuple, points[:20]))
    assert found.counts.tolist() == [1] * 20 + [0] * 30
    assert found.inertia == 0


def test_fewer_places_than_tokens_warns_that_some_have_no_points():
    points = np.repeat([[1.0], [2.0]], 5, axis=0)
    with pytest.warns(UserWarning, match="k-means leaves 2 of 4 tokens without points"):
        found = kmeans(points, 4, rng=rng())
    assert sorted(found.counts) == [0, 0, 5, 5]
    assert set(found.tokens[:, 0]) == {1, 2}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_passes_through(points, dtype):
    assert kmeans(points.astype(dtype), 4, rng=rng()).tokens.dtype == dtype


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"points": np.zeros(4)}, ValueError, r"points must have shape \(N, D\), got \(4,\)"),
        ({"points": np.zeros((0, 2))}, ValueError, "points is empty"),
        ({"points": np.full((3, 2), np.nan)}, ValueError, "points holds NaN or infinity"),
        (
            {"points": np.zeros((3, 2), np.int32)},
            TypeError,
            "points must be float32 or float64, got int32",
        ),
        ({"n_tokens": 0}, ValueError, "n_tokens must be at least 1, got 0"),
        ({"n_tokens": 2.0}, TypeError, "n_tokens must be an integer, got 2.0"),
        ({"iterations": 0}, ValueError, "iterations must be at least 1, got 0"),
        ({"start": "best"}, ValueError, r"start must be one of .*, random, got 'best'"),
    ],
)
def test_bad_input_is_refused(change, error, message):
    with pytest.raises(error, match=message):
        kmeans(**{"points": np.zeros((3, 2)), "n_tokens": 2} | change)
