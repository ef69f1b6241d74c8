import numpy as np
import pytest

from vqnp.diagnostics import count_modes
from vqnp.diagnostics.modes import bandwidth, peaks_on_line

SEEDS = range(5)


def ten_gaussians(dim, seed, apart=5.0, each=1000):
    """Ten standardized clusters of deviation 1; centers in [-10, 10]^dim are ``apart`` or more."""
    rng = np.random.default_rng(seed)
    centers = rng.uniform(-10, 10, (1, dim))
    while len(centers) < 10:
        center = rng.uniform(-10, 10, dim)
        if np.linalg.norm(centers - center, axis=1).min() > apart:
            centers = np.vstack([centers, center])
    points = centers.repeat(each, axis=0) + rng.standard_normal((10 * each, dim))
    return (points - points.mean(axis=0)) / points.std(axis=0)


def row_of_gaussians(count, gap, seed, each=1000):
    noise = np.random.default_rng(seed).standard_normal(count * each)
    return (np.repeat(np.arange(count) * gap, each) + noise)[:, None]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("count", [1, 2, 5, 10])
def test_peaks_on_a_line_are_counted(count, seed):
    assert count_modes(row_of_gaussians(count, 6, seed, each=10_000 // count)) == count
    assert (
        count_modes(row_of_gaussians(count, 3.5, seed, each=10_000 // count)) == count
    )  # as the docstring says


def test_unequal_peaks_on_a_line_are_counted():
    """One narrow, one wide, one light, one very far: the bandwidth must not follow the farthest."""
    rng = np.random.default_rng(0)
    sizes, centers, deviations = [5000, 3000, 1500, 500], [0, 1, 4, 60], [0.1, 0.2, 0.5, 0.1]
    parts = [
        rng.normal(center, sd, n) for n, center, sd in zip(sizes, centers, deviations, strict=True)
    ]
    assert count_modes(np.concatenate(parts)[:, None]) == 4


@pytest.mark.parametrize("n", [20, 1000, 10_000, 30_000])
@pytest.mark.parametrize(
    "draw", ["standard_normal", "uniform", "standard_cauchy", "standard_exponential"]
)
def test_chance_makes_no_peaks_on_a_line(draw, n):
    found = [count_modes(getattr(np.random.default_rng(seed), draw)(size=(n, 1))) for seed in SEEDS]
    assert found == [1] * len(SEEDS)


def test_clustering_by_density_has_no_word_for_one():
    """Why count_modes does not use it: it answers none or two for one Gaussian."""
    from sklearn.cluster import HDBSCAN

    for seed in SEEDS:
        points = np.random.default_rng(seed).standard_normal((2000, 2))
        clusters = set(HDBSCAN(min_cluster_size=40, copy=True).fit_predict(points)) - {-1}
        assert len(clusters) in (0, 2)
        assert count_modes(points) == 1


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("dim", [2, 3, 8])
def test_ten_gaussians_in_space_are_ten(dim, seed):
    assert count_modes(ten_gaussians(dim, seed)) == 10


@pytest.mark.parametrize("dim", [2, 3, 8])
@pytest.mark.parametrize("n", [20, 500, 4000])
def test_chance_makes_no_peaks_in_space(dim, n):
    rng = np.random.default_rng(dim * n)
    assert count_modes(rng.standard_normal((n, dim))) == 1
    assert count_modes(rng.uniform(size=(n, dim))) == 1


@pytest.mark.parametrize(
    "points", [row_of_gaussians(10, 6, 0, each=200), ten_gaussians(2, 0, each=100)]
)
def test_shift_scale_and_squeezing_do_not_matter(points):
    for scale, shift in [(1e-6, 0), (1e6, 0), (-3, 1e4), (1e-3, 1)]:
        assert count_modes(points * scale + shift) == 10
    assert count_modes((points * 0.01).astype(np.float32)) == 10


def test_a_plane_in_space_is_as_smooth_as_a_plane():
    """With the 30 coordinates for its dimension, the density of a flat cloud would be all peaks."""
    rng = np.random.default_rng(0)
    plane = np.linalg.qr(rng.standard_normal((30, 30)))[0][:2]
    assert count_modes(rng.standard_normal((2000, 2)) @ plane) == 1
    assert count_modes(ten_gaussians(2, 0, each=200) @ plane) == 10


@pytest.mark.parametrize("dim", [1, 3])
def test_points_that_coincide_are_one_peak_each(dim):
    places = np.arange(5.0)[:, None] * np.ones(dim)
    assert count_modes(places.repeat(100, axis=0)) == 5
    assert count_modes(np.full((9, dim), 0.1)) == 1


@pytest.mark.parametrize("dim", [1, 3])
@pytest.mark.parametrize("n", [1, 2, 3, 12])
def test_a_few_points_are_one_peak(dim, n):
    assert count_modes(np.random.default_rng(0).standard_normal((n, dim))) == 1


def test_the_seed_decides():
    points = ten_gaussians(3, 3, apart=2)
    assert count_modes(points, rng=1) == count_modes(points, rng=1)


def test_bad_points_are_refused():
    with pytest.raises(ValueError, match="shape"):
        count_modes(np.zeros(5))
    with pytest.raises(ValueError, match="NaN"):
        count_modes(np.full((5, 1), np.nan))


def test_peaks_on_a_line_are_found_where_they_are():
    humps = [place + np.random.default_rng(0).normal(size=2000) / 2 for place in (-3, 3)]
    np.testing.assert_allclose(peaks_on_line(np.concatenate(humps)), [-3, 3], atol=0.3)


@pytest.mark.parametrize(("values", "narrower"), [([-1, 1], 1), ([-9, -0.67, 0, 0.67, 9], 1)])
def test_bandwidth_is_three_tenths_of_silvermans(values, narrower):
    """His is 0.9 n^(-1/5) of the deviation or of the quartiles' distance, the narrower."""
    n = 50 * len(values)
    assert bandwidth(np.repeat(values, 50)) == pytest.approx(0.3 * 0.9 * narrower * n**-0.2)
