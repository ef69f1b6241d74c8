"""PyTorch's own layers and optimizers, a stateful module, and a whole training in PyTorch."""

from itertools import pairwise

import numpy as np
import pytest

from vqnp.testing import (
    cases,
    check_commitment,
    check_conv2d,
    check_conv_transpose2d,
    check_ema,
    check_evaluation,
    check_grads,
    check_nearest,
    check_optimizer,
    check_quantizer_step,
    check_residual_blocks,
    check_straight_through,
    check_training,
    torch_module,
    torch_vjp,
)

torch = pytest.importorskip("torch", reason="compares with PyTorch")
from torch_conv import ConvVQVAE, channels_first, channels_last  # noqa: E402  (it imports PyTorch)

F = torch.nn.functional


def conv(x, weight, bias, stride, padding):
    return F.conv2d(x, weight, bias, stride, padding)


def conv_transpose(x, weight, bias, stride, padding):
    return F.conv_transpose2d(x, weight, bias, stride, padding)


def optimizer(kind):
    made = {
        "adam": torch.optim.Adam,
        "amsgrad": lambda p, **options: torch.optim.Adam(p, amsgrad=True, **options),
        "adamw": torch.optim.AdamW,
    }[kind]

    def step(parameter, gradient, state, settings):
        if state is None:
            betas = settings["beta1"], settings["beta2"]
            options = {"betas": betas, "weight_decay": settings["weight_decay"]}
            options |= {"lr": settings["learning_rate"], "eps": settings["epsilon"]}
            state = made([parameter.requires_grad_()], **options)
        parameter.grad = gradient
        state.step()
        return parameter, state

    return step


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_convolutions_channels_first(dtype):
    options = {"layout": "NCHW", "arrays": "torch", "dtype": dtype}
    assert check_conv2d(conv, torch_vjp(conv), **options).passed
    assert check_conv_transpose2d(conv_transpose, torch_vjp(conv_transpose), **options).passed


def test_a_transposed_kernel_in_torch_is_named():
    flipped = lambda x, w, *rest: F.conv2d(x, w.flip(2, 3), *rest)  # noqa: E731
    result = check_conv2d(flipped, torch_vjp(flipped), layout="NCHW", arrays="torch", raises=False)
    assert [mistake.name for mistake in result.suspects] == ["kernel-turned"]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kind", ["adam", "amsgrad", "adamw"])
def test_optimizers(kind, dtype):
    assert check_optimizer(optimizer(kind), kind=kind, arrays="torch", dtype=dtype).passed


def test_one_optimizer_is_not_another():
    found = {
        (kind, other): [
            s.name
            for s in check_optimizer(
                optimizer(other), kind=kind, arrays="torch", raises=False
            ).suspects
        ]
        for kind, other in [("amsgrad", "adam"), ("adamw", "adam")]
    }
    assert found == {
        ("amsgrad", "adam"): ["maximum-forgotten"],
        ("adamw", "adam"): ["decay-coupled"],
    }


def test_residual_blocks():
    def forward(x, blocks):
        for b in blocks:
            x = x + F.conv2d(
                F.relu(F.conv2d(F.relu(x), b["wide"], b["wide_bias"], padding=1)),
                b["narrow"],
                b["narrow_bias"],
            )
        return x

    def vjp(x, blocks, dout):
        leaves = [
            x.requires_grad_(),
            *(array.requires_grad_() for block in blocks for array in block.values()),
        ]
        dx, *others = torch.autograd.grad(forward(x, blocks), leaves, dout)
        return dx, [dict(zip(blocks[0], others[i : i + 4], strict=True)) for i in (0, 4)]

    assert check_residual_blocks(forward, vjp, layout="NCHW", arrays="torch").passed


