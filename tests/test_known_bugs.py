"""Bugs that real implementations of VQ-VAE had, one test each; the two about residual blocks stand
beside those.

Each test checks what is right, puts the bug back, and requires the same check to fail:
``check()``, then ``fails(check)``.
"""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from runs import INTERPRETED

from vqnp import (
    EMA,
    MLPSettings,
    TrainSettings,
    ae_then_vq,
    kmeans,
    mlp_vqvae,
    nearest,
    train,
)
from vqnp import models as models_module
from vqnp.diagnostics import perplexity_of_counts, usage
from vqnp.jit import Both
from vqnp.layers import Linear, linear_backward, linear_forward
from vqnp.losses import commitment, mse
from vqnp.quantize import Codebook, ema_update
from vqnp.quantize.search import nearest_loop, nearest_numpy

kmeans_module = sys.modules[
    "vqnp.quantize.lloyd"
]  # in the package, the functions have their modules' names
nearest_module = sys.modules["vqnp.quantize.search"]


def rng(seed=0):
    return np.random.default_rng(seed)


def fails(check, *args):
    with pytest.raises(AssertionError):
        check(*args)


def blobs(k=4, offset=10.0, n=15):
    """Four groups of points about (10, 10)."""
    return (
        rng().normal(size=(k, 1, 2)).repeat(n, 1).reshape(-1, 2) * 3
        + rng(1).normal(size=(k * n, 2)) * 0.1
        + offset
    )


def initialized(points, tokens=4, batch=None, **settings):
    made = EMA(tokens, **settings)
    made.initialize(points, batch=batch or len(points), rng=2)
    return made


def update_with(codebook, points, codes, steps=1, decay=0.9, dialect="paper"):
    for _ in range(steps):
        ema_update(codebook, points, codes, decay, dialect)
    return codebook


def vqvae(**settings):
    """A VQ-VAE in float64 and a batch; its tokens are off the batch's embeddings."""
    model = mlp_vqvae(MLPSettings(3, 2, 6, 5), EMA(5, **settings), dtype=np.float64)
    model.quantizer.initialize(model.encode(rng(4).normal(size=(50, 3))), batch=9, rng=rng(5))
    return model, rng(3).normal(size=(9, 3))


def test_bug_01_kmeans_sets_the_tokens_but_not_the_sums(monkeypatch):
    """M must be token · count: k-means' own tokens, updated with k-means' own points, stay where
    they are.
    """
    points = blobs()

    def check():
        made = initialized(points)
        before = made.codebook.tokens.copy()
        made.update(points, made.forward(points)[0])
        np.testing.assert_allclose(made.codebook.tokens, before, rtol=1e-12)

    def set_tokens(self, codes, tokens, counts):
        self.tokens[codes], self.counts[codes], self.sums[codes] = tokens, counts, tokens

    check()
    monkeypatch.setattr(Codebook, "set_tokens", set_tokens)
    fails(check)


def test_bug_02_counts_start_at_zero_but_sums_do_not():
    """The token of a code without hits is then M over almost nothing."""

    def check(first_count):
        codebook = Codebook.start(np.ones((3, 1)), np.ones(3), "counts-one", rng=rng())
        codebook.counts[:] = first_count
        update_with(codebook, np.ones((8, 1)), np.zeros(8, int), dialect="counts-one")
        assert abs(codebook.tokens).max() < 1.01

    check(1)
    fails(check, 0)


def test_bug_03_smoothed_counts_are_stored_back():
    """Smoothing belongs to the reading: L itself follows eq. 4, and fades like γ^t without hits."""

    def check(dialect):
        codebook = Codebook.start(np.ones((3, 1)), np.ones(3), "counts-one", rng=rng())
        update_with(codebook, np.ones((8, 1)), np.zeros(8, int), steps=200, dialect=dialect)
        assert codebook.counts[1] == pytest.approx(0.9**200)

    check("counts-one")
    fails(check, "smoothed-state")


def test_bug_04_unused_codes_slide_to_the_origin():
    def check(dialect):
        codebook = Codebook.start(np.ones((8, 1)), np.ones(8), dialect, rng=rng())
        update_with(
            codebook, np.ones((32, 1)), np.arange(32) % 7, steps=1000, decay=0.99, dialect=dialect
        )
        assert codebook.tokens[7] == 1

    check("paper")
    fails(check, "counts-one")


