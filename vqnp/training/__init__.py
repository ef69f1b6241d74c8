"""Training: the schedule as a value, the loop that walks it, and checkpoints to resume from."""

from vqnp.training.loop import as_floats, encode_in_batches, train
from vqnp.training.schedule import FineTune, InitializeCodebook, Phase, Pretrain, ae_then_vq
from vqnp.training.state import EpochRecord, Tally, TrainSettings, TrainState

__all__ = [
    "EpochRecord",
    "FineTune",
    "InitializeCodebook",
    "Phase",
    "Pretrain",
    "Tally",
    "TrainSettings",
    "TrainState",
    "ae_then_vq",
    "as_floats",
    "encode_in_batches",
    "train",
]
