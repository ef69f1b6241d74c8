import numpy as np
import pytest
from gradients import assert_gradient

from vqnp import EMA, VQVAE, Identity, MLPSettings, mlp_vqvae
from vqnp.data import clusters
from vqnp.optim import AdamW
from vqnp.quantize import nearest
from vqnp.training import FineTune, TrainSettings, TrainState
from vqnp.training.loop import take_step

BETA = 0.3


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture
def x():
    return rng(3).normal(size=(9, 3))


@pytest.fixture
def model(x):
    """A VQ-VAE in float64 whose five tokens lie on the embeddings of other data, so that none of
    these is at its token.
    """
    made = mlp_vqvae(MLPSettings(3, 2, 6, 5), EMA(5, beta=BETA), dtype=np.float64)
    made.quantizer.initialize(made.encode(rng(4).normal(size=(50, 3))), batch=9, rng=rng(5))
    return made


def snapshot(model):
    codebook = model.quantizer.codebook
    parts = [
        *model.params.values(),
        codebook.tokens,
        codebook.counts,
        codebook.sums,
        np.array([codebook.steps]),
    ]
    return np.concatenate([part.ravel() for part in parts])


def test_autoencoder_gradients(x):
    autoencoder = mlp_vqvae(MLPSettings(3, 2, 6, 5, extra=4), Identity(), rng=0, dtype=np.float64)
    step = autoencoder.loss_and_gradients(x)
    assert step.losses == {
        "reconstruction": pytest.approx(((autoencoder.reconstruct(x) - x) ** 2).mean())
    }
    assert step.gradients.keys() == autoencoder.params.keys()
    for name, array in autoencoder.params.items():
        assert_gradient(
            step.gradients[name],
            array,
            lambda: autoencoder.loss_and_gradients(x).losses["reconstruction"],
        )


def test_vqvae_gradients_are_those_of_the_surrogate(model, x):
    """Straight-through is the exact gradient of another function: tokens frozen, x̂ = D(z + c)
    with c = token − z frozen too.
    """
    step = model.loss_and_gradients(x)
    embeddings = model.encode(x)
    tokens = model.quantizer.codebook.tokens[
        nearest(embeddings, model.quantizer.codebook.tokens)[0]
    ]
    assert len(np.unique(step.quantized.codes)) > 2
    offset = tokens - embeddings

    def surrogate():
        z = model.encode(x)
        return ((model.decode(z + offset) - x) ** 2).mean() + BETA * ((z - tokens) ** 2).mean()

    assert step.losses["reconstruction"] + BETA * step.losses["commitment"] == pytest.approx(
        surrogate(), rel=1e-12
    )
    assert step.gradients.keys() == model.params.keys()
    for name, array in model.params.items():
        assert_gradient(step.gradients[name], array, surrogate)


def test_step_belongs_to_the_model_before_it(model, x):
    step = model.loss_and_gradients(x)
    quantized, codes, _ = model.quantize(x)
    np.testing.assert_array_equal(step.embeddings, model.encode(x))
    np.testing.assert_array_equal(step.quantized.codes, codes)
    assert step.losses["reconstruction"] == pytest.approx(((model.reconstruct(x) - x) ** 2).mean())
    assert step.losses["commitment"] == pytest.approx(((model.encode(x) - quantized) ** 2).mean())


def test_evaluation_and_gradients_change_nothing(model, x):
    before = snapshot(model)
    for look in (model.encode, model.quantize, model.reconstruct, model.loss_and_gradients):
        look(x)
    np.testing.assert_array_equal(snapshot(model), before)


def test_permuting_the_batch_permutes_the_answers(model, x):
    order = rng(1).permutation(len(x))
    np.testing.assert_array_equal(model.quantize(x[order]).codes, model.quantize(x).codes[order])
    np.testing.assert_allclose(
        model.reconstruct(x[order]), model.reconstruct(x)[order], rtol=0, atol=1e-14
    )
    one, other = model.loss_and_gradients(x), model.loss_and_gradients(x[order])
    for (
        name,
        gradient,
    ) in one.gradients.items():  # sums of nine numbers of size one in another order
        np.testing.assert_allclose(other.gradients[name], gradient, rtol=0, atol=1e-14)


def test_quantization_is_idempotent(model, x):
    quantized, codes, _ = model.quantize(x)
    again, same_codes, _ = model.quantizer.forward(quantized)[0]
    np.testing.assert_array_equal(again, quantized)
    np.testing.assert_array_equal(same_codes, codes)


