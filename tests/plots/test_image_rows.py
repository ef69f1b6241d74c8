"""Images stand in rows and columns, with their names."""

import numpy as np
import pytest

from vqnp.plots.images import GAP_PIXELS, draw_images, tiled


def images(n, value):
    return np.full((n, 4, 6, 3), value, np.uint8)


def test_tiled_images_stand_in_their_rows_and_columns():
    first = np.stack([images(1, 10)[0], images(1, 20)[0]])
    wall = tiled([first, images(2, 30)])
    assert wall.shape == (2 * 4 + GAP_PIXELS, 2 * 6 + GAP_PIXELS, 3)
    assert (wall[:4, :6] == 10).all()
    assert (wall[:4, -6:] == 20).all()
    assert (wall[-4:][:, :6] == 30).all()
    assert (wall[4 : 4 + GAP_PIXELS] == 255).all()


def test_a_pixel_keeps_its_place():
    photograph = np.random.default_rng(0).integers(0, 256, (3, 4, 6, 3), np.uint8)
    wall = tiled([photograph])
    np.testing.assert_array_equal(wall[:, 8:14], photograph[1])


def test_rows_have_their_names_in_the_middle(axes):
    draw_images([("original", images(2, 1)), ("reconstruction", images(2, 2))], axes=axes)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["original", "reconstruction"]
    assert axes.get_yticks().tolist() == [2, 8]


@pytest.mark.parametrize("rows", [[], [("a", images(2, 1)), ("b", images(3, 1))]])
def test_rows_of_different_images_are_refused(rows):
    with pytest.raises(ValueError, match="of one shape"):
        draw_images(rows)
