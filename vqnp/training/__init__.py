"""Training: the schedule as a value, the loop that walks it, and the checkpoints that let it resume."""

from vqnp.training.loop import (
    EpochRecord,
    Run,
    Tally,
    TrainSettings,
    as_floats,
    encode_in_batches,
    train,
)
from vqnp.training.schedule import FineTune, InitializeCodebook, Phase, Pretrain, ae_then_vq

__all__ = [
    "EpochRecord",
    "FineTune",
    "InitializeCodebook",
    "Phase",
    "Pretrain",
    "Run",
    "Tally",
    "TrainSettings",
    "ae_then_vq",
    "as_floats",
    "encode_in_batches",
    "train",
]
