"""The VQ-VAE: an encoder, a quantizer, a decoder, and what one batch teaches them.

Data x become embeddings z = E(x), the quantizer replaces them by vectors v, and the decoder makes
the reconstruction x̂ = D(v). One batch gives

    loss = ‖x − x̂‖² / σ² + the quantizer's own losses

Every norm is a mean over all elements. σ² is the variance of the training data, 1 once they are
standardized: it weighs the terms of the loss, and no reported error is divided by it.

With the identity in the quantizer's place, this is an autoencoder. A VQ-VAE and its
``autoencoder`` share every weight, so pretraining the one initializes the other (AE-then-VQ).
"""

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vqnp.files import load_with_meta, named, save_with_meta
from vqnp.layers import Layer, layer_from_json
from vqnp.losses import mse
from vqnp.quantize import Identity, Quantized, Quantizer, quantizer_from_json
from vqnp.validation import Array, require_finite, require_instance, require_like, require_positive

FORMAT = 2  # of the files that ``save`` writes; 1 had no sha256
HALVES = ("encoder", "quantizer", "decoder")


@dataclass
class Step:
    """What one batch gives: losses by name, plain means without σ² and weights, and gradients.

    ``embeddings`` ``(N, D)`` and what the quantizer made of them are there for its update.
    """

    losses: dict[str, float]
    gradients: dict[str, Array]
    embeddings: Array
    quantized: Quantized


@dataclass(eq=False, repr=False)
class VQVAE:
    """A VQ-VAE of an encoder, any quantizer, and a decoder.

    Parameters
    ----------
    encoder, decoder : Layer
        The last axis of the encoder's output is the embedding's: ``(..., D)``.
    quantizer : Quantizer
        What stands between them; :class:`~vqnp.quantize.Identity` makes an autoencoder.
    variance : float
        σ², by which the reconstruction loss is divided; positive.

    Raises
    ------
    TypeError, ValueError
        For other parts, or a variance that is not positive and finite.

    Example
    -------
    >>> import numpy as np
    >>> import vqnp
    >>> model = vqnp.mlp_vqvae(vqnp.MLPSettings(data_dim=2, token_dim=1), vqnp.FSQ((5,)), rng=0)
    >>> x = np.zeros((3, 2), np.float32)
    >>> model.encode(x).shape, model.reconstruct(x).shape
    ((3, 1), (3, 2))
    """

    encoder: Layer
    quantizer: Quantizer
    decoder: Layer
    variance: float = field(default=1.0, kw_only=True)

    def __post_init__(self) -> None:
        for half, kind in (("encoder", Layer), ("quantizer", Quantizer), ("decoder", Layer)):
            require_instance(getattr(self, half), kind, half)
        require_positive(self.variance, "variance")

    @property
    def params(self) -> dict[str, Array]:
        """Every parameter by name: ``"encoder.0.weight"``, ..., ``"decoder.4.bias"``."""
        return self._named(self.encoder.params, self.quantizer.params, self.decoder.params)

    @property
    def autoencoder(self) -> "VQVAE":
        """The same weights without quantization."""
        return VQVAE(self.encoder, Identity(), self.decoder, variance=self.variance)

    @property
    def tokens(self) -> Array:
        """The quantizer's tokens ``(K, D)``; raises ``RuntimeError`` before there are any."""
        return self.quantizer.tokens

    def encode(self, x: Array) -> Array:
        """Return the embeddings of ``x``, before quantization; the last axis is the token axis."""
        return self.encoder.forward(x)[0]

    def decode(self, vectors: Array) -> Array:
        """Return the reconstruction from ``vectors``, shaped like embeddings."""
        return self.decoder.forward(vectors)[0]

    def quantize(self, x: Array) -> Quantized:
        """Return the quantized embeddings of ``x``: vectors of their shape, and the codes."""
        z = self.encode(x)
        quantized, _ = self.quantizer.forward(as_rows(z))
        return quantized._replace(vectors=like_rows(quantized.vectors, z))

    def reconstruct(self, x: Array) -> Array:
        """Return the reconstruction of ``x`` from its codes; changes nothing."""
        return self.decode(self.quantize(x).vectors)

    def loss_and_gradients(self, x: Array, *, rng: Any = None) -> Step:
        """Return the losses of the batch ``x`` and the gradient of every parameter.

        Nothing moves here: ``quantizer.update(step.embeddings, step.quantized)`` does that later.
        """
        z, encoder_cache = self.encoder.forward(x)
        embeddings = as_rows(z)
        quantized, quantizer_cache = self.quantizer.forward(embeddings, training=True, rng=rng)
        reconstruction, decoder_cache = self.decoder.forward(like_rows(quantized.vectors, z))

        loss, dreconstruction = mse(reconstruction, x)
        dreconstruction /= self.variance

        dvectors, decoder_gradients = self.decoder.backward(dreconstruction, decoder_cache)
        dz, quantizer_gradients = self.quantizer.backward(as_rows(dvectors), quantizer_cache)
        _, encoder_gradients = self.encoder.backward(dz.reshape(z.shape), encoder_cache)
        gradients = self._named(encoder_gradients, quantizer_gradients, decoder_gradients)
        return Step({"reconstruction": loss} | quantized.losses, gradients, embeddings, quantized)

    def save(self, path: str | Path) -> None:
        """Write the model to ``path``, a ``.npz`` without pickles, whole or not at all.

        :meth:`load` gives it back with the same bits. Training in progress needs more than a
        model: its checkpoint is written by :func:`~vqnp.train`.
        """
        meta = {"format": FORMAT, "variance": self.variance}
        meta |= {half: getattr(self, half).to_json() for half in HALVES}
        save_with_meta(Path(path), stored(self), meta)

    @classmethod
    def load(cls, path: str | Path) -> "VQVAE":
        """Read a model that :meth:`save` wrote.

        A quantizer of your own is found once its module is imported. Raises ``ValueError`` naming
        the file when it is not a whole one of this format.
        """
        arrays, meta = load_with_meta(Path(path), FORMAT)
        with named(path, "is not a saved model"):
            dtype = next(
                (a.dtype for name, a in arrays.items() if name.startswith("params.e")), None
            )
            encoder, decoder = (
                layer_from_json(meta[half], dtype=dtype) for half in ("encoder", "decoder")
            )
            quantizer = quantizer_from_json(meta["quantizer"])
            model = cls(encoder, quantizer, decoder, variance=meta["variance"])
            require_as_initialized(quantizer, encoder, arrays)
            fill(model, arrays)
        return model

    def __repr__(self) -> str:
        parts = [f"{half}: {getattr(self, half)!r}" for half in HALVES]
        return "\n  ".join(["VQVAE(", *(part.replace("\n", "\n  ") for part in parts)]) + "\n)"

    def _named(self, encoder: Any, quantizer: Any, decoder: Any) -> dict[str, Array]:
        halves = {"encoder": encoder, "decoder": decoder, "quantizer": quantizer}
        return {
            f"{half}.{name}": a for half, arrays in halves.items() for name, a in arrays.items()
        }


