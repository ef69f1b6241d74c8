import itertools
import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from runs import SCHEDULE, SETTINGS, STEPS, assert_same_bits, small_data, small_model, small_train

from vqnp import TrainSettings, ae_then_vq, training
from vqnp.files import load_arrays
from vqnp.training import loop
from vqnp.training.checkpoints import ctrl_c_waits


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.npz"


def ctrl_c():
    signal.raise_signal(signal.SIGINT)


def press_ctrl_c_at_step(monkeypatch, number):
    """Press Ctrl-C in the middle of the step of that number, counted over both phases."""
    steps = itertools.count(1)

    def pressed(step):
        return lambda *given: (ctrl_c() if next(steps) == number else None, step(*given))

    monkeypatch.setattr(loop, "take_step", pressed(loop.take_step))


def train_interrupted(path, **options):
    with pytest.raises(KeyboardInterrupt):
        small_train(checkpoint=path, **options)
    assert path.exists()


# Resuming


@pytest.mark.parametrize("number", range(1, STEPS + 1))
def test_run_stopped_at_any_step_resumes_to_the_same_bits(path, monkeypatch, number):
    """In pretraining, in fine-tuning, at the end of an epoch, of a phase (step 6) and of the run
    (step 12).
    """
    expected = small_train()
    with monkeypatch.context() as patch:
        press_ctrl_c_at_step(patch, number)
        train_interrupted(path)
    meta = json.loads(str(load_arrays(path)["meta"]))
    assert meta["optimizer_steps"] == number - 6 * (number > 6)
    # its own weights are replaced
    assert_same_bits(small_train(small_model(seed=99), checkpoint=path, resume=True), expected)


@pytest.mark.parametrize("dialect", ["paper", "counts-one", "smoothed-state", "debiased"])
@pytest.mark.parametrize("settings", [
    TrainSettings(16, optimizer="amsgrad", carry_optimizer=True),
    TrainSettings(16, optimizer="adam"),
])  # fmt: skip
@pytest.mark.parametrize("number", [5, 8])
def test_all_state_is_kept(path, monkeypatch, dialect, settings, number):
    expected = small_train(small_model(dialect=dialect), settings=settings)
    with monkeypatch.context() as patch:
        press_ctrl_c_at_step(patch, number)
        train_interrupted(path, model=small_model(dialect=dialect), settings=settings)
    assert_same_bits(
        small_train(small_model(dialect=dialect), settings=settings, checkpoint=path, resume=True),
        expected,
    )


@pytest.mark.parametrize("place", [0, 1, 2])
def test_stop_exactly_between_two_phases(path, place):
    """Pressed when a phase has ended: after pretraining, after k-means, after fine-tuning."""
    expected, phases = small_train(), []

    def press(run):
        phases.append(run.phase)
        if run.phase == place:
            ctrl_c()

    with pytest.raises(KeyboardInterrupt):
        training.train(
            small_model(), small_data(), SCHEDULE, SETTINGS, checkpoint=path, on_phase=press
        )
    assert phases == list(range(place + 1))
    resumed = []
    training.train(
        small_model(),
        small_data(),
        SCHEDULE,
        SETTINGS,
        checkpoint=path,
        resume=True,
        on_phase=lambda run: resumed.append(run.phase),
    )
    assert resumed == list(range(place + 1, 3))  # each phase ends once
    if place < 2:
        assert_same_bits(small_train(checkpoint=path, resume=True), expected)


@pytest.mark.parametrize("number", [1, 8, STEPS])
def test_notes_come_back_on_resuming(path, monkeypatch, number):
    """Each step is noted once, whether the run was stopped after it or not."""
    notes = []

    def note(run):
        notes.append([run.phase, run.steps_done])

    small_train(on_step=note, notes=notes)
    expected, notes = notes, []
    assert expected == [[0, n + 1] for n in range(6)] + [[2, n + 1] for n in range(6)]
    with monkeypatch.context() as patch:
        press_ctrl_c_at_step(patch, number)
        train_interrupted(path, on_step=note, notes=notes)
    assert notes == expected[:number]
    notes = []
    small_train(on_step=note, notes=notes, checkpoint=path, resume=True)
    assert notes == expected


def test_ctrl_c_in_the_last_callback_is_not_lost(path):
    with pytest.raises(KeyboardInterrupt):
        small_train(on_epoch=lambda run: ctrl_c() if len(run.history) == 4 else None)


def test_stop_many_times(path, monkeypatch):
    expected = small_train()
    for _ in range(4):
        with monkeypatch.context() as patch:
            press_ctrl_c_at_step(patch, 2)
            train_interrupted(path, resume=True)
    assert_same_bits(small_train(checkpoint=path, resume=True), expected)


