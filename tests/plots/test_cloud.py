"""Embeddings and tokens lie in the picture where they lie in space."""

import numpy as np
import pytest

from vqnp.plots import style
from vqnp.plots.cloud import draw_cloud, explained_by_plane, project_to_plane


def places(axes):
    """Return the places of every cloud that is drawn, by label."""
    clouds = {cloud.get_label(): np.asarray(cloud.get_offsets()) for cloud in axes.collections}
    return {label: at for label, at in clouds.items() if len(at)}


def test_four_points_and_three_tokens(axes):
    points = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    tokens = [[0.0, 0.5], [1.0, 0.5], [9.0, 9.0]]
    assert draw_cloud(points, tokens, axes=axes) is axes
    drawn = places(axes)
    np.testing.assert_array_equal(drawn["embeddings"], points)
    np.testing.assert_array_equal(drawn["tokens in use"], tokens[:2])
    np.testing.assert_array_equal(drawn["tokens never chosen"], tokens[2:])
    assert axes.get_xlabel() == "coordinate 1"


def test_a_line_is_a_density_with_strokes(axes):
    draw_cloud([[0.0], [2.0]], [[1.0], [3.0]], axes=axes)
    strokes = next(line for line in axes.lines if line.get_marker() == "|")
    assert list(strokes.get_xdata()) == [0, 2]  # from the mean, 1, in deviations, also 1


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_embeddings_alone(axes, dim):
    draw_cloud(np.random.default_rng(0).normal(size=(30, dim)), axes=axes)
    assert [part.get_label() for part in axes.collections] == ["embeddings"]
    assert not any(line.get_color() == style.TOKEN for line in axes.lines)


def test_a_latent_image_is_its_embeddings(axes):
    draw_cloud(np.zeros((2, 4, 4, 3), np.float16), axes=axes)
    assert places(axes)["embeddings"].shape == (32, 2)


def test_tokens_of_another_dimension_are_refused(axes):
    with pytest.raises(ValueError, match="tokens"):
        draw_cloud(np.zeros((3, 2)), np.zeros((3, 1)), axes=axes)


def test_the_plane_is_the_one_of_most_variance():
    points = np.random.default_rng(0).normal(size=(500, 3)) * [5, 0.1, 2]
    (flat,) = project_to_plane(points, points)
    kept = (points - points.mean(axis=0))[:, [0, 2]]
    np.testing.assert_allclose(flat.std(axis=0), kept.std(axis=0), rtol=0.02)
    # The variances are 25, 0.01 and 4.
    assert 1 - explained_by_plane(points) == pytest.approx(0.01 / 29, rel=0.3)


def test_a_cross_has_equal_shares_in_every_direction():
    cross = np.concatenate([np.eye(4), -np.eye(4)])
    assert explained_by_plane(cross) == pytest.approx(0.5)


def test_up_to_two_dimensions_nothing_is_projected():
    flat = np.arange(6.0).reshape(3, 2) + 7
    np.testing.assert_array_equal(project_to_plane(flat, flat)[0], flat)
