import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from vqnp.data.patches import cut_patches, load_patches


def numbered_pixels(count, height, width):
    """Pictures ``(count, height, width, 1)`` in which every pixel has a number of its own."""
    return np.arange(count * height * width).reshape(count, height, width, 1)


@given(st.integers(1, 3), st.integers(32, 50), st.integers(160, 220), st.integers(0, 2**32))
def test_no_test_pixel_is_a_train_pixel(count, height, width, seed):
    train, _, test, _ = cut_patches(numbered_pixels(count, height, width), 25, 1, seed)
    assert not np.isin(test, train).any()


def test_no_test_pixel_is_a_train_pixel_even_when_every_patch_is_taken():
    count, height, width = 2, 40, 170
    rows, train_columns, test_columns = (
        9,
        2 * (68 - 31),
        34 - 31,
    )  # the test strip is columns 68 to 101
    pixels = numbered_pixels(count, height, width)
    train, _, test, _ = cut_patches(
        pixels, count * rows * train_columns, count * rows * test_columns, 0
    )
    assert np.union1d(train, test).size == pixels.size  # nothing is left out,
    assert np.intersect1d(train, test).size == 0  # nothing is on both sides


def test_a_patch_is_a_window_of_its_picture():
    # two channels
    pictures = np.stack(
        [numbered_pixels(2, 40, 170)[..., 0], -numbered_pixels(2, 40, 170)[..., 0]], axis=-1
    )
    train, labels, test, test_labels = cut_patches(pictures, 30, 10, 3)
    assert train.shape == (30, 32, 32, 2)
    assert test.shape == (10, 32, 32, 2)
    for patch, label in zip([*train, *test], [*labels, *test_labels], strict=True):
        row, column = np.argwhere(pictures[label, :, :, 0] == patch[0, 0, 0])[0]
        np.testing.assert_array_equal(patch, pictures[label, row : row + 32, column : column + 32])


def test_no_patch_is_taken_twice():
    train, _, test, _ = cut_patches(numbered_pixels(1, 34, 165), 100, 6, 5)
    assert len(np.unique(train[:, 0, 0, 0])) == 100
    assert len(np.unique(test[:, 0, 0, 0])) == 6


@pytest.mark.parametrize(
    ("train", "test", "error", "message"),
    [
        (0, 5, ValueError, "train must be at least 1"),
        (5, 2.5, TypeError, "test must be an integer"),
        (5, 4, ValueError, "test must be at most 3, the number of different patches, got 4"),
        (10_000, 1, ValueError, "train must be at most 198"),
    ],
)
def test_counts_that_cannot_be_had_are_refused(train, test, error, message):
    with pytest.raises(error, match=message):
        cut_patches(numbered_pixels(1, 34, 160), train, test, 0)


def test_photographs_give_labelled_color_patches():
    images = load_patches()
    assert images.train.shape == (2000, 32, 32, 3)
    assert images.test.shape == (500, 32, 32, 3)
    assert images.label_names == ("china", "flower")
    assert "seed 0" in images.name
    for labels in (images.train_labels, images.test_labels):
        # a fair coin thrown 500 times lands within 5 standard deviations of a half
        assert np.mean(labels) == pytest.approx(0.5, abs=5 * 0.5 / math.sqrt(500))


def test_labels_are_the_photographs_the_patches_are_from():
    from sklearn.datasets import load_sample_image

    images = load_patches(train=4, test=2)
    for patch, label in zip(images.train, images.train_labels, strict=True):
        photograph = load_sample_image(f"{images.label_names[label]}.jpg")
        windows = sliding_window_view(photograph, (32, 32), axis=(0, 1))[
            ..., 0, :
        ]  # (rows, columns, 3, 32): the first row of each
        hits = np.argwhere((windows == patch[0].T).all(axis=(2, 3)))
        assert any((photograph[y : y + 32, x : x + 32] == patch).all() for y, x in hits)


def test_the_seed_decides_and_the_test_set_does_not_depend_on_the_training_set():
    images = load_patches(train=50, test=20, rng=4)
    assert images.identity == load_patches(train=50, test=20, rng=4).identity
    another = load_patches(train=50, test=20, rng=5)
    assert (images.train != another.train).any()
    assert (images.test != another.test).any()
    np.testing.assert_array_equal(images.test, load_patches(train=60, test=20, rng=4).test)


def test_a_generator_gives_the_seed():
    rng = np.random.default_rng(3)
    first, second = load_patches(4, 2, rng=rng), load_patches(4, 2, rng=rng)
    assert first.identity == load_patches(4, 2, rng=np.random.default_rng(3)).identity
    assert first.identity != second.identity


def test_a_negative_seed_is_refused():
    with pytest.raises(ValueError, match="rng must be at least 0, got -1"):
        load_patches(rng=-1)