def test_shapes_and_names():
    model = mlp_vqvae(MLPSettings(8, 4, encoder_hidden=16, extra=7))
    assert {name: array.shape for name, array in model.params.items() if "weight" in name} == {
        "encoder.0.weight": (8, 16),
        "encoder.2.weight": (16, 16),
        "encoder.4.weight": (16, 7),
        "encoder.6.weight": (7, 4),
        "decoder.0.weight": (4, 32),
        "decoder.2.weight": (32, 32),
        "decoder.4.weight": (32, 8),
    }
    for array in model.params.values():
        assert array.dtype == np.float32
        assert array.flags.c_contiguous  # else the optimizer would change a copy
    for name, array in model.autoencoder.params.items():
        assert model.params[name] is array


def test_weights_come_from_the_seed():
    one, same, other = (mlp_vqvae(MLPSettings(2, 1), rng=seed) for seed in (1, 1, 2))
    for name, array in one.params.items():
        np.testing.assert_array_equal(array, same.params[name])
        assert not np.array_equal(array, other.params[name])


@pytest.fixture
def torch():
    """PyTorch on one thread: two cost more than they give at this size."""
    torch = pytest.importorskip("torch", reason="PyTorch is the independent implementation")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield torch
    torch.set_num_threads(before)


def test_20_steps_agree_with_pytorch(torch):
    """Losses, tokens and every parameter. The bound: each step rounds to 1e-16, and twenty steps
    of AdamW, which divides gradients
    by their own size, may grow that some thousandfold; a wrong factor anywhere shows at 1e-3."""
    import torch_transcription as theirs

    data = clusters(2, per_class=64).points.astype(np.float64)
    model = mlp_vqvae(MLPSettings(2, 1), EMA(32), dtype=np.float64)
    model.quantizer.initialize(model.encode(data), batch=32, rng=rng())
    codebook = model.quantizer.codebook
    other = theirs.AutoEncoder(2, 1).load(model.params)
    others = theirs.Codebook(
        *(torch.tensor(array) for array in (codebook.tokens, codebook.counts, codebook.sums))
    )
    adamw = torch.optim.AdamW(other.parameters(), 1e-3)
    run = TrainState(model, data, (FineTune(1),), TrainSettings(32), 0, AdamW(model.params, 1e-3))
    assert len(run.batches()) == 20
    first = codebook.tokens.copy()
    for rows in run.batches():
        before = dict(run.tally.losses)
        take_step(run, run.model, data[rows])
        expected = theirs.vq_step(other, others, adamw, torch.tensor(data[rows]))
        for name, loss in zip(("reconstruction", "commitment"), expected, strict=True):
            assert (run.tally.losses[name] - before.get(name, 0)) / 32 == pytest.approx(
                loss, rel=1e-10
            )
        for name, array in other.weights().items():
            np.testing.assert_allclose(model.params[name], array, rtol=0, atol=1e-11)
        np.testing.assert_allclose(codebook.tokens, others.tokens.numpy(), rtol=0, atol=1e-11)
        np.testing.assert_allclose(codebook.counts, others.counts.numpy(), rtol=0, atol=1e-11)
    assert abs(codebook.tokens - first).max() > 1e-3


def test_whole_protocol_of_the_transcription_runs(torch):
    import torch_transcription as theirs

    torch.manual_seed(0)
    data = torch.tensor(clusters(2, per_class=64).points)
    _, codebook, history = theirs.two_phases(data, 1, pretrain=6, finetune=4, k=16)
    assert len(history) == 10
    assert history[5] < history[0]
    assert codebook.tokens.shape == (16, 1)
    assert (
        128 < codebook.counts.sum() < 256
    )  # the mass of a batch: two of 256 and one of 128 an epoch


@pytest.mark.parametrize(
    "name", ["data_dim", "token_dim", "encoder_hidden", "decoder_hidden", "extra"]
)
def test_sizes_below_one_are_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        MLPSettings(**{"data_dim": 2, "token_dim": 1} | {name: 0})


def test_negative_beta_is_refused():
    with pytest.raises(ValueError, match="beta must be at least 0 and finite, got -1"):
        EMA(beta=-1)


def test_data_of_another_width_are_refused(model):
    with pytest.raises(
        ValueError, match=r"a linear layer of 3 inputs takes x of shape \(N, 3\), got \(9, 2\)"
    ):
        model.reconstruct(np.zeros((9, 2)))


def test_the_variance_divides_the_gradient_of_the_reconstruction(model, x):
    scaled = VQVAE(model.encoder, model.quantizer, model.decoder, variance=0.25)
    step, divided = (one.loss_and_gradients(x) for one in (model, scaled))
    assert divided.losses == step.losses
    for name, gradient in step.gradients.items():
        if name.startswith("decoder"):
            np.testing.assert_allclose(divided.gradients[name], gradient / 0.25, rtol=1e-12)
