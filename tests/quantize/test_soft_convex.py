"""Soft convex quantization: the simplex, the hull, the relaxation, each against another solver."""

import numpy as np
import pytest
from gradients import assert_gradient
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import lsq_linear

from vqnp.quantize import (
    SoftConvex,
    hull_backward,
    hull_forward,
    nearest,
    simplex_backward,
    simplex_forward,
    soft_convex_backward,
    soft_convex_forward,
    softmax,
)
from vqnp.quantize.hull import hull_codes
from vqnp.quantize.simplex import simplex_loop

N, D, K = 24, 3, 8
STRENGTH = 0.2


def rng(seed=0):
    return np.random.default_rng(seed)


def problem(n=N, k=K, d=D, spread=1.5):
    return rng(n).normal(0, spread, size=(n, d)), rng(k).normal(size=(k, d))


def made(z, **settings):
    quantizer = SoftConvex(**{"n_tokens": K} | settings)
    quantizer.initialize(z, batch=10, rng=1)
    return quantizer


@given(st.integers(0, 2**32), st.integers(1, 7))
def test_simplex_is_its_definition(seed, k):
    v = rng(seed).normal(0, 2, size=(3, k))
    p = simplex_forward(v)
    np.testing.assert_allclose(p, simplex_loop(v), atol=1e-14)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-12)
    others = rng(seed).dirichlet(np.ones(k), size=50)  # no weights are nearer
    away = np.square(v[:, None] - others).sum(axis=2).min(axis=1)
    assert (np.square(v - p).sum(axis=1) <= away + 1e-12).all()


def test_simplex_at_ties_and_ends():
    v = np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [5.0, -5.0, 4.0], [0.2, 0.3, 0.5]])
    expected = [[0.5, 0.5, 0], [1 / 3] * 3, [1, 0, 0], [0.2, 0.3, 0.5]]
    np.testing.assert_allclose(simplex_forward(v), expected, atol=1e-15)


def test_gradient_of_the_simplex():
    v, upstream = rng(2).normal(size=(N, K)), rng(3).normal(size=(N, K))
    p = simplex_forward(v)
    assert 0 < (p > 0).mean() < 1
    dv = simplex_backward(upstream, p)
    assert_gradient(dv, v, lambda: float((upstream * simplex_forward(v)).sum()))


@pytest.mark.parametrize("d", [1, 2, 3, 6])
def test_hull_agrees_with_nonnegative_least_squares(d):
    """An appended row of weight 1e4 asks that the weights sum to 1."""
    z, tokens = problem(60, 9, d)
    q, cache = hull_forward(z, tokens)
    weights = cache[4]
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-12)
    system = np.vstack([tokens.T, np.full(9, 1e4)])
    for point, found in zip(z, q, strict=True):
        goal = np.append(point, 1e4)
        p = lsq_linear(system, goal, (0, np.inf), tol=1e-14, method="bvls").x
        np.testing.assert_allclose(found, p @ tokens, atol=1e-6)
        assert ((tokens - found) @ (point - found) <= 1e-9).all()  # the optimality of q


def test_hull_of_a_grid():
    """Points and tokens on integers: ties, copies, collinear tokens, points on edges."""
    z = np.stack(np.meshgrid(*[np.arange(-3.0, 4.0)] * 2), axis=-1).reshape(-1, 2)
    tokens = np.concatenate([z[(abs(z) <= 1).all(axis=1)]] * 2)
    q, cache = hull_forward(z, tokens)
    np.testing.assert_allclose(q, np.clip(z, -1, 1), atol=1e-12)
    dz, dtokens = hull_backward(np.ones_like(z), cache)
    assert np.isfinite(dz).all()
    assert np.isfinite(dtokens).all()


def test_gradients_of_the_hull():
    z, tokens = problem()
    upstream = rng(4).normal(size=(N, D))
    _, cache = hull_forward(z, tokens)
    sizes = (cache[3] >= 0).sum(axis=1)
    assert set(sizes) == {1, 2, 3, 4}  # vertices, edges, faces, and inside
    dz, dtokens = hull_backward(upstream, cache)

    def value():
        return float((upstream * hull_forward(z, tokens)[0]).sum())

    assert_gradient(dz, z, value)
    assert_gradient(dtokens, tokens, value)
    np.testing.assert_array_equal(dz[sizes == 1], 0)  # at a vertex nothing comes through
    np.testing.assert_allclose(dz[sizes == 4], upstream[sizes == 4], atol=1e-12)  # inside, all


def test_gradients_of_the_relaxation(monkeypatch):
    monkeypatch.setattr(softmax, "LOGITS_A_BLOCK", 7 * K)
    z, tokens = problem()
    upstream = rng(5).normal(size=(N, D))
    _, _, cache = soft_convex_forward(z, tokens, STRENGTH)
    dz, dtokens = soft_convex_backward(upstream, cache)

    def value():
        return float((upstream * soft_convex_forward(z, tokens, STRENGTH)[0]).sum())

    assert_gradient(dz, z, value)
    assert_gradient(dtokens, tokens, value)


