"""What a picture must say: its finding's number, the same scale for what is compared, one color for one thing."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from vqnp.experiments.run import Result
from vqnp.experiments.views import ArmView, RowView
from vqnp.plots import codebook, fig2, fig3, fig4, fig4b, fig5, fig6, mosaic, style


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


def test_fig2_states_the_ranges_and_the_peaks():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 300)
    data, squeezed = rng.normal(size=(600, 2)), rng.normal(size=(600, 1)) * 0.1
    spread = squeezed + 10 * labels[:, None]
    numbers = {
        "data_modes": 10,
        "untrained": {"min": -0.1, "max": 0.2, "range": 0.3, "modes": 5},
        "trained": {"min": -5.0, "max": 5.0, "range": 10.0, "modes": 10},
    }
    figure = fig2.draw(data, labels, squeezed, spread, numbers)
    assert (
        figure.get_suptitle()
        == "The untrained encoder squeezes the data into 3% of the trained one's range"
    )
    titles = [axes.get_title() for axes in figure.axes]
    assert "(a) untrained encoder: -0.10 to 0.20, 5 peaks" in titles
    peaks = next(line for line in figure.axes[2].lines if line.get_label() == "peaks")
    assert len(peaks.get_xdata()) == 2


def arm_view(rng, dim, scale=1.0):
    share = np.full(4, 0.25)
    return ArmView(
        rng.normal(size=(4, 2)),
        share,
        scale * rng.normal(size=(50, dim)),
        scale * rng.normal(size=(4, dim)),
        share,
    )


@pytest.mark.parametrize("dim", [1, 2])
def test_fig3_shares_axes_between_the_arms(dim):
    rng = np.random.default_rng(0)
    view = RowView(
        rng.normal(size=(60, 2)), arm_view(rng, dim), arm_view(rng, dim, 9.0), False, False
    )
    medians = {"perplexity": 2.0, "codes_used": 3.0, "n_tokens": 4.0, "class_spread_ratio": 0.5}
    figure = fig3.draw([("a row", view, medians, medians | {"perplexity": 4.0})], 3)
    left, left_latent, right, right_latent = figure.axes
    assert (left.get_xlim(), left.get_ylim()) == (right.get_xlim(), right.get_ylim())
    assert left_latent.get_xlim() == right_latent.get_xlim()
    assert "in 1 of 1 data sets, up to 2.0 times" in figure.get_suptitle()
    assert "without pretraining: perplexity 2 of 4" in left_latent.get_title()
    assert "50% of the classes' spread kept" in left.get_title()


def test_fig3_draws_three_dimensions_and_unlabelled_data():
    rng = np.random.default_rng(0)
    arms = [
        ArmView(
            rng.normal(size=(4, 3)),
            np.full(4, 0.25),
            rng.normal(size=(9, 1)),
            rng.normal(size=(4, 1)),
            np.full(4, 0.25),
        )
    ] * 2
    medians = {"perplexity": 2.0, "codes_used": 3.0, "n_tokens": 4.0, "class_spread_ratio": None}
    figure = fig3.draw(
        [("solid", RowView(rng.normal(size=(60, 3)), *arms, False, False), medians, medians)], 1
    )
    assert sum(axes.name == "3d" for axes in figure.axes) == 2


def test_fig5_marks_what_lies_outside(tmp_path):
    rng = np.random.default_rng(0)
    data = rng.normal(size=(100, 2)).astype(np.float32)
    reconstruction = np.where(np.arange(100)[:, None] < 90, data[:1], data[:1] + 50)
    diagnosis = {"embedding_modes": 3, "tokens_outside": 0.25, "reconstruction_outside": 0.1}
    line = rng.normal(size=(100, 1))
    result = Result(
        {"diagnosis": diagnosis},
        line,
        line,
        line[:4],
        line,
        line[:4],
        np.zeros(100, int),
        reconstruction,
    )
    table = [
        {"hidden": h, "extra": e, "mse": 0.1, "reconstruction_outside": 0.1}
        for h, e in [(2, None), (4, None), (4, 4), (4, 32)]
    ]
    outside = np.arange(100) >= 90
    figure = fig5.draw(
        [("4 hidden units", data, result, outside), ("32 hidden units", data, result, outside)],
        table,
    )
    assert "3 peaks left with 4 hidden units" in figure.get_suptitle()
    decoded = next(
        axes for axes in figure.axes if "10.0% of reconstructions outside" in axes.get_title()
    )
    marks = {
        c.get_label(): (to_hex(c.get_facecolor()[0]), c.get_offsets()) for c in decoded.collections
    }
    color, places = marks["outside the data"]
    assert color == style.OUTSIDE
    np.testing.assert_allclose(places, [data[0] + 50], rtol=1e-6)


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_a_codebook_at_a_glance(dim):
    rng = np.random.default_rng(0)
    embeddings, tokens = rng.normal(size=(300, dim)), rng.normal(size=(6, dim))
    figure = codebook.draw(
        embeddings, tokens, np.array([100, 100, 50, 50, 0, 0]), "Yes. Tokens collapse."
    )
    assert figure.get_suptitle() == "Yes. Tokens collapse."
    assert any("4 of 6 at all" in axes.get_title() for axes in figure.axes)


def images(n, value):
    return np.full((n, 4, 6, 3), value, np.uint8)


def test_tiled_images_stand_in_their_rows_and_columns():
    first = np.stack([images(1, 10)[0], images(1, 20)[0]])
    wall = mosaic.tiled([first, images(2, 30)])
    assert wall.shape == (2 * 4 + mosaic.GAP, 2 * 6 + mosaic.GAP, 3)
    assert (wall[:4, :6] == 10).all()
    assert (wall[:4, -6:] == 20).all()
    assert (wall[-4:][:, :6] == 30).all()
    assert (wall[4 : 4 + mosaic.GAP] == 255).all()


def image_row(tokens, seed, pretrained, perplexity, **more):
    numbers = {
        "mse": 0.02,
        "codes_used": 9,
        "token_dimension": 3,
        "embedding_rank": 4.0,
        "perplexity": perplexity,
    }
    return {"tokens": tokens, "seed": seed, "pretrained": pretrained} | numbers | more


def test_fig4_says_what_the_largest_codebook_is_worth():
    table = [
        image_row(tokens, seed, arm, tokens / (2 if arm else 8) + seed)
        for tokens in (16, 64) for seed in (0, 1, 2) for arm in (False, True)
    ]  # fmt: skip
    figure = fig4.draw(table, [("original", images(3, 9)), ("without", images(3, 8))], vectors=32)
    assert (
        figure.get_suptitle()
        == "64 tokens are worth 9 evenly used ones without pretraining, and 33 with it"
    )
    perplexity = next(axes for axes in figure.axes if axes.get_ylabel().startswith("perplexity"))
    lines = {line.get_label(): (line.get_color(), line.get_ydata()) for line in perplexity.lines}
    np.testing.assert_array_equal(lines["with pretraining"][1], [8, 32])  # the first seed's
    assert lines["with pretraining"][0] == style.PRETRAINED
    assert lines["without pretraining"][0] == style.BASELINE
    assert list(lines["vectors k-means saw"][1]) == [0, 1]
    assert [tick.get_text() for tick in figure.axes[-1].get_yticklabels()] == [
        "original",
        "without",
    ]


def test_fig4b_says_what_each_cause_does():
    changes = (("paper", 32), ("k-means on 64 images", 64), ("dialect debiased", 32))
    table = [
        image_row(16, seed, arm, 1 + i + 8 * arm, change=change, sample=sample, dialect="paper")
        for arm in (False, True) for i, (change, sample) in enumerate(changes) for seed in (0, 1)
    ]  # fmt: skip
    figure = fig4b.draw(table)
    assert (
        figure.get_suptitle()
        == "Perplexity 1 of 16: more images for k-means make it 2, pretraining 9"
    )
    labels = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert labels == ["nothing else", "k-means on 64 images", "dialect debiased"]


def test_fig6_says_how_much_worse_the_narrowest_encoder_is():
    table = [
        image_row(8, 0, False, 3.0, channels=c, mse=m) for c, m in ((8, 0.01), (4, 0.02), (2, 0.03))
    ]
    figure = fig6.draw(table, [("original", images(3, 9))], decoder=8)
    assert figure.get_suptitle() == "An encoder of 2 channels has 3.0 times the error of one of 8"
    assert "(decoder: 8)" in figure.axes[0].get_xlabel()
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_xdata(), [2, 4, 8])
