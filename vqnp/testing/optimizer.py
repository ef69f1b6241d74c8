"""Check of Adam, AMSGrad and AdamW through twelve steps.

The gradients are given. They are large at first and small later, so that AMSGrad's maximum
matters.
"""

from functools import partial
from typing import Any, Literal, get_args

import numpy as np

from vqnp.testing.check import Adapter, Answers, Function, KnownMistake, Tolerance, check, named
from vqnp.testing.golden import Array, Case, Cases, draw, from_seed

Optimizer = Literal["adam", "amsgrad", "adamw"]
STEPS = 12
SETTINGS = {"learning_rate": 0.05, "beta1": 0.8, "beta2": 0.9, "epsilon": 1e-3}


@from_seed
def draw_cases(rng: np.random.Generator) -> Cases:
    """One trajectory a kind, of the same parameter and gradients."""
    fading = 2.0 ** -np.arange(STEPS)[:, None, None]
    parameter = draw(rng, 3, 2)
    gradients = (draw(rng, STEPS, 3, 2) * fading).astype(np.float32).astype(np.float64)
    inputs = {"parameter": parameter, "gradients": gradients}
    for kind in get_args(Optimizer):
        yield Case(kind, inputs, settings=SETTINGS | {"weight_decay": 0.1 * (kind == "adamw")})


def adam(
    kind: str,
    parameter: Array,
    gradient: Array,
    state: Any,
    settings: dict[str, float],
    *,
    bias: tuple[bool, bool] = (True, True),
    maximum: str = "raw",
    epsilon: str = "outside",
    decay: str = "decoupled",
    late: int = 0,
    swapped: bool = False,
) -> tuple[Array, Any]:
    """One step, written plainly, with what can go wrong in it."""
    rate, beta1, beta2, small, shrink = (
        settings[name] for name in ("learning_rate", "beta1", "beta2", "epsilon", "weight_decay")
    )
    beta1, beta2 = (beta2, beta1) if swapped else (beta1, beta2)
    m, v, largest, t = state or (0 * parameter, 0 * parameter, 0 * parameter, 1 + late)
    gradient = gradient + shrink * parameter if decay == "coupled" else gradient
    m, v = beta1 * m + (1 - beta1) * gradient, beta2 * v + (1 - beta2) * gradient**2
    first, second = (
        1 - beta**t if wanted else 1.0 for beta, wanted in zip((beta1, beta2), bias, strict=True)
    )
    largest = np.maximum(largest, v / second if maximum == "corrected" else v)
    use = (
        v
        if kind != "amsgrad" or maximum == "forgotten"
        else largest * (second if maximum == "corrected" else 1)
    )
    root = {
        "outside": np.sqrt(use / second) + small,
        "inside": np.sqrt(use / second + small),
        "scaled": (np.sqrt(use) + small) / second**0.5,
    }[epsilon]
    factor = {"decoupled": rate * shrink, "without-rate": shrink}.get(decay, 0.0)
    afterwards = 1 - rate * shrink if decay == "afterwards" else 1
    moved = (1 - factor) * parameter - rate * (m / first) / root
    return afterwards * moved, (m, v, largest, t + 1)


def mistakes_of(kind: Optimizer) -> tuple[KnownMistake, ...]:
    """Return what goes wrong in ``kind``."""

    def mistake(name: str, says: str, **changes: Any) -> KnownMistake:
        return KnownMistake(name, says, (partial(adam, kind, **changes),))

    common = (
        mistake("no-bias-correction", "m and v are not divided by 1 − βᵗ", bias=(False, False)),
        mistake("first-uncorrected", "m is not divided by 1 − β₁ᵗ", bias=(False, True)),
        mistake("second-uncorrected", "v is not divided by 1 − β₂ᵗ", bias=(True, False)),
        mistake("step-late", "t is one too large: it is 1 in the first step", late=1),
        mistake("betas-swapped", "β₁ and β₂ are swapped", swapped=True),
        mistake("epsilon-inside", "ε is added under the root", epsilon="inside"),
        mistake(
            "epsilon-scaled",
            "ε is added before the correction by √(1 − β₂ᵗ), as TensorFlow does",
            epsilon="scaled",
        ),
        KnownMistake(
            "sign",
            "the step goes uphill",
            (lambda p, g, s, settings: adam(kind, p, -g, s, settings),),
        ),
    )
    own = {
        "amsgrad": (
            mistake(
                "maximum-forgotten",
                "the largest v so far is not kept: this is Adam",
                maximum="forgotten",
            ),
            mistake(
                "maximum-of-corrected",
                "the maximum is taken of v / (1 − β₂ᵗ), as Optax does; a difference",
                maximum="corrected",
            ),
        ),
        "adamw": (
            mistake("decay-forgotten", "there is no weight decay", decay="forgotten"),
            mistake(
                "decay-coupled",
                "the decay is added to the gradient and passes through m and v: L2, not decoupled",
                decay="coupled",
            ),
            mistake(
                "decay-without-rate",
                "the decay is not multiplied by the learning rate",
                decay="without-rate",
            ),
            mistake(
                "decay-afterwards",
                "the new parameter is shrunk, not the old one",
                decay="afterwards",
            ),
        ),
    }
    return *common, *own.get(kind, ())


@check(
    {"optimizer": draw_cases},
    Tolerance(
        256, "twelve steps of some twenty operations each; 1 − βᵗ cancels a little in the first"
    ),
    mistakes_of,
    right=lambda case: (partial(adam, case.name),),
    names={kind: {"kind": kind} for kind in get_args(Optimizer)},
)
def check_optimizer(
    case: Case, adapter: Adapter, step: Function, *, kind: Optimizer = "adam"
) -> Answers:
    """Check twelve steps of Adam, AMSGrad or AdamW.

    It catches missing bias corrections, a misplaced ε, a forgotten maximum and a coupled decay.

    Parameters
    ----------
    step : function
        ``step(parameter, gradient, state, settings) -> (parameter, state)``: parameter and
        gradient are matrices of one shape. The state is None at the first step, and what you
        returned after that. The settings are a dictionary of floats: learning_rate, beta1, beta2,
        epsilon and weight_decay, which is 0 except for AdamW.
    kind : "adam", "amsgrad" or "adamw"
        The optimizer.

    Example
    -------
    >>> print(check_optimizer(partial(adam, "adamw"), kind="adamw"))
    check_optimizer, kind adamw: all 1 comparisons pass
    """
    parameter, gradients = (adapter.give(case.inputs[name]) for name in ("parameter", "gradients"))
    state, seen = None, []
    for gradient in gradients:
        answer = step(parameter, gradient, state, dict(case.settings))
        parameter, state = named(answer, "parameter, state").values()
        seen.append(adapter.take(parameter))
    return {"parameter": np.stack(seen)}