def require_as_initialized(quantizer: Any, encoder: Any, arrays: dict[str, Array]) -> None:
    """Raise unless the stored arrays of a quantizer are those that initializing gives one.

    Kernels trust shapes. A quantizer that was never initialized has none.
    """
    kinds = ("params.quantizer.", "buffers.")
    found = {name: array for name, array in arrays.items() if name.startswith(kinds)}
    if not found:
        return
    width = list(encoder.params.values())[-1].shape[-1]  # of the last bias: D
    dtype = next(iter(encoder.params.values())).dtype
    twin = quantizer_from_json(quantizer.to_json())
    with warnings.catch_warnings(action="ignore"):  # of fewer embeddings than tokens
        twin.initialize(np.random.default_rng(0).standard_normal((1, width)).astype(dtype), batch=1)
    own = {f"params.quantizer.{name}": array for name, array in twin.params.items()}
    own |= {f"buffers.{name}": array for name, array in twin.buffers.items()}
    require_alike(found, own)


def require_alike(found: dict[str, Array], expected: dict[str, Array]) -> None:
    """Raise ``ValueError`` unless ``found`` has the names, dtypes and shapes, and is finite."""
    missing, foreign = expected.keys() - found.keys(), found.keys() - expected.keys()
    if missing or foreign:
        raise ValueError(
            f"it lacks the arrays {sorted(missing)} and has {sorted(foreign)}, which are too many"
        )
    for name, wanted in expected.items():
        require_like(found[name], name, wanted.shape, wanted.dtype)
        require_finite(found[name].reshape(-1), name)


def fill(model: VQVAE, arrays: dict[str, Array]) -> None:
    """Put stored arrays, ``params.<name>`` and ``buffers.<name>``, into ``model``.

    The quantizer takes whatever is stored of it. Raises ``KeyError`` or ``ValueError`` when a
    parameter of encoder or decoder is missing or has another shape; nothing is changed then.
    """
    own = model.autoencoder.params
    given = {name: arrays[f"params.{name}"] for name in own}
    for name, value in own.items():
        if given[name].shape != value.shape or given[name].dtype != value.dtype:
            raise ValueError(
                f"{name} must be {value.dtype} of shape {value.shape}, "
                f"got {given[name].dtype} of shape {given[name].shape}"
            )
    for name, value in own.items():
        value[...] = given[name]
    _refill(model.quantizer.params, "params.quantizer.", arrays)
    _refill(model.quantizer.buffers, "buffers.", arrays)


def _refill(owned: dict[str, Array], prefix: str, arrays: dict[str, Array]) -> None:
    owned.clear()
    for name, value in arrays.items():
        if name.startswith(prefix):
            owned[name.removeprefix(prefix)] = value


def stored(model: VQVAE) -> dict[str, Array]:
    """Return every array that ``fill`` puts back, under its name."""
    arrays = {f"params.{name}": value for name, value in model.params.items()}
    return arrays | {f"buffers.{name}": value for name, value in model.quantizer.buffers.items()}


def like_rows(vectors: Array, z: Array) -> Array:
    """Shape vectors ``(N, D)`` as embeddings ``(..., E)`` are, from whose rows they were made."""
    return vectors.reshape(*z.shape[:-1], vectors.shape[-1])


def as_rows(z: Array) -> Array:
    """View embeddings ``(..., D)`` as rows ``(N, D)``."""
    return z.reshape(-1, z.shape[-1])
