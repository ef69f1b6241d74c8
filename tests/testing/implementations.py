"""vqnp's own functions, as the checks take them."""

import warnings
from functools import partial

import numpy as np

from vqnp.diagnostics import perplexity
from vqnp.layers import ResidualBlock
from vqnp.layers.conv import conv2d_backward, conv2d_forward
from vqnp.layers.conv_transpose import conv_transpose2d_backward, conv_transpose2d_forward
from vqnp.losses import commitment
from vqnp.optim import Adam
from vqnp.quantize import (
    Codebook,
    ema_update,
    nearest,
    straight_through_backward,
    straight_through_forward,
)
from vqnp.quantize.lloyd import lloyd
from vqnp.testing.training import trained

NAMES = ("tokens", "counts", "sums")


def codebook_of(state):
    return Codebook(*(state[name].copy() for name in NAMES), state["steps"])


def state_of(codebook):
    return {name: getattr(codebook, name) for name in NAMES} | {"steps": codebook.steps}


def search(points, tokens):
    return nearest(points, tokens)[0]


def ema(state, embeddings, codes, decay, mask=None, *, dialect="paper"):
    codebook = codebook_of(state)
    if mask is not None:
        embeddings, codes = embeddings[mask], codes[mask]
    ema_update(codebook, embeddings, codes, decay, dialect)
    return state_of(codebook)


def start(tokens, counts, *, dialect="paper"):
    return state_of(Codebook.start(tokens, counts, dialect, rng=np.random.default_rng(0)))


def revive(state, codes, tokens, counts):
    codebook = codebook_of(state)
    codebook.set_tokens(codes, tokens, counts)
    return state_of(codebook)


def quantizer_step(state, embeddings, decay, *, dialect="paper"):
    quantized, codes = straight_through_forward(embeddings, state["tokens"])
    return quantized, ema(state, embeddings, codes, decay, dialect=dialect)


def evaluate(state, embeddings):
    return straight_through_forward(embeddings, state["tokens"])[0], state


def cluster(points, tokens):
    with warnings.catch_warnings(
        action="ignore"
    ):  # "k-means leaves 3 of 7 tokens without points", as it must
        found = lloyd(points, tokens, 100)
    return found.tokens, found.counts


def straight_through(embeddings, tokens):
    return straight_through_forward(embeddings.reshape(-1, embeddings.shape[3]), tokens)[0].reshape(
        embeddings.shape
    )


def straight_through_vjp(embeddings, tokens, dquantized):
    return straight_through_backward(dquantized), None


def commitment_loss(embeddings, quantized, beta):
    value, slope = commitment(embeddings, quantized)
    return beta * value, beta * slope, None


def layer(forward, backward):
    def vjp(x, weight, bias, stride, padding, dout):
        return backward(dout, forward(x, weight, bias, stride, padding)[1])

    return (lambda *args: forward(*args)[0]), vjp


def residual_layers(x, blocks):
    made = [ResidualBlock(x.shape[3], block["wide"].shape[3], dtype=x.dtype) for block in blocks]
    for one, block in zip(made, blocks, strict=True):
        named = zip(("1.weight", "1.bias", "3.weight", "3.bias"), block.values(), strict=True)
        for name, value in named:
            one.params[name][:] = value
    return made


def residual_forward(x, blocks):
    for block in residual_layers(x, blocks):
        x, _ = block.forward(x)
    return x


def residual_vjp(x, blocks, dout):
    layers, caches = residual_layers(x, blocks), []
    for block in layers:
        x, cache = block.forward(x)
        caches.append(cache)
    gradients = []
    for block, cache in zip(reversed(layers), reversed(caches), strict=True):
        dout, own = block.backward(dout, cache)
        ours = (own[name] for name in ("1.weight", "1.bias", "3.weight", "3.bias"))
        theirs = ("wide", "wide_bias", "narrow", "narrow_bias")
        gradients.insert(0, dict(zip(theirs, ours, strict=True)))
    return dout, gradients


def optimizer_step(parameter, gradient, state, settings, *, kind):
    if state is None:
        betas = settings["beta1"], settings["beta2"]
        options = {name: settings[name] for name in ("epsilon", "weight_decay")}
        options |= {"betas": betas, "amsgrad": kind == "amsgrad"}
        state = Adam({"p": parameter}, settings["learning_rate"], **options)
    state.step({"p": gradient})
    return state.params["p"].copy(), state


OURS = {
    "nearest": search,
    "tie_break": search,
    "kmeans_init": cluster,
    "kmeans_empty": cluster,
    "ema": ema,
    "ema_start": start,
    "ema_mask": ema,
    "ema_unused": ema,
    "revival": revive,
    "quantizer_step": quantizer_step,
    "evaluation": evaluate,
    "straight_through": (straight_through, straight_through_vjp),
    "commitment": commitment_loss,
    "perplexity": perplexity,
    "conv2d": layer(conv2d_forward, conv2d_backward),
    "conv_transpose2d": layer(conv_transpose2d_forward, conv_transpose2d_backward),
    "residual_blocks": (residual_forward, residual_vjp),
    **{kind: partial(optimizer_step, kind=kind) for kind in ("adam", "amsgrad", "adamw")},
    "training_mlp": trained,
    "training_conv": trained,
}
