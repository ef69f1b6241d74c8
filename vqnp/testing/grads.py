"""Check of any gradient: ``vjp(*args, dout)`` against central differences of ``f(*args)``.

With a random cotangent c, L = Σ c · f is a number, and vjp for dout = c must be its gradient g.
For a random direction v

    ⟨g, v⟩ = (L(x + h v) − L(x − h v)) / 2h

within the error of the difference. Both are random, because all-ones would not notice a reversed
batch or swapped axes. Each argument has directions of its own, so that a wrong gradient is named by
its argument. ``f`` and ``vjp`` must compute in float64.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from vqnp.testing.adapter import Adapter, Arrays, swap_axes, to_numpy
from vqnp.testing.check import guarded
from vqnp.testing.golden import Array
from vqnp.testing.result import Comparison, KnownMistake, Result, Tolerance, compare

STEP = 1e-5
DIRECTIONS = 3
DIFFERENCED = Tolerance(
    1e8,
    "a central difference with h = 1e-5 leaves h² = 1e-10 of the function's curvature, and "
    "u / h = 2e-11 of its value",
)  # 1e8 roundings are 2e-8
judged = partial(compare, tolerance=DIFFERENCED, dtype="float64")


def check_grads(
    f: Callable[..., Any],
    vjp: Callable[..., Any],
    args: Sequence[Array],
    *,
    arrays: Arrays = "numpy",
    seed: int = 0,
    raises: bool = True,
) -> Result:
    """Check any gradient against central differences.

    Parameters
    ----------
    f : function
        ``f(*args) -> out``: arrays in, an array out, in float64.
    vjp : function
        ``vjp(*args, dout) -> gradients``: for the gradient of the output, shaped like ``out``, a
        tuple of the gradients of all arguments, each shaped like its argument. An argument of
        integers has the gradient None. A single gradient needs no tuple.
    args : sequence of NumPy arrays
        Where to check.
    arrays : "numpy", "torch", "jax" or function of a NumPy array
        The kind of array your functions take.
    seed : int
        Directions and cotangent are drawn from it.
    raises : bool
        False returns the result of a failure instead of raising it.

    Returns
    -------
    Result
        One comparison for each argument of floats.

    Raises
    ------
    CheckFailed
        When a gradient is wrong. The message names the argument and the probable mistake.
    NotImplementedError, TypeError
        As for every check; and when ``f`` does not compute in float64.

    Example
    -------
    >>> print(check_grads(np.sin, lambda x, dout: dout * np.cos(x), [np.arange(3.0)]))
    check_grads: all 1 comparisons pass
    """
    adapter, rng = Adapter(arrays), np.random.default_rng(seed)
    f, vjp = guarded("check_grads", "f", f), guarded("check_grads", "vjp", vjp)
    args = [np.asarray(arg) for arg in args]

    def value(*changed: Array) -> Array:
        return to_numpy(f(*map(adapter.give, changed)))

    out = value(*args)
    if out.dtype != np.float64:
        raise TypeError(
            f"f must compute in float64 for its differences to be of use, got {out.dtype}"
        )
    cotangent = rng.standard_normal(out.shape)
    gradients = vjp(*map(adapter.give, args), adapter.give(cotangent))
    gradients = gradients if isinstance(gradients, tuple | list) else (gradients,)
    if len(gradients) != len(args):
        raise TypeError(
            f"vjp must return a gradient for each of {len(args)} arguments, got {len(gradients)}"
        )
    directions = {
        i: rng.standard_normal((DIRECTIONS, *arg.shape))
        for i, arg in enumerate(args)
        if arg.dtype.kind == "f"
    }

    def differences(i: int, c: Array) -> Array:
        return np.array(
            [
                (c * (value(*_moved(args, i, STEP * v)) - value(*_moved(args, i, -STEP * v)))).sum()
                for v in directions[i]
            ]
        ) / (2 * STEP)

    comparisons = {
        i: _along(i, gradients[i], args[i], v, differences(i, cotangent))
        for i, v in directions.items()
    }
    wrong = {i: found.answer for i, found in comparisons.items() if not found.passed}
    # A vjp is linear, so a mistake in all of it is a change of the cotangent.
    suspects = tuple(
        KnownMistake(name, says, ())
        for name, says, change in COTANGENTS
        if wrong
        and all(
            judged("", answer, differences(i, change(cotangent))).passed
            for i, answer in wrong.items()
        )
    )
    result = Result("check_grads", tuple(comparisons.values()), suspects)
    return result.require() if raises else result


def _moved(args: Sequence[Array], i: int, change: Array) -> list[Array]:
    return [arg + change if j == i else arg for j, arg in enumerate(args)]


def _along(i: int, gradient: Any, arg: Array, directions: Array, expected: Array) -> Comparison:
    """Compare ⟨g, v⟩ for each direction, or the shapes where they differ."""
    g = np.array(np.nan if gradient is None else to_numpy(gradient))
    if gradient is None or g.shape != arg.shape:
        return judged(f"argument {i}: gradient", g, np.zeros(arg.shape))
    return judged(
        f"argument {i}: derivative along a random direction",
        (g * directions).reshape(len(directions), -1).sum(axis=1),
        expected,
    )


COTANGENTS: tuple[tuple[str, str, Callable[[Array], Array]], ...] = (
    ("cotangent-ignored", "the gradient of the output is taken as all ones", np.ones_like),
    (
        "batch-reversed",
        "the gradient of the output is read with the batch reversed",
        lambda c: c[::-1] if c.ndim else c,
    ),
    (
        "axes-swapped",
        "the first two axes after the batch, H and W, are swapped in the gradient of the output",
        swap_axes,
    ),
    ("no-gradient", "the gradient is zero", np.zeros_like),
    ("sign", "the gradient points the wrong way", np.negative),
    ("twice", "the gradient is twice what it should be", lambda c: 2 * c),
    ("half", "the gradient is half of what it should be", lambda c: c / 2),
    (
        "batch-mean",
        "the gradient is divided by the size of the batch, the first axis",
        lambda c: c / len(c) if c.ndim else c,
    ),
    (
        "element-mean",
        "the gradient is divided by the number of the output's elements",
        lambda c: c / c.size,
    ),
)
