import os

import numpy as np
import pytest

from vqnp.data import Dataset, clusters, digits, load_array, load_points, standardize


@pytest.mark.parametrize("dim", [2, 3, 4, 8])
def test_ten_clusters_of_a_thousand_standardized_points(dim):
    data = clusters(dim)
    assert data.points.shape == (10_000, dim)
    assert data.points.dtype == np.float32
    assert data.dim == dim
    assert data.name == f"10 clusters in {dim} dimensions, seed 0"
    np.testing.assert_array_equal(data.labels, np.repeat(np.arange(10), 1000))
    np.testing.assert_allclose(
        data.points.mean(axis=0, dtype=np.float64), 0, atol=1e-6
    )  # rounding to float32
    np.testing.assert_allclose(data.points.std(axis=0, dtype=np.float64), 1, atol=1e-6)


def test_clusters_are_isotropic_with_uniform_centers():
    """The scaler keeps the ratio of the clusters' deviation to that of the centers."""
    data = clusters(2, classes=400, per_class=50)
    groups = data.points.reshape(400, 50, 2).astype(np.float64)
    inner, centers = groups.std(axis=1, ddof=1), groups.mean(axis=1)
    np.testing.assert_allclose(
        inner.mean(), 1 / (100 / 3 + 1) ** 0.5, rtol=0.05
    )  # a uniform ±10 has variance 100/3
    assert abs(centers).max() == pytest.approx(10 / (100 / 3 + 1) ** 0.5, rel=0.1)
    assert inner[:, 0].mean() == pytest.approx(inner[:, 1].mean(), rel=0.1)


def test_reach_and_spread_are_settings():
    wide, tight = clusters(2, spread=1), clusters(2, spread=0.01)
    assert np.all(tight.points[:1000].std(axis=0) < wide.points[:1000].std(axis=0) / 50)
    # the scaler undoes a common factor
    np.testing.assert_allclose(clusters(2, reach=20, spread=2).points, wide.points, atol=1e-5)


def test_same_seed_same_data():
    assert clusters(2, rng=3).identity == clusters(2, rng=3).identity
    assert clusters(2, rng=3).identity != clusters(2, rng=4).identity


def test_a_generator_goes_on_where_it_stands():
    rng = np.random.default_rng(3)
    first, second = clusters(2, rng=rng), clusters(2, rng=rng)
    assert first.identity == clusters(2, rng=3).identity != second.identity
    assert first.name == "10 clusters in 2 dimensions"


def test_two_data_sets_compare_and_hash_as_objects():
    """Arrays have no single answer to ``==``; ``identity`` tells whether the data is the same."""
    one, other = clusters(2, per_class=3), clusters(2, per_class=3)
    assert one != other
    assert one.identity == other.identity
    assert len({one, other}) == 2


def test_a_data_set_takes_array_likes():
    data = Dataset("a", [[0, 1], [2, 3]], (1, 0))
    assert data.points.dtype == np.float64
    assert data.labels.tolist() == [1, 0]
    latents = np.arange(12, dtype=np.float16).reshape(2, 3, 2)
    assert Dataset("a", latents, [[0, 1, 2]] * 2).points.shape == (6, 2)


def test_digits():
    data = digits()
    assert data.points.shape == (1797, 64)
    assert set(data.labels) == set(range(10))
    assert data.labels.dtype == np.int64


def test_standardize_gives_a_constant_column_zero():
    """The mean of ten times 0.1 is not 0.1 in floating point, nor is its deviation 0."""
    points = standardize(np.column_stack([np.full(10, 0.1), np.full(10, 1e9 / 3), np.arange(10)]))
    assert points.dtype == np.float32
    assert not points[:, :2].any()
    np.testing.assert_allclose(points[:, 2].std(), 1, rtol=1e-6)


def test_standardize_does_not_cancel_far_from_the_origin():
    values = np.arange(100.0)[:, None]
    np.testing.assert_allclose(standardize(values + 1e9), standardize(values), atol=1e-6)


def test_identity_covers_points_and_labels():
    points, labels = np.eye(3, dtype=np.float32), np.arange(3)
    names = {
        Dataset("a", points).identity,
        Dataset("a", points, labels).identity,
        Dataset("a", points, labels[::-1].copy()).identity,
        Dataset("a", points + 1).identity,
    }
    assert len(names) == 4
    assert Dataset("b", points).identity == Dataset("a", points).identity


@pytest.mark.parametrize("scale", [1e-310, 1e-160, 1e-3, 1, 1e19, 1e160, 1e307])
def test_standardize_scales_no_digit_away(scale):
    """The plain formula, on numbers whose squares are numbers; bit for bit where it needs none."""
    points = np.random.default_rng(0).normal(3, 1, (50, 4))
    points[:, 3] = 7
    deviation = points.std(axis=0)
    plain = ((points - points.mean(axis=0)) / np.where(deviation > 0, deviation, 1))[:, :3]
    found = standardize(points * scale)
    tolerance = {1e-310: 1e-3, 1: 0}.get(scale, 1e-6)  # 1e-310 has but few digits
    np.testing.assert_allclose(found[:, :3], plain.astype(np.float32), atol=tolerance, rtol=0)
    assert not found[:, 3].any()


@pytest.mark.parametrize("points", [[[np.nan, 1.0]], [[1.0, np.inf]], [1.0, 2.0], [[]], []])
def test_standardize_refuses_what_has_no_mean(points):
    with pytest.raises(ValueError, match=r"^points (must have shape|holds NaN)"):
        standardize(points)


