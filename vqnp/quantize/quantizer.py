"""The protocol: a quantizer is a layer that also names codes.

It stands between encoder and decoder. Forward, it replaces each embedding by a vector that a
code can name. Backward, it says which gradient reaches the encoder. Its losses, their weights,
its parameters and its state are its own, so a model and the training loop need to know no kind.

To write a quantizer, subclass :class:`Quantizer` as a frozen dataclass whose fields are its
configuration, and define ``forward``, ``backward`` and ``decode``. Every other method has a
default that does nothing.

Shapes: embeddings z and vectors ``(N, D)``, tokens ``(K, D)``, codes ``(N,)`` int64, or
``(N, H)`` for a quantizer of H codebooks.
"""

import math
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import numpy as np

from vqnp.files import as_json
from vqnp.validation import (
    Array,
    as_array,
    as_points,
    as_rng,
    require_codes,
    require_instance,
    require_integer,
    require_labels,
)

Cache = Any
Gradients = dict[str, Array]

# The metadata of a setting that a class gained later. It is named only where it is not at its
# default, so that the names and files of earlier runs stay what they were.
LATER = {"later": True}


class Quantized(NamedTuple):
    """The answer of a quantizer to N embeddings.

    Parameters
    ----------
    vectors : array (N, D)
        What the decoder is given.
    codes : array (N,) or (N, H), int64
        The names of the vectors, in one codebook or in H.
    losses : dict of str to float
        The quantizer's own losses by name, before their weights.

    Example
    -------
    >>> import numpy as np
    >>> Identity().forward(np.zeros((3, 2)))[0].losses
    {}
    """

    vectors: Array
    codes: Array
    losses: dict[str, float]


class View(NamedTuple):
    """What a diagnosis looks at: embeddings ``(N, D)``, tokens ``(K, D)`` and codes ``(N,)``."""

    embeddings: Array
    tokens: Array
    codes: Array


@dataclass(frozen=True)
class Quantizer:
    """The base of all quantizers. It prints, compares and hashes by its configuration.

    The optimizer moves ``params``; ``update`` moves ``buffers``. Checkpoints keep both. The
    dictionaries never leave the object, so that what is stored in them is seen by all who hold it.

    Example
    -------
    >>> import numpy as np
    >>> from vqnp import EMA
    >>> quantizer = EMA(n_tokens=2, beta=0.25)
    >>> z = np.array([[0.0], [1.0], [10.0]])
    >>> quantizer.initialize(z, batch=3)
    >>> quantized, cache = quantizer.forward(z)
    >>> quantized.vectors.tolist()
    [[0.5], [0.5], [10.0]]
    """

    params: dict[str, Array] = field(default_factory=dict, init=False, repr=False, compare=False)
    buffers: dict[str, Array] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def draws(self) -> bool:
        """Whether ``forward`` and ``update`` draw numbers in training, and have to be given rng."""
        return False

    @property
    def initialized(self) -> bool:
        """Whether it can quantize: it has arrays, or ``initialize`` has nothing to place."""
        places_nothing = type(self).initialize is Quantizer.initialize
        return places_nothing or bool(self.params or self.buffers)

    @property
    def tokens(self) -> Array:
        """The codebook ``(K, D)``; raises ``RuntimeError`` before ``initialize`` has placed it."""
        if self.initialized and "tokens" not in self.params:
            raise NotImplementedError(f"{type(self).__name__} has no single codebook")
        return placed(self.params, "tokens")

    @property
    def n_tokens(self) -> int:
        """K, the size of the codebook."""
        return len(self.tokens)

    @property
    def embedding_dim(self) -> int | None:
        """The width of the embeddings it takes, where this is not the width of its vectors."""
        return None

    @property
    def bits(self) -> float:
        """Bits that name one embedding: log2 K, summed over the codebooks."""
        return math.log2(self.n_tokens)

    def initialize(self, z: Array, *, batch: int, rng: Any = 0) -> None:
        """Place what there is to place on embeddings ``z``; a training batch holds ``batch``."""

    def forward(
        self, z: Array, *, training: bool = False, rng: Any = None
    ) -> tuple[Quantized, Cache]:
        """Quantize ``z`` and return what ``backward`` needs; changes nothing."""
        raise NotImplementedError

    def backward(self, dvectors: Array, cache: Cache) -> tuple[Array, Gradients]:
        """Return the gradient of ``z`` and of each parameter, own losses included."""
        raise NotImplementedError

    def update(
        self, z: Array, quantized: Quantized, *, mask: Array | None = None, rng: Any = None
    ) -> Array:
        """Move the buffers after a training step and return the hits of the batch.

        They are ``(K,)``, or ``(H, K)`` for H codebooks. ``mask`` ``(N,)`` of bool is False
        where an embedding is only padding.
        """
        return count_hits(quantized.codes, self.n_tokens, mask)

    def decode(self, codes: Array) -> Array:
        """Return the vectors ``(N, D)`` of ``codes``, equal to those of ``forward`` to the bit."""
        codes = require_codes(as_array(codes, "codes"), "codes", self.n_tokens)
        return self.tokens.take(codes, axis=0)

    def view(self, z: Array) -> View:
        """Return what a diagnosis of ``z`` should look at."""
        return View(z, self.tokens, self.forward(z)[0].codes)

    def to_json(self) -> dict[str, Any]:
        """Return the configuration as JSON values; :func:`quantizer_from_json` inverts it."""
        shown = {"kind", *self._settings()}
        named = as_json(self, kind=type(self).__name__).items()
        return {name: value for name, value in named if name in shown}

    def __repr__(self) -> str:
        # A dataclass writes its own unless it is told ``repr=False``.
        settings = (f"{name}={getattr(self, name)!r}" for name in self._settings())
        return f"{type(self).__name__}({', '.join(settings)})"

    def _settings(self) -> list[str]:
        """Return the names of the configuration, without those that are ``LATER`` and unchanged."""
        return [
            f.name
            for f in fields(self)
            if f.init and not (f.metadata == LATER and getattr(self, f.name) == f.default)
        ]


