"""A layer owns parameters, and its backward pass takes the cache that its forward pass returned.

Nothing is remembered between calls: ``forward`` hands the cache to you, and you hand it to
``backward``. So you may use a layer twice in one model, and evaluation leaves no trace.
"""

import math
from dataclasses import MISSING, InitVar, dataclass, field, fields
from typing import Any

import numpy as np
from numba import prange

from vqnp.fast.products import ROWS_A_SUM, added
from vqnp.jit import both
from vqnp.validation import Array, as_floats, as_rng, require_float_dtype, require_instance

__all__ = ["Array", "Cache", "Gradients", "Layer", "layer_from_json"]

Cache = Any
Gradients = dict[str, Array]

PARALLEL_NUMBERS = 1 << 18  # numbers of an array, from which all threads work on it


@dataclass(eq=False, repr=False)
class Layer:
    """The base class of every layer: its configuration, its parameters and its two passes.

    A layer is a dataclass whose fields are its configuration, and ``_start`` draws its parameters.

    Parameters
    ----------
    rng : int or numpy.random.Generator
        Where the first parameters come from.
    dtype : dtype
        float32, or float64 to check gradients.

    Attributes
    ----------
    params : dict of str to array
        The parameters by name.

    Example
    -------
    >>> from vqnp.layers import Linear
    >>> layer = Linear(2, 32, rng=0)
    >>> layer, layer.config
    (Linear(2, 32), {'in_features': 2, 'out_features': 32})
    """

    params: dict[str, Array] = field(init=False)
    rng: InitVar[Any] = field(default=0, kw_only=True)
    dtype: InitVar[Any] = field(default=np.float32, kw_only=True)

    def __post_init__(self, rng: Any, dtype: Any) -> None:
        require_float_dtype(dtype)
        self.params = self._start(as_rng(rng), dtype)

    def _start(self, rng: np.random.Generator, dtype: Any) -> dict[str, Array]:
        """Return the first parameters by name; a layer has none unless it says so."""
        return {}

    def forward(self, x: Array) -> tuple[Array, Cache]:
        """Return the output and what the backward pass will need."""
        raise NotImplementedError

    def backward(self, dout: Array, cache: Cache) -> tuple[Array, Gradients]:
        """Return the gradient of the input, and of each parameter by name."""
        raise NotImplementedError

    @property
    def config(self) -> dict[str, Any]:
        """The constructor's arguments, without ``rng`` and ``dtype``."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.init}

    def to_json(self) -> dict[str, Any]:
        """Return the kind and the configuration; :func:`vqnp.layers.layer_from_json` inverts it."""
        return {"kind": type(self).__name__} | self.config

    def __repr__(self) -> str:
        shown = []
        for f in fields(self):
            if f.init and getattr(self, f.name) != f.default:
                name = "" if f.default is MISSING else f"{f.name}="
                shown.append(f"{name}{getattr(self, f.name)!r}")
        return f"{type(self).__name__}({', '.join(shown)})"


def layer_from_json(value: dict[str, Any], *, dtype: Any = np.float32) -> Layer:
    """Build the layer that ``to_json`` described.

    Parameters
    ----------
    value : dict
        What ``to_json`` returned, also after a way through JSON.
    dtype : dtype
        Of the parameters.

    Returns
    -------
    Layer
        The layer with parameters of seed 0, for you to overwrite.

    Raises
    ------
    ValueError
        For an unknown kind.

    Example
    -------
    >>> from vqnp.layers import Linear
    >>> layer_from_json(Linear(2, 32).to_json())
    Linear(2, 32)
    """
    kinds: dict[str, Any] = {kind.__name__: kind for kind in Layer.__subclasses__()}
    # JSON turns the pairs of a kernel into lists.
    entries = require_instance(value, dict, "value").items()
    config = {name: tuple(v) if isinstance(v, list) else v for name, v in entries}
    kind = config.pop("kind", None)
    if kind not in kinds:
        raise ValueError(f"kind must be one of {', '.join(sorted(kinds))}, got {kind!r}")
    if "layers" in config:
        return kinds[kind](*(layer_from_json(inner, dtype=dtype) for inner in config["layers"]))
    return kinds[kind](**config, dtype=dtype)


def as_input(x: Any, weight: Array) -> Array:
    """Return an array-like as the input of a layer with ``weight``; lists become of its dtype.

    Raises ``TypeError`` for anything of another dtype.
    """
    x = as_floats(x, "x", of_lists=weight.dtype)
    if x.dtype != weight.dtype:
        raise TypeError(
            f"a layer of {weight.dtype} parameters takes x of that dtype, got {x.dtype}"
        )
    return x


def add_bias(out: Array, bias: Array) -> None:
    """Add ``bias`` ``(O,)`` to each row of ``out`` ``(N, O)``, in place."""
    _add_bias.sized(out.size, PARALLEL_NUMBERS)(out, bias)


@both
def _add_bias(out: Array, bias: Array) -> None:
    rows, columns = out.shape
    for i in prange(rows):
        for j in range(columns):
            out[i, j] += bias[j]


def sum_rows(dout: Array) -> Array:
    """Return the sum ``(O,)`` of the rows of ``dout`` ``(N, O)``, accumulated in float64."""
    sums = np.zeros((-(-len(dout) // ROWS_A_SUM), dout.shape[1]))
    _sum_blocks.sized(dout.size, PARALLEL_NUMBERS)(dout, sums)
    return added(sums).astype(dout.dtype)


@both
def _sum_blocks(dout: Array, sums: Array) -> None:
    rows, columns = dout.shape
    for b in prange(len(sums)):
        total = sums[b]
        for i in range(b * ROWS_A_SUM, min((b + 1) * ROWS_A_SUM, rows)):
            for j in range(columns):
                total[j] += dout[i, j]


def uniform_start(
    shape: tuple[int, ...], outputs: int, fan_in: int, rng: np.random.Generator, dtype: Any
) -> dict[str, Array]:
    """Return a weight of ``shape`` and a bias ``(outputs,)``, uniform in ±1/sqrt(fan_in).

    This is the default of the common frameworks.
    """
    bound = 1 / math.sqrt(fan_in)  # a power's last digit depends on the C library
    return {
        "weight": rng.uniform(-bound, bound, shape).astype(dtype),
        "bias": rng.uniform(-bound, bound, outputs).astype(dtype),
    }


def by_name(dx: Array, dweight: Array, dbias: Array) -> tuple[Array, Gradients]:
    """Return the gradients as the ``backward`` of a layer with weight and bias does."""
    return dx, {"weight": dweight, "bias": dbias}
