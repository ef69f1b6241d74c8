"""Checkpoints: all that a training run needs to go on bit for bit, in one ``.npz`` without pickles.

Arrays are stored under dotted names: ``params.encoder.0.weight``, ``buffers.tokens``,
``optimizer.encoder.0.weight.m``, ``tally.hits``. The rest is one JSON text. The order of batches
needs no storage, because it follows from the seed and the place in the schedule.
"""

import json
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from vqnp.files import load_with_meta, save_with_meta, writable_directory
from vqnp.models import fill, stored
from vqnp.training.state import EpochRecord, Tally, TrainState
from vqnp.validation import Array

FORMAT = 2  # 1 knew one kind of quantizer


class Saver:
    """Writes a run's checkpoint every ``seconds``, and when the run is asked to stop.

    Without a ``path`` it writes nothing.
    """

    def __init__(self, path: Path | None, seconds: float) -> None:
        self.path, self.seconds = path, seconds
        if path is not None:
            writable_directory(path.parent)
        self.last = time.monotonic()

    def after_step(self, state: TrainState, asked_to_stop: bool) -> None:
        """Save when it is time; save and raise ``KeyboardInterrupt`` when ``asked_to_stop``."""
        if self.path is not None and (
            asked_to_stop or time.monotonic() - self.last >= self.seconds
        ):
            save(self.path, state)
            self.last = time.monotonic()
        if asked_to_stop:
            raise KeyboardInterrupt

    def restore(self, state: TrainState) -> None:
        """Continue from the checkpoint if there is one."""
        if self.path is not None and self.path.exists():
            restore(self.path, state)


@contextmanager
def ctrl_c_waits() -> Iterator[threading.Event]:
    """Turn the first Ctrl-C into an event, so that no array is left half-changed.

    A second Ctrl-C stops at once.
    """
    asked = threading.Event()

    def ask(*_: Any) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    if (
        threading.current_thread() is not threading.main_thread()
    ):  # only the main thread may set handlers
        yield asked
        return
    before = signal.signal(signal.SIGINT, ask)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


def save(path: Path, state: TrainState) -> None:
    """Write ``state`` to ``path``, whole or not at all."""
    arrays, optimizer, tally = stored(state.model), state.optimizer, state.tally
    for name, averages in optimizer.state.items():
        arrays |= {f"optimizer.{name}.{kind}": value for kind, value in averages.items()}
    if tally.hits is not None:
        arrays["tally.hits"] = tally.hits
    meta = {
        "format": FORMAT,
        "identity": identity(state),
        "place": [state.phase, state.epoch, state.step],
        "optimizer": {name: list(averages) for name, averages in optimizer.state.items()},
        "optimizer_steps": optimizer.steps,
        "tally": {"examples": tally.examples, "losses": tally.losses},
        "history": [asdict(record) for record in state.history],
        "notes": state.notes,
    }
    save_with_meta(path, arrays, meta)


def restore(path: Path, state: TrainState) -> None:
    """Put ``state`` where the checkpoint at ``path`` stands.

    Raises ``ValueError`` naming the file when it is truncated, no checkpoint, or of another format.
    When it belongs to another run, the message names what differs: data, schedule, settings, seed
    or model. ``state`` is then unchanged.
    """
    arrays, meta = load_with_meta(path, FORMAT)
    try:
        require_same(path, meta["identity"], identity(state))
        averages = {
            name: {kind: arrays[f"optimizer.{name}.{kind}"] for kind in kinds}
            for name, kinds in meta["optimizer"].items()
        }
        fill(state.model, arrays)
    except KeyError as error:
        raise ValueError(f"{path} is not a checkpoint: {error} is missing or damaged") from error
    params = state.model.params
    state.optimizer.params = {name: params[name] for name in averages}
    state.optimizer.state, state.optimizer.steps = averages, meta["optimizer_steps"]
    state.phase, state.epoch, state.step = meta["place"]
    state.tally = Tally(**meta["tally"], hits=arrays.get("tally.hits"))
    state.history[:] = [EpochRecord(**record) for record in meta["history"]]
    state.notes[:] = meta["notes"]


def identity(state: TrainState) -> dict[str, Any]:
    """Return what must be equal for two runs to be the same run, as JSON has it."""
    weights = state.model.autoencoder.params.items()
    values = {
        "data": f"{fingerprint(state.data)} {list(state.data.shape)}",
        "schedule": [repr(phase) for phase in state.schedule],
        "settings": asdict(state.settings),
        "seed": state.seed,
        "model": {name: f"{value.dtype}{list(value.shape)}" for name, value in weights},
        "quantizer": state.model.quantizer.to_json(),
        "variance": state.model.variance,
    }
    return dict(json.loads(json.dumps(values, default=np.generic.item)))


def fingerprint(data: Array) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of the array's bytes."""
    return sha256(np.ascontiguousarray(data).data).hexdigest()[:16]


def require_same(path: Path, stored: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Raise ``ValueError`` naming the first entry in which the two runs differ."""
    for name, value in wanted.items():
        if stored.get(name) != value:
            raise ValueError(
                f"{path} is the checkpoint of another run: its {name} is {stored.get(name)}, "
                f"this run's is {value}"
            )
