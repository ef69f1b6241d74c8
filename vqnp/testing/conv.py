"""Checks of the convolution and of the transposed one.

============  ================  =========================  ==============================
layout        images            kernel of ``conv2d``       kernel of ``conv_transpose2d``
============  ================  =========================  ==============================
``"NHWC"``    (B, H, W, C)      (kh, kw, C_in, C_out)      (kh, kw, C_out, C_in)
``"NCHW"``    (B, C, H, W)      (C_out, C_in, kh, kw)      (C_in, C_out, kh, kw)
============  ================  =========================  ==============================

The gradient of the output is random. Images are not square. One case has different strides and
paddings along H and W. When the output has the wrong shape, the gradients of that case are not
asked for.
"""

from typing import Any

import numpy as np

from vqnp.layers.conv import (
    conv2d_backward_loop,
    conv2d_backward_numpy,
    conv2d_forward_loop,
    conv2d_forward_numpy,
)
from vqnp.layers.conv_transpose import (
    conv_transpose2d_backward,
    conv_transpose2d_backward_loop,
    conv_transpose2d_forward,
    conv_transpose2d_forward_loop,
)
from vqnp.testing.adapter import IMAGE, KERNEL, Functions, swap_axes
from vqnp.testing.check import Adapter, Answers, Function, KnownMistake, Tolerance, check, named
from vqnp.testing.golden import Array, Case, Cases, draw, from_seed

Pair = tuple[int, int]
SUMS = Tolerance(256, "each number is a sum of up to 96 products, in any order")
SIZES = {  # image (B, H, W), kernel (kh, kw), channels (C_in, C_out), stride, padding
    "odd": ((2, 7, 5), (3, 2), (3, 4), (2, 1), (1, 0)),
    "halves": ((3, 6, 8), (4, 4), (2, 2), (2, 2), (1, 1)),
    "one pixel": ((2, 3, 4), (1, 1), (5, 3), (1, 1), (0, 0)),
}


def _make(rng: np.random.Generator, forward: Function, *, transposed: bool) -> Cases:
    for name, (image, kernel, (before, after), stride, padding) in SIZES.items():
        x = draw(rng, *image, before)
        weight = draw(rng, *kernel, *((after, before) if transposed else (before, after)))
        bias = draw(rng, after)
        dout = draw(rng, *forward(x, weight, bias, stride, padding)[0].shape)
        inputs = {"x": x, "weight": weight, "bias": bias, "dout": dout}
        yield Case(name, inputs, settings={"stride": stride, "padding": padding})


@from_seed
def draw_cases(rng: np.random.Generator) -> Cases:
    """Images and kernels of every size."""
    return _make(rng, conv2d_forward_numpy, transposed=False)


@from_seed
def draw_transposed_cases(rng: np.random.Generator) -> Cases:
    """The same for the transposed convolution."""
    return _make(rng, conv_transpose2d_forward, transposed=True)


def broken(
    forward: Function,
    backward: Function,
    *,
    weight: Function = np.asarray,
    dout: Function = np.asarray,
    dx: Function = np.asarray,
    dparams: Function = lambda gradient, batch: gradient,
    window: Function = lambda stride, padding: (stride, padding),
    pad: Function = lambda x, padding: x,
    bias: float = 1.0,
) -> Functions:
    """Return a convolution and its gradients with something changed.

    A change of the weight is its own inverse.
    """

    def changed(x: Array, w: Array, b: Array, stride: Pair, padding: Pair) -> tuple[Array, Any]:
        given = pad(x, padding), np.ascontiguousarray(weight(w)), bias * b
        return forward(*given, *window(stride, padding))

    def vjp(
        x: Array, w: Array, b: Array, stride: Pair, padding: Pair, upstream: Array
    ) -> tuple[Array, Array, Array]:
        change, dw, db = backward(
            np.ascontiguousarray(dout(upstream)), changed(x, w, b, stride, padding)[1]
        )
        # What was padded is cut off.
        return (
            dx(change)[:, : x.shape[1], : x.shape[2]],
            dparams(weight(dw), len(x)),
            bias * dparams(db, len(x)),
        )

    return lambda *args: changed(*args)[0], vjp