def test_crash_loses_only_what_came_after_the_last_checkpoint(path):
    """An error in a callback, with a checkpoint after every step."""

    def crash(run):
        if len(run.history) == 3:
            raise ZeroDivisionError

    expected = small_train()
    with pytest.raises(ZeroDivisionError):
        small_train(checkpoint=path, checkpoint_seconds=0, on_epoch=crash)
    assert json.loads(str(load_arrays(path)["meta"]))["place"] == [2, 0, 3]
    assert_same_bits(small_train(checkpoint=path, resume=True), expected)


def test_finished_run_resumes_to_itself(path):
    expected = small_train(checkpoint=path, checkpoint_seconds=0)
    model, epochs = small_model(seed=99), []
    history = training.train(
        model,
        small_data(),
        SCHEDULE,
        SETTINGS,
        checkpoint=path,
        resume=True,
        on_epoch=epochs.append,
    )
    assert history == expected.history
    assert not epochs
    for name, value in model.params.items():
        np.testing.assert_array_equal(value, expected.model.params[name])


def test_resume_without_a_checkpoint_starts_at_the_beginning(path):
    assert_same_bits(small_train(checkpoint=path, resume=True), small_train())


def test_without_resume_an_old_checkpoint_is_ignored(path):
    small_train(checkpoint=path, checkpoint_seconds=0, rng=5)
    assert_same_bits(small_train(checkpoint=path), small_train())


def test_saving_changes_nothing(path):
    assert_same_bits(small_train(checkpoint=path, checkpoint_seconds=0), small_train())


def test_checkpoint_is_written_when_its_time_has_come(path):
    small_train(checkpoint=path, checkpoint_seconds=1e6)
    assert not path.exists()
    small_train(checkpoint=path, checkpoint_seconds=0)
    assert path.exists()
    assert [file.name for file in path.parent.iterdir()] == ["run.npz"]  # nothing temporary is left


def test_settings_may_be_numpys_numbers(path):
    settings = TrainSettings(np.int64(16), learning_rate=np.float32(1e-3))
    options = {"settings": settings, "rng": np.int64(1), "checkpoint": path}
    expected = small_train(small_model(n_tokens=np.int64(4)), **options, checkpoint_seconds=0)
    model = small_model(n_tokens=np.int64(4), seed=99)
    training.train(model, small_data(), SCHEDULE, **options, resume=True)
    np.testing.assert_array_equal(
        model.quantizer.codebook.tokens, expected.model.quantizer.codebook.tokens
    )


# Ctrl-C


def test_first_ctrl_c_waits_and_the_second_does_not():
    before = signal.getsignal(signal.SIGINT)
    with ctrl_c_waits() as asked:
        assert not asked.is_set()
        ctrl_c()
        assert asked.is_set()
        with pytest.raises(KeyboardInterrupt):
            ctrl_c()
    assert signal.getsignal(signal.SIGINT) is before


def test_handler_is_put_back_after_training():
    before = signal.getsignal(signal.SIGINT)
    small_train()
    assert signal.getsignal(signal.SIGINT) is before


def test_training_works_outside_the_main_thread():
    runs = []
    thread = threading.Thread(target=lambda: runs.append(small_train()))
    thread.start()
    thread.join()
    assert_same_bits(runs[0], small_train())


# A kill that nothing can catch

EPOCHS = 40
SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from runs import small_train, ae_then_vq
schedule = ae_then_vq(int(sys.argv[3]), int(sys.argv[3]))
small_train(schedule=schedule, checkpoint=sys.argv[1], checkpoint_seconds=0, resume=True)
"""


def test_sigkill_while_saving_leaves_a_whole_checkpoint(path):
    """A run that saves after every step is killed three times, at no particular moment, and
    resumed here to the same bits.
    """
    command = [sys.executable, "-c", SCRIPT, str(path), str(Path(__file__).parents[1]), str(EPOCHS)]
    places = []
    for wait in (0, 0.013, 0.05):
        with subprocess.Popen(command) as process:
            before = path.stat().st_mtime_ns if path.exists() else 0
            while (
                not path.exists() or path.stat().st_mtime_ns == before
            ) and process.poll() is None:
                time.sleep(0.001)
            time.sleep(wait)
            process.kill()
        assert process.returncode == -signal.SIGKILL
        places.append(json.loads(str(load_arrays(path)["meta"]))["place"])
    assert places == sorted(places)
    schedule = ae_then_vq(EPOCHS, EPOCHS)
    assert_same_bits(
        small_train(schedule=schedule, checkpoint=path, resume=True), small_train(schedule=schedule)
    )
