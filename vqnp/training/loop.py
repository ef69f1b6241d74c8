"""Training by a schedule (see schedule.py): ``train`` walks it, ``run_epochs`` is the one loop, and ``autoencoder_step`` and
``vq_step`` are what happens to a batch.

Images are given as bytes and stay so: each batch is scaled when its turn comes, and no float copy of the data set is ever made.

The order of an epoch is drawn from (seed, phase, epoch), so the place in the schedule *is* the state of the random numbers:
a run that is stopped after any step and resumed there gives the same bits as one that was never stopped.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from tqdm import tqdm

from vqnp import threads
from vqnp.data.images import require_pixels, scale
from vqnp.diagnostics.usage import perplexity_of_counts
from vqnp.models import VQVAE
from vqnp.optim import Adam, AdamW
from vqnp.training.checkpoints import Saver, ctrl_c_waits
from vqnp.training.schedule import FineTune, InitializeCodebook, Phase, Pretrain
from vqnp.validation import Array, NotFiniteError, require_finite, require_float, require_integer


@dataclass(frozen=True)
class TrainSettings:
    """Batch size, learning rate and optimizer; ``carry_optimizer`` keeps its averages when quantization is switched on."""

    batch_size: int = 256
    learning_rate: float = 1e-3
    optimizer: Literal["adam", "amsgrad", "adamw"] = "adamw"
    carry_optimizer: bool = False

    def __post_init__(self) -> None:
        require_integer(self.batch_size, "batch_size", least=1)
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate must be positive, got {self.learning_rate}")
        if self.optimizer not in get_args(TrainSettings.__annotations__["optimizer"]):
            raise ValueError(f"optimizer must be adam, amsgrad or adamw, got {self.optimizer!r}")

    def make_optimizer(self, params: dict[str, Array]) -> Adam:
        """Return a fresh optimizer over ``params``."""
        if self.optimizer == "adamw":
            return AdamW(params, self.learning_rate)
        return Adam(params, self.learning_rate, amsgrad=self.optimizer == "amsgrad")


@dataclass(frozen=True)
class EpochRecord:
    """One epoch: mean losses over its batches; with VQ also the codes chosen during it, while the tokens moved, and their range.

    ``perplexity`` and ``codes_used`` count the codes of a whole epoch, not of a batch.
    """

    phase: str
    epoch: int
    reconstruction: float
    commitment: float | None = None
    perplexity: float | None = None
    codes_used: int | None = None
    token_min: float | None = None
    token_max: float | None = None


@dataclass
class Tally:
    """What has been seen of an epoch so far: examples, the sums of their losses, the hits of each code."""

    examples: int = 0
    losses: dict[str, float] = field(default_factory=dict)
    hits: Array = field(default_factory=lambda: np.zeros(1))  # of one code, until there are tokens

    def add(self, losses: dict[str, float], examples: int) -> None:
        """Count one batch; raises ``FloatingPointError`` when a loss is not finite, before it can reach a parameter."""
        for name, loss in losses.items():
            if not math.isfinite(loss):
                raise FloatingPointError(
                    f"training diverged: the {name} loss is {loss}; try a smaller learning rate"
                )
            self.losses[name] = self.losses.get(name, 0.0) + loss * examples
        self.examples += examples


@dataclass
class Run:
    """A training run and where it stands: ``phase`` and, within it, the ``epoch`` and ``step`` that come next."""

    model: VQVAE
    data: Array
    schedule: tuple[Phase, ...]
    settings: TrainSettings
    seed: int
    optimizer: Adam
    phase: int = 0
    epoch: int = 0
    step: int = 0
    tally: Tally = field(default_factory=Tally)
    history: list[EpochRecord] = field(default_factory=list)

    def rng(self) -> np.random.Generator:
        """Return the random numbers that belong to this place in the schedule."""
        return np.random.default_rng([self.seed, self.phase, self.epoch])

    def batches(self) -> list[Array]:
        """Return the rows of each batch of this epoch; the last batch holds what is left over."""
        order = self.rng().permutation(len(self.data))
        return [
            order[i : i + self.settings.batch_size]
            for i in range(0, len(order), self.settings.batch_size)
        ]


def train(
    model: VQVAE,
    data: Array,
    schedule: Sequence[Phase],
    settings: TrainSettings | None = None,
    *,
    seed: int = 0,
    on_epoch: Callable[[Run], Any] | None = None,
    on_phase: Callable[[Run], Any] | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_seconds: float = 60.0,
    resume: bool = False,
    progress: bool = False,
) -> list[EpochRecord]:
    """Train ``model`` in place on ``data`` ``(N, ...)`` by ``schedule`` and return one record an epoch.

    ``data`` are floats, or uint8 images ``(N, H, W, 3)`` that each batch scales to [-0.5, 0.5] in float32.
    ``on_epoch(run)`` is called after every epoch, with the new record last in ``run.history``, and ``on_phase(run)`` after every
    phase, with ``run.schedule[run.phase]`` the phase that has ended. ``checkpoint`` is a file written
    every ``checkpoint_seconds`` and on Ctrl-C, which takes effect between two steps; ``resume`` continues from it if it is there.
    ``progress`` shows a bar. Raises ``TypeError`` or ``ValueError`` for data or a checkpoint that do not fit,
    ``FloatingPointError`` when a loss is no longer finite, ``KeyboardInterrupt`` after Ctrl-C.
    """
    settings = settings or TrainSettings()
    require_integer(seed, "seed", least=0)
    require_trainable(data)
    for phase in schedule:
        if not isinstance(phase, Phase):
            raise TypeError(
                f"schedule must hold Pretrain, InitializeCodebook and FineTune phases, got {phase!r}"
            )
    run = Run(model, data, tuple(schedule), settings, seed, settings.make_optimizer(model.params))
    saver = Saver(None if checkpoint is None else Path(checkpoint), checkpoint_seconds)
    if resume:
        saver.restore(run)
    with (
        threads.limit(),
        divergence_named(),
        ctrl_c_waits() as asked_to_stop,
        progress_bar(run, shown=progress) as advance_bar,
    ):
        hooks = Hooks(
            lambda: saver.after_step(run, asked_to_stop.is_set()),
            [advance_bar, *([on_epoch] if on_epoch else [])],
        )
        while run.phase < len(run.schedule):
            match run.schedule[run.phase]:
                case Pretrain(epochs):
                    run_epochs(run, epochs, autoencoder_step, hooks)
                case InitializeCodebook(sample):
                    initialize_codebook(run, sample)
                case FineTune(epochs):
                    run_epochs(run, epochs, vq_step, hooks)
            if on_phase is not None:
                on_phase(run)
            run.phase, run.epoch = run.phase + 1, 0
            hooks.after_step()
    return run.history


@dataclass(frozen=True)
class Hooks:
    """What is called between steps and phases, and between epochs."""

    after_step: Callable[[], None]
    after_epoch: Sequence[Callable[[Run], Any]]


def run_epochs(
    run: Run, epochs: int, train_step: Callable[[Run, Array], None], hooks: Hooks
) -> None:
    """The training loop: every epoch a new order, every batch a step."""
    while run.epoch < epochs:
        for rows in run.batches()[run.step :]:
            train_step(
                run, as_floats(run.data.take(rows, axis=0))
            )  # several times as fast as an index, for short rows
            run.step += 1
            hooks.after_step()
        run.history.append(summary(run))
        run.epoch, run.step, run.tally = run.epoch + 1, 0, Tally()
        for call in hooks.after_epoch:
            call(run)


def autoencoder_step(run: Run, batch: Array) -> None:
    """One step without VQ."""
    step = run.model.autoencoder.loss_and_gradients(batch)
    run.tally.add(step.losses, len(batch))
    run.optimizer.step(step.gradients)


def vq_step(run: Run, batch: Array) -> None:
    """One step with VQ: the codebook moves last, after the loss was taken with the tokens as they were."""
    step = run.model.loss_and_gradients(batch)
    run.tally.add(step.losses, len(batch))
    run.optimizer.step(step.gradients)
    run.tally.hits = run.tally.hits + run.model.quantizer.update(step.embeddings, step.codes)


def initialize_codebook(run: Run, sample: int | None) -> None:
    """Switch quantization on: k-means on the embeddings of a sample, and a fresh optimizer unless it is carried over."""
    rng = run.rng()
    data = (
        run.data
        if sample is None or sample >= len(run.data)
        else run.data[rng.permutation(len(run.data))[:sample]]
    )
    embeddings = encode_in_batches(run.model, data, run.settings.batch_size)
    per_example = len(embeddings) // len(data)
    batch = min(run.settings.batch_size, len(run.data)) * per_example
    run.model.quantizer.initialize(embeddings, batch, rng)
    if not run.settings.carry_optimizer:
        run.optimizer = run.settings.make_optimizer(run.model.params)


def require_trainable(data: Array) -> None:
    """Raise ``TypeError`` or ``ValueError`` unless ``data`` are uint8 images or finite floats ``(N, ...)``, at least one."""
    if isinstance(data, np.ndarray) and data.dtype == np.uint8:
        require_pixels(data, "data")
        return
    require_float(data, "data")
    if data.ndim < 2 or data.size == 0:
        raise ValueError(f"data must have shape (N, ...) and not be empty, got {data.shape}")
    require_finite(data, "data")


def as_floats(batch: Array) -> Array:
    """Return a batch as a model takes it: images scaled, floats as they are."""
    return scale(batch) if batch.dtype == np.uint8 else batch


@contextmanager
def divergence_named() -> Iterator[None]:
    """Let numbers overflow without a warning until a loss or an embedding is not finite; then raise ``FloatingPointError``."""
    with np.errstate(over="ignore", invalid="ignore"):
        try:
            yield
        except NotFiniteError as error:
            raise FloatingPointError(
                f"training diverged: {error}; try a smaller learning rate"
            ) from error


def encode_in_batches(model: VQVAE, data: Array, batch_size: int) -> Array:
    """Return the embeddings of all of ``data`` as points ``(N, D)``; an image gives one for every place of its latent."""
    parts = [
        model.encode(as_floats(data[i : i + batch_size])) for i in range(0, len(data), batch_size)
    ]
    return np.concatenate([part.reshape(-1, part.shape[-1]) for part in parts])


def summary(run: Run) -> EpochRecord:
    """Return the record of the epoch that ``run.tally`` has seen."""
    number, hits = len(run.history) + 1, run.tally.hits
    losses = {name: total / run.tally.examples for name, total in run.tally.losses.items()}
    if "commitment" not in losses:
        return EpochRecord("pretrain", number, losses["reconstruction"])
    tokens = run.model.quantizer.codebook.tokens
    return EpochRecord(
        "fine-tune",
        number,
        losses["reconstruction"],
        losses["commitment"],
        perplexity_of_counts(hits),
        int((hits > 0).sum()),
        float(tokens.min()),
        float(tokens.max()),
    )


@contextmanager
def progress_bar(run: Run, *, shown: bool) -> Iterator[Callable[[Run], None]]:
    """Show a bar over all epochs of the schedule; yields the callback that moves it."""
    total = sum(phase.epochs for phase in run.schedule if not isinstance(phase, InitializeCodebook))
    with tqdm(total=total, initial=len(run.history), unit="epoch", disable=not shown) as bar:

        def advance(run: Run) -> None:
            record = run.history[-1]
            bar.set_description(record.phase)
            bar.set_postfix(mse=f"{record.reconstruction:.4f}")
            bar.update()

        yield advance
