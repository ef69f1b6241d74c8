"""A figure states its finding's number, compares on one scale, and gives a thing one color."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from vqnp.experiments import fig2, fig3, fig4, fig4b, fig5, fig6
from vqnp.experiments.plans import ImagesPlan
from vqnp.experiments.run import Result
from vqnp.experiments.views import ArmView, CaseView
from vqnp.plots import style


def images(n, value):
    return np.full((n, 4, 6, 3), value, np.uint8)


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
    figure = fig2.picture(data, labels, squeezed, spread, numbers)
    assert (
        figure.get_suptitle()
        == "The untrained encoder squeezes the data into 3% of the trained one's range"
    )
    titles = [axes.get_title() for axes in figure.axes]
    assert "(a) untrained encoder: -0.10 to 0.20, 5 peaks" in titles
    peaks = next(line for line in figure.axes[2].lines if line.get_label() == "peaks")
    assert len(peaks.get_xdata()) == 2


def arm_view(rng, name, *, dim=1, decoded=2, scale=1.0):
    share = np.full(4, 0.25)
    return ArmView(
        name=name,
        reconstruction=rng.normal(size=(4, decoded)),
        reconstruction_share=share,
        embeddings=scale * rng.normal(size=(50, dim)),
        tokens=scale * rng.normal(size=(4, dim)),
        token_share=share,
    )


def arm_rows(spread_kept, gain):
    shared = {"codes_used": 3.0, "n_tokens": 4, "class_spread_ratio": spread_kept}
    return [
        {"pretrained": pretrained, "perplexity": 2.0 * (gain if pretrained else 1), **shared}
        for pretrained in (False, True)
    ]


@pytest.mark.parametrize("dim", [1, 2])
def test_fig3_shares_axes_between_the_arms(dim):
    rng = np.random.default_rng(0)
    arms = [
        arm_view(rng, "without pretraining", dim=dim),
        arm_view(rng, "with pretraining", dim=dim, scale=9.0),
    ]
    view = CaseView(rng.normal(size=(60, 2)), arms, False, False)
    figure = fig3.picture([("a row", view, arm_rows(0.5, gain=2.0))], 3)
    left, left_latent, right, right_latent = figure.axes
    assert (left.get_xlim(), left.get_ylim()) == (right.get_xlim(), right.get_ylim())
    assert left_latent.get_xlim() == right_latent.get_xlim()
    assert "in 1 of 1 data sets, up to 2.0 times" in figure.get_suptitle()
    assert "without pretraining: perplexity 2 of 4" in left_latent.get_title()
    assert "with pretraining: perplexity 4 of 4" in right_latent.get_title()
    assert "50% of the classes' spread kept" in left.get_title()


def test_fig3_draws_three_dimensions_and_unlabelled_data():
    rng = np.random.default_rng(0)
    arms = [arm_view(rng, name, decoded=3) for name in ("without", "with")]
    view = CaseView(rng.normal(size=(60, 3)), arms, False, False)
    figure = fig3.picture([("solid", view, arm_rows(None, gain=1.0))], 1)
    solid = [axes for axes in figure.axes if axes.name == "3d"]
    assert [axes.get_title() for axes in solid] == ["solid", "solid"]


def test_fig5_marks_what_lies_outside():
    rng = np.random.default_rng(0)
    data = rng.normal(size=(100, 2)).astype(np.float32)
    reconstruction = np.where(np.arange(100)[:, None] < 90, data[:1], data[:1] + 50)
    numbers = {"embedding_modes": 3, "tokens_outside": 0.25, "reconstruction_outside": 0.1}
    line = rng.normal(size=(100, 1))
    arrays = {"embeddings": line, "tokens": line[:4], "reconstruction": reconstruction}
    result = Result({"numbers": numbers}, arrays)
    table = [
        {"hidden": h, "extra": e, "seed": 0, "mse": 0.1, "reconstruction_outside": 0.1}
        for h, e in [(2, None), (4, None), (4, 4), (4, 32)]
    ]
    figure = fig5.picture(
        [("4 hidden units", data, result), ("32 hidden units", data, result)], table
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


def image_row(tokens, seed, pretrained, perplexity, **more):
    numbers = {
        "mse": 0.02,
        "codes_used": 9,
        "token_dimension": 3,
        "embedding_rank": 4.0,
        "perplexity": perplexity,
        "steps": 9_999,
        "patch_mse": 0.4 / tokens,
        "course": None,
    }
    return {"tokens": tokens, "seed": seed, "pretrained": pretrained} | numbers | more


def test_fig4_says_what_the_largest_codebook_is_worth():
    table = [
        image_row(tokens, seed, arm, tokens / (2 if arm else 8) + seed)
        for tokens in (16, 64) for seed in (0, 1, 2) for arm in (False, True)
    ]  # fmt: skip
    looks = [{"step": step, "perplexity": 8.0} for step in (1, 9_999)]
    table[-2:] = [row | {"course": looks} for row in table[-2:]]
    figure = fig4.picture(
        table, [("original", images(3, 9)), ("without", images(3, 8))], 32, "How long."
    )
    assert (
        figure.get_suptitle() == "After 9,999 steps, 64 tokens are worth 9 evenly used ones "
        "without pretraining, and 33 with it"
    )
    assert figure.subfigs[0].get_suptitle() == (
        "How long.\nThe codebook loses to k-means on raw patches from 64 tokens on without "
        "pretraining and from 64 tokens on with pretraining."
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
    figure = fig4b.draw(ImagesPlan(), {}, table)
    assert figure.get_supxlabel().startswith("Undertrained: below 10,000 steps. 320 steps a run")
    assert (
        figure.get_suptitle()
        == "Perplexity 1 of 16 after 9,999 steps: more images for k-means make it 2, pretraining 9"
    )
    labels = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert labels == ["nothing else", "k-means on 64 images", "dialect debiased"]


def test_fig6_says_how_much_worse_the_narrowest_encoder_is():
    table = [
        image_row(8, 0, False, 3.0, channels=c, mse=m) for c, m in ((8, 0.01), (4, 0.02), (2, 0.03))
    ]
    figure = fig6.picture(table, [("original", images(3, 9))], 8, "How long.")
    title = "After 9,999 steps, an encoder of 2 channels has 3.0 times the error of one of 8"
    assert figure.get_suptitle() == title
    assert "(decoder: 8)" in figure.axes[0].get_xlabel()
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_xdata(), [2, 4, 8])


def test_fig6_crosses_dead_encoders_out():
    rows = [(8, 0, 4.0), (4, 0, 2.0), (2, 0, 0.0), (8, 1, 4.0), (2, 1, 0.0)]
    table = [image_row(8, seed, False, 3.0, channels=c, embedding_rank=r) for c, seed, r in rows]
    figure = fig6.picture(table, [("original", images(3, 9))], 8, "How long.")
    assert figure.get_suptitle().endswith(
        "of 4 channels has 1.0 times the error of one of 8; dead encoders: 2 of 5"
    )
    line, *_, crosses = [line for line in figure.axes[0].lines if line.get_label()[0] != "_"]
    np.testing.assert_array_equal(line.get_xdata(), [4, 8])
    assert crosses.get_color() == style.OUTSIDE


def test_fig6_names_silent_units_where_they_were_counted():
    assert fig6.name_of({"channels": 4}) == "4 channels"
    assert fig6.name_of({"channels": 4, "dead_units": 0, "encoder_units": 22}) == "4 channels"
    counted = {"channels": 4, "dead_units": 3, "encoder_units": 22}
    assert fig6.name_of(counted) == "4 channels, 3 of 22 units silent"


def test_where_the_codebook_loses_to_raw_patches():
    def told(*errors):
        table = [
            {"tokens": 2**i, "seed": 0, "pretrained": arm, "mse": mse, "patch_mse": 0.5}
            for i, mse in enumerate(errors) for arm in (False, True)
        ]  # fmt: skip
        return fig4.beaten(table).partition(" patches ")[2].partition(" without")[0]

    assert told(0.1, 0.2, 0.3) == "at no size"
    assert told(0.1, 0.6, 0.7) == "from 2 tokens on"
    assert told(0.6, 0.2, 0.7) == "at 1, 4 tokens"
