"""Gradients of a forward function by its own framework, for checks that take a ``vjp``."""

import importlib
from collections.abc import Callable
from typing import Any


def torch_vjp(forward: Callable[..., Any]) -> Callable[..., tuple[Any, ...]]:
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
    ``check_conv2d(forward, torch_vjp(forward), arrays="torch")``
    """
    torch = importlib.import_module("torch")

    def vjp(*args: Any) -> tuple[Any, ...]:
        *inputs, dout = args
        leaves = [
            a.clone().requires_grad_() if torch.is_tensor(a) and a.is_floating_point() else a
            for a in inputs
        ]
        wanted = [leaf for leaf in leaves if torch.is_tensor(leaf) and leaf.requires_grad]
        return tuple(torch.autograd.grad(forward(*leaves), wanted, dout, allow_unused=True))

    return vjp


def jax_vjp(forward: Callable[..., Any]) -> Callable[..., tuple[Any, ...]]:
    """Return ``vjp(*args, dout)``, by ``jax.vjp``.

    Parameters
    ----------
    forward : function
        ``forward(*args) -> out``, of JAX arrays.

    Returns
    -------
    function
        It returns a gradient for each argument of floats. Other arguments, a stride
        for instance, are passed on and left out of the answer.

    Example
    -------
    ``check_conv2d(forward, jax_vjp(forward), arrays="jax")``
    """
    jax = importlib.import_module("jax")

    def vjp(*args: Any) -> tuple[Any, ...]:
        *inputs, dout = args
        places = [
            i
            for i, a in enumerate(inputs)
            if hasattr(a, "dtype") and jax.numpy.issubdtype(a.dtype, jax.numpy.floating)
        ]

        def of_floats(*floats: Any) -> Any:
            given = dict(zip(places, floats, strict=True))
            return forward(*(given.get(i, a) for i, a in enumerate(inputs)))

        return tuple(jax.vjp(of_floats, *(inputs[i] for i in places))[1](dout))

    return vjp
