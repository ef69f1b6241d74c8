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
    EMA,
    FSQ,
    LFQ,
    Codebook,
    Cosine,
    Product,
    Residual,
    SimVQ,
    ema_update,
    nearest,
    straight_through_backward,
    straight_through_forward,
)
from vqnp.quantize.fsq import fsq_backward, fsq_forward
from vqnp.quantize.lfq import bits_entropy_backward, bits_entropy_forward
from vqnp.quantize.lloyd import lloyd
from vqnp.quantize.rotation import rotation_backward
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


def quantizer_pair(make):
    """Return forward and vjp of a quantizer that ``make(*codebook, beta)`` makes."""

    def forward(z, *given):
        quantized, _ = make(*given).forward(z)
        *_, beta = given
        weights = {"commitment": beta, "codebook": 1}
        loss = sum(weights[name] * value for name, value in quantized.losses.items())
        return quantized.vectors, quantized.codes, loss

    def vjp(z, *given):
        *given, dvectors = given
        made = make(*given)
        dz, gradients = made.backward(dvectors, made.forward(z)[1])
        return dz, None, *gradients.values()

    return forward, vjp


def books_of(state):
    """Name the arrays of several codebooks as the quantizers that hold them do."""
    return {
        f"{book}.{name}": array.copy() for name, arrays in state.items()
        for book, array in enumerate(arrays)
    }  # fmt: skip


def averages(tokens):
    counts = np.ones(tokens.shape[:-1], tokens.dtype)
    steps = np.zeros(len(tokens), np.int64)
    return {"tokens": tokens, "counts": counts, "sums": tokens.copy(), "steps": steps}


def residual(tokens, beta):
    made = Residual(EMA(tokens.shape[1], beta=beta), stages=len(tokens))
    made.buffers.update(books_of(averages(tokens)))
    return made


def residual_update(state, z, decay):
    made = Residual(EMA(state["tokens"].shape[1], decay=decay), stages=len(state["tokens"]))
    made.buffers.update(books_of(averages(state["tokens"]) | state))
    made.update(z, made.forward(z)[0])
    return {n: np.stack([made.buffers[f"{t}.{n}"] for t in range(made.stages)]) for n in NAMES}


def product(tokens, beta):
    made = Product(EMA(tokens.shape[1], beta=beta), heads=len(tokens))
    made.buffers.update(books_of(averages(tokens)))
    return made


def cosine(tokens, beta):
    made = Cosine(EMA(len(tokens), beta=beta))
    units = tokens / np.linalg.norm(tokens, axis=1, keepdims=True)
    state = {name: array[0] for name, array in averages(units[None]).items()}
    made.buffers.update({f"sphere.{name}": array for name, array in state.items()})
    return made


def simvq(cloud, weight, bias, beta=0.25):
    made = SimVQ(len(cloud), beta=beta)
    made.buffers["cloud"] = cloud
    made.params.update(weight=weight, bias=bias)
    return made


def fsq_vjp(z, levels, dvectors):
    return fsq_backward(dvectors, fsq_forward(z, levels)[2])


def fsq_decode(codes, levels):
    return FSQ(levels).decode(codes, dtype=np.float64)


def entropy(z, sharpness, diversity):
    gap, cache = bits_entropy_forward(z, 1.0, sharpness, diversity, z.shape[1])
    return gap, bits_entropy_backward(1.0, cache)


def rotation_vjp(z, tokens, dvectors):
    return rotation_backward(dvectors, z, tokens), None


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
    "fsq": (lambda z, levels: FSQ(levels).forward(z)[0][:2], fsq_vjp, fsq_decode),
    "lfq": (
        lambda z: LFQ(2 ** z.shape[1]).forward(z)[0][:2],
        lambda z, dvectors: straight_through_backward(dvectors),
        entropy,
    ),
    "residual": (*quantizer_pair(residual), residual_update),
    "product": quantizer_pair(product),
    "cosine": quantizer_pair(cosine),
    "rotation": (lambda z, tokens: tokens, rotation_vjp),
    "simvq": (*quantizer_pair(simvq), lambda codes, *book: simvq(*book).decode(codes)),
    "training_mlp": trained,
    "training_conv": trained,
}
