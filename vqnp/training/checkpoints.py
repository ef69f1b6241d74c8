"""Checkpoints: everything a training run needs to go on bit for bit, in one ``.npz`` file without pickles.

Arrays are stored under dotted names (``params.encoder.0.weight``, ``optimizer.encoder.0.weight.m``, ``codebook.tokens``,
``tally.hits``); the rest is one JSON text, ``meta``. The order of batches needs no storage: it follows from the seed and the place.
"""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vqnp.files import load_arrays, save_arrays, writable_directory
from vqnp.quantize import Codebook
from vqnp.validation import Array

if TYPE_CHECKING:
    from vqnp.training import Run

FORMAT = 1


class Saver:
    """Writes a run's checkpoint every ``seconds`` and when the run is asked to stop; without a ``path`` it writes nothing."""

    def __init__(self, path: Path | None, seconds: float) -> None:
        self.path, self.seconds = path, seconds
        if path is not None:
            writable_directory(path.parent)
        self.last = time.monotonic()

    def after_step(self, run: Run, asked_to_stop: bool) -> None:
        """Save when it is time; save and raise ``KeyboardInterrupt`` when ``asked_to_stop``."""
        if self.path is not None and (
            asked_to_stop or time.monotonic() - self.last >= self.seconds
        ):
            save(self.path, run)
            self.last = time.monotonic()
        if asked_to_stop:
            raise KeyboardInterrupt

    def restore(self, run: Run) -> None:
        """Continue from the checkpoint if there is one."""
        if self.path is not None and self.path.exists():
            restore(self.path, run)


@contextmanager
def ctrl_c_waits() -> Iterator[threading.Event]:
    """Turn the first Ctrl-C into an event, so that no array is left half-changed; a second one stops at once."""
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


def save(path: Path, run: Run) -> None:
    """Write the state of ``run`` to ``path``, whole or not at all."""
    arrays = {f"params.{name}": value for name, value in run.model.params.items()}
    for name, state in run.optimizer.state.items():
        arrays |= {f"optimizer.{name}.{kind}": value for kind, value in state.items()}
    meta = {
        "format": FORMAT,
        "identity": identity(run),
        "place": [run.phase, run.epoch, run.step],
        "optimizer_steps": run.optimizer.steps,
        "tally": {"examples": run.tally.examples, "losses": run.tally.losses},
        "history": [asdict(record) for record in run.history],
    }
    arrays["tally.hits"] = run.tally.hits
    if run.model.quantizer.initialized:
        codebook = run.model.quantizer.codebook
        arrays |= {
            f"codebook.{name}": getattr(codebook, name) for name in ("tokens", "counts", "sums")
        }
        meta["codebook_steps"] = codebook.steps
    save_arrays(path, arrays | {"meta": np.array(json.dumps(meta, default=np.generic.item))})


def restore(path: Path, run: Run) -> None:
    """Put ``run`` where the checkpoint at ``path`` stands.

    Raises ``ValueError`` naming the file when it is truncated or no checkpoint, and naming what differs when it belongs to another
    run: other data, schedule, settings, seed or model. ``run`` is then unchanged.
    """
    from vqnp.training import EpochRecord, Tally

    arrays = load_arrays(path)
    try:
        meta = json.loads(str(arrays["meta"]))
        require_same(path, meta["identity"], identity(run))
        hits = arrays["tally.hits"]
        params = {name: arrays[f"params.{name}"] for name in run.model.params}
        averages = {
            name: {kind: arrays[f"optimizer.{name}.{kind}"] for kind in state}
            for name, state in run.optimizer.state.items()
        }
        codebook = None
        if "codebook_steps" in meta:
            tokens, counts, sums = (
                arrays[f"codebook.{name}"] for name in ("tokens", "counts", "sums")
            )
            codebook = Codebook(tokens, counts, sums, meta["codebook_steps"])
    except (KeyError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{path} is not a checkpoint of this version: {error} is missing or damaged"
        ) from error
    for name, value in params.items():
        run.model.params[name][...] = value
    run.optimizer.state, run.optimizer.steps = averages, meta["optimizer_steps"]
    if codebook is not None:
        run.model.quantizer.codebook = codebook
    run.phase, run.epoch, run.step = meta["place"]
    run.tally = Tally(meta["tally"]["examples"], meta["tally"]["losses"], hits)
    run.history[:] = [EpochRecord(**record) for record in meta["history"]]


def identity(run: Run) -> dict[str, Any]:
    """Return what must be equal for two runs to be the same run, as JSON has it."""
    shapes = {name: f"{value.dtype}{list(value.shape)}" for name, value in run.model.params.items()}
    return {
        "data": f"{fingerprint(run.data)} {list(run.data.shape)}",
        "schedule": [repr(phase) for phase in run.schedule],
        "settings": asdict(run.settings),
        "seed": run.seed,
        "model": shapes,
        "quantizer": asdict(run.model.quantizer.settings),
        "beta": run.model.beta,
        "variance": run.model.autoencoder.variance,
    }


def fingerprint(data: Array) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of the array's bytes."""
    return sha256(np.ascontiguousarray(data).data).hexdigest()[:16]


def require_same(path: Path, stored: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Raise ``ValueError`` naming the first entry in which the stored run is another than the wanted one."""
    for name, value in wanted.items():
        if stored.get(name) != value:
            raise ValueError(
                f"{path} is the checkpoint of another run: its {name} is {stored.get(name)}, this run's is {value}"
            )
