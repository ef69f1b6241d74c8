"""The code of raw patches: its patches are the image's, and its error that of its tokens."""

import numpy as np
import pytest

from vqnp.data import Images, Patches, pixels_to_float
from vqnp.experiments import patch_code
from vqnp.experiments.patch_code import (
    PatchCode,
    PrincipalPatchCode,
    all_patches,
    patch_error,
    patch_numbers,
    sample_patches,
)
from vqnp.experiments.run import fit_patches, load_result


def some_images(train, test=1, height=8, width=12):
    pixels = np.random.default_rng(0).integers(256, size=(train + test, height, width, 3))
    pixels = pixels.astype(np.uint8)
    labels = np.zeros(train, np.int64), np.zeros(test, np.int64)
    return Images("noise", pixels[:train], labels[0], pixels[train:], labels[1], ("noise",))


def by_hand(images):
    return np.array([
        pixels_to_float(image[None, i : i + 4, j : j + 4]).ravel()
        for image in images for i in range(0, 8, 4) for j in range(0, 12, 4)
    ])  # fmt: skip


def test_patches_are_cut_from_images_that_are_not_square():
    pixels = some_images(3).train
    np.testing.assert_array_equal(all_patches(pixels), by_hand(pixels))


def test_a_sample_holds_patches_of_the_grid_and_none_twice():
    pixels, rng = some_images(3).train, np.random.default_rng(1)
    whole = {row.tobytes() for row in by_hand(pixels)}
    sample = sample_patches(pixels, 7, rng)
    assert len({row.tobytes() for row in sample} & whole) == len(sample) == 7
    everything = sample_patches(pixels, 999, rng)
    assert {row.tobytes() for row in everything} == whole


def test_one_token_leaves_the_variance_around_the_mean_patch():
    images = some_images(5, 2)
    mean = by_hand(images.train).mean(axis=0)
    expected = np.square(by_hand(images.test) - mean).mean()
    assert patch_error(images, 1) == pytest.approx(expected, rel=1e-5)


def test_batches_of_test_images_do_not_matter_and_more_tokens_help(monkeypatch):
    images = Patches(40, 9).load(0)
    together = patch_error(images, 4)
    monkeypatch.setattr(patch_code, "IMAGES_A_BATCH", 2)
    assert patch_error(images, 4) == pytest.approx(together, rel=1e-12)
    assert patch_error(images, 32) < together


def test_the_sample_is_bounded_by_patches_a_token(monkeypatch):
    asked = []
    monkeypatch.setattr(patch_code, "PATCHES_AT_LEAST", 8)

    def sample(images, most, rng):
        asked.append(most)
        return sample_patches(images, most, rng)

    monkeypatch.setattr(patch_code, "sample_patches", sample)
    patch_error(some_images(60), 2)
    assert asked == [2 * patch_code.PATCHES_A_TOKEN]


def test_resume_does_not_fit_again(tmp_path, monkeypatch):
    code = PatchCode(Patches(12, 5), 4)
    fit_patches(code, tmp_path)
    kept = load_result(code, tmp_path)
    assert kept.numbers["mse"] == patch_error(code.data.load(0), 4)
    assert 1 <= kept.numbers["perplexity"] <= kept.numbers["codes_used"] <= 4
    assert [path.name for path in tmp_path.iterdir()] == [f"{code.slug}.npz"]
    assert next(tmp_path.iterdir()).stat().st_size < 10_000
    monkeypatch.setattr(patch_code, "patch_numbers", None)
    fit_patches(code, tmp_path, resume=True)
    with pytest.raises(TypeError):
        fit_patches(code, tmp_path)


def test_codes_have_names_of_their_own():
    codes = [PatchCode(Patches(n, 5), k, s) for n in (1, 2) for k in (3, 4) for s in (0, 1)]
    assert len({code.slug for code in codes}) == 8
    assert codes[0].slug.startswith("patches-raw-tokens3-kmeans-seed0-")


def test_all_components_lose_nothing_and_few_lose_what_is_outside_their_plane():
    images = some_images(60)
    raw = patch_numbers(images, 8)
    assert patch_numbers(images, 8, components=48)["mse"] == pytest.approx(raw["mse"], rel=0.02)
    sample = all_patches(images.train).astype(np.float64)
    plane = np.linalg.svd(sample - sample.mean(axis=0))[2][:2]
    test = all_patches(images.test) - sample.mean(axis=0)
    outside = np.square(test - test @ plane.T @ plane).mean()
    assert patch_numbers(images, 64, components=2)["mse"] > outside


def test_components_give_a_name_of_its_own():
    code = PrincipalPatchCode(Patches(12, 5), 4)
    assert code.slug != PatchCode(Patches(12, 5), 4).slug
    assert code != PatchCode(Patches(12, 5), 4)
