"""What every quantizer owes, whatever its kind; ``family.py`` names the instances."""

import tracemalloc
from dataclasses import fields, replace

import numpy as np
import pytest
from family import AS_WIDE_AS_TOKENS, FAMILY
from runs import SCHEDULE, SETTINGS, small_data

from vqnp import VQVAE, MLPSettings, diagnose, mlp_vqvae, train
from vqnp.quantize import (
    CVQ,
    EMA,
    Cosine,
    GradientCodebook,
    Projected,
    Residual,
    quantizer_from_json,
)
from vqnp.training import loop

N, D = 23, 4
BOTH = pytest.mark.parametrize("dtype", [np.float32, np.float64])
EACH = pytest.mark.parametrize("kind", FAMILY, ids=repr)


def rng(seed=0):
    return np.random.default_rng(seed)


def points(n=N, dtype=np.float32, seed=0):
    return rng(seed).normal(size=(n, D)).astype(dtype)


def placed(kind, dtype=np.float32, seed=1):
    made = replace(kind)
    made.initialize(points(60, dtype, seed=9), batch=N, rng=seed)
    return made


def arrays(made):
    """Copies of all that it holds."""
    return {name: value.copy() for name, value in (made.params | made.buffers).items()}


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def decoded(made, codes, dtype):
    """What the codes stand for; a quantizer without arrays is told the dtype."""
    return made.decode(codes) if arrays(made) else made.decode(codes, dtype=dtype)


@EACH
@BOTH
def test_codes_name_the_vectors_to_the_bit(kind, dtype):
    made = placed(kind, dtype)
    quantized, _ = made.forward(points(500, dtype))
    assert quantized.codes.dtype == np.int64
    assert quantized.vectors.shape == (500, D)
    np.testing.assert_array_equal(decoded(made, quantized.codes, dtype), quantized.vectors)


@EACH
def test_evaluation_draws_nothing_changes_nothing_and_does_not_see_the_batch(kind):
    made, z = placed(kind), points()
    before = arrays(made)
    whole, _ = made.forward(z)
    parts = [made.forward(part)[0] for part in np.array_split(z, [1, 2, 9])]
    np.testing.assert_array_equal(np.concatenate([part.vectors for part in parts]), whole.vectors)
    np.testing.assert_array_equal(np.concatenate([part.codes for part in parts]), whole.codes)
    made.view(z)
    assert_same(arrays(made), before)


@EACH
@BOTH
def test_a_step_keeps_the_dtype(kind, dtype):
    made, z = placed(kind, dtype), points(dtype=dtype)
    quantized, cache = made.forward(z, training=True, rng=rng())
    dz, gradients = made.backward(points(dtype=dtype, seed=3), cache)
    hits = made.update(z, quantized, rng=rng())
    assert quantized.vectors.dtype == dz.dtype == dtype
    assert hits.dtype == np.float64
    assert all(isinstance(value, float) for value in quantized.losses.values())
    assert gradients.keys() == made.params.keys()
    for name, value in made.params.items():
        assert gradients[name].dtype == value.dtype == dtype
        assert gradients[name].shape == value.shape
    assert all(value.dtype in (dtype, np.int64) for value in made.buffers.values())


@EACH
def test_backward_leaves_the_gradient_it_was_given(kind):
    made, z, upstream = placed(kind), points(), points(seed=3)
    made.backward(upstream, made.forward(z)[1])
    np.testing.assert_array_equal(upstream, points(seed=3))
    np.testing.assert_array_equal(z, points())


@EACH
def test_own_losses_ask_for_nothing_of_the_gradient_they_are_added_to(kind):
    """backward is affine: its own losses' gradient does not depend on what comes from above."""
    made, z = placed(kind, np.float64), points(dtype=np.float64)
    upstream = points(seed=3, dtype=np.float64)
    _, cache = made.forward(z)
    own, once, twice = (made.backward(c * upstream, cache)[0] for c in (0.0, 1.0, 2.0))
    np.testing.assert_allclose(twice - own, 2 * (once - own), rtol=0, atol=1e-6)


@EACH
def test_masked_rows_count_for_nothing(kind):
    mask = rng(3).random(N) < 0.6
    z = np.where(mask[:, None], points(), np.float32(50))
    masked, without = placed(kind), placed(kind)
    quantized, _ = masked.forward(z)
    hits = masked.update(z, quantized, mask=mask, rng=rng(4))
    kept = quantized._replace(vectors=quantized.vectors[mask], codes=quantized.codes[mask])
    np.testing.assert_array_equal(hits, without.update(z[mask], kept, rng=rng(4)))
    assert_same(arrays(masked), arrays(without))
    assert (np.atleast_2d(hits).sum(axis=1) == mask.sum()).all()


@EACH
def test_where_everything_is_masked_nothing_moves(kind):
    made, z = placed(kind), points()
    before = arrays(made)
    hits = made.update(z, made.forward(z)[0], mask=np.zeros(N, bool), rng=rng())
    assert not hits.any()
    assert_same(arrays(made), before)


@EACH
def test_a_mask_is_one_bool_an_embedding(kind):
    made, z = placed(kind), points()
    quantized, _ = made.forward(z)
    with pytest.raises(TypeError, match="mask must be a NumPy array of bool"):
        made.update(z, quantized, mask=np.ones(N, int), rng=rng())
    with pytest.raises(ValueError, match=r"mask must have shape \(23,\), got \(3,\)"):
        made.update(z, quantized, mask=np.ones(3, bool), rng=rng())


