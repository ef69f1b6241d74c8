"""Signs as codes, in the cube and on the sphere; and VQ with the entropy loss."""

import numpy as np
import pytest
from gradients import assert_gradient

from vqnp.quantize import BSQ, LFQ, EntropyVQ, entropy_gap_forward, nearest, sign_forward
from vqnp.quantize.lfq import (
    bits_entropy_backward,
    bits_entropy_forward,
    vertices,
)
from vqnp.quantize.normalize import normalize_forward

N, D, K = 24, 3, 5
SETTINGS = {"entropy_weight": 0.3, "diversity": 1.5, "sharpness": 0.7, "beta": 0.4}


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("kind", [LFQ, BSQ])
def test_every_code_is_reached_by_its_token_and_is_the_nearest(kind):
    quantizer = kind(1 << 7)
    tokens = quantizer.tokens
    np.testing.assert_array_equal(quantizer.forward(tokens)[0].codes, np.arange(128))
    embeddings, tokens, codes = quantizer.view(rng(1).normal(size=(999, 7)))
    np.testing.assert_array_equal(codes, nearest(embeddings, tokens)[0])


def test_zero_goes_to_the_lower_code():
    assert sign_forward(np.array([[0.0, -0.0, 1e-300]]))[1].tolist() == [4]


def test_vectors_of_bsq_have_length_one():
    """A second division by √D, once published, makes them 1/√D long."""
    vectors = BSQ(1 << 18).forward(rng().normal(size=(9, 18)))[0].vectors
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-14)


def test_the_zero_vector_has_code_zero_and_no_gradient():
    for dtype in (np.float32, np.float64):
        quantized, cache = BSQ(8).forward(np.zeros((1, 3), dtype), training=True)
        assert quantized.codes.tolist() == [0]
        assert not BSQ(8).backward(np.ones((1, 3), dtype), cache)[0].any()


def test_one_group_is_the_exact_entropy_and_groups_of_one_are_a_sum_over_bits():
    """Per bit p = σ(4 s c z): the softmax over ±c."""
    z, s, c = rng(4).normal(size=(N, 4)), 0.6, 0.5
    exact = entropy_gap_forward(z, vertices(4, c), s, 1.5)[0]
    assert bits_entropy_forward(z, c, s, 1.5, 4)[0] == exact
    p = 1 / (1 + np.exp(-4 * s * c * z))
    entropy = lambda p: -(p * np.log(p) + (1 - p) * np.log(1 - p)).sum(axis=-1)  # noqa: E731
    expected = entropy(p).mean() - 1.5 * entropy(p.mean(axis=0))
    np.testing.assert_allclose(bits_entropy_forward(z, c, s, 1.5, 1)[0], expected, rtol=1e-12)


def test_bits_apart_do_not_see_that_two_are_equal():
    """Half the codes are unused, and the sum over bits calls that perfect."""
    z = 9 * np.array([[1.0, 1.0], [-1.0, -1.0]])
    apart, together = (bits_entropy_forward(z, 1.0, 1.0, 1.0, m)[0] for m in (1, 2))
    np.testing.assert_allclose([apart, together], [-2 * np.log(2), -np.log(2)], rtol=1e-6)


@pytest.mark.parametrize("group_bits", [1, 2, 4])
def test_gradient_of_the_bits_entropy(group_bits):
    z = rng(5).normal(size=(7, 4))
    given = 0.5, 0.6, 1.5, group_bits
    dz = bits_entropy_backward(1.3, bits_entropy_forward(z, *given)[1])
    assert_gradient(dz, z, lambda: 1.3 * bits_entropy_forward(z, *given)[0])


@pytest.mark.parametrize("kind", [LFQ, BSQ])
def test_gradient_is_that_of_the_surrogate(kind):
    """The sign is frozen as an offset of z (LFQ) or of z on the sphere (BSQ)."""
    quantizer = kind(8, group_bits=1, **SETTINGS)
    z, upstream = rng(6).normal(size=(N, 3)), rng(7).normal(size=(N, 3))
    quantized, cache = quantizer.forward(z, training=True)
    assert quantized.losses.keys() == {"commitment", "entropy"}

    def on_sphere():
        return normalize_forward(z)[0] if kind is BSQ else z

    offset = quantized.vectors - on_sphere()

    def surrogate():
        losses = quantizer.forward(z, training=True)[0].losses
        pull = ((on_sphere() - quantized.vectors) ** 2).mean()
        return float(
            (upstream * (on_sphere() + offset)).sum() + 0.3 * losses["entropy"] + 0.4 * pull
        )

    dz, gradients = quantizer.backward(upstream, cache)
    assert gradients == {}
    assert_gradient(dz, z, surrogate)


