"""The verdict on codebooks that nobody here made: false alarms and misses of an older rule, too.

The older rule called a perplexity below half of K a collapse. The limits of today's were chosen on
other data than these.
"""

import numpy as np
import pytest
from codebooks import (
    COLLAPSED,
    HEALTHY,
    KINDS,
    cloud,
    collapsed,
    digits,
    fitted,
    healthy,
    on_the_sphere,
    patches,
    zipf_clusters,
)

from vqnp import diagnose

pytestmark = pytest.mark.jit  # k-means takes minutes when it is interpreted


@pytest.fixture(autouse=True)
def modes_are_not_counted(monkeypatch):
    """They take half of the time and are no part of the verdict without data."""
    monkeypatch.setattr("vqnp.diagnostics.diagnosis.count_modes", lambda points, rng: 1)


@pytest.fixture(scope="module")
def good():
    return fitted(patches(), 512)


@pytest.mark.parametrize("n_tokens", [16, 64, 256, 512])
def test_kmeans_on_patches_is_healthy(n_tokens):
    diagnosis = diagnose(patches(), fitted(patches(), n_tokens))
    assert (diagnosis.verdict, diagnosis.signs) == ("healthy", {})


def test_kmeans_on_clusters_of_uneven_size_is_healthy():
    diagnosis = diagnose(zipf_clusters(), fitted(zipf_clusters(), 200))
    assert diagnosis.perplexity < 100  # less than half of K
    assert diagnosis.verdict == "healthy"


def test_kmeans_on_the_sphere_is_healthy():
    points = on_the_sphere(patches())
    assert diagnose(points, fitted(points, 256)).verdict == "healthy"


@pytest.mark.parametrize(
    ("n_tokens", "verdict"), [(64, "healthy"), (128, "healthy"), (512, "cannot tell")]
)
def test_kmeans_on_digits(n_tokens, verdict):
    """1,797 digits are 3.5 a token of 512."""
    assert diagnose(digits(), fitted(digits(), n_tokens)).verdict == verdict


def test_few_embeddings_do_not_tell():
    diagnosis = diagnose(patches()[:100], fitted(patches(), 256))
    assert diagnosis.verdict == "cannot tell"
    assert diagnosis.signs == {"Cannot tell": ["100 embeddings; 256 tokens need 2,560"]}


def test_kmeans_on_heavy_tails_is_healthy():
    points = np.random.default_rng(0).standard_t(2, (10_000, 4)).astype(np.float32)
    assert diagnose(points, fitted(points, 512)).verdict == "healthy"


def test_a_grid_is_healthy():
    points = np.random.default_rng(0).uniform(-1, 1, (10_000, 4)).astype(np.float32)
    steps = np.linspace(-0.8, 0.8, 5)
    grid = np.stack(np.meshgrid(*[steps] * 4), axis=-1).reshape(-1, 4).astype(np.float32)
    assert diagnose(points, grid).verdict == "healthy"


@pytest.mark.parametrize("where", ["far away", "copies", "at the mean", "at the origin"])
def test_nine_tenths_dead_is_a_collapse(good, where):
    points, alive = patches() + 1, good[::10] + 1
    rest = 512 - len(alive)
    places = {
        "far away": np.full((1, 32), 1e3),
        "copies": alive[:1],
        "at the mean": points.mean(axis=0, keepdims=True),
        "at the origin": np.zeros((1, 32)),
    }
    tokens = np.concatenate([alive, np.repeat(places[where], rest, axis=0)]).astype(np.float32)
    diagnosis = diagnose(points, tokens)
    assert diagnosis.verdict == "collapsed"
    assert list(diagnosis.signs) == ["Tokens collapse"]
    assert len(diagnosis.dead_tokens) >= rest - 1


@pytest.mark.parametrize("noise", [0, 1e-4])
def test_every_token_eight_times_is_a_collapse(noise):
    tokens = np.repeat(fitted(patches(), 64), 8, axis=0)
    shaken = tokens + noise * np.random.default_rng(0).standard_normal(tokens.shape)
    diagnosis = diagnose(patches(), shaken.astype(np.float32))
    assert diagnosis.verdict == "collapsed"
    assert "448 tokens repeat another" in diagnosis.signs["Tokens collapse"]
    groups = tuple(tuple(range(8 * i, 8 * i + 8)) for i in range(64))
    assert diagnosis.near_duplicate_tokens == groups
    assert diagnosis.duplicate_tokens == (() if noise else groups)