def mistakes_of(forward: Function, backward: Function) -> tuple[KnownMistake, ...]:
    """Return what goes wrong in a convolution of either direction."""

    def mistake(name: str, says: str, **changes: Any) -> KnownMistake:
        return KnownMistake(name, says, broken(forward, backward, **changes))

    return (
        mistake(
            "kernel-turned",
            "the kernel is turned by 180°: true convolution, where layers correlate",
            weight=lambda w: w[::-1, ::-1],
        ),
        mistake(
            "kernel-axes-swapped",
            "H and W of the kernel are swapped",
            weight=lambda weight: weight.swapaxes(0, 1),
        ),
        mistake(
            "kernel-channels-swapped",
            "input and output channels of the kernel are swapped",
            weight=lambda w: w.swapaxes(2, 3) if w.shape[2] == w.shape[3] else w,
        ),
        mistake(
            "stride-swapped",
            "the strides along H and W are swapped",
            window=lambda stride, padding: (stride[::-1], padding),
        ),
        mistake(
            "padding-swapped",
            "the paddings along H and W are swapped",
            window=lambda stride, padding: (stride, padding[::-1]),
        ),
        mistake(
            "stride-ignored",
            "the stride is taken as 1",
            window=lambda stride, padding: ((1, 1), padding),
        ),
        mistake(
            "padding-ignored",
            "the padding is taken as 0",
            window=lambda stride, padding: (stride, (0, 0)),
        ),
        mistake("bias-forgotten", "the bias is not added", bias=0.0),
        mistake(
            "dout-axes-swapped", "H and W are swapped in the gradient of the output", dout=swap_axes
        ),
        mistake(
            "dout-batch-reversed",
            "the gradient of the output is read with the batch reversed",
            dout=lambda dout: dout[::-1],
        ),
        mistake(
            "dout-all-ones",
            "the gradient of the output is ignored and ones are taken",
            dout=np.ones_like,
        ),
        mistake(
            "dx-batch-reversed",
            "the gradient of the input comes back with the batch reversed",
            dx=lambda dx: dx[::-1],
        ),
        mistake(
            "dx-axes-swapped", "H and W are swapped in the gradient of the input", dx=swap_axes
        ),
        mistake(
            "parameters-averaged",
            "the gradients of weight and bias are means over the batch; they are sums",
            dparams=lambda gradient, batch: gradient / batch,
        ),
    )


MISTAKES = (
    *mistakes_of(conv2d_forward_numpy, conv2d_backward_numpy),
    KnownMistake(
        "padded-after",
        "all padding goes below and right, as TensorFlow's SAME may; put half on either side",
        broken(
            conv2d_forward_numpy,
            conv2d_backward_numpy,
            pad=lambda x, padding: np.pad(
                x, ((0, 0), *((0, 2 * side) for side in padding), (0, 0))
            ),
            window=lambda stride, padding: (stride, 0),
        ),
    ),
)


def _run(case: Case, adapter: Adapter, forward: Function, vjp: Function) -> Answers:
    x, weight, bias, dout = (case.inputs[name] for name in ("x", "weight", "bias", "dout"))
    window = (tuple(case.settings["stride"]), tuple(case.settings["padding"]))

    def given() -> tuple[Any, Any, Any]:
        return adapter.give(x, IMAGE), adapter.give(weight, KERNEL), adapter.give(bias)

    out = adapter.take(forward(*given(), *window), IMAGE)
    if out.shape != dout.shape:
        return {"out": out}
    answers = named(vjp(*given(), *window, adapter.give(dout, IMAGE)), "dx, dweight, dbias")
    return {
        "out": out,
        "dx": adapter.take(answers["dx"], IMAGE),
        "dweight": adapter.take(answers["dweight"], KERNEL),
        "dbias": answers["dbias"],
    }


@check(
    {"conv2d": draw_cases},
    SUMS,
    MISTAKES,
    right=broken(conv2d_forward_loop, conv2d_backward_loop),
    images=True,
)
def check_conv2d(case: Case, adapter: Adapter, forward: Function, vjp: Function) -> Answers:
    """Check output and gradients of a convolution.

    It catches turned kernels, swapped axes or strides, one-sided padding and averaged gradients.

    Parameters
    ----------
    forward : function
        ``forward(x, weight, bias, stride, padding) -> out``: images ``(B, H, W, C_in)``, kernel
        ``(kh, kw, C_in, C_out)``, bias ``(C_out,)``, stride and padding as pairs (height, width).
        Return images ``(B, H', W', C_out)``. With ``layout="NCHW"`` images are
        ``(B, C, H, W)`` and the kernel is ``(C_out, C_in, kh, kw)``.
    vjp : function
        ``vjp(x, weight, bias, stride, padding, dout) -> (dx, dweight, dbias)``: the gradients for
        that of the output, each shaped like its argument. ``torch_vjp(forward)`` and
        ``jax_vjp(forward)`` make this function by autograd.

    Example
    -------
    >>> print(check_conv2d(*broken(conv2d_forward_numpy, conv2d_backward_numpy)))
    check_conv2d: all 12 comparisons pass
    """
    return _run(case, adapter, forward, vjp)


@check(
    {"conv_transpose2d": draw_transposed_cases},
    SUMS,
    mistakes_of(conv_transpose2d_forward, conv_transpose2d_backward),
    right=broken(conv_transpose2d_forward_loop, conv_transpose2d_backward_loop),
    images=True,
)
def check_conv_transpose2d(
    case: Case, adapter: Adapter, forward: Function, vjp: Function
) -> Answers:
    """Check output and gradients of a transposed convolution.

    It catches what ``check_conv2d`` catches, and takes functions of the same arguments.

    Parameters
    ----------
    forward : function
        ``forward(x, weight, bias, stride, padding) -> out``: the kernel is
        ``(kh, kw, C_out, C_in)``, or ``(C_in, C_out, kh, kw)`` with ``layout="NCHW"``. Return the
        images ``(B, H', W', C_out)`` whose convolution has the shape of x ``(B, H, W, C_in)``.
    vjp : function
        ``vjp(x, weight, bias, stride, padding, dout) -> (dx, dweight, dbias)``: the gradients, as
        for ``check_conv2d``.

    Example
    -------
    >>> print(check_conv_transpose2d(*broken(conv_transpose2d_forward, conv_transpose2d_backward)))
    check_conv_transpose2d: all 12 comparisons pass
    """
    return _run(case, adapter, forward, vjp)
