"""Training by a schedule: ``train`` walks it, ``run_epochs`` is the loop, ``take_step`` a batch.

Images are bytes and stay so. Each batch is converted when its turn comes, so no float copy of the
data set is ever made.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Shaped
from tqdm import tqdm

from vqnp import threads
from vqnp.data.images import pixels_to_float, require_pixels
from vqnp.models import VQVAE
from vqnp.training.checkpoints import Saver, ctrl_c_waits
from vqnp.training.schedule import InitializeCodebook, Phase, Pretrain
from vqnp.training.state import EpochRecord, Tally, TrainSettings, TrainState
from vqnp.validation import (
    Array,
    NotFiniteError,
    as_array,
    as_seed,
    require_finite,
    require_flag,
    require_float,
    require_instance,
    require_integer,
    require_weight,
)

Trainable = Shaped[Any, "N ..."]


def train(
    model: VQVAE,
    data: Trainable,
    schedule: Sequence[Phase],
    settings: TrainSettings | None = None,
    *,
    rng: int | np.random.Generator = 0,
    on_step: Callable[[TrainState], Any] | None = None,
    on_epoch: Callable[[TrainState], Any] | None = None,
    on_phase: Callable[[TrainState], Any] | None = None,
    notes: list[Any] | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_seconds: float = 60.0,
    resume: bool = False,
    first_phase: int = 0,
    progress: bool = False,
) -> list[EpochRecord]:
    """Train ``model`` in place by ``schedule``.

    Parameters
    ----------
    model : VQVAE
        Changed in place.
    data : array-like (N, ...), float32 or float64, or uint8 images (N, H, W, 3)
        Images are converted to float32 in [-0.5, 0.5], a batch at a time.
    schedule : sequence of Phase
        As :func:`ae_then_vq` returns.
    settings : TrainSettings, optional
        Batch size and optimizer; the paper's for points unless given.
    rng : int or numpy.random.Generator
        The seed of the order of batches and of the codebook. A generator gives one.
    on_step, on_epoch, on_phase : callable, optional
        Called with the :class:`TrainState` after every step, epoch and phase.
    notes : list, optional
        JSON values that these functions add to. They are saved in the checkpoint, and come back on
        resuming.
    checkpoint : path, optional
        A file written every ``checkpoint_seconds`` and on Ctrl-C, which waits for a step's end.
    resume : bool
        Continue from the checkpoint if it is there, with the bits of a run never stopped.
    first_phase : int
        Where in the schedule to begin, for a model that has been through the phases before.
    progress : bool
        Show a bar.

    Returns
    -------
    list of EpochRecord
        One an epoch.

    Raises
    ------
    TypeError, ValueError
        For data, a schedule or a checkpoint that do not fit.
    FloatingPointError
        When a loss is no longer finite.
    KeyboardInterrupt
        After Ctrl-C.

    Example
    -------
    >>> import vqnp
    >>> data = vqnp.clusters(2, rng=0, per_class=20).points
    >>> model = vqnp.mlp_vqvae(vqnp.MLPSettings(2, 1), vqnp.EMA(8))
    >>> history = train(model, data, vqnp.ae_then_vq(pretrain=1, finetune=2))
    >>> [record.phase for record in history]
    ['pretrain', 'fine-tune', 'fine-tune']
    """
    data = as_array(data, "data")
    require_trainable(data)
    require_schedule(schedule, first_phase)
    require_instance(model, VQVAE, "model")
    settings = TrainSettings() if settings is None else settings
    require_instance(settings, TrainSettings, "settings")
    require_weight(checkpoint_seconds, "checkpoint_seconds")
    require_flag(resume, "resume")
    require_flag(progress, "progress")
    for name, call in (("on_step", on_step), ("on_epoch", on_epoch), ("on_phase", on_phase)):
        require_instance(call, Callable | None, name)
    optimizer = settings.make_optimizer(model.autoencoder.params)
    state = TrainState(
        model, data, tuple(schedule), settings, as_seed(rng), optimizer, phase=first_phase
    )
    state.notes = [] if notes is None else notes
    saver = Saver(None if checkpoint is None else Path(checkpoint), checkpoint_seconds)
    if resume:
        saver.restore(state)
    with (
        threads.limit(),
        divergence_named(),
        ctrl_c_waits() as asked_to_stop,
        progress_bar(state, first_phase, shown=progress) as bar,
    ):
        hooks = Hooks(
            lambda: saver.after_step(state, asked_to_stop.is_set()), bar, on_step, on_epoch
        )
        while state.phase < len(state.schedule):
            run_phase(state, hooks)
            if on_phase is not None:
                on_phase(state)
            state.phase, state.epoch = state.phase + 1, 0
            hooks.save()
    return state.history


class Hooks(NamedTuple):
    """What happens after each step and each epoch."""

    save: Callable[[], None]
    bar: tqdm
    on_step: Callable[[TrainState], Any] | None
    on_epoch: Callable[[TrainState], Any] | None

    def after_step(self, state: TrainState) -> None:
        """Call the user's function, then save: what it notes belongs to the step."""
        if self.on_step is not None:
            self.on_step(state)
        self.save()

    def after_epoch(self, state: TrainState) -> None:
        """Move the bar, then call the user's function."""
        record = state.history[-1]
        self.bar.set_description(record.phase)
        self.bar.set_postfix(mse=f"{record.reconstruction:.4f}")
        self.bar.update()
        if self.on_epoch is not None:
            self.on_epoch(state)


