"""One whole training step of the paper's model on images, batch 256.

It is forward, loss, backward and Adam with AMSGrad. With VQ, it is also the search and the moving
averages.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch_conv

from benchmarks.conv import LAYERS
from benchmarks.our_step import BATCH, BETA, DECAY, PAPER, RATE, SIDE, VARIANCE, our_step, problem
from benchmarks.timing import OURS, Case
from benchmarks.torch_step import torch_step
from vqnp import VQVAE, ConvSettings
from vqnp.validation import Array

TINY = ConvSettings(4, 8, 8, 4, 4)
IN_THE_MODEL = (1, 1, 1, 4, 4, 1, 1, 1, 1)  # how often it has each of LAYERS


def cases(*, tiny: bool = False) -> Iterator[Case]:
    """Yield the autoencoder and the VQ-VAE; ``tiny`` is a model for a test."""
    for k in (None, 8) if tiny else (None, 512, 16_384):
        yield case(k, TINY if tiny else PAPER, 2 if tiny else BATCH)


def case(k: int | None, settings: ConvSettings, batch: int) -> Case:
    """Return the case of ``k`` tokens, or of the autoencoder if ``k`` is None.

    A contestant returns the reconstruction error.
    """
    images, model = problem(k, settings, batch)
    theirs = in_torch(images, model, settings, k)  # copies the weights, before ours change them
    return Case(
        named(k),
        {OURS: our_step(images, model, k), "PyTorch": theirs},
        agree,
        work(k, settings, batch),
    )


def named(k: int | None) -> str:
    """Return what a model is called in the table."""
    return "autoencoder" if k is None else f"VQ-VAE, K = {k:,}"


def work(k: int | None, settings: ConvSettings, batch: int) -> float:
    """Return the multiplications and additions of convolutions and search.

    The convolutions count once forward and twice backward.
    """
    if settings != PAPER:
        return 0.0
    forward = sum(
        times * layer.work(batch) for times, layer in zip(IN_THE_MODEL, LAYERS, strict=True)
    )
    return 3 * forward + 2.0 * batch * (SIDE // 4) ** 2 * (k or 0) * settings.token_dim


def in_torch(
    images: Array, model: VQVAE, settings: ConvSettings, k: int | None
) -> Callable[[], float]:
    """Return PyTorch's step, from a copy of the weights and tokens."""
    s = settings
    widths = (s.encoder_width, s.encoder_residual), (s.decoder_width, s.decoder_residual)
    there = torch_conv.ConvVQVAE(s.token_dim, *widths).load(model.params).float()
    batch = torch.tensor(images)
    if k is None:
        return torch_step(there, [], batch, rate=RATE, variance=VARIANCE)
    book = model.quantizer.codebook
    codebook = [torch.tensor(array) for array in (book.tokens, book.counts, book.sums)]
    return torch_step(there, codebook, batch, rate=RATE, variance=VARIANCE, beta=BETA, decay=DECAY)


def agree(errors: dict[str, float]) -> None:
    """Raise ``AssertionError`` unless the errors agree to float32's rounding.

    They are those of the second steps, after the same first one.
    """
    np.testing.assert_allclose(errors["PyTorch"], errors[OURS], rtol=1e-4)
