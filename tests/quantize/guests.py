"""What every quantizer owes the protocol, asked of one instance by :func:`assert_guest`."""

import numpy as np
import pytest

from vqnp import VQVAE, MLPSettings, mlp_vqvae, train
from vqnp.quantize import quantizer_from_json
from vqnp.training import FineTune, InitializeCodebook, TrainSettings, loop


def rng(seed=0):
    return np.random.default_rng(seed)


def arrays(quantizer):
    return quantizer.params | quantizer.buffers


def placed_copy(quantizer, z, batch=10):
    """A second one, as configured, placed on ``z``."""
    made = quantizer_from_json(quantizer.to_json())
    made.initialize(z, batch=batch, rng=1)
    return made


def assert_guest(quantizer, z):
    """``z`` ``(N, D)`` float64, at least 20 rows; the quantizer is as configured, not placed."""
    assert quantizer_from_json(quantizer.to_json()) == quantizer
    for dtype in (np.float32, np.float64):
        made = placed_copy(quantizer, z.astype(dtype))
        assert_codes_name_vectors(made, z.astype(dtype))
        assert_evaluation_changes_nothing(made, z.astype(dtype))
        assert_training_keeps_the_dtype(made, z.astype(dtype))
        assert_masked_rows_count_for_nothing(made, z.astype(dtype))


def assert_codes_name_vectors(made, z):
    quantized, _ = made.forward(z)
    assert quantized.codes.dtype == np.int64
    decoded = made.decode(
        quantized.codes, **({} if made.initialized and arrays(made) else {"dtype": z.dtype})
    )
    assert decoded.dtype == quantized.vectors.dtype == z.dtype
    np.testing.assert_array_equal(decoded, quantized.vectors)


def assert_evaluation_changes_nothing(made, z):
    before = {name: value.copy() for name, value in arrays(made).items()}
    one, _ = made.forward(z)
    two, _ = made.forward(z)
    np.testing.assert_array_equal(one.vectors, two.vectors)
    parts = [made.forward(z[i : i + 7])[0].codes for i in range(0, len(z), 7)]
    np.testing.assert_array_equal(np.concatenate(parts), one.codes)
    for name, value in arrays(made).items():
        np.testing.assert_array_equal(value, before[name])


def assert_training_keeps_the_dtype(made, z):
    quantized, cache = made.forward(z, training=True, rng=rng(3))
    assert all(isinstance(value, float) for value in quantized.losses.values())
    dz, gradients = made.backward(np.ones_like(quantized.vectors), cache)
    assert dz.dtype == z.dtype
    assert dz.shape == z.shape
    assert gradients.keys() == made.params.keys()
    for name, value in gradients.items():
        assert value.dtype == z.dtype, name
        assert value.shape == made.params[name].shape, name


def assert_masked_rows_count_for_nothing(made, z):
    mask = np.arange(len(z)) % 3 > 0
    quantized, _ = made.forward(z)
    hits = made.update(z, quantized, mask=mask)
    whole = made.update(z, quantized)
    books = 1 if quantized.codes.ndim == 1 else quantized.codes.shape[1]
    assert hits.dtype == np.float64
    assert hits.sum() == books * mask.sum()
    assert whole.sum() == books * len(z)


def assert_resumes_and_loads(quantizer, tmp_path, monkeypatch, token_dim=3):
    """Stopped in its second epoch and resumed, training ends in the same bits; so does a file."""
    x = rng(7).normal(size=(24, 5)).astype(np.float32)
    schedule = (InitializeCodebook(), FineTune(3))

    def model(seed):
        fresh = quantizer_from_json(quantizer.to_json())
        return mlp_vqvae(MLPSettings(5, token_dim, 6, 7), fresh, rng=seed)

    expected, path = model(0), tmp_path / "run.npz"
    train(expected, x, schedule, TrainSettings(10))
    with monkeypatch.context() as patch:
        steps, step = iter(range(1, 99)), loop.take_step

        def stopping(*given):
            step(*given)
            if next(steps) == 5:
                raise KeyboardInterrupt

        patch.setattr(loop, "take_step", stopping)
        with pytest.raises(KeyboardInterrupt):
            train(model(0), x, schedule, TrainSettings(10), checkpoint=path, checkpoint_seconds=0)
    again = model(99)
    train(again, x, schedule, TrainSettings(10), checkpoint=path, resume=True)
    expected.save(tmp_path / "model.npz")
    loaded = VQVAE.load(tmp_path / "model.npz")
    for other in (again, loaded):
        found = other.params | other.quantizer.buffers
        for name, value in (expected.params | expected.quantizer.buffers).items():
            np.testing.assert_array_equal(found[name], value, err_msg=name)
    np.testing.assert_array_equal(loaded.reconstruct(x), expected.reconstruct(x))