def test_without_weights_the_gradient_passes_unchanged():
    quantizer = LFQ(8, entropy_weight=0, beta=0)
    upstream = rng(8).normal(size=(N, 3))
    quantized, cache = quantizer.forward(rng(9).normal(size=(N, 3)), training=True)
    np.testing.assert_array_equal(quantizer.backward(upstream, cache)[0], upstream)
    assert list(quantized.losses) == ["commitment"]


def test_gradients_of_entropy_vq():
    """Codes frozen; the codebook loss moves tokens only, the commitment embeddings only."""
    z, upstream = rng(10).normal(size=(N, D)), rng(11).normal(size=(N, D))
    quantizer = EntropyVQ(K, **SETTINGS)
    quantizer.initialize(z, batch=N)
    tokens = quantizer.params["tokens"]
    quantized, cache = quantizer.forward(z, training=True)
    dz, gradients = quantizer.backward(upstream, cache)
    offset, frozen_z = quantized.vectors - z, z.copy()

    def surrogate():
        entropy = entropy_gap_forward(z, tokens, 0.7, 1.5)[0]
        codebook = ((frozen_z - tokens[quantized.codes]) ** 2).mean()
        pull = ((z - quantized.vectors) ** 2).mean()
        return float((upstream * (z + offset)).sum() + 0.3 * entropy + codebook + 0.4 * pull)

    assert_gradient(dz, z, surrogate)
    assert_gradient(gradients["tokens"], tokens, surrogate)


def test_training_on_entropy_spreads_the_codes():
    """Gradient steps on the gap alone take collapsed embeddings to many codes."""
    z = rng(12).normal(-0.2, 0.05, size=(400, 4))
    assert len(np.unique(sign_forward(z)[1])) == 1
    for _ in range(300):
        _, cache = bits_entropy_forward(z, 1.0, 5.0, 1.0, 4)
        z -= 3 * bits_entropy_backward(1.0, cache)
    assert len(np.unique(sign_forward(z)[1])) >= 15


@pytest.mark.parametrize("kind", [LFQ, BSQ])
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_tokens": 1}, "n_tokens must be at least 2, got 1"),
        ({"n_tokens": 12}, "n_tokens must be a power of two, at most 2\\*\\*24, got 12"),
        ({"n_tokens": 1 << 25}, "at most 2\\*\\*24, got 33554432"),
        ({"sharpness": 0}, "sharpness must be positive and finite, got 0"),
        ({"entropy_weight": -1}, "entropy_weight must be at least 0 and finite, got -1"),
        ({"group_bits": 2}, "group_bits must divide the 9 bits of n_tokens, got 2"),
    ],
)
def test_what_cannot_be_is_refused(kind, settings, message):
    with pytest.raises(ValueError, match=message):
        kind(**settings)


def test_embeddings_have_one_coordinate_a_bit():
    with pytest.raises(ValueError, match=r"z must have shape \(N, 9\), got \(4, 2\)"):
        LFQ(512).forward(np.zeros((4, 2)))


@pytest.mark.parametrize("spherical", [False, True])
def test_agrees_with_a_published_quantizer(spherical):
    """Theirs clamps probabilities at 1e-5 in logarithms; at a low sharpness none is so small.

    Their first channel is the most significant bit. Their commitment is the mean of all elements.
    """
    pytest.importorskip("vector_quantize_pytorch", reason="the independent implementation")
    import torch
    from vector_quantize_pytorch import LFQ as Theirs

    z = rng(13).normal(0, 0.3, size=(500, 4)).astype(np.float32)
    upstream = rng(14).normal(size=(500, 4)).astype(np.float32)
    theirs = Theirs(
        dim=4, entropy_loss_weight=0.1, commitment_loss_weight=0.25, spherical=spherical
    ).train()
    x = torch.tensor(z[None], requires_grad=True)
    given = theirs(x, inv_temperature=1.5, return_loss_breakdown=True)
    (vectors, codes, loss), breakdown = given
    (loss + (vectors * torch.tensor(upstream)).sum()).backward()
    ours = (BSQ if spherical else LFQ)(16, sharpness=1.5, beta=0.25)
    quantized, cache = ours.forward(z, training=True)
    np.testing.assert_allclose(quantized.vectors, vectors[0].detach().numpy(), atol=1e-6)
    bits = codes[0].numpy()[:, None] >> np.array([3, 2, 1, 0]) & 1
    np.testing.assert_array_equal(quantized.codes, bits @ (1 << np.arange(4)))
    gap = (breakdown.per_sample_entropy - breakdown.batch_entropy).item()
    np.testing.assert_allclose(quantized.losses["entropy"], gap, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        quantized.losses["commitment"], breakdown.commitment.item(), rtol=1e-5
    )
    dz, _ = ours.backward(upstream, cache)
    np.testing.assert_allclose(dz, x.grad[0].numpy(), rtol=1e-4, atol=1e-6)
