"""The pictures of gradients, the staircase and the moving averages draw what they are given."""

import numpy as np
from matplotlib.colors import to_hex

from vqnp.lessons import gradients, staircase
from vqnp.plots import style


def lines(axes):
    """The labelled lines of a panel, by label."""
    return {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}


def test_errors_are_drawn_against_the_step():
    steps, errors = (
        np.array([1e-3, 1e-2]),
        {"one": np.array([1e-6, 1e-4]), "two": np.array([1e-8, 1e-7])},
    )
    (axes,) = gradients.difference_errors(steps, errors).axes
    assert axes.get_xscale() == axes.get_yscale() == "log"
    for name, error in errors.items():
        np.testing.assert_array_equal(
            lines(axes)[name].get_xydata(), np.stack([steps, error], axis=1)
        )


def test_the_promise_is_a_line_through_the_loss_with_the_given_slope():
    lengths = np.array([-1.0, 0.0, 2.0])
    (axes,) = gradients.along_the_gradient(
        lengths, np.array([9.0, 5.0, 4.0]), loss=5.0, slope=-3.0
    ).axes
    assert lines(axes)["what the gradient promises"].get_ydata().tolist() == [8, 5, -1]
    assert lines(axes)["loss after the step"].get_ydata().tolist() == [9, 5, 4]


def test_every_snapshot_has_its_panel_with_the_same_data():
    data, curves = np.arange(12.0).reshape(6, 2), [np.full((3, 2), 1.0), np.full((4, 2), 2.0)]
    figure = gradients.curves_through_data(data, [("before", curves[0]), ("after", curves[1])])
    assert [axes.get_title() for axes in figure.axes] == ["before", "after"]
    for axes, curve in zip(figure.axes, curves, strict=True):
        np.testing.assert_array_equal(axes.collections[0].get_offsets(), data)
        np.testing.assert_array_equal(lines(axes)["reconstructions"].get_xydata(), curve)


Z = np.array([-2.0, -1.0, 0.5, 1.0, 2.0])
QUANTIZED = np.array([-1.0, -1.0, 1.0, 1.0, 1.0])


def test_a_riser_is_not_drawn():
    above, below = staircase.staircase_and_loss(Z, QUANTIZED, QUANTIZED**2 + Z * 0, Z**2).axes
    for axes in (above, below):
        (treads,) = [line.get_xdata() for line in axes.lines if line.get_color() == style.TOKEN]
        np.testing.assert_array_equal(treads, [-2, -1, np.nan, 0.5, 1, 2])
    assert lines(below)["loss, were z not quantized"].get_ydata().tolist() == [4, 1, 0.25, 1, 4]


def test_a_stroke_has_the_slope_of_its_token_and_stands_where_z_does():
    loss, slopes = np.array([3.0, 3.0, 1.0, 1.0, 1.0]), np.array([-2.0, 5.0])
    (axes,) = staircase.borrowed_slopes(
        Z, QUANTIZED, loss, Z**2, np.array([-1.5, 1.5]), slopes
    ).axes
    strokes = [line.get_xydata() for line in axes.lines if line.get_color() == style.PRETRAINED]
    assert [stroke[1].tolist() for stroke in strokes] == [[-1.5, 3], [1.5, 1]]
    rises = [(stroke[2, 1] - stroke[0, 1]) / (stroke[2, 0] - stroke[0, 0]) for stroke in strokes]
    np.testing.assert_allclose(rises, slopes, rtol=1e-9)
    tokens = lines(axes)["where it is taken: at the token"]
    np.testing.assert_array_equal(tokens.get_xydata(), [[-1, 1], [1, 1]])


def test_tokens_stand_still_or_move_beside_the_walk():
    path, moving = np.array([0.0, 1.0, 2.0]), np.array([[5.0, 6.0], [5.5, 6.0], [5.75, 6.0]])
    figure = staircase.descents(
        [("still", 1.5, moving[0], {"z": path}), ("moving", 1.5, moving, {"z": path})]
    )
    for axes, tokens in zip(figure.axes, (moving[[0, 0, 0]], moving), strict=True):
        drawn = [line.get_ydata() for line in axes.lines if line.get_color() == style.TOKEN]
        np.testing.assert_array_equal(drawn, tokens.T)
        np.testing.assert_array_equal(lines(axes)["z"].get_ydata(), path)
        assert set(lines(axes)["what the decoder should see"].get_ydata()) == {1.5}


def test_a_walk_begins_and_ends_where_its_token_does():
    path = np.arange(12.0).reshape(3, 2, 2)
    place, way = staircase.token_paths(
        np.zeros((5, 2)), path, {"code 0": np.array([1.0, 0.5, 0.25])}
    ).axes
    np.testing.assert_array_equal(lines(place)["tokens at the start"].get_xydata(), path[0])
    np.testing.assert_array_equal(lines(place)["after the last step"].get_xydata(), path[-1])
    assert [text.get_text() for text in place.texts] == ["0", "1"]
    assert lines(way)["code 0"].get_ydata().tolist() == [1, 0.5, 0.25]
    assert way.get_yscale() == "log"


def test_zero_is_seen_on_the_axis_of_the_unused_code():
    distances = {"one": np.array([1.0, 1e5, 1e-6]), "other": np.array([1.0, 0.0, 0.0])}
    figure = staircase.unused_code(distances, {"one": "thrown", "other": "gone"})
    assert [axes.get_title() for axes in figure.axes] == ["one:\nthrown", "other:\ngone"]
    for axes, distance in zip(figure.axes, distances.values(), strict=True):
        curve = next(line for line in axes.lines if to_hex(line.get_color()) == style.TOKEN)
        np.testing.assert_array_equal(curve.get_ydata(), distance)
        low, high = axes.get_ylim()
        assert low <= 0
        assert high > 1e5
        heights = axes.transData.transform([[0, 0], [0, 1e-6], [0, 1]])[:, 1]
        assert (np.diff(heights) > 10).all()  # pixels: 0, the least and 1 are told apart
