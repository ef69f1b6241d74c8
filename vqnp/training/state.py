"""What a training run is at any moment: its settings, its place in the schedule, its tallies.

The order of an epoch's batches is drawn from (seed, phase, epoch). The place in the schedule
therefore *is* the state of the random numbers. A run that is stopped after any step and resumed
there gives the bits of one that was never stopped.
"""

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from vqnp.diagnostics.usage import perplexity_of_counts
from vqnp.models import VQVAE
from vqnp.optim import Adam, AdamW
from vqnp.training.schedule import Phase
from vqnp.validation import (
    Array,
    require_flag,
    require_integer,
    require_one_of,
    require_positive,
)

Optimizer = Literal["adam", "amsgrad", "adamw"]


@dataclass(frozen=True)
class TrainSettings:
    """Batches and the optimizer.

    Parameters
    ----------
    batch_size : int
        Examples in a batch; the last of an epoch holds what is left.
    learning_rate : float
        η, positive.
    optimizer : {"adam", "amsgrad", "adamw"}
        See ``optim.py``.
    carry_optimizer : bool
        Keep the optimizer's averages when quantization is switched on; the paper starts afresh.

    Raises
    ------
    TypeError, ValueError
        For a batch below 1, a rate that is not positive or an unknown optimizer.

    Example
    -------
    >>> TrainSettings(batch_size=64)
    TrainSettings(batch_size=64, learning_rate=0.001, optimizer='adamw', carry_optimizer=False)
    """

    batch_size: int = 256
    learning_rate: float = 1e-3
    optimizer: Optimizer = "adamw"
    carry_optimizer: bool = False

    def __post_init__(self) -> None:
        require_integer(self.batch_size, "batch_size", least=1)
        require_positive(self.learning_rate, "learning_rate")
        require_flag(self.carry_optimizer, "carry_optimizer")
        require_one_of(self.optimizer, Optimizer, "optimizer")

    def make_optimizer(self, params: dict[str, Array]) -> Adam:
        """Return a fresh optimizer over ``params``; those of a quantizer do not decay."""
        if self.optimizer == "adamw":
            return AdamW(params, self.learning_rate, spared=("quantizer.",))
        return Adam(params, self.learning_rate, amsgrad=self.optimizer == "amsgrad")


@dataclass(frozen=True)
class EpochRecord:
    """One epoch: its number from 1, and ``losses`` by name, means over its examples.

    ``perplexity`` and ``codes_used`` count the codes of a whole epoch, chosen while the tokens
    moved; they are ``None`` where there are no codes. Of several codebooks, the one is the mean
    and the other the sum.
    """

    phase: str
    epoch: int
    losses: dict[str, float]
    perplexity: float | None = None
    codes_used: int | None = None

    @property
    def reconstruction(self) -> float:
        """The mean squared error of the reconstruction."""
        return self.losses["reconstruction"]


@dataclass
class Tally:
    """What was seen of an epoch so far: examples, sums of their losses, hits of each code."""

    examples: int = 0
    losses: dict[str, float] = field(default_factory=dict)
    hits: Array | None = None

    def add_losses(self, losses: dict[str, float], examples: int) -> None:
        """Count the losses of a batch.

        Raises ``FloatingPointError`` for a loss that is not finite, before it reaches a parameter.
        """
        for name, loss in losses.items():
            if not math.isfinite(loss):
                raise FloatingPointError(
                    f"training diverged: the {name} loss is {loss}; try a smaller learning rate"
                )
            self.losses[name] = self.losses.get(name, 0.0) + loss * examples
        self.examples += examples

    def add_hits(self, hits: Array) -> None:
        """Count the hits of a batch."""
        self.hits = hits if self.hits is None else self.hits + hits

    def record(self, phase: str, epoch: int) -> EpochRecord:
        """Return the record of an epoch that ends here."""
        losses = {name: total / self.examples for name, total in self.losses.items()}
        if self.hits is None or self.hits.size == 0:
            return EpochRecord(phase, epoch, losses)
        books = np.atleast_2d(self.hits)
        each = [perplexity_of_counts(hits) for hits in books if hits.any()]
        return EpochRecord(phase, epoch, losses, float(np.mean(each)), int((books > 0).sum()))


@dataclass
class TrainState:
    """A training run and where it stands: the ``phase``, ``epoch`` and ``step`` that come next."""

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
    notes: list[Any] = field(default_factory=list)  # JSON values

    @property
    def current_phase(self) -> Phase:
        """The phase that comes next, or is under way."""
        return self.schedule[self.phase]

    @property
    def steps_done(self) -> int:
        """The steps of this phase so far."""
        return self.epoch * math.ceil(len(self.data) / self.settings.batch_size) + self.step

    def rng(self) -> np.random.Generator:
        """Return the random numbers that belong to this place in the schedule."""
        return np.random.default_rng([self.seed, self.phase, self.epoch])

    def batches(self) -> list[Array]:
        """Return the rows of each batch of this epoch; the last batch holds what is left over."""
        order, size = self.rng().permutation(len(self.data)), self.settings.batch_size
        return [order[i : i + size] for i in range(0, len(order), size)]

    def step_rng(self) -> np.random.Generator:
        """Return the random numbers of the next step, other than those of its epoch's order."""
        # A list of seeds is padded with zeros: the step counts from 1, or its first would be rng().
        return np.random.default_rng([self.seed, self.phase, self.epoch, self.step + 1])
