"""Checkpoints whose content was exchanged: refused in words, before anything is taken from them.

Kernels trust shapes, so each of these files once ended in a corrupted heap, in memory of others
that was overwritten, or in a run that went on with other numbers. Their checksums are right.
"""

import copy

import numpy as np
import pytest
from runs import SCHEDULE, SETTINGS, small_data, small_model, small_train, state

from vqnp import TrainSettings
from vqnp.files import load_arrays, load_with_meta, save_arrays, save_with_meta
from vqnp.training import checkpoints
from vqnp.training.state import TrainState

WEIGHT = "encoder.2.weight"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A checkpoint from the middle of an epoch of fine-tuning, with a tally."""
    path = tmp_path_factory.mktemp("checkpoint") / "run.npz"

    def crash(run):
        if len(run.history) == 3:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        small_train(checkpoint=path, checkpoint_seconds=0, on_epoch=crash)
    return path


def fresh_state(model=None, settings=SETTINGS):
    model = model or small_model()
    optimizer = settings.make_optimizer(model.autoencoder.params)
    return TrainState(model, small_data(), SCHEDULE, settings, 0, optimizer)


def assert_refused(path, message):
    """The error names the file; model, optimizer and state are as before, by object and by bit."""
    run = fresh_state()
    objects = [run.model, run.optimizer, run.optimizer.state, run.tally, run.model.params[WEIGHT]]
    (before, history), place = copy.deepcopy(state(run)), (run.phase, run.epoch, run.step)
    with pytest.raises(ValueError, match=message) as error:
        checkpoints.restore(path, run)
    assert str(error.value).startswith(f"{path} ")
    after, history_after = state(run)
    assert after.keys() == before.keys()
    assert all(after[name].tobytes() == before[name].tobytes() for name in before)
    assert history_after == history == []
    assert (run.phase, run.epoch, run.step) == place == (0, 0, 0)
    assert run.tally.examples == 0
    now = [run.model, run.optimizer, run.optimizer.state, run.tally, run.model.params[WEIGHT]]
    assert all(a is b for a, b in zip(objects, now, strict=True))


def one_number(name):
    return lambda arrays, meta: arrays.update({name: arrays[name].reshape(-1)[:1]})


def one_row(name):
    return lambda arrays, meta: arrays.update({name: arrays[name][:1]})


def of(name, change):
    return lambda arrays, meta: arrays.update({name: change(arrays[name])})


def entry(name, value):
    return lambda arrays, meta: meta.update({name: value})


def several(*edits):
    return lambda arrays, meta: [edit(arrays, meta) for edit in edits]


V, M = f"optimizer.{WEIGHT}.v", f"optimizer.{WEIGHT}.m"
SEVEN = {
    "v of one number": (one_number(V), f"{V} must have shape"),
    "m and v of one number": (several(one_number(M), one_number(V)), f"{M} must have shape"),
    "tokens of one row": (
        one_row("buffers.tokens"),
        r"buffers.tokens must have shape \(4, 1\), got \(1, 1\)",
    ),
    "counts of one number": (
        one_number("buffers.counts"),
        r"buffers.counts must have shape \(4,\), got \(1,\)",
    ),
    "sums of one row": (one_row("buffers.sums"), "buffers.sums must have shape"),
    "m of one number": (one_number(M), f"{M} must have shape"),
    "a parameter of one number": (one_number(f"params.{WEIGHT}"), "must have shape"),
}
LOSSES = {"reconstruction": 1.0, "commitment": 1.0}
RECORD = {"phase": "pretrain", "epoch": 1, "losses": LOSSES}
OTHERS = {
    "another precision": (of(M, np.float64), f"{M} must be float32, got float64"),
    "another byte order": (of(V, lambda a: a.astype(">f4")), f"{V} must be float32"),
    "text": (of(V, lambda a: a.astype("U9")), f"{V} must be float32"),
    "a number that is NaN": (of(V, lambda a: np.full_like(a, np.nan)), f"{V} holds NaN"),
    "tokens at infinity": (
        of("buffers.tokens", lambda a: np.full_like(a, np.inf)), "buffers.tokens holds NaN"
    ),
    "another dimension": (
        several(of("buffers.tokens", lambda a: np.tile(a, 2)),
                of("buffers.sums", lambda a: np.tile(a, 2))), "buffers.* must have shape",
    ),
    "another K": (
        several(*(of(f"buffers.{n}", lambda a: np.repeat(a, 2, axis=0))
                  for n in ("tokens", "counts", "sums"))), r"must have shape \(4",
    ),
    "no codebook": (
        lambda arrays, meta: [arrays.pop(name) for name in list(arrays) if name[0] == "b"],
        r"it lacks the arrays \['buffers.counts'",
    ),
    "steps as a float": (of("buffers.steps", np.float64), "buffers.steps must be int64"),
    "a lost average": (lambda arrays, meta: arrays.pop(V), "it lacks .*encoder.2.weight.v"),
    "a lost tally": (lambda arrays, meta: arrays.pop("tally.hits"), "it lacks .*tally.hits"),
    "hits of one code": (one_number("tally.hits"), "tally.hits must have shape"),
    "a phase beyond the schedule": (entry("place", [99, 0, 0]), "its place .* is none of"),
    "a step beyond the epoch": (entry("place", [2, 0, 10**6]), "its place .* is none of"),
    "an epoch beyond the phase": (entry("place", [2, 2, 1]), "its place .* is none of"),
    "a negative epoch": (entry("place", [2, -5, 0]), "its place must be at least 0, got -5"),
    "steps of a phase without any": (entry("place", [1, 0, 1]), "its place .* is none of"),
    "a place of two numbers": (entry("place", [2, 0]), "not enough values"),
    "a place in words": (entry("place", ["a", "b", "c"]), "its place must be an integer"),
    "too many steps": (entry("optimizer_steps", 10**400), "it counts"),
    "steps below 0": (entry("optimizer_steps", -1), "optimizer_steps must be at least 0"),
    "steps in words": (entry("optimizer_steps", "9"), "optimizer_steps must be an integer"),
    "another tally": (entry("tally", {"examples": 3, "losses": {}}), "it counts"),
    "a tally of NaN": (
        entry("tally", {"examples": 40, "losses": {"reconstruction": np.nan}}), "no finite numbers"
    ),
    "a tally in words": (entry("tally", {"examples": 40, "losses": "text"}), "cannot be resumed"),
    "a tally of other names": (entry("tally", {"n": 40}), "unexpected keyword argument"),
    "too long a history": (entry("history", [RECORD] * 5), "it counts"),
    "a history of other names": (entry("history", [{"when": 1}]), "unexpected keyword argument"),
    "a history without losses": (
        entry("history", [RECORD | {"losses": {}}]), "cannot be resumed: 'reconstruction'"
    ),
    "no history": (lambda arrays, meta: meta.pop("history"), "cannot be resumed: 'history'"),
    "an identity in words": (entry("identity", "text"), "cannot be resumed"),
}  # fmt: skip


@pytest.mark.parametrize("name", SEVEN | OTHERS)
def test_exchanged_content_is_refused(checkpoint, tmp_path, name):
    edit, message = (SEVEN | OTHERS)[name]
    arrays, meta = load_with_meta(checkpoint, checkpoints.FORMAT)
    edit(arrays, meta)
    path = tmp_path / "altered.npz"
    save_with_meta(path, arrays, meta)
    assert_refused(path, f"cannot be resumed: .*{message}" if "cannot" not in message else message)


def test_two_arrays_of_one_shape_that_changed_places_are_refused(checkpoint, tmp_path):
    """No shape tells them apart: the file's own sha256 does."""
    arrays, path = load_arrays(checkpoint), tmp_path / "swapped.npz"
    arrays[M], arrays[V] = arrays[V], arrays[M]
    save_arrays(path, arrays)
    assert_refused(path, "is not a whole file of vqnp: its arrays are not those")


