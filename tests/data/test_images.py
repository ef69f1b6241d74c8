import dataclasses

import numpy as np
import pytest

from vqnp.data.images import Images, pixel_variance, pixels_to_float


def some(rng, count=4, height=5, width=7):
    return rng.integers(0, 256, (count, height, width, 3), dtype=np.uint8)


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    return Images(
        "noise",
        some(rng, 4),
        np.array([0, 1, 1, 0]),
        some(rng, 2),
        np.array([1, 0]),
        ("dull", "bright"),
    )


def test_pixels_map_bytes_to_float32_between_minus_a_half_and_a_half():
    every_byte = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    scaled = pixels_to_float(every_byte)
    assert scaled.dtype == np.float32
    assert scaled.shape == every_byte.shape
    assert scaled.min() == -0.5
    assert scaled.max() == 0.5
    # the division and the subtraction each round once, at most half a unit in the last place of 1
    np.testing.assert_allclose(
        scaled, every_byte / 255 - 0.5, rtol=0, atol=np.finfo(np.float32).eps
    )


@pytest.mark.parametrize("block", [1, 50, 1 << 20])
def test_variance_is_that_of_the_scaled_images_whatever_the_block(monkeypatch, block):
    monkeypatch.setattr("vqnp.validation.VALUES_A_BLOCK", block)
    images = some(np.random.default_rng(1)) // 3
    # both are float64 sums of fewer than a thousand terms
    assert pixel_variance(images) == pytest.approx(np.var(images / 255 - 0.5), rel=1e-13)
    assert pixel_variance(images) == pytest.approx(
        np.var(pixels_to_float(images)), rel=1e-5
    )  # float32


def test_variance_of_known_images():
    flat = np.full((2, 3, 3, 3), 200, np.uint8)
    assert pixel_variance(flat) == 0
    halves = flat.copy()
    halves[0], halves[1] = 0, 255
    assert pixel_variance(halves) == 0.25


def test_identity_is_that_of_the_pixels_and_labels_alone(images):
    copy = dataclasses.replace(images, train=images.train.copy(), name="another name")
    assert copy.identity == images.identity
    assert len(images.identity) == 64
    assert copy.identity == dataclasses.replace(copy, train=np.asfortranarray(copy.train)).identity


@pytest.mark.parametrize("part", ["train", "train_labels", "test", "test_labels"])
def test_identity_changes_with_any_value(images, part):
    changed = getattr(images, part).copy()
    changed.reshape(-1)[-1] ^= 1
    assert dataclasses.replace(images, **{part: changed}).identity != images.identity


def test_identity_changes_with_the_shape(images):
    turned = dataclasses.replace(
        images, train=images.train.reshape(4, 7, 5, 3), test=images.test.reshape(2, 7, 5, 3)
    )
    assert turned.identity != images.identity


@pytest.mark.parametrize(
    ("part", "value", "error", "message"),
    [
        (
            "train",
            np.zeros((4, 5, 7, 3)),
            TypeError,
            "train must be a NumPy array of uint8, got float64",
        ),
        ("train", [[1]], TypeError, "train must be a NumPy array without a mask, got list"),
        (
            "test",
            np.zeros((2, 5, 7, 4), np.uint8),
            ValueError,
            r"test must have shape \(N, H, W, 3\)",
        ),
        (
            "test",
            np.zeros((0, 5, 7, 3), np.uint8),
            ValueError,
            "test must have shape .* and hold an image",
        ),
        ("test", np.zeros((2, 7, 5, 3), np.uint8), ValueError, "images of one size"),
        (
            "train_labels",
            np.array([0, 1]),
            ValueError,
            r"train_labels must have shape \(4,\), got \(2,\)",
        ),
        ("test_labels", np.array([0, 2]), ValueError, r"test_labels must lie in \[0, 2\)"),
        (
            "test_labels",
            np.array([0, 1], np.int32),
            TypeError,
            "test_labels must be int64, got int32",
        ),
    ],
)
def test_anything_else_is_refused(images, part, value, error, message):
    with pytest.raises(error, match=message):
        dataclasses.replace(images, **{part: value})


@pytest.mark.parametrize("function", [pixels_to_float, pixel_variance])
def test_images_scaled_twice_are_refused(function):
    with pytest.raises(TypeError, match="images must be a NumPy array of uint8, got float32"):
        function(pixels_to_float(some(np.random.default_rng(2))))


def test_first_images_say_how_many_they_are(images):
    few = images.first(3, 1)
    assert few.name == "noise: the first 3 training and 1 test images"
    np.testing.assert_array_equal(few.train, images.train[:3])
    np.testing.assert_array_equal(few.test_labels, images.test_labels[:1])
    assert not np.shares_memory(few.train, images.train)
    assert few.identity != images.identity
    assert images.first(3, 1, "my copy").name == "my copy: the first 3 training and 1 test images"


@pytest.mark.parametrize("counts", [(0, 1), (5, 1), (4, 3)])
def test_more_images_than_there_are_cannot_be_the_first(images, counts):
    with pytest.raises(ValueError, match="images of noise, got"):
        images.first(*counts)