def test_bug_05_unused_codes_underflow(monkeypatch):
    """γ = .9 in float32: from about step 880 L and M are denormal numbers, and M / L ends at ±1 or
    0 / 0 instead of the token.
    """

    def check():
        codebook = Codebook.start(
            np.array([[0.3], [0.7]], np.float32), np.array([256, 256], np.float32), rng=rng()
        )
        update_with(codebook, np.full((4, 1), 0.7, np.float32), np.ones(4, int), steps=1200)
        assert codebook.tokens[0] == np.float32(0.3)

    check()
    ema_module = sys.modules["vqnp.quantize.ema"]
    move = ema_module.move.serial

    def always(state, *others):
        move(state, *others)
        tokens, counts, sums = state
        tokens[:] = sums / counts[:, None]

    monkeypatch.setattr(ema_module, "move", Both(always, always))
    with np.errstate(invalid="ignore"):
        fails(check)


def test_bug_06_debiasing_throws_the_initial_codebook_away():
    def check(dialect):
        made = initialized(blobs(), dialect=dialect)
        before = made.codebook.tokens.copy()
        z = np.repeat(before[:1], 8, axis=0)
        made.update(z, made.forward(z)[0])
        np.testing.assert_array_equal(made.codebook.tokens[1:], before[1:])

    check("paper")
    fails(check, "debiased")


def test_bug_07_empty_clusters_become_tokens_at_the_origin(monkeypatch):
    """The points are all about (10, 10), one of them far from the others; two of three tokens
    start where no point chooses them.
    """
    points = np.concatenate(
        [np.full((20, 2), 10.0) + rng().normal(size=(20, 2)) * 0.01, [[12.0, 12.0]]]
    )
    tokens = np.array([[10.0, 10.0], [-90.0, 0.0], [90.0, 90.0]])

    def check():
        found = kmeans_module.lloyd(points, tokens, 100)
        assert found.tokens.min() > 9
        assert found.counts.min() > 0

    def to_the_origin(points, tokens, codes, distances):
        counts, sums = kmeans_module.batch_statistics(points, codes, len(tokens))
        return sums / np.maximum(counts, 1)[:, None]

    check()
    monkeypatch.setattr(kmeans_module, "lloyd_step", to_the_origin)
    monkeypatch.setattr(kmeans_module.warnings, "warn", lambda *_, **__: None)
    fails(check)


def test_bug_07_fewer_samples_than_codes_pass_in_silence():
    points = blobs(n=1)
    with pytest.warns(
        UserWarning,
        match="n_tokens is 7 for 4 points: 3 tokens are copies of points and start unused",
    ):
        found = kmeans(points, 7, rng=rng())
    assert set(map(tuple, found.tokens)) == set(map(tuple, points))
    assert found.counts.tolist() == [1, 1, 1, 1, 0, 0, 0]


def test_bug_08_kmeans_counts_are_from_before_the_last_move(monkeypatch):
    points = rng().normal(size=(60, 2))

    def check():
        found = kmeans(points, 9, rng=rng(), start="random", iterations=1)
        codes, distances = nearest(points, found.tokens)
        np.testing.assert_array_equal(found.counts, np.bincount(codes, minlength=9))
        assert found.inertia == pytest.approx(distances.sum())

    def early(points, tokens, iterations):
        codes, distances = nearest(points, tokens)
        tokens = kmeans_module.lloyd_step(points, tokens, codes, distances)
        return kmeans_module.Clustering(
            tokens, codes, np.bincount(codes, minlength=9), float(distances.sum()), 1
        )

    check()
    monkeypatch.setattr(kmeans_module, "lloyd", early)
    fails(check)


def test_bug_09_evaluation_moves_the_codebook(monkeypatch):
    def check():
        model, x = vqvae()
        before = model.quantizer.codebook.tokens.copy()
        model.encode(x)
        model.quantize(x)
        model.reconstruct(x)
        np.testing.assert_array_equal(model.quantizer.codebook.tokens, before)

    forward = EMA.forward

    def moving(self, z, **options):
        quantized, cache = forward(self, z, **options)
        self.update(z, quantized)
        return quantized, cache

    check()
    monkeypatch.setattr(EMA, "forward", moving)
    fails(check)