def test_a_number_changed_by_hand_is_refused(checkpoint, tmp_path):
    arrays, path = load_arrays(checkpoint), tmp_path / "edited.npz"
    arrays["buffers.tokens"] += 1
    save_arrays(path, arrays)
    assert_refused(path, "is not a whole file of vqnp: its arrays are not those")


def test_checkpoint_of_the_format_before_is_named(checkpoint, tmp_path):
    arrays, meta = load_with_meta(checkpoint, checkpoints.FORMAT)
    save_with_meta(tmp_path / "old.npz", arrays, meta | {"format": 2})
    assert_refused(tmp_path / "old.npz", "has format 2, and this version reads format 3")


@pytest.mark.parametrize("carry", [False, True])
@pytest.mark.parametrize("optimizer", ["adam", "amsgrad", "adamw"])
def test_a_checkpoint_at_any_place_is_its_own_twin(tmp_path, carry, optimizer):
    """What the check expects is what the run stores, after every step and phase."""
    settings = TrainSettings(16, optimizer=optimizer, carry_optimizer=carry)
    path, places = tmp_path / "run.npz", []

    def look(run):
        checkpoints.save(path, run)
        checkpoints.restore(path, fresh_state(settings=settings))
        places.append((run.phase, run.epoch, run.step))

    saver = checkpoints.Saver.after_step
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            checkpoints.Saver, "after_step",
            lambda self, run, asked: (look(run), saver(self, run, asked)),
        )  # fmt: skip
        small_train(settings=settings)
    assert len(places) == 12 + 3


def test_an_initialized_model_takes_up_a_checkpoint_from_before(tmp_path):
    """After a crash, in one notebook: the model has a codebook, the last checkpoint has none."""
    path, run = tmp_path / "run.npz", fresh_state()
    checkpoints.save(path, run)
    trained = small_train().model
    assert trained.quantizer.initialized
    checkpoints.restore(path, fresh_state(trained))
    assert not trained.quantizer.initialized
