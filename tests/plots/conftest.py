"""Axes to draw into, and no figure of pyplot's left behind."""

import matplotlib.pyplot as plt
import pytest

from vqnp.plots import style


@pytest.fixture
def axes():
    """Return axes of a figure outside pyplot."""
    return style.new_figure(1, 1, 4, 3)[1][0, 0]


@pytest.fixture(autouse=True)
def no_figures_left():
    """Close what a test drew with pyplot."""
    plt.switch_backend("Agg")
    yield
    plt.close("all")