def test_bug_09_evaluation_initializes_the_codebook():
    model = mlp_vqvae(MLPSettings(3, 2))
    with pytest.raises(RuntimeError, match="there is no codebook yet"):
        model.quantize(np.zeros((300, 3), np.float32))
    assert not model.quantizer.initialized


def test_bug_10_the_token_is_looked_up_after_the_update(monkeypatch):
    """Output and loss belong to the codebook from before it moved."""

    def check():
        model, x = vqvae()
        tokens, embeddings = model.quantizer.codebook.tokens.copy(), model.encode(x)
        step = model.loss_and_gradients(x)
        model.quantizer.update(step.embeddings, step.quantized)
        old = tokens[nearest(embeddings, tokens)[0]]
        assert step.losses["commitment"] == pytest.approx(((embeddings - old) ** 2).mean())
        assert step.losses["reconstruction"] == pytest.approx(((model.decode(old) - x) ** 2).mean())

    forward = EMA.forward

    def update_first(self, z, **options):
        self.update(z, forward(self, z, **options)[0])
        return forward(self, z, **options)

    check()
    monkeypatch.setattr(EMA, "forward", update_first)
    fails(check)


def test_bug_11_a_revived_code_keeps_its_old_averages(monkeypatch):
    """Moved without its L and M, it is pulled back to where it died by the first hit."""

    def check():
        points = blobs()
        codebook = Codebook.start(
            np.array([[0.0, 0.0], [10.0, 10.0]]), np.array([50.0, 10.0]), rng=rng()
        )
        codebook.set_tokens(np.array([0]), points[:1], np.ones(1))
        update_with(codebook, points, nearest(points, codebook.tokens)[0])
        assert codebook.tokens[0].min() > 5

    check()
    monkeypatch.setattr(
        Codebook,
        "set_tokens",
        lambda self, codes, tokens, counts: self.tokens.__setitem__(codes, tokens),
    )
    monkeypatch.setattr(Codebook, "start", lambda *_, **__: Codebook(
        np.array([[0.0, 0.0], [10.0, 10.0]]),
        np.array([50.0, 10.0]),
        np.array([[0.0, 0.0], [100.0, 100.0]]),
    ))  # fmt: skip
    fails(check)


def test_bug_12_beta_weighs_the_wrong_term(monkeypatch):
    """With a decoder that ignores its input only the commitment is left: dL/dz = 2 β (z − token) /
    (N · D).
    """

    def check():
        model, x = vqvae(beta=0.3)
        model.params["decoder.0.weight"][:] = 0
        z, cache = model.encoder.forward(x)
        quantized = model.quantizer.forward(z)[0].vectors
        _, expected = model.encoder.backward(2 * 0.3 * (z - quantized) / z.size, cache)
        step = model.loss_and_gradients(x)
        for name, gradient in expected.items():
            np.testing.assert_allclose(
                step.gradients[f"encoder.{name}"], gradient, rtol=1e-10, atol=1e-15
            )
        assert not any(
            "token" in name or "codebook" in name for name in step.gradients
        )  # the codebook has no gradient

    def scaled(loss, factor):
        return lambda a, b: (factor * loss(a, b)[0], factor * loss(a, b)[1])

    check()
    monkeypatch.setattr(models_module, "mse", scaled(mse, 0.3))
    monkeypatch.setattr(sys.modules["vqnp.quantize.ema"], "commitment", scaled(commitment, 1 / 0.3))
    fails(check)


def expanded(points, tokens):
    """‖z‖² − 2 z·t + ‖t‖², the formula that cancels."""
    squared = (points**2).sum(1)[:, None] - 2 * points @ tokens.T + (tokens**2).sum(1)
    return squared.argmin(axis=1), squared.min(axis=1)


