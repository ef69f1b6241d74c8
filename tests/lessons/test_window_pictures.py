"""Lesson 7's pictures show the numbers in cells, the windows in color and the overlaps."""

import numpy as np
import pytest
from matplotlib.colors import to_rgba

from vqnp.layers.im2col import im2col
from vqnp.lessons import windows
from vqnp.plots import style


def written(axes):
    """Return the numbers in the cells of a panel, row by row."""
    places = sorted((text.get_position()[::-1], float(text.get_text())) for text in axes.texts)
    return [value for _, value in places]


def shade(axes, row, column):
    """Return the color of a cell."""
    return np.asarray(axes.collections[0].get_array())[row, column]


@pytest.mark.parametrize(("side", "kernel_size", "stride", "padding"), [(3, 2, 1, 0), (4, 3, 2, 1)])
def test_each_window_in_color_is_its_row_of_the_columns(side, kernel_size, stride, padding):
    image = np.arange(1.0, side * side + 1).reshape(side, side)
    columns = im2col(image[None, :, :, None], kernel_size, stride, padding)
    figure = windows.draw_windows(image, kernel_size, stride, padding, columns)
    *stops, matrix = figure.axes
    assert written(matrix) == columns.ravel().tolist()
    padded = np.pad(image, padding)
    for axes, row in zip(stops, columns, strict=True):
        assert written(axes) == padded.ravel().tolist()
        paper = to_rgba(windows.PAPER)
        colored = [
            value
            for place, value in np.ndenumerate(padded)
            if not np.allclose(shade(axes, *place), paper)
        ]
        assert colored == row.tolist()


def test_the_margin_is_written_in_grey():
    image = np.ones((4, 4))
    columns = im2col(image[None, :, :, None], 3, 2, 1)
    first = windows.draw_windows(image, 3, 2, 1, columns).axes[0]
    grey = [text.get_position() for text in first.texts if text.get_color() == style.DATA]
    assert len(grey) == 6 * 6 - 4 * 4
    assert all(0 in place or 5 in place for place in grey)


def test_a_product_shows_every_factor_and_its_result_as_an_image():
    columns, weight = np.arange(16.0).reshape(4, 4), np.array([[1.0], [0.0], [2.0], [0.0]])
    figure = windows.draw_product(columns, weight, columns @ weight, (2, 2))
    titled = {axes.get_title(): axes for axes in figure.axes}
    assert written(titled["weight"]) == [1, 0, 2, 0]
    assert (
        written(titled["output"])
        == written(titled["as an image"])
        == (columns @ weight).ravel().tolist()
    )
    signs = [axes.texts[0].get_text() for axes in figure.axes if not axes.collections]
    assert signs == ["@", "=", "→"]
    np.testing.assert_array_equal(shade(titled["output"], 2, 0), shade(titled["as an image"], 1, 0))


def test_a_matrix_stands_beside_its_transpose():
    matrix = np.eye(8, 5)
    left, right = windows.draw_matrix(matrix, "abcde").axes
    np.testing.assert_array_equal(left.collections[0].get_array(), matrix)
    np.testing.assert_array_equal(right.collections[0].get_array(), matrix.T)
    assert [label.get_text() for label in right.get_yticklabels()] == list("abcde")


def test_counts_are_written_on_one_scale_of_shades():
    few, many = np.array([[1.0, 2.0]]), np.array([[3.0], [9.0]])
    figure = windows.draw_counts([("few", few), ("many", many)])
    assert [written(axes) for axes in figure.axes] == [[1, 2], [3, 9]]
    assert len({axes.collections[0].get_clim() for axes in figure.axes}) == 1


def test_stamps_keep_their_pixels_color_and_grey_is_where_they_overlap():
    x, stamps = np.array([[1.0, 2.0], [3.0, 4.0]]), np.zeros((4, 3, 3))
    for i, (row, column) in enumerate(np.ndindex(2, 2)):
        stamps[i, row : row + 2, column : column + 2] = x[row, column]
    figure = windows.draw_stamps(x, stamps, stamps.sum(axis=0))
    entry, *middle, out = [axes for axes in figure.axes if axes.collections]
    for i, axes in enumerate(middle):
        row, column = divmod(i, 2)
        np.testing.assert_array_equal(shade(axes, row, column), shade(entry, row, column))
    assert written(out) == stamps.sum(axis=0).ravel().tolist()
    np.testing.assert_array_equal(shade(out, 0, 0), shade(out, 2, 2))  # one stamp each
    assert not np.allclose(shade(out, 0, 0), shade(out, 1, 1))  # all four


def test_responses_are_grey_where_they_are_zero():
    response = np.zeros((5, 6))
    response[2, 3] = -4
    photograph, panel = windows.draw_filtered(np.zeros((5, 6, 3)), [("edges", response)]).axes
    np.testing.assert_array_equal(panel.images[0].get_array(), response)
    assert photograph.images[0].get_array().shape == (5, 6, 3)


def test_a_response_without_noise_keeps_zero_in_the_middle():
    response = np.linspace(-1, 3, 30).reshape(5, 6)
    panel = windows.draw_filtered(np.zeros((5, 6, 3)), [("edges", response)]).axes[1]
    low, high = panel.images[0].get_clim()
    assert low == -high
    assert high > 0


def test_the_skip_is_drawn_before_and_after():
    x = np.linspace(-1, 1, 8).reshape(2, 4)
    left, right = windows.draw_skip(x, np.maximum(x, 0)).axes
    np.testing.assert_array_equal(left.lines[-1].get_ydata(), x.ravel())
    np.testing.assert_array_equal(right.lines[-1].get_ydata(), np.maximum(x, 0).ravel())
    assert left.lines[-1].get_color() != right.lines[-1].get_color()
