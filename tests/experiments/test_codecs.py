"""K-means on patches, raw and after PCA: against sums by hand, and at its limits."""

import numpy as np
import pytest

from vqnp.data import load_patches, pixels_to_float
from vqnp.experiments.codecs import patch_codec
from vqnp.experiments.measure import evaluate_images
from vqnp.quantize import EMA, FSQ, Identity, kmeans


@pytest.fixture(scope="module")
def images():
    return load_patches(12, 5).train


def patches_of(images):
    """The rows by hand: 4 × 4 × 3 values, patch after patch."""
    n, height, width, channels = images.shape
    blocks = pixels_to_float(images).reshape(n, height // 4, 4, width // 4, 4, channels)
    return blocks.transpose(0, 1, 3, 2, 4, 5).reshape(-1, 48)


def error(model, images):
    x = pixels_to_float(images)
    return float(np.square(model.reconstruct(x) - x).mean(dtype=np.float64))


def test_raw_patches_come_back_unquantized(images):
    model = patch_codec(images, Identity())
    x = pixels_to_float(images)
    np.testing.assert_allclose(model.reconstruct(x), x, atol=1e-6)
    mean = x.mean(axis=(0, 1, 2), dtype=np.float64)
    rows = model.encode(x).reshape(-1, 48)
    np.testing.assert_allclose(rows, patches_of(images) - np.tile(mean, 16), atol=1e-6)


def test_it_is_kmeans_of_the_patches(images):
    model = patch_codec(images, EMA(16), rng=3)
    mean = images.mean(axis=(0, 1, 2)) / 255 - 0.5
    found = kmeans(model.encode(pixels_to_float(images)).reshape(-1, 48), 16, rng=3)
    assert error(model, images) == pytest.approx(found.inertia / (len(patches_of(images)) * 48))
    again = kmeans((patches_of(images) - np.tile(mean, 16)).astype(np.float32), 16, rng=3)
    assert again.inertia == pytest.approx(found.inertia, rel=0.05)
    numbers, _ = evaluate_images(model, images)
    assert numbers["mse"] == pytest.approx(error(model, images), rel=1e-5)


def test_components_left_out_are_the_error(images):
    """The mean is that of a channel, so the variances are those around it."""
    rows = patches_of(images).astype(np.float64)
    away = rows - np.tile(rows.reshape(-1, 3).mean(axis=0), len(rows[0]) // 3)
    variances = np.linalg.eigvalsh(away.T @ away / len(away))[::-1]
    for kept in (1, 8, 48):
        expected = variances[kept:].sum() / 48
        found = error(patch_codec(images, Identity(), components=kept), images)
        assert found == pytest.approx(expected, rel=1e-3, abs=1e-8)


def test_one_token_leaves_the_variance_and_more_tokens_less(images):
    rows = patches_of(images).astype(np.float64)
    errors = [error(patch_codec(images, EMA(k)), images) for k in (1, 4, 16, 64)]
    assert errors[0] == pytest.approx(rows.var(axis=0).mean(), rel=1e-4)
    assert errors == sorted(errors, reverse=True)


def test_any_quantizer_can_follow(images):
    model = patch_codec(images, FSQ((8, 8, 8)), components=3)
    assert 0 < error(model, images) < error(patch_codec(images, EMA(1)), images)


def test_what_cannot_be_is_refused(images):
    with pytest.raises(ValueError, match="size must divide the images' sides 32 and 32, got 5"):
        patch_codec(images, Identity(), size=5)
    with pytest.raises(ValueError, match="components must be at most 48, got 49"):
        patch_codec(images, Identity(), components=49)
