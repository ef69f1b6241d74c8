"""The models: an autoencoder, and the VQ-VAE that quantizes between the same encoder and decoder.

Both map data x to embeddings z = E(x) and decode a reconstruction x̂. The autoencoder decodes z itself and minimises
‖x − x̂‖² / σ²; the VQ-VAE decodes the token nearest to z and minimises ‖x − x̂‖² / σ² + β ‖z − sg(token)‖², where the decoder's
gradient reaches the encoder straight through the quantizer. Every norm is a mean over all elements. σ² is the variance of the
training data, 1 once they are standardized; it weighs the terms of the loss, and no reported error is divided by it.

Since the VQ-VAE holds the autoencoder itself, pretraining the one is initializing the other (AE-then-VQ).
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from vqnp.layers import Layer, Linear, ReLU, Sequential
from vqnp.losses import commitment, mse
from vqnp.networks import ConvSettings, conv_decoder, conv_encoder
from vqnp.quantize import Quantizer, QuantizerSettings
from vqnp.validation import Array, require_integer


@dataclass(frozen=True)
class MLPSettings:
    """Sizes of the paper's three-linear-layer encoder and decoder; ``extra`` is the width of one more layer before the tokens."""

    data_dim: int
    token_dim: int
    encoder_hidden: int = 32
    decoder_hidden: int = 32
    extra: int | None = None

    def __post_init__(self) -> None:
        for name in ("data_dim", "token_dim", "encoder_hidden", "decoder_hidden"):
            require_integer(getattr(self, name), name, least=1)
        if self.extra is not None:
            require_integer(self.extra, "extra", least=1)


def mlp(*sizes: int, rng: np.random.Generator, dtype: Any = np.float32) -> Sequential:
    """Return linear layers from each size to the next, a rectifier between every two."""
    layers: list[Layer] = []
    for i in range(len(sizes) - 1):
        if i > 0:
            layers.append(ReLU())
        layers.append(Linear(sizes[i], sizes[i + 1], rng, dtype))
    return Sequential(*layers)


@dataclass
class Step:
    """What one batch gives: the loss terms, plain means of squares without σ² and β, and every parameter's gradient."""

    losses: dict[str, float]
    gradients: dict[str, Array]


@dataclass
class VQStep(Step):
    """What one batch gives with VQ: also the embeddings ``(N, D)`` and the codes ``(N,)`` they chose."""

    embeddings: Array
    codes: Array


class Autoencoder:
    """An encoder and a decoder; ``params`` names their parameters ``"encoder.0.weight"``, ..., ``"decoder.4.bias"``.

    ``variance`` is the σ² that the reconstruction's error is divided by.
    """

    def __init__(self, encoder: Sequential, decoder: Sequential, variance: float = 1.0) -> None:
        if not 0 < variance < math.inf:
            raise ValueError(f"variance must be positive, got {variance}")
        self.encoder, self.decoder, self.variance = encoder, decoder, variance
        self.params = _prefixed("encoder", encoder.params) | _prefixed("decoder", decoder.params)

    @classmethod
    def mlp(
        cls, settings: MLPSettings, rng: np.random.Generator, dtype: Any = np.float32
    ) -> "Autoencoder":
        """Build the MLP of ``settings``; the encoder's weights are drawn first."""
        s = settings
        extra = () if s.extra is None else (s.extra,)
        encoder = mlp(
            s.data_dim,
            s.encoder_hidden,
            s.encoder_hidden,
            *extra,
            s.token_dim,
            rng=rng,
            dtype=dtype,
        )
        decoder = mlp(
            s.token_dim, s.decoder_hidden, s.decoder_hidden, s.data_dim, rng=rng, dtype=dtype
        )
        return cls(encoder, decoder)

    @classmethod
    def conv(
        cls,
        settings: ConvSettings,
        rng: np.random.Generator,
        variance: float = 1.0,
        dtype: Any = np.float32,
    ) -> "Autoencoder":
        """Build the convolutional model of ``settings``; the encoder's weights are drawn first."""
        return cls(conv_encoder(settings, rng, dtype), conv_decoder(settings, rng, dtype), variance)

    def encode(self, x: Array) -> Array:
        """Return the embeddings of ``x``; the last axis is the token axis."""
        return self.encoder.forward(x)[0]

    def decode(self, z: Array) -> Array:
        """Return the reconstruction from embeddings or tokens ``z``."""
        return self.decoder.forward(z)[0]

    def reconstruct(self, x: Array) -> Array:
        """Return the reconstruction of ``x``, without quantization."""
        return self.decode(self.encode(x))

    def loss_and_gradients(self, x: Array) -> Step:
        """Return the reconstruction loss of the batch ``x`` and the gradient of every parameter."""
        z, encoder_cache = self.encoder.forward(x)
        reconstruction, decoder_cache = self.decoder.forward(z)
        loss, dreconstruction = mse(reconstruction, x)
        dreconstruction /= self.variance
        dz, decoder_gradients = self.decoder.backward(dreconstruction, decoder_cache)
        _, encoder_gradients = self.encoder.backward(dz, encoder_cache)
        gradients = _prefixed("encoder", encoder_gradients) | _prefixed(
            "decoder", decoder_gradients
        )
        return Step({"reconstruction": loss}, gradients)


