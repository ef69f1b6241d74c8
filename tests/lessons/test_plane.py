"""Pictures in the plane: the cells are those of the search, and what is drawn is what was given."""

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex
from matplotlib.path import Path

from vqnp.lessons import plane
from vqnp.plots import style
from vqnp.quantize import nearest


def offsets(axes, label):
    """The places of the marks of one label."""
    return np.concatenate([c.get_offsets() for c in axes.collections if c.get_label() == label])


@pytest.mark.parametrize("k", [1, 2, 3, 17])
def test_every_place_lies_in_the_cell_of_its_nearest_token(k):
    rng = np.random.default_rng(k)
    tokens, places = rng.normal(size=(k, 2)), rng.uniform(-5, 5, (300, 2))
    inside = np.array(
        [Path(corners).contains_points(places) for corners in plane.cell_outlines(tokens)]
    )  # (K, N)
    np.testing.assert_array_equal(inside.argmax(axis=0), nearest(places, tokens)[0])
    assert (inside.sum(axis=0) == 1).all()


def test_tokens_at_one_place_have_no_cells():
    with pytest.raises(ValueError, match="one place"):
        plane.cell_outlines(np.ones((2, 2)))


def test_the_cells_of_codebooks():
    points = np.array([[0.0, 0], [0, 2], [4, 0], [4, 1]])
    path = np.array([[[1.0, 1], [3, 3], [50, 50]], [[0, 1], [4, 0], [60, 60]]])  # (S, K, 2)
    figure = plane.voronoi_cells(points, {"before": path[0], "after": path})
    before, after = figure.axes
    assert before.get_title() == "before: 4.750"  # (2 + 2 + 10 + 5) / 4
    assert after.get_title() == "after: 0.750"
    np.testing.assert_array_equal(offsets(after, "tokens in use"), path[1, :2])
    np.testing.assert_array_equal(offsets(after, "tokens never chosen"), path[1, 2:])
    np.testing.assert_array_equal(
        np.moveaxis([line.get_xydata() for line in after.lines], 0, 1), path
    )
    assert before.get_xlim() == after.get_xlim()
    left, right = ([cell.get_facecolor()[3] for cell in axes.patches] for axes in figure.axes)
    assert max(left) == 0.5
    assert right[2] == 0


def test_each_point_is_tied_to_its_token():
    points, tokens = np.array([[0.0, 0], [5, 1]]), np.array([[1.0, 0], [4, 0], [9, 9]])
    axes = plane.nearest_choices(points, tokens).axes[0]
    thick = [line.get_xydata() for line in axes.lines if line.get_linewidth() > 1]
    np.testing.assert_array_equal(thick, [[points[0], tokens[0]], [points[1], tokens[1]]])
    assert {
        to_hex(c.get_facecolor()[0]) for c in axes.collections if isinstance(c, PathCollection)
    } == {
        style.DATA,
        style.TOKEN,
    }


def test_the_ends_of_runs_share_their_bins():
    figure = plane.kmeans_endpoints(
        {"a": np.array([1.0, 1, 3]), "b": np.array([2.0, 2, 2])}, 0.5, "the goal"
    )
    assert [axes.get_title() for axes in figure.axes] == ["start: a", "start: b"]
    heights = [[bar.get_height() for bar in axes.patches] for axes in figure.axes]
    assert (max(heights[0]), sum(heights[0]), max(heights[1])) == (2, 3, 3)
    assert list(figure.axes[0].lines[0].get_xdata()) == [0.5, 0.5]


def test_the_staircase():
    sizes, distortions = np.array([1, 2, 4, 8, 16]), np.array([5.0, 4, 2, 1, 0.4])
    stairs, lines = plane.distortion_by_size(sizes, distortions, mark=4).axes
    np.testing.assert_array_equal(
        stairs.lines[0].get_xydata(), np.column_stack([sizes, distortions])[:4]
    )
    np.testing.assert_array_equal(lines.lines[0].get_ydata(), distortions)
    np.testing.assert_array_equal(lines.lines[1].get_xydata(), [[4, 1.6], [8, 0.8], [16, 0.4]])
