import numpy as np
import pytest

from vqnp import EMA, ConvSettings, Identity, conv_vqvae
from vqnp.layers import ResidualBlock
from vqnp.optim import Adam
from vqnp.training import FineTune, TrainSettings, TrainState
from vqnp.training.loop import take_step

SMALL = ConvSettings(
    5, 8, 6, 3, 4
)  # token size, widths of encoder and decoder, and inside their residual blocks


def rng(seed=0):
    return np.random.default_rng(seed)


def count(params, half):
    return sum(array.size for name, array in params.items() if name.startswith(half))


def test_parameter_counts_of_the_papers_model():
    """By hand, kernel · in · out + out: the stem 3 136 + 131 200, the 3×3 147 584, a block 73 792
    + 8 320, the 1×1 8 256;
    the decoder's 3×3 73 856, two such blocks, and the transposed pair 131 136 + 3 075."""
    params = conv_vqvae().params
    assert (
        count(params, "encoder")
        == 3_136 + 131_200 + 147_584 + 2 * (73_792 + 8_320) + 8_256
        == 454_400
    )
    assert count(params, "decoder") == 73_856 + 2 * (73_792 + 8_320) + 131_136 + 3_075 == 372_291


def test_parameter_counts_of_a_small_encoder_before_the_same_decoder():
    """With h = 2, r = 1, D = 64: 49 + 34 + 38 + 2 (19 + 4) + 192; the decoder does not notice."""
    params = conv_vqvae(ConvSettings(encoder_width=2, encoder_residual=1)).params
    assert count(params, "encoder") == 49 + 34 + 38 + 2 * (19 + 4) + 192
    assert count(params, "decoder") == 372_291


@pytest.mark.parametrize(("width", "halves"), [(1, 1), (2, 1), (3, 1), (7, 3), (8, 4)])
def test_width_at_half_resolution(width, halves):
    params = conv_vqvae(ConvSettings(4, width, width)).params
    assert params["encoder.0.weight"].shape == (4, 4, 3, halves)
    assert params["encoder.2.weight"].shape == (4, 4, halves, width)
    assert params["decoder.4.weight"].shape == (4, 4, halves, width)
    assert params["decoder.6.weight"].shape == (4, 4, 3, halves)


@pytest.mark.parametrize("blocks", [0, 1, 3])
def test_number_of_blocks(blocks):
    model = conv_vqvae(ConvSettings(5, 8, 6, 3, 4, blocks=blocks))
    for half in (model.encoder, model.decoder):
        assert sum(isinstance(layer, ResidualBlock) for layer in half) == blocks


def test_no_two_layers_share_a_weight():
    arrays = list(conv_vqvae(SMALL).params.values())
    for i, array in enumerate(arrays):
        assert array.flags.c_contiguous  # else the optimizer would change a copy
        assert not any(np.shares_memory(array, other) for other in arrays[:i])


def test_shapes_of_images_that_are_not_square():
    model = conv_vqvae(SMALL, EMA(7))
    x = rng().normal(size=(3, 8, 12, 3)).astype(np.float32)
    z = model.encode(x)
    assert z.shape == (3, 2, 3, 5)
    assert z.dtype == np.float32
    model.quantizer.initialize(z.reshape(-1, 5), batch=18, rng=rng())
    quantized, codes, _ = model.quantize(x)
    assert quantized.shape == z.shape
    np.testing.assert_array_equal(quantized.reshape(-1, 5), model.quantizer.codebook.tokens[codes])
    assert model.reconstruct(x).shape == x.shape


def test_paper_model_makes_64_embeddings_of_a_cifar_image():
    assert conv_vqvae().encode(np.zeros((1, 32, 32, 3), np.float32)).shape == (1, 8, 8, 64)


def test_default_quantizer_is_the_papers():
    assert conv_vqvae().quantizer == EMA(n_tokens=512, decay=0.99)


def test_loss_is_divided_by_the_variance_and_the_report_is_not():
    x = rng(1).normal(size=(2, 8, 8, 3))
    plain, scaled = (
        conv_vqvae(SMALL, Identity(), variance=variance, dtype=np.float64)
        for variance in (1.0, 0.05)
    )
    one, other = plain.loss_and_gradients(x), scaled.loss_and_gradients(x)
    assert (
        one.losses
        == other.losses
        == {"reconstruction": pytest.approx(((plain.reconstruct(x) - x) ** 2).mean())}
    )
    for name, gradient in one.gradients.items():  # round-off of some thousand sums
        np.testing.assert_allclose(other.gradients[name], gradient / 0.05, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("variance", [0, -1.0, np.nan, np.inf])
def test_variance_must_be_positive(variance):
    with pytest.raises(ValueError, match="variance must be positive"):
        conv_vqvae(SMALL, variance=variance)


@pytest.mark.parametrize(
    "name", [name for name in ConvSettings.__dataclass_fields__ if name != "blocks"]
)
def test_sizes_are_at_least_one(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1"):
        ConvSettings(**{name: 0})


def test_10_steps_agree_with_pytorch():
    """Losses, tokens and every parameter under AMSGrad, from images that are not square and are no
    pattern.

    The bound: a step rounds to 1e-16, and ten steps of AMSGrad, which divides a gradient by its
    own size, may grow that some
    thousandfold; a wrong factor anywhere shows at 1e-4."""
    pytest.importorskip("torch", reason="PyTorch is the independent implementation")
    import torch
    import torch_conv as theirs

    variance, beta, decay, rate = 0.06, 0.3, 0.9, 3e-3
    data = rng(2).normal(0, 0.25, size=(40, 8, 12, 3))
    model = conv_vqvae(SMALL, EMA(16, decay, beta=beta), variance=variance, dtype=np.float64)
    model.quantizer.initialize(model.encode(data).reshape(-1, 5), batch=24, rng=rng(1))
    codebook = model.quantizer.codebook
    other = theirs.ConvVQVAE(5, (8, 3), (6, 4)).load(model.params)
    others = tuple(
        torch.tensor(array) for array in (codebook.tokens, codebook.counts, codebook.sums)
    )
    amsgrad = torch.optim.Adam(other.parameters(), rate, amsgrad=True)
    run = TrainState(
        model, data, (FineTune(1),), TrainSettings(4), 0, Adam(model.params, rate, amsgrad=True)
    )
    assert len(run.batches()) == 10
    first = codebook.tokens.copy()
    for rows in run.batches():
        before = dict(run.tally.losses)
        take_step(run, run.model, data[rows])
        expected = theirs.vq_step(
            other,
            others,
            amsgrad,
            torch.tensor(data[rows]),
            variance=variance,
            beta=beta,
            decay=decay,
        )
        for name, loss in zip(("reconstruction", "commitment"), expected, strict=True):
            assert (run.tally.losses[name] - before.get(name, 0)) / 4 == pytest.approx(
                loss, rel=1e-10
            )
        for (name, ours), array in zip(model.params.items(), other.weights(), strict=True):
            np.testing.assert_allclose(ours, array, rtol=0, atol=1e-11, err_msg=name)
        for name, array in zip(("tokens", "counts", "sums"), others, strict=True):
            np.testing.assert_allclose(
                getattr(codebook, name), array.numpy(), rtol=0, atol=1e-11, err_msg=name
            )
    assert abs(codebook.tokens - first).max() > 1e-4