@pytest.mark.parametrize("scale", [1, 10, 1 / 512])
def test_random_tokens_are_a_collapse(scale):
    rng = np.random.default_rng(0)
    draw = rng.uniform(-1, 1, (512, 32)) if scale < 1 else rng.standard_normal((512, 32))
    diagnosis = diagnose(patches(), (scale * draw).astype(np.float32))
    assert diagnosis.verdict == "collapsed"


def test_one_token_in_the_wrong_place_is_a_bad_fit():
    points = np.random.default_rng(0).standard_normal((500, 4))
    diagnosis = diagnose(points, np.full((1, 4), 1.4))
    assert diagnosis.quantization_error > 2.5
    assert diagnosis.verdict == "bad fit"
    assert "one token at the mean loses 100%" in diagnosis.signs["Bad fit"][0]


def test_one_token_at_the_mean_is_the_best_of_its_size():
    points = np.random.default_rng(0).standard_normal((500, 4))
    assert diagnose(points, points.mean(axis=0, keepdims=True)).verdict == "healthy"


def test_swapped_arguments_are_remarked():
    rng = np.random.default_rng(0)
    diagnosis = diagnose(rng.standard_normal((16, 4)), rng.standard_normal((500, 4)))
    assert diagnosis.verdict == "cannot tell"
    assert "more tokens (500) than embeddings (16): have the two been swapped?" in str(
        diagnosis.remarks
    )


def test_random_tokens_that_are_used_are_a_bad_fit():
    rng = np.random.default_rng(0)
    points = rng.standard_normal((10_000, 32)).astype(np.float32)
    diagnosis = diagnose(points, rng.standard_normal((512, 32)).astype(np.float32))
    assert diagnosis.verdict == "bad fit"


def test_the_origin_does_not_matter(good):
    far = diagnose(patches() + 500, good + 500)
    near = diagnose(patches(), good)
    assert far.verdict == near.verdict == "healthy"
    assert far.quantization_error == pytest.approx(near.quantization_error, rel=1e-3)


@pytest.mark.parametrize("clusters", [10, 50, 500])
def test_one_token_for_each_clear_cluster_is_healthy(clusters):
    rng = np.random.default_rng(0)
    centers = 10 * rng.normal(size=(clusters, 64))
    points = centers[np.arange(5_000) % clusters] + 0.1 * rng.normal(size=(5_000, 64))
    assert diagnose(points.astype(np.float32), centers.astype(np.float32)).verdict == "healthy"


def test_tokens_of_length_one_are_remarked():
    tokens = on_the_sphere(fitted(patches(), 64))
    assert "give" not in str(diagnose(patches(), fitted(patches(), 64)).remarks)
    assert "metric 'cosine'" in str(diagnose(patches(), tokens).remarks)
    by_direction = diagnose(patches(), tokens, metric="cosine")
    assert "cosine" not in str(by_direction.remarks)
    assert by_direction.verdict == "healthy"


def of_random_size(seed):
    rng = np.random.default_rng([17, seed])
    n_tokens, dim = int(rng.integers(8, 97)), int(rng.integers(2, 33))
    count = int(n_tokens * rng.uniform(12, 40))
    return cloud(KINDS[seed % len(KINDS)], count, dim, rng), n_tokens, rng


@pytest.mark.parametrize(
    ("verdict", "make", "ways"),
    [("healthy", healthy, HEALTHY), ("collapsed", collapsed, COLLAPSED)],
)
def test_a_hundred_codebooks_of_random_size(verdict, make, ways):
    """At most one of a hundred may be judged wrong, in either direction."""
    wrong = []
    for seed in range(100):
        points, n_tokens, rng = of_random_size(seed)
        how = ways[seed // len(KINDS) % len(ways)]
        diagnosis = diagnose(points, make(points, n_tokens, how, rng))
        if diagnosis.verdict != verdict:
            wrong.append((seed, how, points.shape, n_tokens, str(diagnosis).splitlines()[0]))
    assert len(wrong) <= 1, wrong
