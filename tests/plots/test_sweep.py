"""A sweep is a line through medians and a dot for every run."""

import numpy as np
import pytest

from vqnp.plots import style
from vqnp.plots.sweep import draw_sweep


def test_medians_and_runs(axes):
    runs = [[9.0, 30.0, 10.0], [40.0, np.nan, np.nan], [np.nan] * 3]
    draw_sweep([16, 64, 256], runs, color=style.PRETRAINED, label="with", axes=axes)
    line, dots = axes.lines
    assert line.get_xydata().tolist() == [[16, 10], [64, 40]]
    seen = [place for place in dots.get_xydata().tolist() if np.isfinite(place).all()]
    assert seen == [[16, 9], [16, 30], [16, 10], [64, 40]]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["16", "64", "256"]
    assert axes.get_legend().get_texts()[0].get_text() == "with"


def test_one_run_a_size(axes):
    assert draw_sweep([1, 2], [3, 4], axes=axes).lines[0].get_ydata().tolist() == [3, 4]


@pytest.mark.parametrize(
    ("sizes", "values", "says"),
    [([1, 2], [3], "values"), ([1], [[[3]]], "values"), ([0, 1], [1, 2], "positive")],
)
def test_what_is_no_sweep_is_refused(sizes, values, says):
    with pytest.raises(ValueError, match=says):
        draw_sweep(sizes, values)