@EACH
def test_the_zero_vector_and_a_single_embedding_are_quantized(kind):
    made = placed(kind)
    for z in (np.zeros((N, D), np.float32), points(1)):
        quantized, cache = made.forward(z, training=True, rng=rng())
        dz, gradients = made.backward(np.ones_like(z), cache)
        assert all(np.isfinite(a).all() for a in (quantized.vectors, dz, *gradients.values()))
        made.update(z, quantized, rng=rng())
        assert all(np.isfinite(value).all() for value in arrays(made).values())


@EACH
def test_embeddings_that_do_not_fit_are_refused(kind):
    made = placed(kind)
    with pytest.raises(ValueError, match="empty"):
        made.forward(points()[:0])
    with pytest.raises(ValueError, match="shape"):
        made.forward(points()[:, :3])
    with pytest.raises(ValueError, match="NaN or infinity"):
        made.forward(points() * np.float32(np.nan))


@EACH
def test_before_it_is_placed_it_says_what_to_call(kind):
    made = replace(kind)
    if not made.initialized:
        with pytest.raises(RuntimeError, match=r"call initialize\(z, batch=\.\.\.\) first"):
            made.forward(points())


@EACH
def test_configuration_is_a_value(kind):
    """It goes to JSON and back, and a copy begins with nothing of the original's."""
    again = quantizer_from_json(kind.to_json())
    assert again == kind
    assert hash(again) == hash(kind)
    assert repr(again) == repr(kind)
    made = placed(kind)
    assert not arrays(replace(made))
    assert not arrays(kind)


@EACH
def test_the_same_numbers_place_the_same_tokens(kind):
    assert_same(arrays(placed(kind)), arrays(placed(kind)))


@EACH
def test_bits_and_tokens_agree_and_a_diagnosis_can_look(kind):
    made = placed(kind)
    assert made.n_tokens == len(made.tokens)
    assert made.bits == pytest.approx(np.log2(made.n_tokens))
    view = made.view(points())
    assert view.codes.shape == (N,)
    assert len(view.embeddings) == N
    assert view.codes.max() < len(view.tokens)
    assert view.tokens.dtype == view.embeddings.dtype
    assert 1 <= diagnose(view.embeddings, view.tokens).codes_used <= made.n_tokens


@EACH
def test_one_token_is_enough(kind):
    free = not isinstance(kind, AS_WIDE_AS_TOKENS)
    if free and "n_tokens" in {f.name for f in fields(kind)}:
        made = placed(replace(kind, n_tokens=1))
        quantized, cache = made.forward(points(), training=True, rng=rng())
        assert not quantized.codes.any()
        made.backward(points(), cache)
        assert made.update(points(), quantized, rng=rng()).tolist() == [N]


def model_of(kind, seed=0):
    return mlp_vqvae(MLPSettings(2, D, 6, 5), replace(kind), rng=seed)


@EACH
@pytest.mark.parametrize("stop", [7, 11])
def test_training_resumes_to_the_same_bits(kind, stop, tmp_path, monkeypatch):
    """Stopped in either epoch of fine-tuning, with whatever it draws; and the model is saved."""
    path, expected, x = tmp_path / "run.npz", model_of(kind), small_data()
    train(expected, x, SCHEDULE, SETTINGS)
    with monkeypatch.context() as patch:
        steps, step = iter(range(1, 99)), loop.take_step

        def stopping(*given):
            step(*given)
            if next(steps) == stop:
                raise KeyboardInterrupt

        patch.setattr(loop, "take_step", stopping)
        with pytest.raises(KeyboardInterrupt):
            train(model_of(kind), x, SCHEDULE, SETTINGS, checkpoint=path, checkpoint_seconds=0)
    model = model_of(kind, seed=99)
    history = train(model, x, SCHEDULE, SETTINGS, checkpoint=path, resume=True)
    assert history[-1].perplexity >= 1
    assert_same(model.params, expected.params)
    assert_same(arrays(model.quantizer), arrays(expected.quantizer))
    model.save(tmp_path / "model.npz")
    again = VQVAE.load(tmp_path / "model.npz")
    assert again.quantizer == model.quantizer
    np.testing.assert_array_equal(again.reconstruct(x), model.reconstruct(x))


MANY = 1 << 16
OF_MANY = [
    EMA(MANY, start="normal", revival="relative"),
    EMA(MANY, start="normal", revival="split"),
    GradientCodebook(MANY, start="normal", orthogonal=10.0),
    CVQ(MANY, start="normal"),
    Cosine(EMA(MANY, start="normal")),
    Projected(EMA(MANY, start="normal"), dim=2),
    Residual(EMA(MANY, start="normal"), stages=2),
]


@pytest.mark.parametrize("kind", OF_MANY, ids=repr)
@pytest.mark.jit
def test_many_tokens_are_never_compared_with_all_embeddings_at_once(kind):
    """An array of 2,048 × 65,536 numbers would take 512 MiB; a codebook takes 1 MiB."""
    z = points(2048)
    made = replace(kind)
    made.initialize(z, batch=len(z))
    tracemalloc.start()
    quantized, cache = made.forward(z, training=True, rng=rng())
    made.backward(z, cache)
    made.update(z, quantized, rng=rng())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 32 << 20
