"""Bugs that public quantizers had: each check is right, is given the bug back, and has to fail."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from vqnp.quantize import EMA, Codebook, Cosine, GradientCodebook, Product, Residual

ema = sys.modules["vqnp.quantize.ema"]
cosine = sys.modules["vqnp.quantize.cosine"]
gradient_codebook = sys.modules["vqnp.quantize.gradient_codebook"]
residual = sys.modules["vqnp.quantize.residual"]
rotation = sys.modules["vqnp.quantize.rotation"]


def rng(seed=0):
    return np.random.default_rng(seed)


def points(n=40, d=4, seed=0):
    return rng(seed).normal(size=(n, d))


def placed(kind, z=None):
    z = points() if z is None else z
    made = replace(kind)
    made.initialize(z, batch=len(z), rng=1)
    return made


def fails(check):
    with pytest.raises(AssertionError):
        check()


def revived(**settings):
    """EMA after the step in which its last code, far from all embeddings, is revived."""
    z = points()
    made = placed(EMA(6, **{"revival": "relative", "dialect": "counts-one"} | settings))
    made.codebook.set_tokens(np.array([5]), np.full((1, 4), 1e3), np.array([1e-3]))
    made.update(z, made.forward(z)[0], rng=rng(2))
    return made, z


def test_codes_are_revived_before_the_averages_which_write_over_them(monkeypatch):
    def check():
        made, z = revived()
        assert (made.tokens[5] == z).all(axis=1).any()

    step, revive = ema.ema_update, ema.revive

    def revive_first(codebook, embeddings, *others):
        revive(codebook, embeddings, "jukebox", rng=rng(2))
        return step(codebook, embeddings, *others)

    check()
    monkeypatch.setattr(ema, "ema_update", revive_first)
    monkeypatch.setattr(ema, "revive", lambda *given, **named: None)
    fails(check)


def test_a_revived_code_is_given_the_token_for_its_sum(monkeypatch):
    """M = L · token, or the token jumps at its next hit."""

    def check():
        made, _ = revived()
        expected = made.codebook.counts[5] * made.tokens[5]
        np.testing.assert_array_equal(made.codebook.sums[5], expected)

    def set_tokens(self, codes, tokens, counts):
        self.tokens[codes], self.counts[codes], self.sums[codes] = tokens, counts, tokens

    check()
    monkeypatch.setattr(Codebook, "set_tokens", set_tokens)
    fails(check)


def test_a_revived_code_begins_at_the_threshold_and_is_drawn_anew_every_step(monkeypatch):
    def check():
        made, z = revived(dialect="paper")
        token = made.tokens[5].copy()
        for step in range(20):
            quantized, _ = made.forward(z)
            others = quantized.codes != 5
            made.update(z, quantized, mask=others, rng=rng(step))
        np.testing.assert_array_equal(made.tokens[5], token)

    place = Codebook.set_tokens

    def at_the_threshold(self, codes, tokens, counts):
        place(self, codes, tokens, counts / 16)

    check()
    monkeypatch.setattr(Codebook, "set_tokens", at_the_threshold)
    fails(check)


def test_tokens_leave_the_sphere_at_the_first_update(monkeypatch):
    """The search then compares directions with tokens of any length."""

    def check():
        made, z = placed(Cosine(EMA(6))), points(seed=3)
        made.update(z, made.forward(z)[0])
        np.testing.assert_allclose(np.linalg.norm(made.tokens, axis=1), 1)

    check()
    monkeypatch.setattr(cosine, "to_sphere", lambda tokens, instead: None)
    fails(check)


def test_the_commitment_compares_the_embedding_and_not_its_direction(monkeypatch):
    def check():
        made, z = placed(Cosine(EMA(6))), points(seed=3)
        one, three = (made.forward(c * z)[0].losses["commitment"] for c in (1, 3))
        assert one == pytest.approx(three)

    forward = Cosine.forward

    def raw(self, z, **named):
        quantized, cache = forward(self, z, **named)
        quantized.losses["commitment"] = float(((z - quantized.vectors) ** 2).mean())
        return quantized, cache

    check()
    monkeypatch.setattr(Cosine, "forward", raw)
    fails(check)


def test_rotation_forgets_the_lengths(monkeypatch):
    def check():
        z, upstream = points(), points(seed=5)
        made = placed(EMA(6, beta=0, estimator="rotation"), points(seed=3))
        quantized, cache = made.forward(z)
        dz, _ = made.backward(upstream, cache)
        norm = np.linalg.norm
        scale = norm(quantized.vectors, axis=1) / norm(z, axis=1)
        np.testing.assert_allclose(norm(dz, axis=1), scale * norm(upstream, axis=1))

    turn = rotation.rotation_backward
    check()
    monkeypatch.setattr(
        rotation, "rotation_backward", lambda *given, keep_scale: turn(*given, keep_scale=False)
    )
    fails(check)


def own_gradients(beta):
    """Of z and of the tokens, by the losses alone."""
    z = points(seed=3)
    made = placed(GradientCodebook(6, beta=beta))
    dz, gradients = made.backward(0 * z, made.forward(z)[1])
    return dz, gradients["tokens"]


def test_beta_is_on_the_wrong_loss(monkeypatch):
    def check():
        (none, tokens), (some, same) = own_gradients(0.0), own_gradients(0.5)
        assert not none.any()
        assert some.any()
        np.testing.assert_array_equal(tokens, same)

    def wrong(self, dvectors, cache):
        dcommitment, dtokens = gradient_codebook.codebook_loss_backward(cache[0], self.n_tokens)
        return dvectors + dcommitment, {"tokens": self.beta * dtokens}

    check()
    monkeypatch.setattr(GradientCodebook, "backward", wrong)
    fails(check)


def test_the_losses_are_taken_of_what_was_passed_straight_through(monkeypatch):
    """z + sg(t − z) − z has no gradient but that of z itself: neither side is pulled."""

    def check():
        assert all(np.abs(gradient).max() > 1e-3 for gradient in own_gradients(0.25))

    backward = gradient_codebook.codebook_loss_backward
    check()
    monkeypatch.setattr(
        gradient_codebook,
        "codebook_loss_backward",
        lambda cache, k: tuple(0 * gradient for gradient in backward(cache, k)),
    )
    fails(check)


def of_stages(beta):
    z, upstream = points(seed=3), points(seed=5)
    made = placed(Residual(EMA(4, beta=beta), stages=3))
    return made.backward(upstream, made.forward(z)[1])[0], upstream


def test_the_outputs_of_stages_that_are_added_up_multiply_the_gradient(monkeypatch):
    def check():
        np.testing.assert_array_equal(*of_stages(beta=0.0))

    check()
    monkeypatch.setattr(residual, "estimate", lambda _, dvectors, z, vectors: 3 * dvectors)
    fails(check)


def test_a_residual_that_is_detached_as_a_whole_pulls_nothing(monkeypatch):
    def check():
        dz, upstream = of_stages(beta=0.25)
        assert np.abs(dz - upstream).max() > 1e-3

    check()
    monkeypatch.setattr(Residual, "backward", lambda self, dvectors, cache: (dvectors, {}))
    fails(check)


def test_the_last_stage_is_never_trained(monkeypatch):
    def check():
        made = placed(Residual(EMA(4), stages=3, dropout=True))
        quantized, _ = made.forward(points(200), training=True, rng=rng(3))
        assert (quantized.codes[:, 2] >= 0).any()

    def exclusive(self, count, training, rng):
        used = rng.integers(1, self.stages, size=count)
        return [np.flatnonzero(used > t) for t in range(self.stages)]

    check()
    monkeypatch.setattr(Residual, "_rows", exclusive)
    fails(check)


def test_a_stage_learns_what_the_update_of_another_leaves(monkeypatch):
    """Its codes were chosen by the tokens of before, and so is what it is given."""

    def check():
        made, z = placed(Residual(EMA(4), stages=2)), points(seed=3)
        before = {name: value.copy() for name, value in made.buffers.items()}
        codes = made.forward(z)[0].codes
        made.update(z, made.forward(z)[0])
        rest = z - before["0.tokens"][codes[:, 0]]
        sums = np.stack([rest[codes[:, 1] == k].sum(axis=0) for k in range(4)])
        expected = 0.9 * before["1.sums"] + 0.1 * sums
        np.testing.assert_allclose(made.buffers["1.sums"], expected, rtol=1e-12, atol=1e-14)

    def between(self, z, quantized, *, mask=None, rng=None):
        hits, rest = [], z
        for t, codes in enumerate(quantized.codes.T):
            stage = self._stage(t)
            hits.append(stage.update(rest, quantized._replace(codes=codes)))
            rest = rest - stage.decode(codes)
        return np.stack(hits)

    check()
    monkeypatch.setattr(Residual, "update", between)
    fails(check)


def test_a_mask_is_spread_over_heads_in_the_wrong_order(monkeypatch):
    def check():
        mask = np.arange(40) < 10
        z = np.where(mask[:, None], points(), 99.0)
        made = placed(Product(EMA(4), shared=True))
        made.update(z, made.forward(z)[0], mask=mask)
        assert np.abs(made.buffers["0.tokens"]).max() < 5

    check()
    monkeypatch.setattr(np, "tile", np.repeat)
    fails(check)
