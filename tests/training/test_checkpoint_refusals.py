"""Checkpoints that do not fit, are not whole or are no checkpoints."""

import os

import numpy as np
import pytest
from runs import small_data, small_model, small_train

from vqnp import EMA, MLPSettings, TrainSettings, ae_then_vq, mlp_vqvae
from vqnp.files import load_arrays, save_arrays

ONE_AND_ONE = ae_then_vq(1, 1)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "run.npz"
    small_train(checkpoint=path, checkpoint_seconds=0, schedule=ONE_AND_ONE)
    return path


def assert_refused(path, message, model=None, **options):
    """Resuming raises an error that names the file, and leaves the model as it was."""
    model = model or small_model()
    before = {name: value.copy() for name, value in model.params.items()}
    with pytest.raises(ValueError, match=message) as error:
        small_train(model, **{"schedule": ONE_AND_ONE} | options, checkpoint=path, resume=True)
    assert str(path) in str(error.value)
    assert not model.quantizer.initialized
    for name, value in before.items():
        np.testing.assert_array_equal(model.params[name], value)


def other_width():
    return mlp_vqvae(MLPSettings(2, 1, 6, 4), EMA(4))


def other_beta():
    return mlp_vqvae(MLPSettings(2, 1, 6, 5), EMA(4, beta=0.5))


OTHER_RUNS = [
    ("data", lambda: {"data": small_data() + 1}),
    ("data", lambda: {"data": small_data(n=41)}),
    ("data", lambda: {"data": small_data(np.float64), "model": small_model(dtype=np.float64)}),
    ("schedule", lambda: {"schedule": ae_then_vq(1, 2)}),
    ("schedule", lambda: {"schedule": ae_then_vq(1, 1, sample=20)}),
    ("settings", lambda: {"settings": TrainSettings(17)}),
    ("settings", lambda: {"settings": TrainSettings(16, optimizer="adam")}),
    ("seed", lambda: {"rng": 1}),
    ("model", lambda: {"model": other_width()}),
    ("model", lambda: {"model": small_model(dtype=np.float64)}),
    ("quantizer", lambda: {"model": small_model(n_tokens=5)}),
    ("quantizer", lambda: {"model": small_model(dialect="debiased")}),
    ("quantizer", lambda: {"model": other_beta()}),
]


@pytest.mark.parametrize(("name", "options"), OTHER_RUNS)
def test_checkpoint_of_another_run_is_refused(checkpoint, name, options):
    message = f"is the checkpoint of another run: its {name} is .*, this run's is "
    assert_refused(checkpoint, message, **options())


def test_truncated_checkpoint_is_refused_at_every_length(checkpoint, tmp_path):
    whole, cut = checkpoint.read_bytes(), tmp_path / "cut.npz"
    assert len(whole) > 8000
    for length in [*range(0, len(whole), 331), *range(len(whole) - 25, len(whole))]:
        cut.write_bytes(whole[:length])
        assert_refused(cut, "is not a whole .npz file of arrays")


@pytest.mark.parametrize("content", [b"", b"no archive at all", b"PK\x03\x04 and then nothing"])
def test_file_that_is_no_archive_is_refused(tmp_path, content):
    path = tmp_path / "text.npz"
    path.write_bytes(content)
    assert_refused(path, "is not a whole .npz file of arrays")


@pytest.mark.parametrize(
    "name",
    [
        "meta",
        "buffers.steps",
        "params.encoder.0.weight",
        "optimizer.decoder.4.bias.v",
        "buffers.sums",
    ],
)
def test_archive_without_one_of_its_arrays_is_refused(checkpoint, tmp_path, name):
    arrays = load_arrays(checkpoint)
    del arrays[name]
    save_arrays(tmp_path / "less.npz", arrays)
    assert_refused(
        tmp_path / "less.npz",
        "is not a whole file of vqnp: ",
    )


def test_pickled_objects_are_refused_without_being_run(tmp_path):
    class Hostile:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "executed"),)

    path = tmp_path / "hostile.npz"
    np.savez(path, meta=np.array(Hostile(), dtype=object))
    assert_refused(path, "Python objects and records are not read")
    assert not (tmp_path / "executed").exists()


def test_unwritable_directory_is_refused_before_the_first_step(tmp_path):
    """A path below a file, which not even root can write to."""
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=f"cannot write to the directory {tmp_path / 'file'}"):
        small_train(checkpoint=tmp_path / "file" / "run.npz", on_epoch=pytest.fail)


def test_directory_is_made(tmp_path):
    small_train(checkpoint=tmp_path / "new" / "folder" / "run.npz", checkpoint_seconds=0)
    assert (tmp_path / "new" / "folder" / "run.npz").exists()
