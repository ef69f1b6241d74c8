"""Check of a VQ-VAE end to end: ten training steps from given parameters and tokens.

The model is a small MLP or convolutional one. A step is: loss ‖x − x̂‖² / variance + beta ·
commitment, its gradients, the optimizer, then eqs. 3 to 5 for the embeddings and codes of the same
step. The layers are those of ``vqnp/networks.py``, named by their places there. You can read their
sizes off the parameters.
"""

from functools import partial
from typing import Any, Literal

import numpy as np

from vqnp import threads
from vqnp.models import as_rows
from vqnp.networks import ConvSettings, MLPSettings, conv_vqvae, mlp_vqvae
from vqnp.optim import Adam
from vqnp.quantize import EMA, Codebook
from vqnp.testing.check import Adapter, Answers, Function, KnownMistake, Tolerance, check
from vqnp.testing.ema import ARRAYS, weighted
from vqnp.testing.golden import Array, Case, draw

Model = Literal["mlp", "conv"]
STEPS = 10
MODELS: dict[str, Function] = {
    "mlp": partial(mlp_vqvae, MLPSettings(3, 2, encoder_hidden=6, decoder_hidden=5)),
    "conv": partial(
        conv_vqvae,
        ConvSettings(
            token_dim=3, encoder_width=6, decoder_width=8, encoder_residual=4, decoder_residual=3
        ),
    ),
}
COMMON = {"beta": 0.25, "decay": 0.9, "epsilon": 1e-8, "beta1": 0.9, "beta2": 0.999}
SETTINGS: dict[str, dict[str, Any]] = {
    "mlp": COMMON
    | {
        "model": "mlp",
        "optimizer": "adamw",
        "learning_rate": 0.01,
        "weight_decay": 0.01,
        "variance": 0.8125,
    },
    "conv": COMMON
    | {
        "model": "conv",
        "optimizer": "amsgrad",
        "learning_rate": 0.003,
        "weight_decay": 0.0,
        "variance": 0.25,
    },
}


def draw_cases(seed: int) -> tuple[Case, ...]:
    """An MLP on points with AdamW, and convolutions on images of 8 × 12 pixels with AMSGrad."""
    return _case("mlp", seed, (16, 3), 6), _case("conv", seed + 1, (3, 8, 12, 3), 5)


def _case(name: str, seed: int, shape: tuple[int, ...], k: int) -> Case:
    rng = np.random.default_rng(seed)
    batches = draw(rng, STEPS, *shape) / (2 if name == "conv" else 1)
    model = MODELS[name](EMA(k), rng=seed)
    z = as_rows(model.encode(batches[0].astype(np.float32)))
    chosen = z[rng.choice(len(z), k, replace=False)].astype(np.float64)
    tokens = np.round(1024 * chosen) / 1024  # the same numbers from any BLAS
    inputs = {f"parameters.{n}": array.astype(np.float64) for n, array in model.params.items()}
    inputs |= weighted(tokens, np.full(k, 2.0)) | {"batches": batches}
    return Case(name, inputs, settings=SETTINGS[name])


class Stopped(EMA):
    """An EMA that lets no gradient of the decoder through."""

    def backward(self, dvectors: Array, cache: Any) -> tuple[Array, dict[str, Array]]:
        """Return the commitment's gradient alone."""
        return super().backward(0 * dvectors, cache)


def trained(
    parameters: dict[str, Array],
    codebook: dict[str, Array],
    batches: Array,
    settings: dict[str, Any],
    *,
    update: str = "after",
    kind: type[EMA] = EMA,
    change: Function = dict,
) -> list[dict[str, Any]]:
    """Train vqnp's own model; ``update``, ``kind`` and ``change`` make it go wrong."""
    settings = settings | change(settings)
    quantizer = kind(len(codebook["tokens"]), settings["decay"], beta=settings["beta"])
    quantizer.use(Codebook(**{name: array.copy() for name, array in codebook.items()}))
    model = MODELS[settings["model"]](quantizer, dtype=quantizer.tokens.dtype)
    model.variance = settings["variance"]
    for name, array in parameters.items():
        model.params[name][:] = array
    optimizer = Adam(
        model.params,
        settings["learning_rate"],
        amsgrad=settings["optimizer"] == "amsgrad",
        weight_decay=settings["weight_decay"],
    )
    seen = []

    def update_by(x: Array) -> None:
        z = as_rows(model.encode(x))
        quantizer.update(z, quantizer.forward(z)[0])

    with threads.limit(1):  # too little work to share
        for x in batches:
            if update == "before":
                update_by(x)
            step = model.loss_and_gradients(x)
            optimizer.step(step.gradients)
            if update == "after":
                quantizer.update(step.embeddings, step.quantized)
            if update == "anew":  # by the embeddings that the encoder has by now
                update_by(x)
            arrays = model.params | {name: quantizer.buffers[name] for name in ARRAYS}
            copies = {name: array.copy() for name, array in arrays.items()}
            seen.append({**step.losses, "codes": step.quantized.codes, **copies})
    return seen


