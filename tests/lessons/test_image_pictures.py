"""Lesson 8's pictures: what was kept is drawn as it is, arm by arm and seed by seed."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from vqnp.experiments import fig4
from vqnp.lessons import comparisons
from vqnp.plots import images as rows_of_images
from vqnp.plots import style


def row(tokens, seed, pretrained, **more):
    mse, perplexity = 1 / tokens + 0.001 * seed + 0.01 * pretrained, tokens / 2 + seed + pretrained
    return {
        "tokens": tokens,
        "seed": seed,
        "pretrained": pretrained,
        "mse": mse,
        "perplexity": perplexity,
        **more,
    }


@pytest.fixture
def table():
    """Two codebooks with two seeds, and one between them with one."""
    runs = [(16, 0), (64, 0), (256, 0), (16, 1), (256, 1)]
    return [row(tokens, seed, arm) for tokens, seed in runs for arm in (False, True)]


def labelled(axes):
    return {line.get_label(): line for line in axes.lines}


def test_the_sweep_shows_both_arms_and_what_k_means_saw(table):
    error, perplexity = comparisons.draw_sweep(table, vectors=128).axes
    lines = labelled(perplexity)
    np.testing.assert_array_equal(
        lines["with pretraining"].get_ydata(), [9, 33, 129]
    )  # the first seed's
    assert lines["with pretraining"].get_color() == style.PRETRAINED
    assert lines["without pretraining"].get_color() == style.BASELINE
    assert set(lines["vectors k-means saw"].get_xdata()) == {128}
    np.testing.assert_array_equal(lines["all tokens, evenly"].get_ydata(), [16, 64, 256])
    assert error.get_yscale() == "log"


@pytest.mark.parametrize(
    ("seeds", "said"), [((0, 1), "lines: first seed; dots: all"), ((0,), "lines: one seed")]
)
def test_the_sweep_says_which_seeds_it_shows(table, seeds, said):
    looks = [{"step": step, "perplexity": 8.0} for step in (1, 9)]
    more = {"codes_used": 1, "token_dimension": 1, "patch_mse": 0.1, "steps": 9, "course": looks}
    shown = [line | more for line in table if line["seed"] in seeds]
    pictures = [("original", np.zeros((2, 8, 8, 3), np.uint8))]
    for figure in (
        comparisons.draw_sweep(shown, vectors=128),
        fig4.picture(shown, pictures, 128, "How long."),
    ):
        assert figure.axes[1].get_legend().get_title().get_text() == said


def test_ratios_pair_the_arms_of_a_seed(table):
    sizes, values = comparisons.ratios(table, "perplexity", seed=1)
    assert sizes == [16, 256]
    np.testing.assert_allclose(values, [10 / 9, 130 / 129])


def test_a_run_without_its_counterpart_is_no_ratio(table):
    assert comparisons.ratios([*table, row(1024, 0, True)], "mse", seed=0)[0] == [16, 64, 256]


def test_ratios_are_drawn_seed_by_seed(table):
    _, perplexity = comparisons.draw_ratios(table).axes
    lines = labelled(perplexity)
    np.testing.assert_allclose(lines["seed 0"].get_ydata(), [9 / 8, 33 / 32, 129 / 128])
    np.testing.assert_allclose(lines["seed 1"].get_xdata(), [16, 256])
    assert lines["seed 0"].get_marker() != lines["seed 1"].get_marker()


def test_causes_have_a_bar_for_each_arm():
    changes = ("paper", "k-means on 64 images")
    table = [row(8, 0, arm, change=change) for arm in (False, True) for change in changes]
    figure = comparisons.draw_causes(table)
    perplexity, error = figure.axes
    assert perplexity.get_title() == "codebook of 8 tokens"
    assert [label.get_text() for label in perplexity.get_yticklabels()] == [
        "nothing else",
        "k-means on 64 images",
    ]
    assert sorted(bar.get_width() for bar in perplexity.patches) == [4, 4, 5, 5]
    assert len(error.patches) == 4
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "without pretraining",
        "with pretraining",
    ]


def test_encoders_are_drawn_below_the_bound_of_their_rank():
    table = [
        row(8, 0, False, channels=channels, embedding_rank=channels - 0.5) for channels in (8, 4, 2)
    ]
    _, rank = comparisons.draw_encoders(table).axes
    lines = labelled(rank)
    np.testing.assert_array_equal(lines["no more than channels"].get_ydata(), [2, 4, 8])
    np.testing.assert_array_equal(lines["one seed"].get_ydata(), [1.5, 3.5, 7.5])


def test_where_there_are_more_seeds_their_dots_are_named():
    table = [row(8, seed, False, channels=2, embedding_rank=1.5) for seed in (0, 1)]
    _, rank = comparisons.draw_encoders(table).axes
    assert "first seed; dots: all" in labelled(rank)


@pytest.mark.parametrize("rows", [2, 7])
def test_a_figure_is_cut_where_its_images_begin(rows):
    figure, top, bottom = rows_of_images.below(rows)
    top.set_facecolor("black")
    bottom.set_facecolor("white")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    picture = np.asarray(canvas.buffer_rgba())[..., 0]
    part = rows_of_images.cut(picture, rows)
    assert (part == 255).all()
    assert (
        picture[: len(picture) - len(part) - 10] == 0
    ).all()  # a tenth of an inch for the panels' labels