class VQVAE:
    """An autoencoder with a quantizer between its halves; it shares the autoencoder's parameters and adds none of its own."""

    def __init__(self, autoencoder: Autoencoder, quantizer: Quantizer, beta: float = 0.25) -> None:
        if beta < 0:
            raise ValueError(f"beta must be at least 0, got {beta}")
        self.autoencoder, self.quantizer, self.beta = autoencoder, quantizer, beta
        self.params = autoencoder.params

    @classmethod
    def mlp(
        cls,
        settings: MLPSettings,
        quantizer: QuantizerSettings | None = None,
        *,
        beta: float = 0.25,
        seed: int = 0,
        dtype: Any = np.float32,
    ) -> "VQVAE":
        """Build the paper's VQ-VAE for synthetic data, its weights drawn from ``seed``."""
        return cls(
            Autoencoder.mlp(settings, np.random.default_rng(seed), dtype),
            Quantizer(quantizer),
            beta,
        )

    @classmethod
    def conv(
        cls,
        settings: ConvSettings | None = None,
        quantizer: QuantizerSettings | None = None,
        *,
        beta: float = 0.25,
        variance: float = 1.0,
        seed: int = 0,
        dtype: Any = np.float32,
    ) -> "VQVAE":
        """Build the paper's VQ-VAE for images, its weights drawn from ``seed``; ``variance`` is that of the training pixels."""
        autoencoder = Autoencoder.conv(
            settings or ConvSettings(), np.random.default_rng(seed), variance, dtype
        )
        return cls(autoencoder, Quantizer(quantizer or QuantizerSettings(512, decay=0.99)), beta)

    @property
    def tokens(self) -> Array:
        """The codebook's tokens ``(K, D)``; raises ``RuntimeError`` before it is initialized."""
        return self.quantizer.codebook.tokens

    def encode(self, x: Array) -> Array:
        """Return the embeddings of ``x``, before quantization."""
        return self.autoencoder.encode(x)

    def quantize(self, x: Array) -> tuple[Array, Array]:
        """Return the token of each embedding of ``x``, shaped like the embeddings, and the codes ``(N,)``."""
        z = self.encode(x)
        quantized, codes = self.quantizer.forward(_as_points(z))
        return quantized.reshape(z.shape), codes

    def reconstruct(self, x: Array) -> Array:
        """Return the reconstruction of ``x`` from its tokens; changes nothing."""
        return self.autoencoder.decode(self.quantize(x)[0])

    def loss_and_gradients(self, x: Array) -> VQStep:
        """Return the loss terms of the batch ``x``, the gradient of every parameter, the embeddings and their codes.

        The codebook does not move here: ``quantizer.update(step.embeddings, step.codes)`` moves it afterwards.
        """
        encoder, decoder = self.autoencoder.encoder, self.autoencoder.decoder
        z, encoder_cache = encoder.forward(x)
        embeddings = _as_points(z)
        quantized, codes = self.quantizer.forward(embeddings)
        reconstruction, decoder_cache = decoder.forward(quantized.reshape(z.shape))

        loss, dreconstruction = mse(reconstruction, x)
        dreconstruction /= self.autoencoder.variance
        commit, dcommit = commitment(embeddings, quantized)

        dquantized, decoder_gradients = decoder.backward(dreconstruction, decoder_cache)
        dembeddings = self.quantizer.backward(_as_points(dquantized), codes) + self.beta * dcommit
        _, encoder_gradients = encoder.backward(dembeddings.reshape(z.shape), encoder_cache)
        gradients = _prefixed("encoder", encoder_gradients) | _prefixed(
            "decoder", decoder_gradients
        )
        return VQStep({"reconstruction": loss, "commitment": commit}, gradients, embeddings, codes)


def _prefixed(prefix: str, arrays: dict[str, Array]) -> dict[str, Array]:
    return {f"{prefix}.{name}": array for name, array in arrays.items()}


def _as_points(z: Array) -> Array:
    """View embeddings ``(..., D)`` as points ``(N, D)``."""
    return z.reshape(-1, z.shape[-1])
