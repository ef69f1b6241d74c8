"""Encoders and decoders, their sizes, and the models made of them.

For points, three linear layers either way, a rectifier between every two (section 5.2)::

    encoder    data → hidden → hidden → token        decoder    token → hidden → hidden → data

For images, 32 × 32 pixels become 8 × 8 embeddings, and those pixels again::

    encoder    conv 4×4 /2 → ReLU → conv 4×4 /2 → ReLU → conv 3×3
               → residual blocks → ReLU → conv 1×1
    decoder    conv 3×3 → residual blocks → ReLU
               → transposed conv 4×4 ×2 → ReLU → transposed conv 4×4 ×2

Encoder and decoder have sizes of their own: Figure 6 shrinks the encoder and keeps the decoder.
With width h the channels are 3 → h/2 → h → h → D and D → h → h/2 → 3, and a residual block narrows
to its own width inside. No activation follows the last layer: pixels lie in [-0.5, 0.5].
"""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from vqnp.layers import Conv2d, ConvTranspose2d, Layer, Linear, ReLU, ResidualBlock, Sequential
from vqnp.models import VQVAE
from vqnp.quantize import EMA, Quantizer
from vqnp.validation import as_rng, require_instance, require_integer, require_integers


@dataclass(frozen=True)
class MLPSettings:
    """Sizes of the paper's model for points.

    Parameters
    ----------
    data_dim, token_dim : int
        Dimensions of a data point and of a token.
    encoder_hidden, decoder_hidden : int
        Units of the hidden layers.
    extra : int, optional
        Units of one more layer, just before the tokens.

    Raises
    ------
    TypeError, ValueError
        For a size that is no integer of at least 1.

    Example
    -------
    >>> MLPSettings(data_dim=2, token_dim=1).encoder_hidden
    32
    """

    data_dim: int
    token_dim: int
    encoder_hidden: int = 32
    decoder_hidden: int = 32
    extra: int | None = None

    def __post_init__(self) -> None:
        require_integers(self, "data_dim", "token_dim", "encoder_hidden", "decoder_hidden", least=1)
        if self.extra is not None:
            require_integer(self.extra, "extra", least=1)


@dataclass(frozen=True)
class ConvSettings:
    """Sizes of the paper's model for images, in channels.

    Parameters
    ----------
    token_dim : int
        D, the channels of an embedding.
    encoder_width, decoder_width : int
        h, the channels of either half.
    encoder_residual, decoder_residual : int
        Channels inside a residual block.
    blocks : int
        Residual blocks in either half.
    image_channels : int
        Channels of an image, 3 for colors.

    Raises
    ------
    TypeError, ValueError
        For a size that is no integer of at least 1, or fewer than 0 blocks.

    Example
    -------
    >>> ConvSettings(token_dim=32).encoder_width
    128
    """

    token_dim: int = 64
    encoder_width: int = 128
    decoder_width: int = 128
    encoder_residual: int = 64
    decoder_residual: int = 64
    blocks: int = 2
    image_channels: int = 3

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            require_integer(getattr(self, name), name, least=0 if name == "blocks" else 1)


def mlp(*sizes: int, rng: Any = 0, dtype: Any = np.float32) -> Sequential:
    """Return linear layers from each size to the next, a rectifier between every two."""
    rng = as_rng(rng)
    layers: list[Layer] = []
    for inputs, outputs in pairwise(sizes):
        layers += [ReLU(), Linear(inputs, outputs, rng=rng, dtype=dtype)]
    return Sequential(*layers[1:])  # no rectifier comes before the first