def run_phase(state: TrainState, hooks: Hooks) -> None:
    """Do what the current phase says: without VQ, switch it on, or with it."""
    match state.current_phase:
        case Pretrain():
            run_epochs(state, state.model.autoencoder, hooks)
        case InitializeCodebook(sample):
            initialize_codebook(state, sample)
        case _:
            # The quantizer may have gained parameters since the optimizer was made.
            state.optimizer.extend(state.model.params)
            run_epochs(state, state.model, hooks)


def run_epochs(state: TrainState, model: VQVAE, hooks: Hooks) -> None:
    """The training loop: every epoch a new order, every batch a step."""
    phase = state.current_phase
    while state.epoch < phase.epochs:
        for rows in state.batches()[state.step :]:
            batch = state.data.take(rows, axis=0)  # for short rows, several times as fast as [rows]
            take_step(state, model, as_floats(batch))
            state.step += 1
            hooks.after_step(state)
        state.history.append(state.tally.record(phase.name, len(state.history) + 1))
        state.epoch, state.step, state.tally = state.epoch + 1, 0, Tally()
        hooks.after_epoch(state)


def take_step(state: TrainState, model: VQVAE, batch: Array) -> None:
    """One step. The quantizer moves last, because the loss belongs to its tokens as they were."""
    rng = state.step_rng() if model.quantizer.draws else None
    step = model.loss_and_gradients(batch, rng=rng)
    state.tally.add_losses(step.losses, len(batch))
    state.optimizer.step(step.gradients)
    state.tally.add_hits(model.quantizer.update(step.embeddings, step.quantized, rng=rng))


def initialize_codebook(state: TrainState, sample: int | None) -> None:
    """Switch quantization on: place the codebook on the embeddings of a sample.

    The optimizer starts afresh unless it is carried over.
    """
    rng, data, size = state.rng(), state.data, state.settings.batch_size
    if sample is not None and sample < len(data):
        data = data[rng.permutation(len(data))[:sample]]
    embeddings = encode_in_batches(state.model, data, size)
    per_example = len(embeddings) // len(data)
    batch = min(size, len(state.data)) * per_example
    state.model.quantizer.initialize(embeddings, batch=batch, rng=rng)
    if not state.settings.carry_optimizer:
        state.optimizer = state.settings.make_optimizer(state.model.params)


def require_trainable(data: Array) -> None:
    """Raise unless ``data`` are uint8 images or finite floats ``(N, ...)``, at least one."""
    if data.dtype == np.uint8:
        require_pixels(data, "data")
        return
    require_float(data, "data")
    if data.ndim < 2 or data.size == 0:
        raise ValueError(f"data must have shape (N, ...) and not be empty, got {data.shape}")
    require_finite(data, "data")


def require_schedule(schedule: Sequence[Phase], first_phase: int) -> None:
    """Raise unless ``schedule`` holds phases, ``first_phase`` or more of them."""
    for phase in require_instance(schedule, Sequence, "schedule"):
        if not isinstance(phase, Phase):
            raise TypeError(
                "schedule must hold Pretrain, InitializeCodebook and FineTune phases, "
                f"got {phase!r}"
            )
    if require_integer(first_phase, "first_phase", least=0) > len(schedule):
        raise ValueError(f"first_phase must be at most {len(schedule)}, got {first_phase}")


def as_floats(batch: Array) -> Array:
    """Return a batch as a model takes it: images converted, floats as they are."""
    return pixels_to_float(batch) if batch.dtype == np.uint8 else batch


@contextmanager
def divergence_named() -> Iterator[None]:
    """Raise ``FloatingPointError`` in words when an embedding is not finite.

    Until then numbers may overflow without a warning.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        try:
            yield
        except NotFiniteError as error:
            raise FloatingPointError(
                f"training diverged: {error}; try a smaller learning rate"
            ) from error


def encode_in_batches(model: VQVAE, data: Array, batch_size: int) -> Array:
    """Return the embeddings of all of ``data`` as rows ``(N, D)``.

    An image gives one for every place of its latent.
    """
    starts = range(0, len(data), batch_size)
    parts = [model.encode(as_floats(data[i : i + batch_size])) for i in starts]
    return np.concatenate([part.reshape(-1, part.shape[-1]) for part in parts])


def progress_bar(state: TrainState, first_phase: int, *, shown: bool) -> tqdm:
    """Return a bar over all epochs from ``first_phase`` on."""
    total = sum(phase.epochs for phase in state.schedule[first_phase:])
    return tqdm(total=total, initial=len(state.history), unit="epoch", disable=not shown)
