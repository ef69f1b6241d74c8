"""A sweep is a line through medians and a dot for every run."""

import numpy as np
import pytest

from vqnp.plots import style
from vqnp.plots.sweep import by_seed, draw_sweep


def test_medians_and_runs(axes):
    runs = [[9.0, 30.0, 10.0], [40.0, np.nan, np.nan], [np.nan] * 3]
    draw_sweep([16, 64, 256], runs, color=style.PRETRAINED, label="with", axes=axes)
    line, *seeds = axes.lines
    assert line.get_xydata().tolist() == [[16, 10], [64, 40]]
    np.testing.assert_array_equal(np.transpose([dots.get_ydata() for dots in seeds]), runs)
    assert all(dots.get_xdata().tolist() == [16, 64, 256] for dots in seeds)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["16", "64", "256"]
    assert axes.get_legend().get_texts()[0].get_text() == "with"


def test_the_line_goes_through_the_first_seed(axes):
    line, *_ = draw_sweep([1, 2], [[3, 9, 9], [4, np.nan, 0]], first=True, axes=axes).lines
    assert line.get_ydata().tolist() == [3, 4]


def test_one_run_a_size(axes):
    assert draw_sweep([1, 2], [3, 4], axes=axes).lines[0].get_ydata().tolist() == [3, 4]


def test_a_table_becomes_sizes_and_runs():
    table = [
        {"width": width, "seed": seed, "error": width + seed / 10}
        for width, seed in ((8, 2), (8, 1), (4, 1))
    ]
    sizes, values = by_seed(table, "width", "error")
    assert sizes == [4, 8]
    np.testing.assert_array_equal(values, [[4.1, np.nan], [8.1, 8.2]])


@pytest.mark.parametrize(
    ("sizes", "values", "says"),
    [([1, 2], [3], "values"), ([1], [[[3]]], "values"), ([0, 1], [1, 2], "positive")],
)
def test_what_is_no_sweep_is_refused(sizes, values, says):
    with pytest.raises(ValueError, match=says):
        draw_sweep(sizes, values)
