"""The convolutional encoder and decoder (section 5.2): 32 × 32 pixels become 8 × 8 embeddings, and those pixels again.

    encoder    conv 4×4 /2 → ReLU → conv 4×4 /2 → ReLU → conv 3×3 → residual blocks → ReLU → conv 1×1
    decoder    conv 3×3 → residual blocks → ReLU → transposed conv 4×4 ×2 → ReLU → transposed conv 4×4 ×2

Encoder and decoder have sizes of their own: Figure 6 shrinks the encoder and keeps the decoder. With width h the channels are

    3 → h/2 → h → h → D        D → h → h/2 → 3

and a residual block narrows to its own width inside. No activation follows the last layer: pixels lie in [-0.5, 0.5].
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from vqnp.layers import Conv2d, ConvTranspose2d, ReLU, ResidualBlock, Sequential
from vqnp.validation import require_integer


@dataclass(frozen=True)
class ConvSettings:
    """Sizes of the paper's convolutional model: channels D of a token, h of either half, and those inside a residual block."""

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


def conv_encoder(
    settings: ConvSettings, rng: np.random.Generator, dtype: Any = np.float32
) -> Sequential:
    """Return the encoder: images ``(B, H, W, C)`` to embeddings ``(B, H/4, W/4, D)``; H and W are multiples of 4."""
    s, h = settings, settings.encoder_width
    return Sequential(
        Conv2d(s.image_channels, half(h), 4, rng, stride=2, padding=1, dtype=dtype),
        ReLU(),
        Conv2d(half(h), h, 4, rng, stride=2, padding=1, dtype=dtype),
        ReLU(),
        Conv2d(h, h, 3, rng, padding=1, dtype=dtype),
        *(ResidualBlock(h, s.encoder_residual, rng, dtype) for _ in range(s.blocks)),
        ReLU(),
        Conv2d(h, s.token_dim, 1, rng, dtype=dtype),
    )


def conv_decoder(
    settings: ConvSettings, rng: np.random.Generator, dtype: Any = np.float32
) -> Sequential:
    """Return the decoder: embeddings or tokens ``(B, H, W, D)`` to images ``(B, 4H, 4W, C)``."""
    s, h = settings, settings.decoder_width
    return Sequential(
        Conv2d(s.token_dim, h, 3, rng, padding=1, dtype=dtype),
        *(ResidualBlock(h, s.decoder_residual, rng, dtype) for _ in range(s.blocks)),
        ReLU(),
        ConvTranspose2d(h, half(h), 4, rng, stride=2, padding=1, dtype=dtype),
        ReLU(),
        ConvTranspose2d(half(h), s.image_channels, 4, rng, stride=2, padding=1, dtype=dtype),
    )


def half(width: int) -> int:
    """Return the channels at half resolution: h/2, and one where h is 1."""
    return max(1, width // 2)
