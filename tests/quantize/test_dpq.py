"""DPQ and memcodes: the loudest key by hand, gradients through the softmax, and the noise."""

from dataclasses import replace

import numpy as np
import pytest
from gradients import assert_gradient

from vqnp.quantize import DPQ, Memcodes, lookup_backward, lookup_forward, softmax


def rng(seed=0):
    return np.random.default_rng(seed)


def case(n=9, k=5, d=3):
    """Rows, keys, values and upstream gradients."""
    return (rng(i).normal(size=shape) for i, shape in enumerate([(n, d), (k, d), (k, d), (n, d)]))


def placed(kind, d=6, dtype=np.float64):
    made = replace(kind)
    made.initialize(rng(9).normal(size=(30, d)).astype(dtype), batch=30, rng=1)
    return made


def probabilities(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def test_the_loudest_and_not_the_nearest():
    """Of two keys in one direction the longer answers, however far it is."""
    keys, values = np.array([[1.0, 0.0], [9.0, 0.0]]), np.array([[3.0, 3.0], [4.0, 4.0]])
    vectors, codes, _ = lookup_forward(np.array([[1.0, 0.0], [-1.0, 0.0]]), keys, values, 1.0)
    assert codes.tolist() == [1, 0]
    assert vectors.tolist() == [[4, 4], [3, 3]]


def test_of_equally_loud_keys_the_first_answers():
    keys = np.array([[1.0], [2.0], [2.0]])
    assert lookup_forward(np.ones((4, 1)), keys, keys, 1.0)[1].tolist() == [1] * 4


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
@pytest.mark.parametrize("seed", [None, 7])
def test_gradients(temperature, seed, monkeypatch):
    """The surrogate: the mixture plus what is missing to the choice; the values, of the choice."""
    monkeypatch.setattr(softmax, "LOGITS_A_BLOCK", 10)  # two rows a block
    z, keys, values, upstream = case()
    vectors, codes, cache = lookup_forward(z, keys, values, temperature, seed=seed)
    dz, dkeys, dvalues = lookup_backward(upstream, cache)
    held = values.copy()
    noise = np.zeros((9, 5))
    if seed is not None:
        for start in range(0, 9, 2):
            noise[start : start + 2] = rng([seed, start]).gumbel(
                size=noise[start : start + 2].shape
            )

    def mixture():
        return probabilities(z @ keys.T / temperature + noise) @ held

    offset = vectors - mixture()
    assert_gradient(dz, z, lambda: float((upstream * (mixture() + offset)).sum()))
    assert_gradient(dkeys, keys, lambda: float((upstream * (mixture() + offset)).sum()))
    assert_gradient(dvalues, values, lambda: float((upstream * values[codes]).sum()))


def test_values_that_were_not_chosen_have_no_gradient():
    """With p in place of the choice they would."""
    z, keys, values, upstream = case()
    _, codes, cache = lookup_forward(z, keys, values, 1.0)
    dvalues = lookup_backward(upstream, cache)[2]
    unused = np.setdiff1d(np.arange(5), codes)
    assert len(unused)
    assert not dvalues[unused].any()


def test_a_cold_choice_passes_nothing_to_the_embedding():
    z, keys, values, upstream = case()
    sizes = [
        np.abs(lookup_backward(upstream, lookup_forward(z, keys, values, t)[2])[0]).max()
        for t in (1.0, 1e-3)
    ]
    assert sizes[0] > 0.1
    assert sizes[1] < 1e-6


def test_codes_are_drawn_with_their_probabilities():
    z, keys, values, _ = case(n=1)
    many = np.repeat(z, 20_000, axis=0)
    _, codes, _ = lookup_forward(many, keys, values, 1.0, seed=3)
    shares = np.bincount(codes, minlength=5) / 20_000
    np.testing.assert_allclose(shares, probabilities(z @ keys.T)[0], atol=0.015)


@pytest.mark.parametrize("kind", [DPQ(4), DPQ(4, heads=3, temperature=0.7), Memcodes(4, heads=2)])
def test_gradients_of_all_that_is_learnt(kind):
    """With the codes held; keys and values of memcodes are maps of one memory."""
    made, z, upstream = placed(kind), rng(2).normal(size=(8, 6)), rng(3).normal(size=(8, 6))
    for name, value in made.params.items():
        value += 0.2 * rng(len(name)).normal(size=value.shape)
    quantized, cache = made.forward(z, training=True, rng=rng(4))
    dz, gradients = made.backward(upstream, cache)
    assert gradients.keys() == made.params.keys()
    noises, width = [], 6 // kind.heads
    for h in range(kind.heads):
        seed = cache[h][4]
        noises.append(0 if seed is None else rng([seed, 0]).gumbel(size=(8, 4)))

    def parts(h):
        if isinstance(kind, DPQ):
            return made.params[f"{h}.keys"], made.params[f"{h}.values"], kind.temperature
        memories = made.params[f"{h}.memories"]
        return (*(memories @ made.params[f"{h}.{n}"] for n in ("keys", "values")), width**0.5)

    held = [parts(h)[1].copy() for h in range(kind.heads)]

    def surrogate():
        """Both ways: the mixture moves z and keys, the choice moves values."""
        total = 0.0
        for h in range(kind.heads):
            keys, values, temperature = parts(h)
            columns = slice(h * width, (h + 1) * width)
            p = probabilities(z[:, columns] @ keys.T / temperature + noises[h])
            g = upstream[:, columns]
            total += (g * (p @ held[h])).sum() + (g * values[quantized.codes[:, h]]).sum()
        return float(total)

    assert_gradient(dz, z, surrogate)
    for name, value in made.params.items():
        assert_gradient(gradients[name], value, surrogate)


def test_without_noise_a_row_does_not_know_the_others_and_with_noise_two_steps_differ():
    made, z = placed(Memcodes(6, heads=2)), rng(2).normal(size=(50, 6))
    still = made.forward(z)[0].codes
    np.testing.assert_array_equal(made.forward(z[7:8])[0].codes, still[7:8])
    one, other = (made.forward(z, training=True, rng=rng(s))[0].codes for s in (1, 2))
    assert (one != other).any()
    again = made.forward(z, training=True, rng=rng(1))[0].codes
    np.testing.assert_array_equal(one, again)
    with pytest.raises(ValueError, match="rng is needed: codes are drawn in training"):
        made.forward(z, training=True)


def test_memcodes_begin_as_a_lookup_of_the_memories_themselves():
    made, z = placed(Memcodes(4, heads=2)), rng(2).normal(size=(20, 6))
    codes = made.forward(z)[0].codes
    for h in range(2):
        memories = made.params[f"{h}.memories"]
        expected = (z[:, 3 * h : 3 * h + 3] @ memories.T).argmax(axis=1)
        np.testing.assert_array_equal(codes[:, h], expected)


def test_many_keys_are_looked_at_a_block_of_rows_at_a_time(monkeypatch):
    z, keys, values, upstream = case(n=50, k=40)
    whole = lookup_forward(z, keys, values, 1.0)
    monkeypatch.setattr(softmax, "LOGITS_A_BLOCK", 300)
    parts = lookup_forward(z, keys, values, 1.0)
    np.testing.assert_array_equal(whole[1], parts[1])
    for one, other in zip(
        lookup_backward(upstream, whole[2]), lookup_backward(upstream, parts[2]), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DPQ(0), "n_keys must be at least 1, got 0"),
        (lambda: DPQ(4, temperature=0.0), "temperature must be positive and finite, got 0.0"),
        (lambda: DPQ(4, start="zeros"), "start must be one of k-means, normal, uniform"),
        (lambda: Memcodes(4, heads=0), "heads must be at least 1, got 0"),
        (lambda: placed(DPQ(4, heads=4)), "D a multiple of 4"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