@pytest.mark.parametrize("exact", [False, True])
def test_gradients_with_the_loss(exact):
    z, _ = problem()
    quantizer, upstream = made(z + 0.3, exact=exact, beta=0.4), rng(6).normal(size=(N, D))
    _, cache = quantizer.forward(z, training=True)
    dz, gradients = quantizer.backward(upstream, cache)

    def value():
        quantized, _ = quantizer.forward(z, training=True)
        return float((upstream * quantized.vectors).sum() + 0.4 * quantized.losses["quantization"])

    assert_gradient(dz, z, value)
    assert_gradient(gradients["tokens"], quantizer.params["tokens"], value)


def test_relaxation_is_the_ridge_system_of_all_tokens():
    """S (C Cᵀ + λ I) = Z Cᵀ + λ H, then the simplex."""
    z, tokens = problem()
    ridge = STRENGTH * np.trace(tokens.T @ tokens) / D
    one_hot = np.eye(K)[nearest(z, tokens)[0]]
    s = np.linalg.solve(tokens @ tokens.T + ridge * np.eye(K), (z @ tokens.T + ridge * one_hot).T).T
    vectors, codes, _ = soft_convex_forward(z, tokens, STRENGTH)
    np.testing.assert_allclose(vectors, simplex_forward(s) @ tokens, atol=1e-12)
    np.testing.assert_array_equal(codes, simplex_forward(s).argmax(axis=1))


def test_relaxation_leaves_an_error_inside_the_hull_and_the_program_does_not():
    """A public version calls one unconstrained step the solution."""
    tokens = np.array([[1.0, 0.0], [-1.0, 1.0], [-1.0, -1.0], [2.0, 0.5]])
    z = np.array([[0.1, 0.05]])
    np.testing.assert_allclose(hull_forward(z, tokens)[0], z, atol=1e-12)
    assert abs(soft_convex_forward(z, tokens, 0.5)[0] - z).max() > 0.01


def test_a_great_strength_gives_the_nearest_token():
    """Another public version penalizes ‖p‖², which pulls to the mean of all tokens instead."""
    z, tokens = problem()
    vectors, codes, _ = soft_convex_forward(z, tokens, 1e12)
    np.testing.assert_allclose(vectors, tokens[codes], atol=1e-9)
    np.testing.assert_array_equal(codes, nearest(z, tokens)[0])


def test_strength_means_the_same_at_every_scale():
    z, tokens = problem()
    np.testing.assert_allclose(
        100 * soft_convex_forward(z, tokens, STRENGTH)[0],
        soft_convex_forward(100 * z, 100 * tokens, STRENGTH)[0],
        rtol=1e-10,
    )


@pytest.mark.parametrize("exact", [False, True])
def test_a_token_is_its_own_vector(exact):
    quantizer = made(rng(7).normal(size=(N, D)), exact=exact, hard=True)
    outer = np.unique(hull_codes(hull_forward(9 * quantizer.tokens, quantizer.tokens)[1]))
    assert len(outer) > 3  # of inner tokens, other combinations are as near
    quantized, _ = quantizer.forward(quantizer.tokens[outer], training=True)
    np.testing.assert_allclose(quantized.vectors, quantizer.tokens[outer], atol=1e-12)
    np.testing.assert_array_equal(quantized.codes, outer)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("tokens", [np.ones((1, D)), np.ones((4, D)), np.zeros((4, D))])
def test_one_token_or_equal_tokens(exact, tokens):
    quantizer = SoftConvex(len(tokens), exact=exact)
    quantizer.params["tokens"] = tokens
    quantized, cache = quantizer.forward(rng(8).normal(size=(N, D)))
    np.testing.assert_allclose(quantized.vectors, tokens[:1].repeat(N, axis=0), atol=1e-12)
    assert not quantized.codes.any()
    assert all(
        np.isfinite(part).all() for part in quantizer.backward(np.ones((N, D)), cache)[1].values()
    )


def test_the_more_dimensions_the_fewer_points_lie_in_the_hull():
    shares = []
    for d in (2, 8):
        z, tokens = rng(9).normal(size=(200, d)), rng(10).normal(size=(64, d))
        shares.append((abs(hull_forward(z, tokens)[0] - z).max(axis=1) < 1e-6).mean())
    assert shares[0] > 0.7
    assert shares[1] < 0.15


def test_hits_count_the_greatest_weight_not_the_weights():
    """Perplexity of soft weights, published as usage, is near K when one code has all maxima."""
    z = np.array([[0.0, 0.1]] * 9)
    quantizer = SoftConvex(3, exact=True)
    quantizer.params["tokens"] = np.array([[0.0, 1.0], [-1.0, -1.0], [1.0, -1.0]])
    quantized, cache = quantizer.forward(z)
    assert cache[1][4].min() > 0.2  # all weights
    assert quantizer.update(z, quantized).tolist() == [9, 0, 0]


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="strength must be positive and finite, got 0"):
        SoftConvex(strength=0)
    with pytest.raises(ValueError, match="n_tokens must be at least 1, got 0"):
        SoftConvex(0)
    for exact in (False, True):
        with pytest.raises(ValueError, match="holds NaN or infinity"):
            made(rng().normal(size=(N, D)), exact=exact).forward(np.full((2, D), np.nan))
