"""What the two passes of a quantizer give, by the names that a contract compares."""

from typing import Any

import numpy as np

from vqnp.testing.adapter import Adapter, Functions
from vqnp.testing.check import Answers, named
from vqnp.testing.golden import Case


def forward_and_vjp(
    case: Case,
    adapter: Adapter,
    functions: Functions,
    returns: str,
    gradients: str,
    settings: tuple[Any, ...] = (),
) -> Answers:
    """Return, by name, what ``forward`` and ``vjp`` of a quantizer return.

    Both are given the inputs of the case and ``settings``, ``vjp`` also the last input, dvectors.
    A gradient that is None is zero. What is alone need not be in a tuple.
    """

    def of(value: Any, names: str) -> Answers:
        alone = "," not in names and not isinstance(value, tuple)
        return named((value,) if alone else value, names)

    forward, vjp = functions
    *inputs, _ = adapter.give(case.inputs).values()
    answers = of(forward(*inputs, *settings), returns)
    *inputs, dvectors = adapter.give(case.inputs).values()
    answers |= of(vjp(*inputs, *settings, dvectors), gradients)
    return {
        name: np.zeros(case.inputs[name.removeprefix("d")].shape) if answer is None else answer
        for name, answer in answers.items()
    }
