"""Settings shared by all tests."""

import pytest
from hypothesis import settings
from runs import INTERPRETED

from vqnp.data import Patches
from vqnp.experiments.plans import ImagesPlan, PointsPlan

# The same examples on every run. Interpreted kernels see fewer, because they are a hundred times
# slower.
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
def plan() -> PointsPlan:
    """A plan that runs in a second: its figures mean nothing, but every part of them is made."""
    return PointsPlan(seeds=(0, 1), epochs=2, per_class=12, n_tokens=6, widths=(2, 4, 32))


@pytest.fixture(scope="session")
def image_plan() -> ImagesPlan:
    """The same for the figures on images."""
    return ImagesPlan(
        Patches(12, 5),
        (0, 1),
        width=4,
        epochs=2,
        batch_size=5,
        sample=1,
        n_tokens=(2, 4, 8),
        n_tokens_all_seeds=(2, 4, 8),
        n_tokens_course=(4, 6),
        n_tokens_long=4,
        epochs_long=3,
        n_tokens_fig4b=(4,),
        seeds_fig4b=(0,),
        sample_fig4b=2,
        channels=(4, 2),
        seeds_fig6=(0, 1),
        epochs_fig6=2,
        n_tokens_fig6=4,
        width_known=4,
        epochs_known=3,
        n_tokens_known=4,
    )