def test_quantization():
    def search(points, tokens):
        return torch.cdist(points, tokens, compute_mode="donot_use_mm_for_euclid_dist").argmin(
            dim=1
        )

    def straight_through(z, tokens):
        last = z.permute(0, 2, 3, 1)
        quantized = tokens[
            search(last.reshape(-1, last.shape[3]).detach(), tokens.detach())
        ].reshape(last.shape)
        return z + (quantized.permute(0, 3, 1, 2) - z).detach()

    def loss(z, quantized, beta):
        value = beta * F.mse_loss(z.requires_grad_(), quantized.requires_grad_().detach())
        return value, *torch.autograd.grad(value, (z, quantized), allow_unused=True)

    assert check_nearest(search, arrays="torch").passed
    assert check_straight_through(
        straight_through, torch_vjp(straight_through), layout="NCHW", arrays="torch"
    ).passed
    assert check_commitment(loss, arrays="torch").passed


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_cdist_with_a_matrix_product_is_named(dtype):
    def search(points, tokens):
        return (
            (points**2).sum(1, keepdim=True) - 2 * points @ tokens.T + (tokens**2).sum(1)
        ).argmin(dim=1)

    result = check_nearest(search, arrays="torch", dtype=dtype, raises=False)
    assert [comparison.where for comparison in result.failed] == [f"far off, {dtype}: distance"]
    assert "expanded-square" in str(result)


def test_moving_averages():
    def step(state, embeddings, codes, decay):
        hits = torch.bincount(codes, minlength=len(state["tokens"])).to(embeddings)
        sums = torch.zeros_like(state["sums"]).index_add_(0, codes, embeddings)
        counts, sums = (
            torch.lerp(new, state[name], decay) for name, new in (("counts", hits), ("sums", sums))
        )
        return {
            "counts": counts,
            "sums": sums,
            "tokens": torch.where(hits[:, None] > 0, sums / counts[:, None], state["tokens"]),
        }

    assert check_ema(step, arrays="torch").passed
    result = check_ema(step, dialect="counts-one", arrays="torch", raises=False)
    assert [mistake.name for mistake in result.suspects] == ["paper"]


class Codebook(torch.nn.Module):
    """A quantizer that keeps its own state, as modules do; ``embed`` is computed."""

    def __init__(self, n_tokens, dim, decay, order="right"):
        super().__init__()
        self.decay, self.order = decay, order
        self.register_buffer("size", torch.ones(n_tokens))
        self.register_buffer("average", torch.zeros(1, n_tokens, dim))

    @property
    def embed(self):
        return self.average[0] / self.size[:, None]

    def forward(self, z):
        codes = (z[0, :, None] - self.embed).square().sum(dim=2).argmin(dim=1)
        quantized = self.embed[codes]
        if self.training:
            chosen = F.one_hot(codes, len(self.size)).to(z)
            self.size.lerp_(chosen.sum(dim=0), 1 - self.decay)
            self.average.lerp_((chosen.T @ z[0])[None], 1 - self.decay)
        return (self.embed[codes] if self.order == "late" else quantized)[None], codes[None]


NAMES = {"tokens": "embed", "counts": "size", "sums": "average"}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_stateful_module_is_checked_by_its_names(dtype):
    mine = torch_module(Codebook, NAMES)
    assert check_nearest(mine.search, arrays="torch", dtype=dtype).passed
    assert check_quantizer_step(mine.step, arrays="torch", dtype=dtype).passed
    assert check_evaluation(mine.evaluate, arrays="torch", dtype=dtype, raises=False).failed == ()


def test_a_stateful_module_that_looks_up_too_late_is_named():
    mine = torch_module(lambda *sizes: Codebook(*sizes, order="late"), NAMES)
    result = check_quantizer_step(mine.step, arrays="torch", raises=False)
    assert [mistake.name for mistake in result.suspects] == ["updated-before-lookup"]


def test_vector_quantize_is_checked_in_five_lines():
    module = pytest.importorskip("vector_quantize_pytorch", reason="checks its VectorQuantize")
    names = {"tokens": "embed", "counts": "cluster_size", "sums": "embed_avg"}
    state = {ours: f"_codebook.{theirs}" for ours, theirs in names.items()}
    make = lambda k, dim, decay: module.VectorQuantize(dim, k, decay=decay)  # noqa: E731
    step = torch_module(make, state).step
    options = {"arrays": "torch", "dtype": "float32", "raises": False}
    assert check_quantizer_step(step, dialect="counts-one", **options).passed
    wrong = check_quantizer_step(step, dialect="paper", **options)
    assert [suspect.name for suspect in wrong.suspects] == ["counts-one"]


