"""Latent quantization: scalars by hand, their gradients, and the bugs of a published version."""

import numpy as np
import pytest
from gradients import assert_gradient

from vqnp.quantize import LatentQuantizer, latent_backward, latent_forward, nearest

LEVELS = (4, 3, 5)
N, D = 24, 3


def rng(seed=0):
    return np.random.default_rng(seed)


def made(z, levels=LEVELS, **settings):
    quantizer = LatentQuantizer(levels, **settings)
    quantizer.initialize(z, batch=10, rng=1)
    return quantizer


def test_start_on_a_line():
    """Even counts reach both ends too; a published version begins them at arange(L)/L - 1/2."""
    quantizer = made(np.zeros((1, 3)), (4, 1, 3))
    expected = [-0.5, -1 / 6, 1 / 6, 0.5, 0, -0.5, 0, 0.5]
    np.testing.assert_allclose(quantizer.values, expected, rtol=1e-15)


def test_start_on_kmeans_of_each_coordinate():
    z = np.array([[0.0, 5.0], [1.0, 5.0], [10.0, 7.0]])
    quantizer = made(z, (2, 2), start="k-means")
    assert sorted(quantizer.values.tolist()) == [0.5, 5, 7, 10]


def test_gradients_with_frozen_places():
    z, upstream = rng(2).normal(0, 0.4, size=(N, D)), rng(3).normal(size=(N, D))
    quantizer = made(z, codebook_weight=0.7, beta=0.4)
    quantized, cache = quantizer.forward(z)
    dz, gradients = quantizer.backward(upstream, cache)
    places = latent_forward(z, quantizer.values, LEVELS)[1]
    frozen_z, offset = z.copy(), quantized.vectors - z

    def surrogate():
        codebook = ((frozen_z - quantizer.values[places]) ** 2).mean()
        pull = ((z - quantized.vectors) ** 2).mean()
        return float((upstream * (z + offset)).sum() + 0.7 * codebook + 0.4 * pull)

    assert_gradient(dz, z, surrogate)
    assert_gradient(gradients["values"], quantizer.values, surrogate)


def test_values_move_to_embeddings_off_their_center():
    """In a published version both losses are computed from z + sg(q - z): no value ever moves."""
    values = np.array([-0.5, 0.5])
    _, _, cache = latent_forward(np.full((4, 1), 3.0), values, (2,))
    assert latent_backward(1.0, cache).tolist() == [0, -5]


def test_values_may_cross():
    """Codes are places, not ranks: the search assumes no order, and decoding agrees."""
    quantizer = made(np.zeros((1, 1)), (3,))
    quantizer.params["values"][:] = [2.0, -1.0, 0.5]
    quantized, _ = quantizer.forward(np.array([[1.9], [-3.0], [0.6]]))
    assert quantized.codes.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(quantizer.decode(quantized.codes), quantized.vectors)


def test_ties_and_copies_go_to_the_first():
    values = np.array([1.0, -1.0, 1.0])
    assert latent_forward(np.array([[0.0], [1.0]]), values, (3,))[1].tolist() == [[0], [0]]


def test_many_values_are_searched_sorted_to_the_same_places():
    """From 64 values and 1,024 points on the search sorts; here values are in disorder."""
    z, values = rng(4).normal(size=(2000, 1)), rng(5).normal(size=100)
    _, places, _ = latent_forward(z, values, (100,))
    np.testing.assert_array_equal(places[:, 0], abs(z - values).argmin(axis=1))


def test_every_code_is_reached_by_its_token_and_is_the_nearest():
    z = rng(6).normal(0, 0.4, size=(500, D))
    quantizer = made(z)
    np.testing.assert_array_equal(quantizer.forward(quantizer.tokens)[0].codes, np.arange(60))
    embeddings, tokens, codes = quantizer.view(z)
    np.testing.assert_array_equal(codes, nearest(embeddings, tokens)[0])
    assert tokens[1, 0] != tokens[0, 0]  # the first coordinate is the fastest
    assert quantizer.bits == np.log2(60)


def test_one_coordinate_is_vector_quantization():
    z = rng(7).normal(size=(N, 1))
    quantizer = made(z, (7,), start="k-means")
    np.testing.assert_array_equal(
        quantizer.forward(z)[0].codes, nearest(z, quantizer.values[:, None])[0]
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"levels": ()}, "levels must name at least one coordinate, got none"),
        ({"levels": (3, 0)}, "levels must be at least 1, got 0"),
        ({"levels": (1000,) * 3}, r"levels must give at most 2\*\*24 tokens, got 1000000000"),
        ({"beta": -1}, "beta must be at least 0 and finite, got -1"),
        ({"start": "here"}, "start must be one of line, k-means, got 'here'"),
    ],
)
def test_what_cannot_be_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        LatentQuantizer(**settings)


def test_embeddings_have_one_coordinate_a_codebook():
    with pytest.raises(ValueError, match=r"z must have shape \(N, 3\), got \(4, 2\)"):
        LatentQuantizer(LEVELS).initialize(np.zeros((4, 2)), batch=1)


def test_agrees_with_a_published_quantizer():
    """On vectors, at its own start. Its codes assume values that have not moved.

    Its losses give the values no gradient, and even counts begin at 0: both are tested above.
    """
    pytest.importorskip("vector_quantize_pytorch", reason="the independent implementation")
    import torch
    from vector_quantize_pytorch import LatentQuantize as Theirs

    levels = (5, 3, 7)
    z = rng(8).normal(0, 0.4, size=(N, D)).astype(np.float32)
    theirs = Theirs(levels=list(levels), dim=3).train()
    x = torch.tensor(z[..., None], requires_grad=True)  # channels second
    vectors, codes, loss = theirs(x)
    loss.backward()
    assert all(values.grad is None for values in theirs.values_per_latent)
    quantized, _ = made(z, levels).forward(z)
    np.testing.assert_allclose(quantized.vectors, vectors[..., 0].detach().numpy(), atol=1e-6)
    np.testing.assert_array_equal(quantized.codes, codes[:, 0].numpy())
    np.testing.assert_allclose(loss.item(), 0.2 * quantized.losses["commitment"], rtol=1e-5)
