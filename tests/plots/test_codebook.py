"""A codebook at a glance: positions, usage and spread of what was given."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from vqnp.plots import style
from vqnp.plots.codebook import draw_codebook, draw_spread, draw_usage


def test_shares_fall_and_the_even_one_is_a_line(axes):
    draw_usage([1, 0, 6, 3], axes=axes)
    shares, even = axes.lines
    np.testing.assert_allclose(shares.get_xydata(), [[1, 0.6], [2, 0.3], [3, 0.1]])
    assert set(even.get_ydata()) == {0.25}
    assert axes.get_title() == "how often each is chosen: 3 of 4 at all"


@pytest.mark.parametrize("counts", [[0, 0], [[1, 2]]])
def test_counts_without_a_hit_are_refused(counts):
    with pytest.raises(ValueError, match="counts"):
        draw_usage(counts)


def test_deviations_of_a_cross(axes):
    draw_spread([[2.0, 0], [-2, 0], [0, 1], [0, -1]], [[1.0, 1], [1, 1]], axes=axes)
    embeddings, tokens = axes.lines
    np.testing.assert_allclose(embeddings.get_ydata(), [2**0.5, 0.5**0.5])
    assert not np.any(tokens.get_ydata())


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_a_codebook_at_a_glance(dim):
    rng = np.random.default_rng(0)
    embeddings, tokens = rng.normal(size=(300, dim)), rng.normal(size=(6, dim))
    figure, (axes,) = style.new_figure(1, 3, 9, 3)
    found = draw_codebook(embeddings, tokens, [100, 100, 50, 50, 0, 0], axes=axes)
    assert list(found) == list(axes) == figure.axes
    assert "4 of 6 at all" in found[1].get_title()
    assert ("variance" in found[0].get_title()) == (dim > 2)


def test_counts_are_found_by_the_search():
    axes = draw_codebook([[0.0, 0], [0.0, 1], [5.0, 0]], [[0.0, 0], [5.0, 0], [9.0, 9]])
    np.testing.assert_allclose(axes[1].lines[0].get_ydata(), [2 / 3, 1 / 3])


def test_without_axes_the_figure_is_pyplots():
    panel = draw_usage([1, 2])
    assert panel.figure is plt.gcf()
    draw_codebook(np.zeros((3, 2)), np.zeros((1, 2)))
    assert len(plt.gcf().axes) == 3


def test_a_wrong_number_of_axes_is_named(axes):
    with pytest.raises(ValueError, match="axes must be 3 axes"):
        draw_codebook(np.zeros((3, 2)), np.zeros((1, 2)), axes=axes)


def test_not_a_number_is_refused(axes):
    z = np.zeros((3, 2))
    z[1, 0] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        draw_codebook(z, np.zeros((1, 2)), [3])
