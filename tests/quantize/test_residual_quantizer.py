"""Residual quantization: stages by hand, one stage as EMA to the bit, gradients and their traps."""

from dataclasses import replace

import numpy as np
import pytest
from gradients import assert_gradient
from test_product import placed, points, steps_of

from vqnp.quantize import CVQ, EMA, FSQ, Codebook, GradientCodebook, Residual, nearest
from vqnp.quantize import residual as residual_module


def rng(seed=0):
    return np.random.default_rng(seed)


def made_of(*books, **settings):
    """Stages whose codebooks are given."""
    made = Residual(EMA(len(books[0])), stages=len(books), **settings)
    for t, tokens in enumerate(books):
        codebook = Codebook.start(np.array(tokens, float), np.ones(len(tokens)))
        for name in ("tokens", "counts", "sums"):
            made.buffers[f"{t}.{name}"] = getattr(codebook, name)
        made.buffers[f"{t}.steps"] = np.array(0)
    return made


def test_by_hand():
    """7.4 is 10 - 2 - 0.6: two stages give 8, and the losses 2.6² and 0.6² are averaged."""
    made = made_of([[0.0], [10.0]], [[-2.0], [2.0]])
    quantized, cache = made.forward(np.array([[7.4]]))
    assert quantized.vectors.tolist() == [[8]]
    assert quantized.codes.tolist() == [[1, 0]]
    assert quantized.losses["commitment"] == pytest.approx((2.6**2 + 0.6**2) / 2)
    dz, _ = made.backward(np.array([[3.0]]), cache)
    assert dz[0, 0] == pytest.approx(3 + 0.25 * (2 * -2.6 + 2 * -0.6) / 2)


