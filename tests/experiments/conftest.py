"""A plan small enough to run in a second: its figures mean nothing, but every part of them is made."""

import pytest

from vqnp.experiments.synthetic import Plan


@pytest.fixture(scope="session")
def plan():
    return Plan(seeds=(0, 1), epochs=2, per_class=12, tokens=6, widths=(2, 4, 32))
