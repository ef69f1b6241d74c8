import math

import numpy as np
import pytest

from vqnp.diagnostics import quantization_error
from vqnp.diagnostics.assignment import assign

rng = np.random.default_rng(0)
EMBEDDINGS = rng.standard_normal((50, 3))
TOKENS = rng.standard_normal((5, 3))


def test_blocks_count_what_the_definition_counts(monkeypatch):
    monkeypatch.setattr("vqnp.validation.VALUES_A_BLOCK", 7 * 3)
    squared = np.square(EMBEDDINGS[:, None] - TOKENS).sum(axis=2)  # (N, K)
    counts, error = assign(EMBEDDINGS, TOKENS)
    np.testing.assert_array_equal(counts, np.bincount(squared.argmin(axis=1), minlength=5))
    assert error == pytest.approx(squared.min(axis=1).mean())


def test_two_dtypes_meet_in_the_wider():
    wide = assign(EMBEDDINGS.astype(np.float32).astype(np.float64), TOKENS)
    mixed = assign(EMBEDDINGS.astype(np.float32), TOKENS)
    assert mixed.squared_error == wide.squared_error


def test_quantization_error_is_relative_to_the_variance():
    points = np.array([[0.0], [2], [10], [12]])  # variance 26
    assert quantization_error(points, np.array([[1.0], [11]])) == pytest.approx(1 / 26)
    assert quantization_error(points, points) == 0.0
    assert quantization_error(EMBEDDINGS, EMBEDDINGS.mean(axis=0, keepdims=True)) == pytest.approx(
        1
    )
    assert quantization_error(points, np.array([[100.0]])) > 1


def test_quantization_error_of_embeddings_that_coincide():
    point = np.full((4, 2), 0.1)
    assert quantization_error(point, point[:1]) == 0.0
    assert quantization_error(point, point[:1] + 1) == math.inf


def test_bad_arrays_are_refused():
    with pytest.raises(ValueError, match=r"embeddings must have shape \(N, 2\), got \(50, 3\)"):
        assign(EMBEDDINGS, TOKENS[:, :2])
    with pytest.raises(ValueError, match="tokens is empty"):
        quantization_error(EMBEDDINGS, TOKENS[:0])
    with pytest.raises(ValueError, match="embeddings holds NaN"):
        quantization_error(np.full((3, 3), np.nan), TOKENS)


def test_distances_of_float32_are_summed_in_float64():
    """Beside 1e8, float32 has no room for 1."""
    embeddings = np.array([[1e4], [1], [1], [1]], np.float32)
    assert assign(embeddings, np.zeros((1, 1), np.float32)).squared_error == (1e8 + 3) / 4
