"""Revival: whom it moves, where to, with which averages; and the public bugs, put back."""

import math

import numpy as np
import pytest

from vqnp.quantize import DIALECTS, EMA, Codebook
from vqnp.quantize.revive import SHARE, revive

DRAWING = ["relative", "soundstream", "jukebox"]


def rng(seed=0):
    return np.random.default_rng(seed)


def codebook_of(counts, dims=2):
    """Tokens 100, 101, ... in every coordinate, far from all embeddings."""
    counts = np.array(counts, float)
    tokens = 100 + np.arange(len(counts), dtype=float)[:, None].repeat(dims, axis=1)
    return Codebook.start(tokens, counts)


def test_by_hand():
    """Ten embeddings of five codes: even use is 2, and below 1/8 a code is dead."""
    codebook, z = codebook_of([3, 0.124, 5, 0.126, 0]), rng().normal(size=(10, 2))
    before = codebook_of([3, 0.124, 5, 0.126, 0])
    assert revive(codebook, z, "relative", rng=rng(1)).tolist() == [1, 4]
    rows = rng(1).choice(10, 2, replace=False)
    np.testing.assert_array_equal(codebook.tokens[[1, 4]], z[rows])
    assert codebook.counts.tolist() == [3, 2, 5, 0.126, 2]
    np.testing.assert_array_equal(codebook.sums, codebook.counts[:, None] * codebook.tokens)
    np.testing.assert_array_equal(codebook.tokens[[0, 2, 3]], before.tokens[[0, 2, 3]])


@pytest.mark.parametrize(("revival", "dead"), [("soundstream", [0, 1]), ("jukebox", [0])])
def test_published_thresholds_do_not_depend_on_the_batch(revival, dead):
    for n in (3, 300):
        found = revive(codebook_of([0.9, 1.9, 2.1]), rng().normal(size=(n, 2)), revival, rng=rng())
        assert found.tolist() == dead


def test_the_relative_threshold_is_two_in_a_setting_of_512_codes():
    assert SHARE * 16_384 / 512 == 2


def test_at_two_hits_a_code_the_fixed_threshold_kills_half_of_an_even_codebook():
    """γ = 0.9 and codes drawn evenly: some half of all L are below 2 at any moment."""
    draws, counts = rng(), np.full(128, 2.0)
    dead = []
    for step in range(400):
        counts = 0.9 * counts + 0.1 * np.bincount(draws.integers(128, size=256), minlength=128)
        dead += [(counts < 2).mean()] if step > 100 else []
    assert np.mean(dead) == pytest.approx(0.51, abs=0.02)


@pytest.mark.parametrize("revival", DRAWING)
@pytest.mark.parametrize("n", [1, 3, 8, 9, 40])
def test_any_number_of_dead_codes_is_served_from_distinct_embeddings(revival, n):
    """A public one crashed with fewer embeddings than dead codes; the last then stay dead."""
    for n_dead in range(10):
        codebook, z = codebook_of([0.0] * n_dead + [9.0] * (9 - n_dead)), rng().normal(size=(n, 2))
        found = revive(codebook, z, revival, rng=rng(2))
        assert found.tolist() == list(range(min(n_dead, n)))
        placed = codebook.tokens[found]
        assert len(np.unique(placed, axis=0)) == len(found)
        assert all((row == z).all(axis=1).any() for row in placed)  # to the bit, not normalized
        assert (codebook.tokens[len(found) :] >= 100).all()


def test_jukebox_leaves_the_averages():
    codebook = codebook_of([0.5, 3])
    sums = codebook.sums.copy()
    revive(codebook, np.ones((4, 2)), "jukebox", rng=rng())
    assert codebook.tokens.tolist() == [[1, 1], [101, 101]]
    assert codebook.counts.tolist() == [0.5, 3]
    np.testing.assert_array_equal(codebook.sums, sums)


def test_split_halves_the_most_used():
    """Even use is 2 and a donor has at least 1/4; three dead codes find two donors."""
    codebook = codebook_of([0, 8, 0.1, 0.24, 0, 3])
    tokens, z = codebook.tokens.copy(), rng().normal(size=(12, 2)) * [1, 10]
    assert revive(codebook, z, "split", rng=rng(1)).tolist() == [0, 2]
    assert codebook.counts.tolist() == [4, 4, 1.5, 0.24, 0, 1.5]
    noise = 0.01 * z.std(axis=0) * rng(1).standard_normal((2, 2))
    np.testing.assert_allclose(codebook.tokens[[0, 2]], tokens[[1, 5]] + noise)
    np.testing.assert_array_equal(codebook.tokens[[1, 5]], tokens[[1, 5]])
    np.testing.assert_allclose(codebook.sums, codebook.counts[:, None] * codebook.tokens)


def test_split_makes_no_code_that_is_dead_at_once():
    codebook = codebook_of([0, 0, 0.2, 0.2, 0.2])
    assert not len(revive(codebook, np.ones((10, 2)), "split", rng=rng()))