def mlp_vqvae(
    sizes: MLPSettings,
    quantizer: Quantizer | None = None,
    *,
    rng: Any = 0,
    dtype: Any = np.float32,
) -> VQVAE:
    """Build the paper's model for points; the encoder's weights are drawn first.

    Parameters
    ----------
    sizes : MLPSettings
        Sizes of encoder and decoder.
    quantizer : Quantizer, optional
        What stands between them; ``EMA()`` unless given.
    rng : int or numpy.random.Generator
        Where the weights come from.
    dtype : dtype
        float32 to train; float64 to check gradients.

    Returns
    -------
    VQVAE
        The untrained model.

    Example
    -------
    >>> mlp_vqvae(MLPSettings(data_dim=2, token_dim=1)).params["encoder.0.weight"].shape
    (2, 32)
    """
    rng, s = as_rng(rng), require_instance(sizes, MLPSettings, "sizes")
    quantizer = EMA() if quantizer is None else quantizer
    require_instance(quantizer, Quantizer, "quantizer")
    extra = () if s.extra is None else (s.extra,)
    hidden, wide = s.encoder_hidden, s.decoder_hidden
    width = quantizer.embedding_dim or s.token_dim
    encoder = mlp(s.data_dim, hidden, hidden, *extra, width, rng=rng, dtype=dtype)
    decoder = mlp(s.token_dim, wide, wide, s.data_dim, rng=rng, dtype=dtype)
    return VQVAE(encoder, quantizer, decoder)


def conv_encoder(sizes: ConvSettings, *, rng: Any = 0, dtype: Any = np.float32) -> Sequential:
    """Return the encoder: images ``(B, H, W, C)`` to embeddings ``(B, H/4, W/4, D)``.

    H and W must be multiples of 4.
    """
    s, h, drawn = sizes, sizes.encoder_width, {"rng": as_rng(rng), "dtype": dtype}
    return Sequential(
        Conv2d(s.image_channels, half(h), 4, stride=2, padding=1, **drawn),
        ReLU(),
        Conv2d(half(h), h, 4, stride=2, padding=1, **drawn),
        ReLU(),
        Conv2d(h, h, 3, padding=1, **drawn),
        *(ResidualBlock(h, s.encoder_residual, **drawn) for _ in range(s.blocks)),
        ReLU(),
        Conv2d(h, s.token_dim, 1, **drawn),
    )


def conv_decoder(sizes: ConvSettings, *, rng: Any = 0, dtype: Any = np.float32) -> Sequential:
    """Return the decoder: vectors ``(B, H, W, D)`` to images ``(B, 4H, 4W, C)``."""
    s, h, drawn = sizes, sizes.decoder_width, {"rng": as_rng(rng), "dtype": dtype}
    return Sequential(
        Conv2d(s.token_dim, h, 3, padding=1, **drawn),
        *(ResidualBlock(h, s.decoder_residual, **drawn) for _ in range(s.blocks)),
        ReLU(),
        ConvTranspose2d(h, half(h), 4, stride=2, padding=1, **drawn),
        ReLU(),
        ConvTranspose2d(half(h), s.image_channels, 4, stride=2, padding=1, **drawn),
    )


def half(width: int) -> int:
    """Return the channels at half resolution: h/2, and one where h is 1."""
    return max(1, width // 2)


def conv_vqvae(
    sizes: ConvSettings | None = None,
    quantizer: Quantizer | None = None,
    *,
    variance: float = 1.0,
    rng: Any = 0,
    dtype: Any = np.float32,
) -> VQVAE:
    """Build the paper's model for images; the encoder's weights are drawn first.

    Parameters
    ----------
    sizes : ConvSettings, optional
        Sizes of encoder and decoder; the paper's unless given.
    quantizer : Quantizer, optional
        What stands between them; ``EMA(512, decay=0.99)`` unless given.
    variance : float
        σ², the variance of the training pixels in [-0.5, 0.5].
    rng, dtype
        As for :func:`mlp_vqvae`.

    Returns
    -------
    VQVAE
        Untrained, for images of any height and width that are multiples of 4.

    Example
    -------
    >>> model = conv_vqvae(ConvSettings(8, 16, 16, 8, 8))
    >>> model.encode(np.zeros((2, 32, 32, 3), np.float32)).shape
    (2, 8, 8, 8)
    """
    rng, sizes = as_rng(rng), ConvSettings() if sizes is None else sizes
    require_instance(sizes, ConvSettings, "sizes")
    quantizer = EMA(512, decay=0.99) if quantizer is None else quantizer
    require_instance(quantizer, Quantizer, "quantizer")
    width = quantizer.embedding_dim or sizes.token_dim
    encoder = conv_encoder(replace(sizes, token_dim=width), rng=rng, dtype=dtype)
    decoder = conv_decoder(sizes, rng=rng, dtype=dtype)
    return VQVAE(encoder, quantizer, decoder, variance=variance)
