"""Check of two residual blocks, x + conv1×1(ReLU(conv3×3(ReLU(x)))) each.

Images and kernels have the layouts of ``check_conv2d``. The blocks have different weights, and the
skip carries x itself, negative numbers included.
"""

from typing import Any

import numpy as np

from vqnp.layers.conv import conv2d_backward_numpy, conv2d_forward_numpy
from vqnp.testing.adapter import IMAGE, KERNEL, Functions
from vqnp.testing.check import Adapter, Answers, Function, KnownMistake, Tolerance, check, named
from vqnp.testing.golden import Array, Case, Cases, draw, from_seed

SHAPES = {"wide": (3, 3, 4, 3), "wide_bias": (3,), "narrow": (1, 1, 3, 4), "narrow_bias": (4,)}
AXES = {"wide": KERNEL, "wide_bias": None, "narrow": KERNEL, "narrow_bias": None}
Block = dict[str, Array]


@from_seed
def draw_cases(rng: np.random.Generator) -> Cases:
    """Images of 3 × 5 places and 4 channels, with 3 channels inside the blocks."""
    images = {name: draw(rng, 2, 3, 5, 4) for name in ("x", "dout")}
    inputs = images | {
        f"{i}.{name}": draw(rng, *shape) / 2 for i in range(2) for name, shape in SHAPES.items()
    }
    yield Case("two blocks", inputs)


def blocks_of(*, in_place: bool = False, skip: float = 1.0, first_relu: bool = True) -> Functions:
    """Return two residual blocks and their gradients.

    ``in_place``: the first rectifier also changes what the skip carries.
    """

    def block(x: Array, p: Block) -> tuple[Array, Any]:
        inner = np.maximum(x, 0) if first_relu else x
        wide, wide_cache = conv2d_forward_numpy(inner, p["wide"], p["wide_bias"], 1, 1)
        out, cache = conv2d_forward_numpy(np.maximum(wide, 0), p["narrow"], p["narrow_bias"])
        return skip * (inner if in_place else x) + out, (x, wide, wide_cache, cache)

    def block_back(dout: Array, kept: Any) -> tuple[Array, Block]:
        x, wide, wide_cache, cache = kept
        dwide, dnarrow, dnarrow_bias = conv2d_backward_numpy(dout, cache)
        dx, dkernel, dbias = conv2d_backward_numpy(dwide * (wide > 0), wide_cache)
        passes = x > 0 if first_relu else np.ones_like(x)
        dx = dx * passes + skip * (dout * passes if in_place else dout)
        return dx, dict(zip(SHAPES, (dkernel, dbias, dnarrow, dnarrow_bias), strict=True))

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
        both = {name: one[name] + two[name] for name in SHAPES}
        return dx, [both, {name: 0 * array for name, array in both.items()}]

    return lambda x, blocks: forward(x, [blocks[0]] * 2), shared_vjp


MISTAKES = (
    KnownMistake(
        "in-place-relu",
        "the first ReLU works in place and changes the skip: the negative numbers of x are lost",
        blocks_of(in_place=True),
    ),
    KnownMistake(
        "in-place-relu-forward",
        "the first ReLU also changes the skip, and the gradient knows nothing of it",
        (blocks_of(in_place=True)[0], blocks_of()[1]),
    ),
    KnownMistake(
        "shared-weights",
        "both blocks have one set of weights: a module built once and repeated",
        shared(),
    ),
    KnownMistake("skip-forgotten", "x is not added", blocks_of(skip=0.0)),
    KnownMistake(
        "skip-gradient-forgotten",
        "the gradient does not come back through the skip",
        (blocks_of()[0], blocks_of(skip=0.0)[1]),
    ),
    KnownMistake(
        "first-relu-forgotten",
        "there is no ReLU before the 3×3 convolution",
        blocks_of(first_relu=False),
    ),
)


@check(
    {"residual": draw_cases},
    Tolerance(512, "two blocks deep, sums of up to 60 products, in any order"),
    MISTAKES,
    right=blocks_of(),
    images=True,
)
def check_residual_blocks(
    case: Case, adapter: Adapter, forward: Function, vjp: Function
) -> Answers:
    """Check output and gradients of two residual blocks.

    It catches an in-place ReLU that changes the skip, shared weights, and forgotten skips.

    Parameters
    ----------
    forward : function
        ``forward(x, blocks) -> out``: images ``(B, H, W, C)`` and a list of two dictionaries:
        wide ``(3, 3, C, R)``, wide_bias ``(R,)``, narrow ``(1, 1, R, C)``, narrow_bias ``(C,)``.
        Return two blocks x + conv1×1(ReLU(conv3×3(ReLU(x)))) in a row, padding 1 at the 3×3. With
        ``layout="NCHW"`` images are ``(B, C, H, W)`` and kernels ``(C_out, C_in, kh, kw)``.
    vjp : function
        ``vjp(x, blocks, dout) -> (dx, dblocks)``: the gradients for that of the output, those of
        the blocks as a list of two dictionaries with the same names and shapes.

    Example
    -------
    >>> print(check_residual_blocks(*blocks_of()))
    check_residual_blocks: all 10 comparisons pass
    """

    def given() -> tuple[Any, list[dict[str, Any]]]:
        return adapter.give(case.inputs["x"], IMAGE), [
            {name: adapter.give(case.inputs[f"{i}.{name}"], axes) for name, axes in AXES.items()}
            for i in range(2)
        ]

    out = forward(*given())
    gradients = named(vjp(*given(), adapter.give(case.inputs["dout"], IMAGE)), "dx, dblocks")
    answers = {"out": adapter.take(out, IMAGE), "dx": adapter.take(gradients["dx"], IMAGE)}
    for block, own in named(gradients["dblocks"], "d0, d1").items():
        answers |= {f"{block}.{n}": adapter.take(own[n], axes) for n, axes in AXES.items()}
    return answers
