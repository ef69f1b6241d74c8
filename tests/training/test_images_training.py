"""Training on images that are bytes."""

import signal
import tracemalloc

import numpy as np
import pytest

from vqnp import EMA, ConvSettings, TrainSettings, ae_then_vq, conv_vqvae, train
from vqnp.data import pixel_variance, pixels_to_float
from vqnp.training import encode_in_batches, loop

SCHEDULE = ae_then_vq(1, 1, sample=4)
SETTINGS = TrainSettings(batch_size=4, learning_rate=3e-4, optimizer="amsgrad")


def pixels(n=10, side=8):
    return np.random.default_rng(5).integers(256, size=(n, side, side, 3), dtype=np.uint8)


def made(data, tokens=6):
    return conv_vqvae(
        ConvSettings(3, 4, 4, 2, 2, blocks=1),
        EMA(tokens, 0.9),
        variance=pixel_variance(data),
    )


def trained(data, model=None, **options):
    model = made(pixels()) if model is None else model
    history = train(model, data, SCHEDULE, SETTINGS, **options)
    codebook = model.quantizer.codebook
    return [*model.params.values(), codebook.tokens, codebook.counts, codebook.sums], history


def assert_same(one, other):
    assert one[1] == other[1]
    for array, same in zip(one[0], other[0], strict=True):
        np.testing.assert_array_equal(array, same)


def test_bytes_train_as_their_scaled_floats_do():
    assert_same(trained(pixels()), trained(pixels_to_float(pixels())))


def test_reported_error_is_plain():
    """Of images in [-0.5, 0.5]: an untrained decoder answers with nearly nothing, so the error
    starts near the mean square.
    """
    data = pixels()
    _, history = trained(data)
    assert history[0].reconstruction == pytest.approx((pixels_to_float(data) ** 2).mean(), rel=0.3)
    assert pixel_variance(data) < 0.1  # divided by it, the error would be ten times as large


@pytest.mark.jit
def test_no_step_copies_the_data_set():
    """Neither as bytes nor as floats, which take four times the room: the peak of a whole run
    stays below the bytes alone.
    """
    data = pixels(400, side=32)
    model = made(data)
    trained(data[:20], model)  # compile, and fill caches
    tracemalloc.start()
    try:
        trained(data, model)
        assert tracemalloc.get_traced_memory()[1] < data.nbytes
    finally:
        tracemalloc.stop()


def test_codebook_starts_from_the_vectors_of_the_sample():
    """Four images of 8 × 8 pixels give 16 vectors; L is what a batch of as many images shows, M is
    L · token.
    """
    data, model = pixels(), made(pixels())
    train(model, data, ae_then_vq(0, 0, sample=4), SETTINGS)
    codebook = model.quantizer.codebook
    assert codebook.counts.sum() == pytest.approx(16)
    rows = np.random.default_rng([0, 1, 0]).permutation(len(data))[:4]
    vectors = encode_in_batches(model, data[rows], 4)
    assert vectors.shape == (16, 3)
    np.testing.assert_allclose(
        codebook.sums.sum(axis=0), vectors.sum(axis=0), rtol=1e-4
    )  # float32 sums of 16


@pytest.mark.parametrize("step", [2, 5])
def test_resumed_run_gives_the_same_bits(tmp_path, monkeypatch, step):
    """Stopped in the second step of pretraining, and in that of fine-tuning."""
    path, expected, seen = tmp_path / "run.npz", trained(pixels()), []
    with monkeypatch.context() as patch:
        original = loop.as_floats

        def interrupting(batch):
            seen.append(batch)
            if len(seen) == step + (step > 3):  # the fourth batch is the sample for k-means
                signal.raise_signal(signal.SIGINT)
            return original(batch)

        patch.setattr(loop, "as_floats", interrupting)
        with pytest.raises(KeyboardInterrupt):
            trained(pixels(), checkpoint=path)
    assert_same(trained(pixels(), checkpoint=path, resume=True), expected)


def test_checkpoint_of_another_variance_is_refused(tmp_path):
    path = tmp_path / "run.npz"
    trained(pixels(), checkpoint=path, checkpoint_seconds=0)
    other = conv_vqvae(ConvSettings(3, 4, 4, 2, 2, blocks=1), EMA(6, 0.9), variance=0.5)
    with pytest.raises(ValueError, match="its variance is"):
        trained(pixels(), other, checkpoint=path, resume=True)


@pytest.mark.parametrize("data", [pixels()[..., 0], pixels()[..., :2], pixels()[:0]])
def test_bytes_that_are_no_images_are_refused(data):
    with pytest.raises(ValueError, match=r"data must have shape \(N, H, W, 3\)"):
        train(made(pixels()), data, SCHEDULE, SETTINGS)
