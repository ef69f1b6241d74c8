"""The pictures of lessons 4 to 6 show every token, every seed, and what is outside the data."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from vqnp.lessons import collapse, comparisons
from vqnp.plots import cloud, style
from vqnp.training import EpochRecord


def clouds(axes):
    """Return the places of each cloud that is drawn, by label."""
    return {
        cloud.get_label(): np.asarray(cloud.get_offsets())
        for cloud in axes.collections
        if len(cloud.get_offsets())
    }


@pytest.fixture
def square():
    return np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])


def test_a_moment_tells_dead_tokens_from_those_in_use(square):
    tokens = np.array([[0.0, 0.5], [1.0, 0.5], [9.0, 9.0]])
    axes = collapse.moments_side_by_side([("epoch 3", square, tokens)]).axes[0]
    assert axes.get_title() == "epoch 3\nperplexity 2 of 3"
    drawn = clouds(axes)
    np.testing.assert_array_equal(drawn["embeddings"], square)
    np.testing.assert_array_equal(drawn["tokens in use"], tokens[:2])
    np.testing.assert_array_equal(drawn["tokens never chosen"], tokens[2:])


def test_before_the_codebook_is_born_there_are_embeddings_only(square):
    axes = collapse.moments_side_by_side([("epoch 3", square, None)]).axes[0]
    assert axes.get_title() == "epoch 3\nno tokens yet"
    assert list(clouds(axes)) == ["embeddings"]


def test_moments_stand_in_their_order(square):
    figure = collapse.moments_side_by_side(
        [(f"step {i}", square, square[: i + 1]) for i in range(4)], columns=3
    )
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == [f"step {i}\nperplexity {i + 1} of {i + 1}" for i in range(4)]


def test_more_than_two_dimensions_are_seen_where_they_vary_most():
    points = np.random.default_rng(0).normal(size=(500, 3)) * [5, 0.1, 2]
    (flat,) = cloud.project_to_plane(points, points)
    assert flat.shape == (500, 2)
    np.testing.assert_allclose(
        np.abs(flat - flat.mean(0)).std(0),
        np.abs(points - points.mean(0))[:, [0, 2]].std(0),
        rtol=0.02,
    )
    assert cloud.project_to_plane(points[:, :2], points[:, :2])[0] is not None
    np.testing.assert_array_equal(
        cloud.project_to_plane(points[:, :2], points[:, :2])[0], points[:, :2]
    )


def test_every_token_has_its_track():
    rng = np.random.default_rng(0)
    times, embeddings, tokens = (
        np.arange(3),
        rng.normal(size=(3, 50, 1)),
        rng.normal(size=(3, 7, 1)),
    )
    first, second = collapse.token_tracks(
        [("step", times, embeddings, tokens), ("epoch", times, 9 * embeddings, tokens)]
    ).axes
    assert (first.get_xlabel(), second.get_xlabel()) == ("step", "epoch")
    np.testing.assert_array_equal([line.get_ydata() for line in first.lines], tokens[:, :, 0].T)
    assert second.get_ylim()[1] >= 9 * embeddings.max() > first.get_ylim()[1] >= embeddings.max()


def test_the_shade_behind_is_darkest_where_most_embeddings_are():
    embeddings = np.array([[0.5, 0.5, 0.5, 1.5], [2.5, 2.5, 1.5, 0.5]])
    _, axes = style.new_figure(1, 1, 3, 3)
    collapse.shade_embeddings(axes[0, 0], np.arange(2), embeddings, np.arange(4.0))
    shade = axes[0, 0].collections[0].get_array()
    np.testing.assert_allclose(
        np.reshape(shade, (3, 2)), [[1, 2**-0.5], [3**-0.5, 2**-0.5], [0, 1]]
    )


def test_ranges_of_encoders_are_in_their_titles():
    rng = np.random.default_rng(0)
    wide = rng.uniform(-4, 4, (400, 1))
    figure = collapse.embedding_densities(
        {"untrained": wide / 10, "trained": wide}, np.repeat([0, 1], 200)
    )
    assert [axes.get_title().split(" to")[0] for axes in figure.axes] == [
        "untrained: -0.40",
        "trained: -4.00",
    ]


def test_an_outcome_shows_what_is_decoded_over_what_is_quantized(square):
    outside = np.array([False, False, False, True])
    parts = [
        collapse.Outcome(name, square, scale * square, square, square, outside)
        for name, scale in (("a", 1), ("b", 3))
    ]
    figure = collapse.outcomes(parts)
    above, below = figure.axes[:2], figure.axes[2:]
    assert [axes.get_title() for axes in above] == ["a", "b"]
    assert [axes.get_title() for axes in below] == ["perplexity 4 of 4"] * 2
    assert above[0].get_xlim() == above[1].get_xlim()
    np.testing.assert_array_equal(clouds(above[1])["outside the data"], [[3, 3]])
    np.testing.assert_array_equal(
        np.sort(clouds(above[1])["reconstruction"], axis=0), [[0, 0], [0, 0], [3, 3]]
    )
    assert "outside the data" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_pairs_join_the_arms_of_a_seed():
    table = [
        {"case": case, "seed": seed, "pretrained": arm, "mse": seed + 10 * arm + more}
        for case, more in (("a", 0), ("b", 100))
        for seed in (1, 2)
        for arm in (False, True)
    ]
    (panel,) = comparisons.seed_pairs(table, {"mse": "error"}).axes
    assert panel.get_title() == "error"
    joined = [tuple(line.get_ydata()) for line in panel.lines if line.get_marker() == "None"]
    assert joined == [(1, 11), (2, 12), (101, 111), (102, 112)]
    dots = [line for line in panel.lines if line.get_marker() == "o"]
    assert [tuple(line.get_ydata()) for line in dots] == [(1, 2), (11, 12), (101, 102), (111, 112)]
    assert [line.get_color() for line in dots] == [style.BASELINE, style.PRETRAINED] * 2
    assert [tick.get_text() for tick in panel.get_xticklabels()] == ["a", "b"]


def test_histories_mark_the_birth_of_the_codebook():
    records = [
        EpochRecord("pretrain", 1, {"reconstruction": 0.5}),
        EpochRecord("fine-tune", 2, {"reconstruction": 0.7}, 9.0, 9),
    ]
    error, perplexity = comparisons.arm_histories(
        {"with": (True, records), "without": (False, records[1:])}
    ).axes
    before, after, birth, *_ = error.lines
    assert (before.get_ydata().tolist(), after.get_ydata().tolist()) == ([0.5], [0.7])
    assert list(birth.get_xdata()) == [1.5, 1.5]
    np.testing.assert_array_equal(perplexity.lines[0].get_xydata(), [[2, 9.0]])
    assert error.lines[0].get_color() == style.PRETRAINED


def test_a_map_draws_contours_at_the_height_of_the_place():
    x, y = np.linspace(-1, 1, 21), np.linspace(-2, 2, 31)
    height = np.broadcast_to(y[:, None], (31, 21))  # rises with y: the contours lie along x
    line = np.array([[0.0, 0], [0.5, 1]])
    above, below = collapse.encoder_maps(
        [collapse.EncoderMap("3 units", line, x, y, height, np.array([-1.5, 0.5]), line)]
    ).axes
    assert above.get_title().startswith("3 units")
    contours = above.collections[-1]
    np.testing.assert_allclose(contours.levels, [-1.5, 0.5])
    for contour, level in zip(contours.get_paths(), contours.levels, strict=True):
        np.testing.assert_allclose(contour.vertices[:, 1], level)
    np.testing.assert_array_equal(below.lines[0].get_xydata(), line)


def test_runs_stand_at_their_number_of_parameters():
    table = [
        {"name": "4 units", "extra": None, "parameters": 37, "mse": 0.2},
        {"name": "4 units", "extra": None, "parameters": 37, "mse": 0.4},
        {"name": "4 + 4 units", "extra": 4, "parameters": 57, "mse": 0.1},
    ]
    (panel,) = comparisons.errors_by_parameters(table).axes
    plain, deeper = panel.lines
    np.testing.assert_array_equal(plain.get_xydata(), [[37, 0.2], [37, 0.4]])
    np.testing.assert_array_equal(deeper.get_xydata(), [[57, 0.1]])
    assert {text.get_text(): text.xy for text in panel.texts} == {
        "4 units": (37, 0.4),
        "4 + 4 units": (57, 0.1),
    }
    assert to_hex(deeper.get_color()) == style.TOKEN


def test_every_width_and_seed_is_a_dot():
    table = [
        {
            "hidden": hidden,
            "extra": None,
            "seed": seed,
            "mse": 1 / hidden + seed,
            "reconstruction_outside": seed,
        }
        for hidden in (2, 4)
        for seed in (1, 2)
    ]
    left, right = comparisons.errors_by_width(table).axes
    dots = [line.get_xydata().tolist() for line in left.lines if line.get_marker() == "o"]
    assert dots == [[[2, 1.5], [4, 1.25]], [[2, 2.5], [4, 2.25]]]
    assert "chance" in [line.get_label() for line in right.lines]