def test_gradients_of_anything():
    attention = lambda q, k: torch.softmax(q @ k.mT, dim=-1)  # noqa: E731
    args = [np.random.default_rng(seed).normal(size=(2, 3, 4)) for seed in range(2)]
    assert check_grads(attention, torch_vjp(attention), args, arrays="torch").passed


class Linear3(torch.nn.Sequential):
    """Three linear layers."""

    def __init__(self, *sizes):
        linear = [torch.nn.Linear(a, b) for a, b in pairwise(sizes)]
        super().__init__(linear[0], torch.nn.ReLU(), linear[1], torch.nn.ReLU(), linear[2])


class MLP(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = Linear3(3, 6, 6, 2), Linear3(2, 5, 5, 3)


def train(parameters, codebook, batches, settings):
    """Ten steps in plain eager PyTorch, channels-first inside."""
    convolutional = settings["model"] == "conv"
    model = (ConvVQVAE(3, (6, 4), (8, 3)) if convolutional else MLP()).to(torch.float64)
    turn = channels_first if convolutional else (lambda w: w.T if w.ndim == 2 else w)
    back = channels_last if convolutional else (lambda w: w.T if w.ndim == 2 else w)
    with torch.no_grad():
        for ours, theirs in zip(parameters.values(), model.parameters(), strict=True):
            theirs.copy_(torch.tensor(turn(ours.numpy())))
    if settings["optimizer"] == "adamw":
        steps = torch.optim.AdamW(
            model.parameters(), settings["learning_rate"], weight_decay=settings["weight_decay"]
        )
    else:
        steps = torch.optim.Adam(model.parameters(), settings["learning_rate"], amsgrad=True)
    first, last = ((0, 3, 1, 2), (0, 2, 3, 1)) if convolutional else ((0, 1), (0, 1))
    seen = []
    for x in batches:
        z = model.encoder(x.permute(first)).permute(last)
        points = z.reshape(-1, z.shape[-1]).detach()
        codes = torch.cdist(
            points, codebook["tokens"], compute_mode="donot_use_mm_for_euclid_dist"
        ).argmin(dim=1)
        quantized = codebook["tokens"][codes].reshape(z.shape)
        error = F.mse_loss(
            model.decoder((z + (quantized - z).detach()).permute(first)).permute(last), x
        )
        commitment = F.mse_loss(z, quantized)
        steps.zero_grad()
        (error / settings["variance"] + settings["beta"] * commitment).backward()
        steps.step()
        codebook = moved(codebook, points, codes, settings["decay"])
        named = {
            name: back(p.detach().clone().numpy())
            for name, p in zip(parameters, model.parameters(), strict=True)
        }
        seen.append(
            {"reconstruction": error.item(), "commitment": commitment.item(), "codes": codes}
            | named
            | codebook
        )
    return seen


def moved(codebook, points, codes, decay):
    hits = torch.bincount(codes, minlength=len(codebook["tokens"])).to(points)
    sums = torch.zeros_like(codebook["sums"]).index_add_(0, codes, points)
    counts, sums = (
        decay * codebook["counts"] + (1 - decay) * hits,
        decay * codebook["sums"] + (1 - decay) * sums,
    )
    tokens = torch.where(hits[:, None] > 0, sums / counts[:, None], codebook["tokens"])
    return {"tokens": tokens, "counts": counts, "sums": sums}


@pytest.mark.parametrize("model", ["mlp", "conv"])
def test_a_whole_training(model):
    assert check_training(train, model=model, arrays="torch").passed


def test_whole_trainings_stored_have_parameters_that_all_move():
    for case in cases("training"):
        for name, steps in case.outputs.items():
            if f"parameters.{name}" in case.inputs:
                assert (steps[-1] != case.inputs[f"parameters.{name}"]).any(), name
