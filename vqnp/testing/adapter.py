"""Arrays on their way to somebody else's function and back, and functions of PyTorch and JAX.

The function is given arrays of the kind it asks for. What it returns comes in through DLPack,
``__array__`` or ``.detach().cpu()``. Gradients come from a framework's own differentiation. A
PyTorch quantizer keeps its own state and becomes plain functions. PyTorch and JAX are imported only
when they are asked for.
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Literal, get_args

import numpy as np

from vqnp.validation import Array, as_array, require_one_of

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
        require_one_of(self.dtype, Precision, "dtype")
        require_one_of(self.layout, Layout, "layout")

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
    return image.reshape(b, *sides[1::-1], *sides[2:]).swapaxes(1, 2) if image.ndim > 2 else image


def torch_vjp(forward: Function) -> Function:
    """Return ``vjp(*args, dout)``, by PyTorch's autograd.

    Parameters
    ----------
    forward : function
        ``forward(*args) -> out``, of tensors.

    Returns
    -------
    function
        It returns a gradient for each argument of floats, and None where none comes. Other
        arguments, a stride for instance, are passed on and left out of the answer.

    Example
    -------
    ``check_conv2d(forward, torch_vjp(forward), arrays="torch")`` checks autograd's gradients.

    >>> import torch
    >>> vjp = torch_vjp(lambda x, exponent: x**exponent)
    >>> vjp(torch.tensor([3.0, 4.0]), 2, torch.tensor([1.0, 10.0]))
    (tensor([ 6., 80.]),)
    """
    torch = importlib.import_module("torch")

    def pull(of_floats: Function, floats: list[Any], dout: Any) -> tuple[Any, ...]:
        leaves = [tensor.clone().requires_grad_() for tensor in floats]
        return torch.autograd.grad(of_floats(*leaves), leaves, dout, allow_unused=True)

    return _vjp(forward, lambda a: torch.is_tensor(a) and a.is_floating_point(), pull)


def jax_vjp(forward: Function) -> Function:
    """Return ``vjp(*args, dout)``, by ``jax.vjp``.

    Parameters
    ----------
    forward : function
        ``forward(*args) -> out``, of JAX arrays.

    Returns
    -------
    function
        What ``torch_vjp`` returns, with a gradient for each argument of floats.

    Example
    -------
    ``check_conv2d(forward, jax_vjp(forward), arrays="jax")`` checks JAX's gradients.

    >>> import jax.numpy as jnp
    >>> vjp = jax_vjp(lambda x, exponent: x**exponent)
    >>> [gradient.tolist() for gradient in vjp(jnp.array([3.0, 4.0]), 2, jnp.array([1.0, 10.0]))]
    [[6.0, 80.0]]
    """
    jax = importlib.import_module("jax")
    return _vjp(
        forward,
        lambda a: hasattr(a, "dtype") and jax.numpy.issubdtype(a.dtype, jax.numpy.floating),
        lambda of_floats, floats, dout: jax.vjp(of_floats, *floats)[1](dout),
    )


def _vjp(forward: Function, is_float: Function, pull: Function) -> Function:
    """Return ``vjp(*args, dout)``, where ``pull(of_floats, floats, dout)`` differentiates."""

    def vjp(*args: Any) -> tuple[Any, ...]:
        *inputs, dout = args
        places = [i for i, a in enumerate(inputs) if is_float(a)]

        def of_floats(*floats: Any) -> Any:
            given = dict(zip(places, floats, strict=True))
            return forward(*(given.get(i, a) for i, a in enumerate(inputs)))

        return tuple(pull(of_floats, [inputs[i] for i in places], dout))

    return vjp


class torch_module:
    """Give a stateful quantizer's state in and read it out, for every check that it fits.

    Parameters
    ----------
    make : function
        ``make(n_tokens, dim, decay) -> module``: a new module for K tokens ``(K, D)``.
    state : dict
        Where the module keeps tokens, counts and sums: names of attributes, with dots. Leave out
        what it does not keep. An attribute that is computed is read and not set.
    call : function, optional
        ``call(module, embeddings) -> (quantized, codes)``, both in any shape. The default calls
        the module with embeddings ``(1, N, D)`` and takes the first two things it returns.

    Attributes
    ----------
    search, step, evaluate : function
        What ``check_nearest``, ``check_quantizer_step`` and ``check_evaluation`` take, for
        ``arrays="torch"``.

    Example
    -------
    With `vector-quantize-pytorch` installed, these lines check its ``VectorQuantize``::

        def make(n_tokens, dim, decay):
            return VectorQuantize(dim, n_tokens, decay=decay)

        names = {"tokens": "embed", "counts": "cluster_size", "sums": "embed_avg"}
        mine = torch_module(make, {ours: f"_codebook.{name}" for ours, name in names.items()})
        check_quantizer_step(mine.step, dialect="counts-one", arrays="torch", dtype="float32")

    >>> mine = torch_module(lambda n_tokens, dim, decay: None, {"tokens": "embed"})
    >>> sorted(mine.state)
    ['tokens']
    """

    def __init__(
        self,
        make: Callable[[int, int, float], Any],
        state: Mapping[str, str],
        call: Callable[[Any, Any], tuple[Any, Any]] | None = None,
    ) -> None:
        self.make, self.state = make, dict(state)
        self.call = call or (lambda module, z: tuple(module(z[None])[:2]))

    def module(self, state: dict[str, Any], decay: float = 0.9) -> Any:
        """Return a module in ``state``, in the precision of its tokens."""
        n_tokens, dim = state["tokens"].shape
        made = self.make(n_tokens, dim, decay).to(state["tokens"].dtype)
        held = dict(made.named_buffers()) | dict(made.named_parameters())
        for ours, theirs in self.state.items():
            if ours in state and theirs in held:
                held[theirs].data.copy_(state[ours].reshape(held[theirs].shape))
        return made

    def read(self, module: Any, state: dict[str, Any]) -> dict[str, Any]:
        """Return the state of ``module``, in the shapes of ``state``, a step later."""
        return {
            ours: attrgetter(theirs)(module).detach().clone().reshape(state[ours].shape)
            for ours, theirs in self.state.items()
        } | {"steps": state["steps"] + 1}

    def search(self, points: Any, tokens: Any) -> Any:
        """Return codes ``(N,)``."""
        # M / L is the token, where a module computes it.
        state = {"tokens": tokens, "counts": tokens.new_ones(len(tokens)), "sums": tokens}
        return self.call(self.module(state).eval(), points)[1].reshape(-1)

    def step(
        self, state: dict[str, Any], embeddings: Any, decay: float
    ) -> tuple[Any, dict[str, Any]]:
        """Return the quantized embeddings and the state after one step in training."""
        return self._called(self.module(state, decay).train(), state, embeddings)

    def evaluate(self, state: dict[str, Any], embeddings: Any) -> tuple[Any, dict[str, Any]]:
        """Return the quantized embeddings and the state after an evaluation."""
        return self._called(self.module(state).eval(), state, embeddings)

    def _called(
        self, module: Any, state: dict[str, Any], embeddings: Any
    ) -> tuple[Any, dict[str, Any]]:
        quantized = self.call(module, embeddings)[0].reshape(embeddings.shape)
        return quantized.detach(), self.read(module, state)
