"""Checks of the convolution and of the transposed one: ``forward(x, weight, bias, stride, padding) -> out`` and
``vjp(x, weight, bias, stride, padding, dout) -> (dx, dweight, dbias)``, stride and padding as ``(height, width)``.

============  ================  =========================  ==============================
layout        images            kernel of ``conv2d``       kernel of ``conv_transpose2d``
============  ================  =========================  ==============================
``"NHWC"``    (B, H, W, C)      (kh, kw, C_in, C_out)      (kh, kw, C_out, C_in)
``"NCHW"``    (B, C, H, W)      (C_out, C_in, kh, kw)      (C_in, C_out, kh, kw)
============  ================  =========================  ==============================

The gradient of the output is random, images are not square, and one case has different strides and paddings along H and W. When
the output has the wrong shape, the gradients of that case are not asked for.
"""

from collections.abc import Callable
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
from vqnp.testing.adapter import Arrays, Layout, Port, Precision
from vqnp.testing.check import Check, Functions, judge, unpack
from vqnp.testing.golden import Case, cases, draw
from vqnp.testing.result import Mutant, Result, Tolerance
from vqnp.validation import Array

Pair = tuple[int, int]
SUMS = Tolerance(256, "each number is a sum of up to 96 products, in any order")


def check_conv2d(
    forward: Callable[..., Any],
    vjp: Callable[..., Any],
    *,
    layout: Layout = "NHWC",
    arrays: Arrays = "numpy",
    dtype: Precision = "float64",
    raises: bool = True,
) -> Result:
    """Check output and gradients of a convolution."""
    check = Check("check_conv2d", cases("conv2d"), _run, MUTANTS, SUMS)
    return judge(check, (forward, vjp), Port(arrays, dtype, layout), raises=raises)


def check_conv_transpose2d(
    forward: Callable[..., Any],
    vjp: Callable[..., Any],
    *,
    layout: Layout = "NHWC",
    arrays: Arrays = "numpy",
    dtype: Precision = "float64",
    raises: bool = True,
) -> Result:
    """Check output and gradients of a transposed convolution."""
    check = Check(
        "check_conv_transpose2d", cases("conv_transpose2d"), _run, TRANSPOSED_MUTANTS, SUMS
    )
    return judge(check, (forward, vjp), Port(arrays, dtype, layout), raises=raises)


def _run(case: Case, functions: Functions, port: Port) -> dict[str, Any]:
    forward, vjp = functions
    x, weight, bias, dout = (case.inputs[name] for name in ("x", "weight", "bias", "dout"))
    window = (tuple(case.settings["stride"]), tuple(case.settings["padding"]))
    out = port.image_back(forward(port.image(x), port.kernel(weight), port.give(bias), *window))
    if out.shape != case.outputs["out"].shape:
        return {"out": out}
    gradients = vjp(port.image(x), port.kernel(weight), port.give(bias), *window, port.image(dout))
    dx, dweight, dbias = unpack(gradients, "dx, dweight, dbias")
    return {
        "out": out,
        "dx": port.image_back(dx),
        "dweight": port.kernel_back(dweight),
        "dbias": dbias,
    }


def same(value: Any) -> Any:
    """Change nothing."""
    return value


def broken(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    *,
    weight: Callable[[Array], Array] = same,
    dout: Callable[[Array], Array] = same,
    dx: Callable[[Array], Array] = same,
    dparams: Callable[[Array, int], Array] = lambda gradient, batch: gradient,
    window: Callable[[Pair, Pair], tuple[Pair, Pair]] = lambda stride, padding: (stride, padding),
    bias: float = 1.0,
) -> Functions:
    """Return a convolution and its gradients with something changed; a change of the weight is its own inverse."""

    def changed(x: Array, w: Array, b: Array, stride: Pair, padding: Pair) -> tuple[Array, Any]:
        return forward(x, weight(w), bias * b, *window(stride, padding))

    def vjp(
        x: Array, w: Array, b: Array, stride: Pair, padding: Pair, upstream: Array
    ) -> tuple[Array, Array, Array]:
        change, dw, db = backward(
            np.ascontiguousarray(dout(upstream)), changed(x, w, b, stride, padding)[1]
        )
        return dx(change), dparams(weight(dw), len(x)), bias * dparams(db, len(x))

    return lambda *args: changed(*args)[0], vjp


def padded_after(forward: Callable[..., Any], backward: Callable[..., Any]) -> Functions:
    """All of the padding goes below and to the right."""

    def pad(x: Array, padding: Pair) -> Array:
        return np.pad(x, ((0, 0), (0, 2 * padding[0]), (0, 2 * padding[1]), (0, 0)))

    def vjp(
        x: Array, w: Array, b: Array, stride: Pair, padding: Pair, dout: Array
    ) -> tuple[Array, Array, Array]:
        dx, dw, db = backward(dout, forward(pad(x, padding), w, b, stride, 0)[1])
        return dx[:, : x.shape[1], : x.shape[2]], dw, db

    return lambda x, w, b, stride, padding: forward(pad(x, padding), w, b, stride, 0)[0], vjp


