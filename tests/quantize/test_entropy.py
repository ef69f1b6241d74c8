"""The entropy gap of soft codes: by hand, against differences, its identity, its extremes."""

import numpy as np
import pytest
from gradients import assert_gradient

from vqnp.quantize import entropy_gap_backward, entropy_gap_forward, softmax

N, K, D = 7, 5, 3


def rng(seed=0):
    return np.random.default_rng(seed)


def entropies(z, tokens, sharpness):
    """The definition, with logarithms of sums of exponentials spelled out."""
    p = np.exp(-sharpness * np.square(z[:, None] - tokens).sum(axis=2))
    p /= p.sum(axis=1, keepdims=True)
    mean = p.mean(axis=0)
    return -(p * np.log(p)).sum(axis=1).mean(), -(mean * np.log(mean)).sum()


def test_softmax_by_hand_and_at_extremes():
    found = softmax.softmax(np.array([[0.0, np.log(3)], [1000.0, 1000.0], [-1000.0, 0.0]]))
    np.testing.assert_allclose(found, [[0.25, 0.75], [0.5, 0.5], [0, 1]], rtol=1e-15)
    logs = softmax.log_softmax(np.float32([[500, 0], [0, 0]]))
    assert logs.dtype == np.float32
    np.testing.assert_allclose(logs, [[0, -500], [-np.log(2)] * 2], rtol=1e-7)


@pytest.mark.parametrize("diversity", [0.0, 1.0, 2.5])
@pytest.mark.parametrize("block", [1, 2 * K, 1 << 18])
def test_value_is_the_definition_in_any_block(monkeypatch, diversity, block):
    monkeypatch.setattr(softmax, "LOGITS_A_BLOCK", block)
    z, tokens = rng().normal(size=(N, D)), rng(1).normal(size=(K, D))
    sample, batch = entropies(z, tokens, 0.7)
    gap, _ = entropy_gap_forward(z, tokens, 0.7, diversity)
    np.testing.assert_allclose(gap, sample - diversity * batch, rtol=1e-13)


@pytest.mark.parametrize("diversity", [0.0, 1.0, 2.5])
@pytest.mark.parametrize("block", [2 * K, 1 << 18])
def test_gradients(monkeypatch, diversity, block):
    monkeypatch.setattr(softmax, "LOGITS_A_BLOCK", block)
    z, tokens = rng(2).normal(size=(N, D)), rng(3).normal(size=(K, D))
    _, cache = entropy_gap_forward(z, tokens, 0.7, diversity)
    dz, dtokens = entropy_gap_backward(1.3, cache)

    def value():
        return 1.3 * entropy_gap_forward(z, tokens, 0.7, diversity)[0]

    assert_gradient(dz, z, value)
    assert_gradient(dtokens, tokens, value)


@pytest.mark.parametrize("seed", range(5))
def test_gap_is_minus_a_mutual_information(seed):
    """It lies in [-min(ln K, ln N), 0]: a negative loss is what is asked for."""
    z, tokens = rng(seed).normal(0, 3, size=(N, D)), rng(seed + 9).normal(size=(K, D))
    gap, _ = entropy_gap_forward(z, tokens, 2.0)
    assert -np.log(min(N, K)) - 1e-12 <= gap <= 1e-12
    assert entropy_gap_forward(z[:1], tokens, 2.0)[0] == pytest.approx(0, abs=1e-15)  # N = 1
    assert entropy_gap_forward(z, tokens[:1], 2.0)[0] == 0  # K = 1


def test_codes_out_of_reach_give_no_nan():
    """p underflows to 0 for the far token, where 0 · ln 0 is 0."""
    z, tokens = np.zeros((4, 2)), np.array([[0.0, 0.0], [1e3, 0.0]])
    gap, cache = entropy_gap_forward(z, tokens, 100.0)
    assert gap == 0
    for gradient in entropy_gap_backward(1.0, cache):
        assert not gradient.any()


def test_loss_is_a_mean_over_the_batch():
    """A batch twice as long, of the same embeddings, has the same loss and half the gradient."""
    z, tokens = rng(4).normal(size=(N, D)), rng(5).normal(size=(K, D))
    once, cache = entropy_gap_forward(z, tokens, 1.0)
    twice, doubled = entropy_gap_forward(np.concatenate([z, z]), tokens, 1.0)
    np.testing.assert_allclose(once, twice, rtol=1e-13)
    (dz, dtokens), (dzz, dtokens_too) = (entropy_gap_backward(1.0, c) for c in (cache, doubled))
    np.testing.assert_allclose(dzz[:N], dz / 2, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(dtokens_too, dtokens, rtol=1e-10, atol=1e-14)
