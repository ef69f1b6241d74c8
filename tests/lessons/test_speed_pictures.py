"""The pictures of speed show what they are given: the numbers, the roof, the order."""

import numpy as np
import pytest

from vqnp.lessons import speed


def texts(figure):
    return [text.get_text().strip() for text in figure.axes[0].texts]


def test_a_ladder_shows_every_rate_and_its_factor_over_the_first():
    figure = speed.rate_ladder(["loop", "NumPy", "compiled"], [0.5, 4.0, 1000.0], peak=2000)
    (axes,) = figure.axes
    assert [bar.get_width() for bar in axes.patches] == [0.5, 4, 1000]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["loop", "NumPy", "compiled"]
    assert {"×1", "×8", "×2,000"} <= set(texts(figure))
    assert list(axes.lines[0].get_xdata()) == [2000, 2000]
    assert axes.yaxis_inverted()


@pytest.mark.parametrize(
    ("value", "text"), [(1, "1"), (1.26, "1.3"), (34.4, "34"), (345, "340"), (34_567, "35,000")]
)
def test_factors_have_two_digits(value, text):
    assert speed.factor(value) == text


def test_the_roof_is_the_lower_of_memory_and_arithmetic():
    figure = speed.roofline(["a", "b"], [0.125, 1000], [1, 50], peak=100, bandwidth=10)
    roof, marks = figure.axes[0].lines
    x, y = roof.get_data()
    np.testing.assert_allclose(y, np.where(x < 10, 10 * x, 100))  # the knee is at 100 / 10
    assert x[0] < 0.125 < 1000 < x[-1]
    assert [tuple(point) for point in marks.get_xydata()] == [(0.125, 1), (1000, 50)]
    assert {"a", "b"} <= set(texts(figure))


def test_labels_of_neighbors_keep_their_distance():
    figure = speed.roofline(["a", "b"], [2, 2], [60, 64], peak=100, bandwidth=10)
    heights = {text.get_text(): text.xy[1] for text in figure.axes[0].texts}
    assert heights["b"] == 64
    assert heights["a"] == 40


def test_wrong_tokens_are_shares_in_per_cent():
    figure = speed.wrong_tokens([0, 10, 1000], {"expanded": [0, 0.02, 1], "exact": [0, 0, 0]})
    (axes,) = figure.axes
    assert [list(line.get_ydata()) for line in axes.lines] == [[0, 2, 100], [0, 0, 0]]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "10", "1,000"]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["expanded", "exact"]