HEADERS = {
    "an open bracket": b"{'descr': '<f4', 'fortran_order': False, 'shape': (2,",
    "a shape beyond the file": b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000,)}",
    "a shape of bools": b"{'descr': '<f4', 'fortran_order': False, 'shape': (True, 2)}",
    "a strange dtype": b"{'descr': [], 'fortran_order': False, 'shape': (2,)}",
}  # fmt: skip


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("name", HEADERS)
def test_damaged_header_is_refused_by_the_files_name(tmp_path, name, mmap):
    header = HEADERS[name]
    start = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    (tmp_path / "bad.npy").write_bytes(start + bytes(8))
    with pytest.raises(ValueError, match=r"bad\.npy is not a whole \.npy file of numbers"):
        load_array(tmp_path / "bad.npy", mmap)


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int32, np.uint8])
def test_own_points(tmp_path, dtype):
    points, labels = np.arange(12).reshape(4, 3).astype(dtype), np.array([0, 1, 1, 0], np.int8)
    np.save(tmp_path / "x.npy", points)
    np.save(tmp_path / "y.npy", labels)
    data = load_points(tmp_path / "x.npy", str(tmp_path / "y.npy"))
    np.testing.assert_array_equal(data.points, standardize(points))
    assert data.labels.tolist() == [0, 1, 1, 0]
    assert data.labels.dtype == np.int64
    assert data.name == "x.npy"
    assert load_points(tmp_path / "x.npy").labels is None


@pytest.mark.parametrize("mmap", [False, True])
def test_array_from_disk(tmp_path, mmap):
    np.save(tmp_path / "x.npy", np.arange(6.0).reshape(2, 3))
    array = load_array(tmp_path / "x.npy", mmap)
    assert isinstance(array, np.memmap) == mmap
    assert array.tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize("mmap", [False, True])
def test_file_that_is_no_whole_array_is_refused(tmp_path, mmap):
    np.save(tmp_path / "x.npy", np.arange(60.0).reshape(20, 3))
    np.savez(tmp_path / "archive.npz", a=np.zeros(3))
    whole = (tmp_path / "x.npy").read_bytes()
    contents = [whole[:length] for length in (0, 1, 5, 9, 50, 127, 200, len(whole) - 1)]
    contents += [(tmp_path / "archive.npz").read_bytes(), b"1, 2, 3\n", b"PK\x03\x04 broken"]
    for content in contents:
        (tmp_path / "bad.npy").write_bytes(content)
        with pytest.raises(ValueError, match=r"bad\.npy is not a whole \.npy file of numbers"):
            load_array(tmp_path / "bad.npy", mmap)


@pytest.mark.parametrize("mmap", [False, True])
def test_pickled_objects_are_refused_without_being_run(tmp_path, mmap):
    class Hostile:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "executed"),)

    np.save(tmp_path / "x.npy", np.array([Hostile()], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"x\.npy is not a whole \.npy file of numbers"):
        load_array(tmp_path / "x.npy", mmap)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("points", "error", "message"),
    [
        (np.zeros(3), ValueError, r"x\.npy must hold points of shape \(N, D\), got \(3,\)"),
        (np.zeros((0, 3)), ValueError, r"x\.npy must hold points of shape \(N, D\), got \(0, 3\)"),
        (np.zeros((2, 3), complex), TypeError, r"x\.npy must hold real numbers, got complex128"),
        (np.array([["a", "b"]]), TypeError, r"x\.npy must hold real numbers, got <U1"),
        (
            np.array([[1, 2], [np.inf, 0]]),
            ValueError,
            r"x\.npy holds NaN or infinity, first at index \(1, 0\)",
        ),
    ],
)
def test_bad_points_are_refused(tmp_path, points, error, message):
    np.save(tmp_path / "x.npy", points)
    with pytest.raises(error, match=message):
        load_points(tmp_path / "x.npy")


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (np.zeros(3, int), ValueError, r"y\.npy must have shape \(2,\), got \(3,\)"),
        (np.zeros((2, 1), int), ValueError, r"y\.npy must have shape \(2,\), got \(2, 1\)"),
        (np.zeros(2), TypeError, r"y\.npy must be a NumPy array of integers, got float64"),
    ],
)
def test_bad_labels_are_refused(tmp_path, labels, error, message):
    np.save(tmp_path / "x.npy", np.eye(2))
    np.save(tmp_path / "y.npy", labels)
    with pytest.raises(error, match=message):
        load_points(tmp_path / "x.npy", tmp_path / "y.npy")


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.npy"):
        load_points(tmp_path / "nowhere.npy")


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"dim": 0}, ValueError, "dim must be at least 1, got 0"),
        ({"classes": 0}, ValueError, "classes must be at least 1, got 0"),
        ({"per_class": -1}, ValueError, "per_class must be at least 1, got -1"),
        ({"dim": 2.0}, TypeError, "dim must be an integer, got 2.0"),
        ({"reach": 0}, ValueError, "reach must be positive and finite, got 0"),
        ({"spread": -1}, ValueError, "spread must be positive and finite, got -1"),
    ],
)
def test_settings_out_of_range_are_refused(settings, error, message):
    with pytest.raises(error, match=message):
        clusters(**{"dim": 2} | settings)


def test_points_and_labels_must_fit():
    with pytest.raises(ValueError, match=r"labels must have shape \(3,\), got \(2,\)"):
        Dataset("a", np.eye(3), np.arange(2))
    with pytest.raises(TypeError, match="points must be float32 or float64, got int64"):
        Dataset("a", np.eye(3, dtype=int))
