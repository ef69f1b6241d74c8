"""A plan small enough to run in a second: its figures mean nothing, but every part of them is made."""

import pytest

from vqnp.experiments.image_setting import Patches
from vqnp.experiments.images import ImagePlan
from vqnp.experiments.synthetic import Plan

TINY = {
    "data": Patches(12, 5),
    "seeds": (0, 1),
    "width": 4,
    "epochs": 2,
    "batch_size": 5,
    "sample": 1,
    "tokens": (2, 4, 8),
    "ends": (2, 4, 8),
    "confounds": (4,),
    "confound_seeds": (0,),
    "many": 2,
    "channels": (4, 2),
    "encoder_epochs": 2,
    "encoder_tokens": 4,
}


@pytest.fixture(scope="session")
def plan():
    return Plan(seeds=(0, 1), epochs=2, per_class=12, tokens=6, widths=(2, 4, 32))


@pytest.fixture(scope="session")
def image_plan():
    return ImagePlan(**TINY)
