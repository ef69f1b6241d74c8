"""Check of two residual blocks, x + conv1×1(ReLU(conv3×3(ReLU(x)))) each: ``forward(x, blocks) -> out`` and
``vjp(x, blocks, dout) -> (dx, dblocks)``.

``blocks`` is a list of two dictionaries, ``wide`` (the 3×3 kernel, padding 1), ``wide_bias``, ``narrow`` (the 1×1), ``narrow_bias``;
``dblocks`` is the same of gradients. Images and kernels have the layouts of ``check_conv2d``.
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
from vqnp.testing.adapter import Arrays, Layout, Port, Precision
from vqnp.testing.check import Check, Functions, judge, unpack
from vqnp.testing.golden import Case, cases, draw
from vqnp.testing.result import Mutant, Result, Tolerance
from vqnp.validation import Array

SUMS = Tolerance(512, "two blocks deep, sums of up to 60 products, in any order")
KERNELS = ("wide", "narrow")
NAMES = ("wide", "wide_bias", "narrow", "narrow_bias")
Block = dict[str, Array]


def check_residual_blocks(
    forward: Callable[..., Any],
    vjp: Callable[..., Any],
    *,
    layout: Layout = "NHWC",
    arrays: Arrays = "numpy",
    dtype: Precision = "float64",
    raises: bool = True,
) -> Result:
    """Check output and gradients; the blocks have different weights and the skip carries x itself, negative numbers included."""
    check = Check("check_residual_blocks", cases("residual"), _run, MUTANTS, SUMS)
    return judge(check, (forward, vjp), Port(arrays, dtype, layout), raises=raises)


def _run(case: Case, functions: Functions, port: Port) -> dict[str, Any]:
    def given() -> tuple[Any, list[dict[str, Any]]]:
        blocks = [{name: case.inputs[f"{i}.{name}"] for name in NAMES} for i in range(2)]
        give = {True: port.kernel, False: port.give}
        return port.image(case.inputs["x"]), [
            {n: give[n in KERNELS](a) for n, a in block.items()} for block in blocks
        ]

    answers = {"out": port.image_back(functions[0](*given()))}
    dx, dblocks = unpack(functions[1](*given(), port.image(case.inputs["dout"])), "dx, dblocks")
    answers["dx"] = port.image_back(dx)
    for i, gradients in enumerate(unpack(dblocks, "dblock, dblock")):
        answers |= {
            f"d{i}.{n}": port.kernel_back(gradients[n]) if n in KERNELS else gradients[n]
            for n in NAMES
        }
    return answers


def blocks_of(
    convolve: Callable[..., Any] = conv2d_forward_numpy,
    back: Callable[..., Any] = conv2d_backward_numpy,
    *,
    in_place: bool = False,
    skip: float = 1.0,
    first_relu: bool = True,
) -> Functions:
    """Return two residual blocks and their gradients; ``in_place``: the first rectifier also changes what the skip carries."""

    def rectified(x: Array) -> Array:
        return np.maximum(x, 0) if first_relu else x

    def block(x: Array, p: Block) -> tuple[Array, Any]:
        wide, wide_cache = convolve(rectified(x), p["wide"], p["wide_bias"], 1, 1)
        out, cache = convolve(np.maximum(wide, 0), p["narrow"], p["narrow_bias"])
        return skip * (rectified(x) if in_place else x) + out, (x, wide, wide_cache, cache)

    def block_back(dout: Array, kept: Any) -> tuple[Array, Block]:
        x, wide, wide_cache, cache = kept
        dwide, dnarrow, dnarrow_bias = back(dout, cache)
        dx, dkernel, dbias = back(dwide * (wide > 0), wide_cache)
        passes = x > 0 if first_relu else np.ones_like(x)
        dx = dx * passes + skip * (dout * passes if in_place else dout)
        return dx, dict(zip(NAMES, (dkernel, dbias, dnarrow, dnarrow_bias), strict=True))

    def forward(x: Array, blocks: list[Block]) -> Array:
        return block(block(x, blocks[0])[0], blocks[1])[0]

    def vjp(x: Array, blocks: list[Block], dout: Array) -> tuple[Array, list[Block]]:
        middle, first = block(x, blocks[0])
        dmiddle, dsecond = block_back(dout, block(middle, blocks[1])[1])
        dx, dfirst = block_back(dmiddle, first)
        return dx, [dfirst, dsecond]

    return forward, vjp


def shared() -> Functions:
    """Both blocks use the first one's weights, whose gradients add up."""
    forward, vjp = blocks_of()

    def shared_vjp(x: Array, blocks: list[Block], dout: Array) -> tuple[Array, list[Block]]:
        dx, (one, two) = vjp(x, [blocks[0]] * 2, dout)
        both = {name: one[name] + two[name] for name in NAMES}
        return dx, [both, {name: np.zeros_like(array) for name, array in both.items()}]

    return lambda x, blocks: forward(x, [blocks[0]] * 2), shared_vjp


MUTANTS = (
    Mutant("in-place-relu", "the first ReLU works in place and also changes the skip: the negative numbers of x are lost",
           blocks_of(in_place=True)),
    Mutant("in-place-relu-forward", "the first ReLU also changes the skip, and the gradient knows nothing of it",
           (blocks_of(in_place=True)[0], blocks_of()[1])),
    Mutant("shared-weights", "both blocks have one set of weights: a module built once and repeated", shared()),
    Mutant("skip-forgotten", "x is not added", blocks_of(skip=0.0)),
    Mutant("skip-gradient-forgotten", "the gradient does not come back through the skip", (blocks_of()[0], blocks_of(skip=0.0)[1])),
    Mutant("first-relu-forgotten", "there is no ReLU before the 3×3 convolution", blocks_of(first_relu=False)),
)  # fmt: skip


def make_cases() -> tuple[Case, ...]:
    """Images of 3 × 5 places and 4 channels, 3 inside the blocks, from the loops that define the convolution."""
    rng, inputs = np.random.default_rng(14), {}
    inputs["x"], inputs["dout"] = draw(rng, 2, 3, 5, 4), draw(rng, 2, 3, 5, 4)
    for i in range(2):
        shapes = ((3, 3, 4, 3), (3,), (1, 1, 3, 4), (4,))
        inputs |= {
            f"{i}.{name}": draw(rng, *shape) / 2 for name, shape in zip(NAMES, shapes, strict=True)
        }
    functions = blocks_of(conv2d_forward_loop, conv2d_backward_loop)
    return (Case("two blocks", inputs, _run(Case("", inputs, {}), functions, Port())),)


MAKE = {"residual": make_cases}
