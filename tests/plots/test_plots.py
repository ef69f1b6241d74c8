"""A picture of anyone's data: its colors, its densities, its bytes, its tiles."""

import numpy as np
import pytest

from vqnp.plots import style


def test_colors_are_told_apart_by_the_color_blind():
    published = {
        "#000000",
        "#e69f00",
        "#56b4e9",
        "#009e73",
        "#f0e442",
        "#0072b2",
        "#d55e00",
        "#cc79a7",
    }  # Okabe and Ito (2008)
    assert {
        style.EMBEDDING,
        style.TOKEN,
        style.RECONSTRUCTION,
        style.OUTSIDE,
        style.BASELINE,
    } <= published
    assert style.PRETRAINED in published


def test_a_density_has_area_one():
    grid = np.linspace(-6, 6, 500)
    curve = style.density(np.random.default_rng(0).normal(size=4000), grid, 0.2)
    # nothing of a normal lies beyond six deviations
    assert curve.sum() * (grid[1] - grid[0]) == pytest.approx(1, abs=1e-3)
    assert curve[250] == pytest.approx(
        1 / np.sqrt(2 * np.pi * 1.04), rel=0.1
    )  # 4,000 draws, smoothed: a few per cent


def test_saving_twice_gives_the_same_bytes(tmp_path):
    for name in ("first", "second"):
        figure, axes = style.new_figure(1, 1, 2, 2)
        style.cloud(axes[0, 0], np.arange(8.0).reshape(4, 2), style.DATA, "data")
        style.save(figure, tmp_path / name)
    for kind in ("png", "svg"):
        assert (tmp_path / f"first.{kind}").read_bytes() == (
            tmp_path / f"second.{kind}"
        ).read_bytes()


def test_a_legend_below_has_each_label_once():
    figure, axes = style.new_figure(1, 2, 4, 2)
    for panel, labels in zip(axes[0], (["a", "b"], ["b", "c"]), strict=True):
        for label in labels:
            panel.plot([0, 1], label=label)
    style.legend_below(figure)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b", "c"]


def test_panels_are_wrapped_and_none_is_left_empty():
    figure, panels = style.wrapped(4, columns=3)
    assert list(panels) == figure.axes
    assert [panel.get_subplotspec().rowspan.start for panel in panels] == [0, 0, 0, 1]