@pytest.mark.parametrize("inner", [EMA(7), EMA(7, revival="relative"), GradientCodebook(7), CVQ(7)])
def test_one_stage_is_the_quantizer_inside_to_the_bit(inner):
    for found, expected in zip(steps_of(Residual(inner, stages=1)), steps_of(inner), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_one_stage_that_turns_is_ema_that_turns_to_the_bit():
    alone = steps_of(EMA(7, estimator="rotation"))
    turning = steps_of(Residual(EMA(7), stages=1, estimator="rotation"))
    for found, expected in zip(turning, alone, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("stages", [1, 2, 4])
def test_the_gradient_passes_once_and_not_once_a_stage(stages):
    """Public code that adds up the stages' outputs multiplies it by their number."""
    z, upstream = points(dtype=np.float32), points(dtype=np.float32, seed=5)
    made = placed(Residual(EMA(4, beta=0), stages=stages), z)
    np.testing.assert_array_equal(made.backward(upstream, made.forward(z)[1])[0], upstream)


@pytest.mark.parametrize("dropout", [False, True])
def test_gradients(dropout):
    """Every stage pulls z and its own tokens, with the tokens of earlier stages held."""
    z, upstream = points(20), points(20, seed=5)
    kind = Residual(GradientCodebook(4, beta=0.7), stages=3, dropout=dropout)
    made = placed(kind, points(20, seed=9))  # k-means of z itself would leave no gradient
    quantized, cache = made.forward(z, training=True, rng=rng(6))
    codes = quantized.codes
    used = codes >= 0
    assert used.all() != dropout
    held = [made.params[f"{t}.tokens"].copy() for t in range(3)]

    def gap(t, tokens):
        """r_t − q_t, of the embeddings that use the stage."""
        rows = used[:, t]
        before = sum((held[s][codes[rows, s]] for s in range(t)), 0.0)
        return z[rows] - before - tokens[codes[rows, t]]

    def loss():
        return sum((gap(t, held[t]) ** 2).sum() for t in range(3)) / z.size / 3

    assert quantized.losses["commitment"] == pytest.approx(loss(), rel=1e-12)
    assert quantized.losses["codebook"] == pytest.approx(loss(), rel=1e-12)
    dz, gradients = made.backward(upstream, cache)
    assert_gradient(dz, z, lambda: float((upstream * z).sum() + 0.7 * loss()))
    for t in range(3):
        tokens = made.params[f"{t}.tokens"]

        def of_stage(t=t, tokens=tokens):
            return float((gap(t, tokens) ** 2).sum() / z.size / 3)

        assert_gradient(gradients[f"{t}.tokens"], tokens, of_stage)
        assert np.abs(gradients[f"{t}.tokens"]).max() > 1e-4  # no stage is deaf


def test_what_is_left_shrinks_from_stage_to_stage():
    z = points(300)
    made = placed(Residual(EMA(8), stages=4), z)
    codes = made.forward(z)[0].codes
    rest, left = z, []
    for t in range(4):
        rest = rest - made.buffers[f"{t}.tokens"][codes[:, t]]
        left.append((rest**2).mean())
    assert (np.diff([1, *left]) < 0).all()


def test_stages_are_placed_in_order_on_what_is_left():
    z = points(60)
    made, rest, numbers = placed(Residual(EMA(5), stages=3), z), z, rng(1)
    for t in range(3):
        stage = EMA(5)
        stage.initialize(rest, batch=30, rng=numbers)
        np.testing.assert_allclose(made.buffers[f"{t}.tokens"], stage.tokens, atol=1e-14)
        rest = rest - stage.forward(rest)[0].vectors


def test_no_stage_sees_what_another_has_moved(monkeypatch):
    """Updated one after the other, a stage learns residuals that it will never be given."""
    z = points(60)
    made = placed(Residual(EMA(5), stages=2), z)
    quantized, _ = made.forward(z)
    rest = z - made.buffers["0.tokens"][quantized.codes[:, 0]]
    stage = EMA(5)
    stage.use(Codebook(*(made.buffers[f"1.{n}"].copy() for n in ("tokens", "counts", "sums")), 0))
    stage.update(rest, quantized._replace(codes=quantized.codes[:, 1]))
    made.update(z, quantized)
    np.testing.assert_array_equal(made.buffers["1.tokens"], stage.tokens)


def test_the_greedy_search_is_not_the_nearest_of_all_vectors():
    """0 is nearer to 4 than -6 is, but from -6 the second stage reaches it."""
    made = made_of([[4.0], [-6.0]], [[6.0], [1.0]])
    z = np.array([[0.0]])
    view = made.view(z)
    assert made.forward(z)[0].vectors.tolist() == [[5]]
    assert view.tokens[:, 0].tolist() == [10, 0, 5, -5]
    assert view.codes.tolist() == [2]
    assert nearest(z, view.tokens)[0].tolist() == [1]


def dropped(made, n=4000):
    z = points(n)
    return made.forward(z, training=True, rng=rng(3))[0].codes


def test_dropout_uses_every_number_of_stages_evenly():
    """A public off-by-one never trained the last stage."""
    used = (dropped(placed(Residual(EMA(4), stages=3, dropout=True), points())) >= 0).sum(axis=1)
    counts = np.bincount(used, minlength=4)
    assert counts[0] == 0
    np.testing.assert_allclose(counts[1:] / 4000, 1 / 3, atol=0.03)


def test_a_dropped_stage_has_no_code_no_hit_no_vector_and_no_average():
    z = points(300)
    made = placed(Residual(EMA(4), stages=3, dropout=True), z)
    quantized, _ = made.forward(z, training=True, rng=rng(3))
    used = quantized.codes >= 0
    assert (np.diff(used.astype(int), axis=1) <= 0).all()  # the first stages, without a gap
    np.testing.assert_array_equal(made.decode(quantized.codes), quantized.vectors)
    last, steps = used[:, 2], made.buffers["2.counts"].sum()
    hits = made.update(z, quantized)
    np.testing.assert_array_equal(hits.sum(axis=1), used.sum(axis=0))
    expected = 0.9 * steps + 0.1 * last.sum()
    assert made.buffers["2.counts"].sum() == pytest.approx(expected)


def test_dropout_is_for_training_alone_and_needs_numbers():
    z = points()
    made = placed(Residual(EMA(4), stages=3, dropout=True), z)
    assert made.draws
    assert (made.forward(z)[0].codes >= 0).all()
    with pytest.raises(ValueError, match="rng is needed: quantizer dropout draws stages"):
        made.forward(z, training=True)


def test_a_stage_that_no_embedding_uses_is_left_alone():
    z = points(1)
    made = placed(Residual(GradientCodebook(4), stages=3, dropout=True), points())
    for seed in range(20):
        quantized, cache = made.forward(z, training=True, rng=rng(seed))
        _, gradients = made.backward(z, cache)
        unused = [t for t in range(3) if quantized.codes[0, t] < 0]
        assert all(not gradients[f"{t}.tokens"].any() for t in unused)
        assert made.update(z, quantized).sum() == 3 - len(unused)


def test_more_vectors_than_fit_are_named_and_not_made():
    made = placed(Residual(EMA(16, start="normal"), stages=20), points(60, 2))
    assert made.bits == 80
    with pytest.raises(ValueError, match=r"16\^20 vectors are too many"):
        made.view(points(60, 2))


def test_what_cannot_be_is_refused():
    with pytest.raises(TypeError, match="quantizer must be EMA, GradientCodebook or CVQ"):
        Residual(FSQ((5, 5)))
    with pytest.raises(ValueError, match="give the estimator to the whole"):
        Residual(EMA(4, estimator="rotation"))
    with pytest.raises(TypeError, match="dropout must be"):
        Residual(EMA(4), dropout="no")
    with pytest.raises(ValueError, match="stages must be at least 1, got 0"):
        Residual(EMA(4), stages=0)
    with pytest.raises(ValueError, match=r"codes must lie in \[0, 2\), got -2 to 0"):
        made_of([[0.0], [1.0]]).decode(np.array([[0], [-2]]))


def test_bug_a_residual_of_the_straight_through_value(monkeypatch):
    """With r_2 = z − (z + sg(q − z)), later losses do not reach z: their gradients cancel."""

    def deaf():
        z = points(20)
        made = placed(Residual(EMA(4, beta=1.0), stages=3), z)
        quantized, cache = made.forward(z)
        dz, _ = made.backward(0 * z, cache)
        first = z - made.buffers["0.tokens"][quantized.codes[:, 0]]
        return np.allclose(dz, 2 * first / z.size / 3)

    assert not deaf()
    step = residual_module.Residual.backward

    def first_alone(self, dvectors, cache):
        z, vectors, caches = cache
        return step(self, dvectors, (z, vectors, caches[:1]))

    monkeypatch.setattr(residual_module.Residual, "backward", first_alone)
    assert deaf()


def test_agrees_with_a_published_quantizer():
    """Codes, vectors and losses of each stage; theirs multiplies the gradient by the stages."""
    pytest.importorskip("vector_quantize_pytorch", reason="the independent implementation")
    import torch
    from vector_quantize_pytorch import ResidualVQ

    z, upstream = points(dtype=np.float32), points(dtype=np.float32, seed=5)
    made = placed(Residual(EMA(5), stages=3), z)
    theirs = ResidualVQ(
        dim=6, num_quantizers=3, codebook_size=5, commitment_weight=1.0, rotation_trick=False
    )
    for t, layer in enumerate(theirs.layers):
        layer._codebook.embed.data.copy_(torch.tensor(made.buffers[f"{t}.tokens"])[None])
        layer._codebook.initted.data.fill_(True)
    x = torch.tensor(z[None], requires_grad=True)
    vectors, codes, losses = theirs.train()(x)
    quantized, cache = made.forward(z)
    np.testing.assert_array_equal(codes[0].numpy(), quantized.codes)
    np.testing.assert_allclose(vectors[0].detach().numpy(), quantized.vectors, atol=1e-5)
    found = quantized.losses["commitment"]
    assert found == pytest.approx(losses.mean().item(), rel=1e-5)
    (vectors * torch.tensor(upstream)).sum().backward()
    passed, _ = replace_beta(made, 0.0).backward(upstream, cache)
    np.testing.assert_allclose(x.grad[0].numpy(), 3 * passed, rtol=1e-5)


def replace_beta(made, beta):
    again = replace(made, quantizer=replace(made.quantizer, beta=beta))
    again.buffers.update(made.buffers)
    return again
