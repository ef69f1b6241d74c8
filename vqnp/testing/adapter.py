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

from vqnp.validation import Array, as_array

Function = Callable[..., Any]
Functions = tuple[Function, ...]
Kind = Literal["numpy", "torch", "jax"]
Arrays = Kind | Callable[[Array], Any]
Precision = Literal["float64", "float32"]
Layout = Literal["NHWC", "NCHW"]
Axes = tuple[int, ...]
# Channels first: the axes of images (B, H, W, C), and of a kernel (kh, kw, a, b).
IMAGE, KERNEL = (0, 3, 1, 2), (3, 2, 0, 1)


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

    def give(self, value: Any, axes: Axes | None = None) -> Any:
        """Return a copy of ``value`` with its arrays converted, in dictionaries too.

        ``axes`` is IMAGE or KERNEL for arrays that follow the layout.
        """
        if isinstance(value, dict):
            return {name: self.give(item, axes) for name, item in value.items()}
        if not isinstance(value, np.ndarray):
            return value
        turned = value.transpose(axes) if axes and self.layout == "NCHW" else value
        array = np.array(turned, self.dtype if value.dtype.kind == "f" else value.dtype, order="C")
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

    def take(self, value: Any, axes: Axes | None = None) -> Array:
        """Return what a function gave, channels-last; the comparison complains of another rank."""
        array = to_numpy(value)
        if axes and self.layout == "NCHW" and array.ndim == len(axes):
            return array.transpose(np.argsort(axes))
        return array


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
    TypeError, ValueError
        When it does not hold numbers, or in lists of different lengths.

    Example
    -------
    >>> to_numpy([1.5, 2.5])
    array([1.5, 2.5])
    """
    return np.array(as_array(value, "the answer"))


def swap_axes(image: Array) -> Array:
    """Read the numbers of ``(B, H, W, ...)`` as those of ``(B, W, H, ...)``, where there are W."""
    b, *sides = image.shape
    turned = (b, *sides[1::-1], *sides[2:])
    return image.reshape(turned).swapaxes(1, 2) if image.ndim > 2 else image