@dataclass(frozen=True)
class Identity(Quantizer):
    """No quantization: every embedding is its own vector, and a VQ-VAE is an autoencoder.

    Example
    -------
    >>> import numpy as np
    >>> quantized, _ = Identity().forward(np.ones((3, 2)))
    >>> quantized.vectors.shape, quantized.codes.shape
    ((3, 2), (3, 0))
    """

    @property
    def n_tokens(self) -> int:
        """0: there are no tokens."""
        return 0

    @property
    def bits(self) -> float:
        """Infinite: real numbers are not named by codes."""
        return math.inf

    def forward(
        self, z: Array, *, training: bool = False, rng: Any = None
    ) -> tuple[Quantized, Cache]:
        """Return ``z`` itself, and codes of no codebook ``(N, 0)``."""
        return Quantized(z, np.empty((len(z), 0), np.int64), {}), None

    def backward(self, dvectors: Array, cache: Cache) -> tuple[Array, Gradients]:
        """Return the gradient as it came."""
        return dvectors, {}

    def update(
        self, z: Array, quantized: Quantized, *, mask: Array | None = None, rng: Any = None
    ) -> Array:
        """Return the hits of no tokens ``(0,)``."""
        return np.zeros(0)


def at_start(
    z: Array, batch: int, rng: Any, *, dim: int | None = None
) -> tuple[Array, np.random.Generator]:
    """Return the embeddings and the generator that ``initialize`` was given, once checked.

    Raises ``TypeError`` or ``ValueError``.
    """
    require_integer(batch, "batch", least=1)
    return as_points(z, "z", dim=dim), as_rng(rng)


def quantizer_from_json(value: dict[str, Any]) -> Quantizer:
    """Build the quantizer that ``to_json`` described.

    The kind is looked up by name among the subclasses of :class:`Quantizer` that are defined, so a
    quantizer of your own is found once its module is imported. Raises ``ValueError`` otherwise.
    """
    require_instance(value, dict, "value")
    config = {name: _from_json(entry) for name, entry in value.items() if name != "kind"}
    kinds = {kind.__name__: kind for kind in Quantizer.__subclasses__()}
    if value.get("kind") not in kinds:
        raise ValueError(
            f"no quantizer is called {value.get('kind')!r}: import the module that defines it; "
            f"defined are {', '.join(sorted(kinds))}"
        )
    return kinds[value["kind"]](**config)


def count_hits(codes: Array, n_tokens: int, mask: Array | None = None) -> Array:
    """Return how often each of ``codes`` ``(N,)`` is chosen ``(K,)``, where ``mask`` is True.

    Raises ``TypeError`` or ``ValueError`` for a mask that is not one bool a code.
    """
    if mask is not None:
        require_labels(mask, "mask", len(codes), "bool")
        codes = codes[mask]
    return np.bincount(codes, minlength=n_tokens).astype(np.float64)


def placed(arrays: dict[str, Array], name: str) -> Array:
    """Return ``arrays[name]``; raises ``RuntimeError`` before ``initialize`` has placed it."""
    if name not in arrays:
        raise RuntimeError("there is no codebook yet: call initialize(z, batch=...) first")
    return arrays[name]


def _from_json(value: Any) -> Any:
    """Undo what JSON does: it knows only lists, and a quantizer inside another is a dictionary."""
    if isinstance(value, dict):
        return quantizer_from_json(value)
    return tuple(map(_from_json, value)) if isinstance(value, list) else value