def turned(weight: Array) -> Array:
    """The kernel turned by 180 degrees."""
    return np.ascontiguousarray(weight[::-1, ::-1])


def height_width(weight: Array) -> Array:
    """The kernel with H and W exchanged."""
    return np.ascontiguousarray(weight.swapaxes(0, 1))


def in_out(weight: Array) -> Array:
    """The kernel with its channels exchanged, where that fits."""
    return (
        np.ascontiguousarray(weight.swapaxes(2, 3))
        if weight.shape[2] == weight.shape[3]
        else weight
    )


def swap_axes(image: Array) -> Array:
    """Read the numbers of ``(B, H, W, C)`` as those of ``(B, W, H, C)``."""
    b, h, w, c = image.shape
    return image.reshape(b, w, h, c).swapaxes(1, 2)


def mutants_of(forward: Callable[..., Any], backward: Callable[..., Any]) -> tuple[Mutant, ...]:
    """Return what goes wrong in a convolution of either direction, gradients following the output where that is what is wrong."""

    def mutant(name: str, says: str, **changes: Any) -> Mutant:
        return Mutant(name, says, broken(forward, backward, **changes))

    return (
        mutant("kernel-turned", "the kernel is turned by 180°: true convolution, where layers correlate", weight=turned),
        mutant("kernel-axes-swapped", "H and W of the kernel are swapped", weight=height_width),
        mutant("kernel-channels-swapped", "input and output channels of the kernel are swapped", weight=in_out),
        mutant("stride-swapped", "the strides along H and W are swapped", window=lambda stride, padding: (stride[::-1], padding)),
        mutant("padding-swapped", "the paddings along H and W are swapped", window=lambda stride, padding: (stride, padding[::-1])),
        mutant("stride-ignored", "the stride is taken as 1", window=lambda stride, padding: ((1, 1), padding)),
        mutant("padding-ignored", "the padding is taken as 0", window=lambda stride, padding: (stride, (0, 0))),
        mutant("bias-forgotten", "the bias is not added", bias=0.0),
        mutant("dout-axes-swapped", "H and W are swapped in the gradient of the output", dout=swap_axes),
        mutant("dout-batch-reversed", "the gradient of the output is read with the batch reversed", dout=lambda dout: dout[::-1]),
        mutant("dout-all-ones", "the gradient of the output is ignored and ones are taken", dout=np.ones_like),
        mutant("dx-batch-reversed", "the gradient of the input comes back with the batch reversed", dx=lambda dx: dx[::-1]),
        mutant("dx-axes-swapped", "H and W are swapped in the gradient of the input", dx=swap_axes),
        mutant("parameters-averaged", "the gradients of weight and bias are means over the batch; they are sums",
               dparams=lambda gradient, batch: gradient / batch),
    )  # fmt: skip


_NUMPY = (conv2d_forward_numpy, conv2d_backward_numpy)
MUTANTS = (
    *mutants_of(*_NUMPY),
    Mutant("padded-after", "all padding goes below and right, as TensorFlow's SAME may; put half on either side", padded_after(*_NUMPY)),
)  # fmt: skip
TRANSPOSED_MUTANTS = mutants_of(conv_transpose2d_forward, conv_transpose2d_backward)

SIZES: dict[str, dict[str, Any]] = {
    "odd": {
        "image": (2, 7, 5),
        "kernel": (3, 2),
        "channels": (3, 4),
        "stride": (2, 1),
        "padding": (1, 0),
    },
    "halves": {
        "image": (3, 6, 8),
        "kernel": (4, 4),
        "channels": (2, 2),
        "stride": (2, 2),
        "padding": (1, 1),
    },
    "one pixel": {
        "image": (2, 3, 4),
        "kernel": (1, 1),
        "channels": (5, 3),
        "stride": (1, 1),
        "padding": (0, 0),
    },
}


def _make(
    seed: int, forward: Callable[..., Any], backward: Callable[..., Any], *, transposed: bool
) -> tuple[Case, ...]:
    rng, made = np.random.default_rng(seed), []
    for name, size in SIZES.items():
        before, after = size["channels"]
        window = {key: size[key] for key in ("stride", "padding")}
        x = draw(rng, *size["image"], before)
        weight = draw(rng, *size["kernel"], *((after, before) if transposed else (before, after)))
        bias = draw(rng, after)
        out, cache = forward(x, weight, bias, **window)
        dout = draw(rng, *out.shape)
        gradients = dict(zip(("dx", "dweight", "dbias"), backward(dout, cache), strict=True))
        made.append(
            Case(
                name,
                {"x": x, "weight": weight, "bias": bias, "dout": dout},
                {"out": out} | gradients,
                window,
            )
        )
    return tuple(made)


def make_cases() -> tuple[Case, ...]:
    """From the loops that define the convolution."""
    return _make(12, conv2d_forward_loop, conv2d_backward_loop, transposed=False)


def make_transposed_cases() -> tuple[Case, ...]:
    """From the loops that define the transposed convolution."""
    return _make(13, conv_transpose2d_forward_loop, conv_transpose2d_backward_loop, transposed=True)


MAKE = {"conv2d": make_cases, "conv_transpose2d": make_transposed_cases}
