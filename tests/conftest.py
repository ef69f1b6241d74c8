"""Settings shared by all tests."""

import numba
import pytest
from hypothesis import settings

from vqnp.experiments.image_setting import Patches
from vqnp.experiments.images import ImagePlan
from vqnp.experiments.plans import Plan

INTERPRETED = bool(numba.config.DISABLE_JIT)

# The same examples on every run; interpreted kernels are a hundred times slower, so they see fewer of them.
settings.register_profile(
    "vqnp", derandomize=True, deadline=None, database=None, max_examples=20 if INTERPRETED else 100
)
settings.load_profile("vqnp")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is marked ``jit`` where there is no compiler."""
    if INTERPRETED:
        slow = [item for item in items if item.get_closest_marker("jit")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if not item.get_closest_marker("jit")]


@pytest.fixture(scope="session")
def plan() -> Plan:
    """A plan small enough to run in a second: its figures mean nothing, but every part of them is made."""
    return Plan(seeds=(0, 1), epochs=2, per_class=12, tokens=6, widths=(2, 4, 32))


@pytest.fixture(scope="session")
def image_plan() -> ImagePlan:
    """The same for the figures on images."""
    return ImagePlan(
        Patches(12, 5), (0, 1), width=4, epochs=2, batch_size=5, sample=1, tokens=(2, 4, 8), ends=(2, 4, 8),
        confounds=(4,), confound_seeds=(0,), many=2, channels=(4, 2), encoder_seeds=(0, 1), encoder_epochs=2, encoder_tokens=4,
    )  # fmt: skip
