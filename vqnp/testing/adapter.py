"""Arrays on their way to somebody else's function and back.

The function is given arrays of the kind it asks for. What it returns comes in through DLPack,
``__array__`` or ``.detach().cpu()``. PyTorch and JAX are imported only when their arrays are asked
for.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from vqnp.validation import Array

Kind = Literal["numpy", "torch", "jax"]
Arrays = Kind | Callable[[Array], Any]
Precision = Literal["float64", "float32"]
Layout = Literal["NHWC", "NCHW"]


@dataclass(frozen=True)
class Adapter:
    """What the checked function takes: kind of array, precision of floats, layout of images."""

    arrays: Arrays = "numpy"
    dtype: Precision = "float64"
    layout: Layout = "NHWC"

    def __post_init__(self) -> None:
        if not callable(self.arrays) and self.arrays not in get_args(Kind):
            raise ValueError(
                'arrays must be "numpy", "torch", "jax" or a function of a NumPy array, '
                f"got {self.arrays!r}"
            )
        for name, kinds in ("dtype", Precision), ("layout", Layout):
            if getattr(self, name) not in get_args(kinds):
                raise ValueError(
                    f"{name} must be {' or '.join(get_args(kinds))}, got {getattr(self, name)!r}"
                )

    def give(self, value: Any) -> Any:
        """Return a copy of ``value`` with its arrays converted, in dictionaries too."""
        if isinstance(value, dict):
            return {name: self.give(item) for name, item in value.items()}
        if not isinstance(value, np.ndarray):
            return value
        array = np.array(value, self.dtype if value.dtype.kind == "f" else value.dtype, order="C")
        if self.arrays == "numpy":
            return array
        if callable(self.arrays):
            return self.arrays(array)
        if self.arrays == "torch":
            return importlib.import_module("torch").from_numpy(array)
        given = importlib.import_module("jax.numpy").asarray(array)
        if array.dtype == np.float64 and given.dtype != array.dtype:
            raise ValueError(
                "JAX has made float32 of float64: "
                'jax.config.update("jax_enable_x64", True), or dtype="float32"'
            )
        return given

    def image(self, x: Array) -> Any:
        """Give images ``(B, H, W, C)``, channels first if asked."""
        return self.give(x.transpose(0, 3, 1, 2) if self.layout == "NCHW" else x)

    def kernel(self, weight: Array) -> Any:
        """Give a kernel ``(kh, kw, a, b)``, as ``(b, a, kh, kw)`` for channels-first images."""
        return self.give(weight.transpose(3, 2, 0, 1) if self.layout == "NCHW" else weight)

    def image_back(self, value: Any) -> Array:
        """Return images as ``(B, H, W, C)``; the comparison complains about another rank."""
        x = to_numpy(value)
        return x.transpose(0, 2, 3, 1) if self.layout == "NCHW" and x.ndim == 4 else x

    def kernel_back(self, value: Any) -> Array:
        """Return a kernel's gradient as ``(kh, kw, a, b)``."""
        weight = to_numpy(value)
        return (
            weight.transpose(2, 3, 1, 0) if self.layout == "NCHW" and weight.ndim == 4 else weight
        )


def to_numpy(value: Any) -> Array:
    """Return ``value`` as a NumPy array of its own.

    Parameters
    ----------
    value : array-like
        A NumPy array, a tensor on any device, a JAX array, a list, or a number.

    Returns
    -------
    array
        A copy, detached from gradients.

    Raises
    ------
    TypeError
        When it does not hold numbers. The message names its type.

    Example
    -------
    >>> to_numpy([1.5, 2.5])
    array([1.5, 2.5])
    """
    for method in ("detach", "cpu"):
        value = getattr(value, method)() if callable(getattr(value, method, None)) else value
    try:
        speaks = hasattr(value, "__dlpack__") and not isinstance(value, np.ndarray | np.generic)
        array = np.from_dlpack(value) if speaks else np.asarray(value)
    except (BufferError, TypeError, RuntimeError, ValueError):  # a dtype that DLPack or NumPy lacks
        array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"expected an array of numbers, got {type(value).__name__}")
    return np.array(array)