@pytest.mark.parametrize(("offset", "wrong_if_expanded"), [(10, 0.005), (100, 0.5)])
def test_bug_15_squared_distances_cancel(offset, wrong_if_expanded):
    """float32, 64 dimensions, 512 codes, spread .1.

    Only what float32 itself leaves open may differ from float64: no point here.
    """
    draws = rng()
    points, tokens = (
        (offset + 0.1 * draws.normal(size=(rows, 64))).astype(np.float32) for rows in (300, 512)
    )
    codes, _ = nearest_numpy(points.astype(np.float64), tokens.astype(np.float64))

    def check(search):
        np.testing.assert_array_equal(search(points, tokens)[0], codes)

    for search in (nearest_numpy, *([] if INTERPRETED else [nearest])):
        check(search)
    fails(check, expanded)
    assert (expanded(points, tokens)[0] != codes).mean() > wrong_if_expanded


def test_bug_15_a_square_root_makes_ties():
    """Two different squared distances, one root in float32: the nearer token is the second."""
    points, tokens = np.zeros((1, 2), np.float32), np.array([[1, 2.0**-11.5], [1, 0]], np.float32)
    squared = (tokens**2).sum(axis=1)
    assert squared[1] < squared[0]
    assert np.sqrt(squared).argmin() == 0
    assert (
        nearest(points, tokens)[0]
        == nearest_loop(points, tokens)[0]
        == nearest_numpy(points, tokens)[0]
        == 1
    )


def test_bug_16_perplexity_has_a_fudge_term(monkeypatch):
    def check():
        assert perplexity_of_counts(np.array([0, 5, 0])) == 1
        assert perplexity_of_counts(np.ones(512)) == pytest.approx(512, rel=1e-13)

    def fudged(counts):
        shares = counts / counts.sum()
        return -(shares * np.log(shares + 1e-10)).sum()

    check()
    monkeypatch.setattr(usage, "entropy", fudged)
    fails(check)


def test_bug_16_perplexity_is_a_mean_over_batches():
    """A batch of two shows at most two codes, and so does the mean over such batches."""
    model = mlp_vqvae(MLPSettings(2, 1, 6, 5), EMA(16))
    data = rng().normal(size=(64, 2)).astype(np.float32)
    assert train(model, data, ae_then_vq(0, 1), TrainSettings(2))[0].perplexity > 4


def test_bug_17_padding_is_counted(monkeypatch):
    points = np.concatenate([blobs(), np.zeros((40, 2))])
    mask = np.arange(100) < 60

    def check():
        made = initialized(points[:60])
        hits = made.update(points, made.forward(points)[0], mask=mask)
        assert hits.sum() == 60
        assert made.codebook.tokens.min() > 4

    update = EMA.update
    check()
    monkeypatch.setattr(EMA, "update", lambda self, z, quantized, mask: update(self, z, quantized))
    fails(check)


@pytest.mark.parametrize("parallel_from", [0, 1 << 62], ids=["parallel", "serial"])
def test_bug_18_ties_go_to_another_than_the_lowest_index(parallel_from, monkeypatch):
    """Every token twice, and points half-way between two."""
    monkeypatch.setattr(nearest_module, "PARALLEL_DIFFERENCES", parallel_from)
    tokens = np.tile(np.array([[4.0, 0], [0, 0], [2, 0]]), (2, 1))
    points = np.array([[4.0, 1], [0, 1], [2, 1], [1, 1], [3, 1]]).repeat(50, axis=0)

    def check(search):
        assert search(points, tokens)[0].tolist() == np.array([0, 1, 2, 1, 0]).repeat(50).tolist()

    def last(points, tokens):
        codes, distances = nearest(points, tokens[::-1])
        return len(tokens) - 1 - codes, distances

    for search in (
        nearest,
        nearest_loop,
        nearest_numpy,
        lambda *args: nearest_numpy(*args, block=7),
    ):
        check(search)
    fails(check, last)


def test_bug_19_an_all_ones_upstream_gradient_sees_no_reversed_batch():
    """Why every gradient here is checked with a random one."""
    layer = SimpleNamespace(**Linear(3, 4, rng=rng(), dtype=np.float64).params)
    _, cache = linear_forward(rng(1).normal(size=(5, 3)), layer.weight, layer.bias)

    def check(dout):
        for one, other in zip(
            linear_backward(dout, cache), linear_backward(dout[::-1], cache), strict=True
        ):
            np.testing.assert_array_equal(one, other)

    check(np.ones((5, 4)))
    fails(check, rng(2).normal(size=(5, 4)))