def test_masked_embeddings_are_no_candidates():
    z = np.concatenate([np.zeros((5, 2)), np.full((45, 2), 7.0)])
    made = EMA(4, revival="relative")
    made.use(codebook_of([0, 0, 5, 5]))
    made.update(z, made.forward(z)[0], mask=np.arange(50) < 5, rng=rng())
    assert 7.0 not in made.tokens


def test_nothing_is_revived_where_every_code_is_used():
    made, z = EMA(4, revival="relative"), rng().normal(size=(200, 2))
    plain = EMA(4)
    for each in (made, plain):
        each.initialize(z, batch=200, rng=1)
        each.update(z, each.forward(z)[0], rng=rng())
    np.testing.assert_array_equal(made.tokens, plain.tokens)


def with_a_dead_code(**settings):
    """A codebook whose last token is far off, and what it is trained on."""
    z = rng().normal(size=(60, 2))
    made = EMA(6, **{"revival": "relative"} | settings)
    made.initialize(z, batch=60, rng=1)
    made.codebook.set_tokens(np.array([5]), np.array([[1e3, 1e3]]), np.array([1e-3]))
    return made, z


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_revived_token_is_still_there_after_the_step(dialect):
    """Public code writes M / L over it in the same step, or divides by what it has not set."""
    made, z = with_a_dead_code(dialect=dialect)
    for _ in range(3):  # `debiased` sets the token of a code without hits to 0; it is dead too
        made.update(z, made.forward(z)[0], rng=rng(2))
    assert (made.tokens[5] == z).all(axis=1).any() or (made.codebook.counts[5] > 1)
    once, z = with_a_dead_code(dialect=dialect)
    once.update(z, once.forward(z)[0], rng=rng(2))
    token = once.tokens[5].copy()
    assert (token == z).all(axis=1).any()
    once.update(z, once.forward(z)[0]._replace(codes=np.zeros(60, int)), rng=rng(3))
    if dialect != "debiased":  # without hits, the other dialects move it by little in one step
        np.testing.assert_allclose(once.tokens[5], token, rtol=0.2, atol=0.2)


def survived(reset, decay=0.9, revival="relative"):
    """The steps until a code revived with L = ``reset`` times even use is dead once more."""
    codebook, z, steps = codebook_of([0, 10]), np.ones((20, 2)), 0
    revive(codebook, z, revival, rng=rng())
    codebook.counts[0] = reset * 10
    while not len(revive(codebook, z, revival, rng=rng())):
        codebook.counts[0] *= decay
        steps += 1
    return steps - 1


@pytest.mark.parametrize("decay", [0.9, 0.99])
def test_a_revived_code_without_hits_lives_as_long_as_promised(decay):
    """26 steps at γ = 0.9, 275 at 0.99. With L at the threshold, as in public code, none at all."""
    assert survived(1, decay) == math.floor(math.log(16) / -math.log(decay))
    assert survived(SHARE, decay) == 0


def test_bug_a_revived_code_keeps_its_averages():
    """Its old M pulls the token back at the first hit."""

    def pulled(revival):
        codebook = codebook_of([0.5, 30])
        z = np.zeros((20, 2))
        revive(codebook, z, revival, rng=rng())
        made = EMA(2)
        made.use(codebook)
        made.update(z, made.forward(z)[0])
        return np.abs(made.tokens[0]).max()

    assert pulled("soundstream") == 0
    assert pulled("jukebox") > 10  # it is revived once more, and once more


def test_evaluation_cannot_revive_and_an_update_without_rng_says_so():
    made, z = with_a_dead_code()
    assert made.draws
    before = made.tokens.copy()
    quantized, _ = made.forward(z, training=True, rng=rng())
    np.testing.assert_array_equal(made.tokens, before)
    with pytest.raises(ValueError, match="rng is needed: revival draws embeddings"):
        made.update(z, quantized)
    np.testing.assert_array_equal(made.tokens, before)


def test_the_vectors_of_a_step_are_those_of_the_tokens_before_it():
    made, z = with_a_dead_code()
    tokens = made.tokens.copy()
    quantized, _ = made.forward(z)
    hits = made.update(z, quantized, rng=rng())
    np.testing.assert_array_equal(quantized.vectors, tokens[quantized.codes])
    assert hits[5] == 0  # the hits of before


def test_revival_fills_a_codebook_that_stalls_without_it():
    """Tokens at N(0, 1), embeddings in ±0.1: without revival most codes are never chosen."""
    z = rng().uniform(-0.1, 0.1, size=(256, 2))
    used = {}
    for revival in ("none", "relative", "soundstream", "jukebox", "split"):
        made = EMA(32, start="normal", revival=revival)
        made.initialize(z, batch=256, rng=0)
        for step in range(60):
            made.update(z, made.forward(z)[0], rng=rng(step))
        used[revival] = len(np.unique(made.forward(z)[0].codes))
    assert used.pop("none") < 12
    assert min(used.values()) > 24, used


def test_an_unknown_variant_is_refused():
    with pytest.raises(ValueError, match="revival must be one of none, relative, soundstream, "):
        EMA(revival="always")
