"""The rotation trick: its matrix by hand, its gradient, its edges, and a published one."""

import numpy as np
import pytest
from gradients import assert_gradient

from vqnp import FSQ
from vqnp.quantize import EMA, quantizer_from_json, rotation_backward
from vqnp.quantize.rotation import estimate, rotation_backward_loop


def rng(seed=0):
    return np.random.default_rng(seed)


def case(n=7, d=3, dtype=np.float64, seed=0):
    """Upstream gradients, embeddings, and vectors that lie anywhere else."""
    return (rng([seed, i]).normal(size=(n, d)).astype(dtype) for i in range(3))


def matrix(z, q):
    """λ R, from the paper's formula (sect. 4)."""
    u, v = z / np.linalg.norm(z), q / np.linalg.norm(q)
    r = (u + v) / np.linalg.norm(u + v)
    turn = np.eye(len(z)) - 2 * np.outer(r, r) + 2 * np.outer(v, u)
    return np.linalg.norm(q) / np.linalg.norm(z) * turn


def test_a_quarter_turn_by_hand():
    """R turns (1, 0) to (0, 1) and λ = 2, so dz = 2 Rᵀ g: (3, 4) becomes 2 (4, -3)."""
    dz = rotation_backward(*map(np.array, ([[3.0, 4.0]], [[1.0, 0.0]], [[0.0, 2.0]])))
    np.testing.assert_allclose(dz, [[8, -6]], rtol=1e-15)


@pytest.mark.parametrize("d", [2, 3, 8])
def test_it_is_the_gradient_of_the_vector_turned_and_stretched(d):
    """The surrogate is λ R z with λ and R held where they are; its value is the vector itself."""
    upstream, z, q = case(d=d)
    held = [matrix(*pair) for pair in zip(z, q, strict=True)]

    def turned():
        return np.array([turn @ row for turn, row in zip(held, z, strict=True)])

    np.testing.assert_allclose(turned(), q, rtol=1e-12, atol=1e-14)
    gradient = rotation_backward(upstream, z, q)
    assert_gradient(gradient, z, lambda: float((upstream * turned()).sum()))


def test_angles_are_kept_and_lengths_are_stretched():
    upstream, z, q = case(n=50)
    dz, unscaled = (rotation_backward(upstream, z, q, keep_scale=keep) for keep in (True, False))

    def cosines(a, b):
        return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)

    np.testing.assert_allclose(cosines(dz, z), cosines(upstream, q), rtol=0, atol=1e-14)
    scale = (np.linalg.norm(q, axis=1) / np.linalg.norm(z, axis=1))[:, None]
    np.testing.assert_allclose(dz, scale * unscaled, rtol=1e-13)
    lengths = np.linalg.norm(unscaled, axis=1)
    np.testing.assert_allclose(lengths, np.linalg.norm(upstream, axis=1), rtol=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("keep_scale", [True, False])
def test_an_embedding_at_its_token_is_given_the_gradient_to_the_bit(dtype, keep_scale):
    upstream, z, _ = case(n=500, dtype=dtype)
    dz = rotation_backward(upstream, z, z.copy(), keep_scale=keep_scale)
    np.testing.assert_array_equal(dz, upstream)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 7, 9000])
@pytest.mark.parametrize("keep_scale", [True, False])
@pytest.mark.jit
def test_compiled_and_on_all_threads_it_has_the_bits_of_the_loop(dtype, n, keep_scale):
    upstream, z, q = case(n, dtype=dtype)
    z[0], q[-1] = 0, 0
    dz = rotation_backward(upstream, z, q, keep_scale=keep_scale)
    assert dz.dtype == dtype
    np.testing.assert_array_equal(dz, rotation_backward_loop(upstream, z, q, keep_scale))


def test_at_the_origin_there_is_no_direction():
    g, at, zero = np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]]), np.zeros((1, 2))
    for keep_scale in (True, False):
        np.testing.assert_array_equal(rotation_backward(g, zero, at, keep_scale=keep_scale), g)
    np.testing.assert_array_equal(rotation_backward(g, at, zero), zero)  # λ = 0
    np.testing.assert_array_equal(rotation_backward(g, at, zero, keep_scale=False), g)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("short_of_pi", [0, 1e-9, 1e-4, 1e-3, 0.1])
