"""Our half of the training steps on images: a batch, a model with tokens, and a step of ``train``.

It needs only vqnp, so its memory can be measured where PyTorch was never loaded.
"""

from collections.abc import Callable

import numpy as np

from vqnp import EMA, VQVAE, ConvSettings, conv_vqvae
from vqnp.quantize.codebook import Codebook
from vqnp.training import TrainSettings, TrainState
from vqnp.training.loop import take_step
from vqnp.validation import Array

BATCH, SIDE, RATE, BETA, VARIANCE, DECAY = 256, 32, 3e-4, 0.25, 0.0633, 0.99
PAPER = ConvSettings()


def problem(
    k: int | None, settings: ConvSettings = PAPER, batch: int = BATCH
) -> tuple[Array, VQVAE]:
    """Return a batch of images ``(B, H, W, 3)`` and the model.

    Its ``k`` tokens lie near the batch's own embeddings.
    """
    rng = np.random.default_rng(0)
    images = rng.random((batch, SIDE, SIDE, 3), np.float32) - np.float32(0.5)
    model = conv_vqvae(settings, EMA(k or 1, DECAY, beta=BETA), variance=VARIANCE)
    if k is not None:
        z = model.encode(images).reshape(-1, settings.token_dim)
        tokens = z[rng.choice(len(z), k, replace=False)]
        tokens += np.float32(0.1 * z.std()) * rng.standard_normal(tokens.shape, np.float32)
        model.quantizer.use(Codebook.start(tokens, np.full(k, len(z) / k, np.float32), rng=rng))
    return images, model


def our_step(images: Array, model: VQVAE, k: int | None) -> Callable[[], float]:
    """Return a function that makes one step and returns the reconstruction error before it."""
    settings = TrainSettings(len(images), RATE, "amsgrad")
    state = TrainState(model, images, (), settings, 0, settings.make_optimizer(model.params))
    stepped = model.autoencoder if k is None else model

    def once() -> float:
        before = state.tally.losses.get("reconstruction", 0.0)
        take_step(state, stepped, images)
        return (state.tally.losses["reconstruction"] - before) / len(images)

    return once
