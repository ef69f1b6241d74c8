"""Checkpoints: all that a training run needs to go on bit for bit, in one ``.npz`` without pickles.

Arrays are stored under dotted names: ``params.encoder.0.weight``, ``buffers.tokens``,
``optimizer.encoder.0.weight.m``, ``tally.hits``. The rest is one JSON text. The order of batches
needs no storage, because it follows from the seed and the place in the schedule.

A checkpoint is checked whole before anything is taken from it: kernels trust shapes, and an array
of another one would corrupt the memory. A twin of the run is put at the checkpoint's place. Its
arrays have the names, dtypes and shapes that the stored ones must have.
"""

import json
import math
import signal
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from vqnp.data.images import pixels_to_float
from vqnp.files import load_with_meta, named, save_with_meta, writable_directory
from vqnp.machine import machine
from vqnp.models import as_rows, fill, require_alike, stored
from vqnp.quantize import quantizer_from_json
from vqnp.training.schedule import FineTune, InitializeCodebook
from vqnp.training.state import EpochRecord, Tally, TrainState
from vqnp.validation import Array, require_instance, require_integer

FORMAT = 3  # 1 knew one kind of quantizer, 2 had no sha256


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
    meta = {
        "format": FORMAT,
        "identity": identity(state),
        "machine": machine(),
        "place": [state.phase, state.epoch, state.step],
        "optimizer_steps": state.optimizer.steps,
        "tally": {"examples": state.tally.examples, "losses": state.tally.losses},
        "history": [asdict(record) for record in state.history],
        "notes": state.notes,
    }
    save_with_meta(path, all_arrays(state), meta)


def all_arrays(state: TrainState) -> dict[str, Array]:
    """Return the arrays of a checkpoint by name."""
    arrays = stored(state.model)
    for name, averages in state.optimizer.state.items():
        arrays |= {f"optimizer.{name}.{kind}": value for kind, value in averages.items()}
    return arrays if state.tally.hits is None else arrays | {"tally.hits": state.tally.hits}


def restore(path: Path, state: TrainState) -> None:
    """Put ``state`` where the checkpoint at ``path`` stands.

    Raises ``ValueError`` naming the file when it is truncated, changed, no checkpoint, or of
    another format, and when an array does not fit the run. When it belongs to another run, the
    message names what differs: data, schedule, settings, seed or model. ``state`` is then
    unchanged.
    """
    arrays, meta = load_with_meta(path, FORMAT)
    with named(path, "cannot be resumed"):
        require_same(meta["identity"], identity(state))
        quantizing = any(name.startswith(("params.quantizer", "buffers")) for name in arrays)
        twin = twin_at(state, *require_place(meta["place"], state), quantizing)
        require_alike(arrays, all_arrays(twin))
        tally = Tally(**meta["tally"], hits=arrays.get("tally.hits"))
        history = [EpochRecord(**record) for record in meta["history"]]
        require_counts(twin, meta["optimizer_steps"], tally, history)
        notes = require_instance(meta["notes"], list, "notes")
    fill(state.model, arrays)
    params, optimizer = state.model.params, state.optimizer
    optimizer.params = {name: params[name] for name in twin.optimizer.state}
    optimizer.state = {
        name: {kind: arrays[f"optimizer.{name}.{kind}"] for kind in averages}
        for name, averages in twin.optimizer.state.items()
    }
    optimizer.steps, state.tally, state.history[:] = meta["optimizer_steps"], tally, history
    state.notes[:] = notes
    state.phase, state.epoch, state.step = twin.phase, twin.epoch, twin.step


def twin_at(
    state: TrainState, phase: int, epoch: int, step: int, quantizing: bool = False
) -> TrainState:
    """Return a run with the layers of ``state`` and arrays as it would have them at this place.

    Only the names, dtypes and shapes mean anything. Its quantizer is another than the run's, and
    is initialized where the run's would be, or where ``quantizing`` says that it is.
    """
    model = replace(state.model, quantizer=quantizer_from_json(state.model.quantizer.to_json()))
    begun = state.schedule[state.phase : phase + bool(epoch or step)]
    example = state.data[:1]
    z = as_rows(model.encode(pixels_to_float(example) if example.dtype == np.uint8 else example))
    if quantizing or any(isinstance(past, InitializeCodebook) for past in begun):
        with warnings.catch_warnings(action="ignore"):  # of fewer embeddings than tokens
            model.quantizer.initialize(z, batch=1)
    covered = any(
        isinstance(past, FineTune)
        or (isinstance(past, InitializeCodebook) and not state.settings.carry_optimizer)
        for past in begun
    )
    optimizer = state.settings.make_optimizer((model if covered else model.autoencoder).params)
    tally = Tally()
    if step:
        used = model.quantizer if isinstance(begun[-1], FineTune) else model.autoencoder.quantizer
        rng = np.random.default_rng(0)
        quantized, _ = used.forward(z, training=True, rng=rng)
        tally.add_hits(used.update(z, quantized, rng=rng))
    return replace(
        state, model=model, optimizer=optimizer, phase=phase, epoch=epoch, step=step, tally=tally
    )


def require_place(place: Any, state: TrainState) -> tuple[int, int, int]:
    """Return phase, epoch and step once they are known to be a place of the run's schedule."""
    phase, epoch, step = (require_integer(number, "its place", least=0) for number in place)
    epochs = state.schedule[phase].epochs if phase < len(state.schedule) else 0
    inside = (epoch < epochs and step <= batches_an_epoch(state)) or epoch == step == 0
    if not (state.phase <= phase <= len(state.schedule) and inside):
        raise ValueError(f"its place {place} is none of the schedule {list(state.schedule)}")
    return phase, epoch, step


def batches_an_epoch(state: TrainState) -> int:
    """Return the number of batches of an epoch."""
    return -(-len(state.data) // state.settings.batch_size)


def require_counts(twin: TrainState, steps: int, tally: Tally, history: list[EpochRecord]) -> None:
    """Raise unless the optimizer's steps, tally and history may be those of the twin's place."""
    epochs = sum(phase.epochs for phase in twin.schedule[: twin.phase]) + twin.epoch
    most = epochs * batches_an_epoch(twin) + twin.step
    examples = min(twin.step * twin.settings.batch_size, len(twin.data))
    counted = require_integer(steps, "optimizer_steps", least=0), len(history), tally.examples
    if counted[0] > most or counted[1] > epochs or counted[2] != examples:
        raise ValueError(
            f"it counts {counted} steps, epochs and examples; "
            f"its place allows {most} and {epochs} at most, and {examples}"
        )
    numbers = [record.reconstruction for record in history]
    numbers += [tally.losses["reconstruction"]] if twin.step else []
    for losses in (tally.losses, *(record.losses for record in history)):
        numbers += losses.values()
    if not all(isinstance(number, float) and math.isfinite(number) for number in numbers):
        raise ValueError("its losses are no finite numbers")


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


def require_same(stored: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Raise ``ValueError`` naming the first entry in which the two runs differ."""
    for name, value in wanted.items():
        if stored.get(name) != value:
            raise ValueError(
                f"it is the checkpoint of another run: its {name} is {stored.get(name)}, "
                f"this run's is {value}"
            )