def test_nearly_opposite_directions_keep_the_length(dtype, short_of_pi):
    """The shorter (û + v̂)(û + v̂)ᵀ / (1 + û·v̂) cancels here, and is NaN in the end."""
    angle = np.pi - short_of_pi
    z = np.array([[1.0, 0.0]], dtype)
    q = np.array([[np.cos(angle), np.sin(angle)]], dtype)
    g = np.array([[0.6, 0.8]], dtype)
    dz = rotation_backward(g, z, q)
    np.testing.assert_allclose(np.linalg.norm(dz), 1, rtol=1e-6)
    np.testing.assert_allclose((dz * z).sum(), (g * q).sum(), rtol=0, atol=2e-6)


def test_on_a_line_a_turn_is_a_sign():
    g = np.full((2, 1), 5.0)
    dz = rotation_backward(g, np.array([[2.0], [-2.0]]), np.array([[1.0], [1.0]]))
    assert dz.tolist() == [[2.5], [-2.5]]


def quantizer(estimator, z, **settings):
    made = EMA(6, estimator=estimator, **settings)
    made.initialize(z, batch=10, rng=1)
    return made


def test_forward_is_the_token_itself_to_the_bit():
    """λ R z equals it only up to rounding, and is 0 for z = 0."""
    _, z, _ = case(n=40, dtype=np.float32)
    z[0] = 0
    one, other = (quantizer(name, z).forward(z)[0] for name in ("straight-through", "rotation"))
    np.testing.assert_array_equal(one.vectors, other.vectors)
    np.testing.assert_array_equal(one.codes, other.codes)


def test_the_commitment_is_added_and_not_turned():
    upstream, z, _ = case(n=40)
    without, made = quantizer("rotation", z, beta=0), quantizer("rotation", z)
    quantized, cache = made.forward(z)
    turned, _ = without.backward(upstream, without.forward(z)[1])
    expected = turned + 0.25 * 2 * (z - quantized.vectors) / z.size
    np.testing.assert_allclose(made.backward(upstream, cache)[0], expected, rtol=1e-14)


def test_at_their_tokens_both_estimators_give_the_same_bits():
    upstream, z, _ = case(n=40)
    one, other = (quantizer(name, z) for name in ("straight-through", "rotation"))
    at = one.tokens[rng(5).integers(6, size=40)]
    gradients = [made.backward(upstream, made.forward(at)[1])[0] for made in (one, other)]
    np.testing.assert_array_equal(*gradients)


def test_an_unknown_estimator_is_refused():
    with pytest.raises(ValueError, match="estimator must be one of straight-through, rotation, "):
        EMA(estimator="turn")


def test_earlier_names_stay_what_they_were():
    """The name of a run is made of the quantizer's print: a later setting shows when it is used."""
    assert repr(EMA()) == "EMA(n_tokens=128, decay=0.9, dialect='paper', beta=0.25)"
    assert list(EMA().to_json()) == ["kind", "n_tokens", "decay", "dialect", "beta"]
    turning = EMA(8, estimator="rotation")
    assert repr(turning).endswith("beta=0.25, estimator='rotation')")
    assert turning != EMA(8)
    for made in (EMA(8), turning):
        assert quantizer_from_json(made.to_json()) == made
    assert repr(FSQ((8, 5))) == "FSQ(levels=(8, 5))"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_agrees_with_a_published_rotation(dtype):
    """Theirs normalizes û + v̂ in the data's precision, and adds a small number to each norm."""
    pytest.importorskip("vector_quantize_pytorch", reason="the independent implementation")
    import torch
    from vector_quantize_pytorch.vector_quantize_pytorch import rotate_to

    upstream, z, q = case(n=200, d=5, dtype=dtype)
    theirs = torch.tensor(z, requires_grad=True)
    rotate_to(theirs, torch.tensor(q)).backward(torch.tensor(upstream))
    bound = 1e-4 if dtype == np.float32 else 1e-9
    found = estimate("rotation", upstream, z, q)
    np.testing.assert_allclose(found, theirs.grad.numpy(), rtol=bound, atol=bound)
