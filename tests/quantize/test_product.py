"""Product quantization: slices by hand, one head as EMA to the bit, gradients, shared codebooks."""

from dataclasses import replace

import numpy as np
import pytest
from gradients import assert_gradient

from vqnp.quantize import CVQ, EMA, FSQ, Cosine, GradientCodebook, Product, kmeans, nearest
from vqnp.quantize.product import join, split


def rng(seed=0):
    return np.random.default_rng(seed)


def points(n=40, d=6, dtype=np.float64, seed=0):
    return rng(seed).normal(size=(n, d)).astype(dtype)


def placed(kind, z):
    made = replace(kind)
    made.initialize(z, batch=len(z) // 2, rng=1)
    return made


def test_split_and_join():
    z = points(5)
    slices = split(z, 3)
    np.testing.assert_array_equal(slices[1], z[:, 2:4])
    np.testing.assert_array_equal(join(slices), z)
    assert slices.flags.c_contiguous
    other = rng(1).normal(size=(3, 5, 2))  # each is the other's backward pass
    assert (slices * other).sum() == pytest.approx((z * join(other)).sum())


def steps_of(made, n_steps=4, dtype=np.float32):
    """All that some training steps give, and what is left."""
    made = placed(made, points(60, dtype=dtype))
    seen = []
    for step in range(n_steps):
        z, upstream = points(dtype=dtype, seed=step + 2), points(dtype=dtype, seed=step + 20)
        quantized, cache = made.forward(z, training=True)
        dz, gradients = made.backward(upstream, cache)
        hits = made.update(z, quantized, rng=step)
        seen += [quantized.vectors, quantized.codes.ravel(), dz, hits.ravel(), *gradients.values()]
        seen.append(np.array([*quantized.losses.values()]))
    return [*seen, *made.params.values(), *made.buffers.values()]


@pytest.mark.parametrize("inner", [EMA(7), EMA(7, revival="relative"), GradientCodebook(7), CVQ(7)])
@pytest.mark.parametrize("shared", [False, True])
def test_one_head_is_the_quantizer_inside_to_the_bit(inner, shared):
    alone, product = steps_of(inner), steps_of(Product(inner, heads=1, shared=shared))
    for found, expected in zip(product, alone, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_one_head_that_turns_is_ema_that_turns_to_the_bit():
    alone = steps_of(EMA(7, estimator="rotation"))
    for found, expected in zip(
        steps_of(Product(EMA(7), heads=1, estimator="rotation")), alone, strict=True
    ):
        np.testing.assert_array_equal(found, expected)


def test_it_is_the_nearest_of_all_vectors():
    z = points(200)
    made = placed(Product(EMA(5), heads=3), z)
    quantized, _ = made.forward(z)
    view = made.view(z)
    assert view.tokens.shape == (125, 6)
    np.testing.assert_array_equal(nearest(z, view.tokens)[0], view.codes)
    np.testing.assert_array_equal(view.tokens[view.codes], quantized.vectors)
    np.testing.assert_array_equal(quantized.codes @ [1, 5, 25], view.codes)


def test_every_combination_of_codes_is_reached_by_its_own_vector():
    made = placed(Product(EMA(4), heads=2), points())
    np.testing.assert_array_equal(made.view(made.tokens).codes, np.arange(16))


@pytest.mark.parametrize("heads", [2, 3, 6])
@pytest.mark.parametrize("shared", [False, True])
def test_gradients(heads, shared):
    """Losses are means over all coordinates, whatever the number of heads."""
    z, upstream = points(20), points(20, seed=5)
    made = placed(Product(GradientCodebook(4, beta=0.7), heads=heads, shared=shared), z)
    quantized, cache = made.forward(z)
    held = quantized.vectors.copy()
    assert quantized.losses["commitment"] == pytest.approx(((z - held) ** 2).mean(), rel=1e-13)
    dz, gradients = made.backward(upstream, cache)
    assert_gradient(dz, z, lambda: float((upstream * z).sum() + 0.7 * ((z - held) ** 2).mean()))
    for name, tokens in made.params.items():
        loss = lambda: float(((z - made.decode(quantized.codes)) ** 2).mean())  # noqa: E731
        assert_gradient(gradients[name], tokens, loss)


@pytest.mark.parametrize("heads", [1, 2, 3])
def test_without_weight_the_gradient_passes_to_the_bit(heads):
    z, upstream = points(dtype=np.float32), points(dtype=np.float32, seed=5)
    made = placed(Product(EMA(4, beta=0), heads=heads), z)
    np.testing.assert_array_equal(made.backward(upstream, made.forward(z)[1])[0], upstream)


def test_each_head_has_its_averages():
    z = points()
    made, alone = placed(Product(EMA(4), heads=2), z), [EMA(4), EMA(4)]
    shared_rng = rng(1)
    for part, slices in zip(alone, split(z, 2), strict=True):
        part.initialize(slices, batch=20, rng=shared_rng)
    quantized, _ = made.forward(z)
    hits = made.update(z, quantized)
    for h, (part, slices) in enumerate(zip(alone, split(z, 2), strict=True)):
        np.testing.assert_array_equal(hits[h], part.update(slices, part.forward(slices)[0]))
        np.testing.assert_array_equal(made.buffers[f"{h}.tokens"], part.tokens)


def test_a_shared_codebook_learns_from_all_slices_at_once():
    """One k-means of N H slices, L = n B / N, and one decay a step."""
    z = points()
    made = placed(Product(EMA(4, decay=0.5), shared=True), z)
    assert sorted(made.buffers) == ["0.counts", "0.steps", "0.sums", "0.tokens"]
    slices = split(z, 2).reshape(-1, 3)
    found = kmeans(slices, 4, rng=rng(1))
    np.testing.assert_array_equal(made.buffers["0.tokens"], found.tokens)
    np.testing.assert_allclose(made.buffers["0.counts"], found.counts * 20 / 40)
    hits = made.update(z, made.forward(z)[0])
    assert hits.shape == (2, 4)
    np.testing.assert_array_equal(hits.sum(axis=0), found.counts)
    expected = 0.5 * found.counts / 2 + 0.5 * found.counts
    np.testing.assert_allclose(made.buffers["0.counts"], expected)
    assert made.buffers["0.steps"] == 1


def test_more_vectors_than_fit_are_named_and_not_made():
    made = placed(Product(EMA(17), heads=6), points())
    assert made.bits == pytest.approx(6 * np.log2(17))
    z = points(9, seed=3)
    quantized, _ = made.forward(z)
    np.testing.assert_array_equal(made.decode(quantized.codes), quantized.vectors)
    with pytest.raises(ValueError, match=r"17\^6 vectors are too many .*: look at one codebook"):
        made.view(z)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match=r"D a multiple of 4, one slice a head, got \(40, 6\)"):
        placed(Product(EMA(4), heads=4), points())
    with pytest.raises(TypeError, match="quantizer must be EMA, GradientCodebook or CVQ"):
        Product(FSQ((5, 5)))
    with pytest.raises(TypeError, match="quantizer must be EMA, GradientCodebook or CVQ"):
        Product(Cosine(EMA(4)))
    with pytest.raises(ValueError, match="give the estimator to the whole"):
        Product(EMA(4, estimator="rotation"))
    with pytest.raises(TypeError, match="shared must be"):
        Product(EMA(4), shared="no")
    with pytest.raises(ValueError, match="heads must be at least 1, got 0"):
        Product(EMA(4), heads=0)
    made = placed(Product(EMA(4)), points())
    with pytest.raises(ValueError, match=r"codes must have shape \(N, 2\), got shape \(3,\)"):
        made.decode(np.zeros(3, int))
    with pytest.raises(ValueError, match=r"codes must lie in \[0, 4\), got 0 to 4"):
        made.decode(np.array([[0, 4]]))


@pytest.mark.parametrize("shared", [False, True])
def test_agrees_with_a_published_quantizer(shared):
    """Theirs with heads; its codes are named head by head, as ours."""
    pytest.importorskip("vector_quantize_pytorch", reason="the independent implementation")
    import torch
    from vector_quantize_pytorch import VectorQuantize

    z, upstream = points(dtype=np.float32), points(dtype=np.float32, seed=5)
    made = placed(Product(EMA(5), heads=3, shared=shared), z)
    theirs = VectorQuantize(
        dim=6,
        codebook_dim=2,
        codebook_size=5,
        heads=3,
        separate_codebook_per_head=not shared,
        commitment_weight=0.25,
        rotation_trick=False,
    ).eval()
    theirs.project_in = theirs.project_out = torch.nn.Identity()
    books = np.stack([made.buffers[f"{h}.tokens"] for h in range(1 if shared else 3)])
    theirs._codebook.embed.data.copy_(torch.tensor(books))
    x = torch.tensor(z[None], requires_grad=True)
    vectors, codes, loss = theirs(x)
    quantized, _ = made.forward(z)
    np.testing.assert_array_equal(codes[0].numpy(), quantized.codes)
    np.testing.assert_allclose(vectors[0].detach().numpy(), quantized.vectors, atol=1e-6)
    loss = theirs.train()(x)[2]
    loss.sum().backward()
    assert 0.25 * quantized.losses["commitment"] == pytest.approx(loss.item(), rel=1e-5)
    dz, _ = made.backward(0 * upstream, made.forward(z)[1])
    np.testing.assert_allclose(dz, x.grad[0].numpy(), rtol=1e-4, atol=1e-7)