MISTAKES = (
    KnownMistake(
        "updated-first",
        "the codebook moves before the loss is taken: move it last",
        (partial(trained, update="before"),),
    ),
    KnownMistake(
        "updated-anew",
        "the codebook moves by embeddings encoded after the optimizer's step: keep the loss's",
        (partial(trained, update="anew"),),
    ),
    KnownMistake("not-updated", "the codebook does not move", (partial(trained, update="never"),)),
    KnownMistake(
        "nothing-passes",
        "the decoder's gradient does not reach the encoder: z + stop_gradient(token − z)",
        (partial(trained, kind=Stopped),),
    ),
    KnownMistake(
        "beta-forgotten",
        "the commitment is not weighed by beta",
        (partial(trained, change=lambda s: {"beta": 1.0}),),
    ),
    KnownMistake(
        "commitment-forgotten",
        "the commitment is not in the loss",
        (partial(trained, change=lambda s: {"beta": 0.0}),),
    ),
    KnownMistake(
        "beta-on-the-reconstruction",
        "beta weighs the reconstruction and not the commitment",
        (partial(trained, change=lambda s: {"beta": 1.0, "variance": s["variance"] / s["beta"]}),),
    ),
    KnownMistake(
        "decay-swapped",
        "γ weighs the new batch and 1 − γ the past",
        (partial(trained, change=lambda s: {"decay": 1 - s["decay"]}),),
    ),
    KnownMistake(
        "variance-forgotten",
        "the reconstruction's error is not divided by the variance",
        (partial(trained, change=lambda s: {"variance": 1.0}),),
    ),
    KnownMistake(
        "plain-adam",
        "the optimizer is Adam",
        (partial(trained, change=lambda s: {"optimizer": "adam", "weight_decay": 0.0}),),
    ),
)


@check(
    {"training": draw_cases},
    Tolerance(
        1e5, "ten steps, each through a dozen layers, and Adam divides by the root of small squares"
    ),
    MISTAKES,
    right=(trained,),
    names={f"training_{model}": {"model": model} for model in MODELS},
)
def check_training(
    case: Case, adapter: Adapter, train: Function, *, model: Model = "mlp"
) -> Answers:
    """Check ten steps of a whole model, with every parameter.

    It catches a wrong order of loss, optimizer and codebook, and misplaced weights of the losses.

    Parameters
    ----------
    train : function
        ``train(parameters, codebook, batches, settings) -> steps``: parameters is a dictionary of
        arrays by name, ``cases("training")`` shows the names. Images are channels-last, kernels
        ``(kh, kw, in, out)``, the transposed ones ``(kh, kw, out, in)``, matrices ``(in, out)``.
        The codebook is a dictionary of tokens ``(K, D)``, counts ``(K,)`` and sums ``(K, D)``.
        Batches are ``(10, B, ...)``. The settings are a dictionary of model, optimizer,
        learning_rate, weight_decay, beta1, beta2, epsilon, beta, variance and decay. Return ten
        dictionaries, as things are after each step: reconstruction and commitment, plain means of
        squares; tokens ``(K, D)``; and every parameter under its name. Counts, sums and codes
        ``(N,)`` are compared where they are there.
    model : "mlp" or "conv"
        The model, and with it the optimizer: AdamW for the MLP, AMSGrad for the convolutions.

    Example
    -------
    >>> print(check_training(trained))
    check_training, model mlp: all 18 comparisons pass
    """
    given, prefix = adapter.give(case.inputs), "parameters."
    parameters = {n.removeprefix(prefix): a for n, a in given.items() if n.startswith(prefix)}
    codebook = {name: given[name] for name in ARRAYS}
    steps = list(train(parameters, codebook, given["batches"], dict(case.settings)))
    if len(steps) != STEPS:
        raise TypeError(f"train must return {STEPS} dictionaries, one a step, got {len(steps)}")
    needed = ("reconstruction", "commitment", "tokens", *parameters)
    if missing := [name for name in needed if name not in steps[-1]]:
        raise TypeError(f"train must return {', '.join(missing)} for every step")
    found = [name for name in (*needed, "counts", "sums", "codes") if name in steps[-1]]
    return {name: np.stack([adapter.take(step[name]) for step in steps]) for name in found}
