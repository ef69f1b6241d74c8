"""Check of Adam, AMSGrad and AdamW: ``step(parameter, gradient, state, settings) -> (parameter, state)``.

The state is None at the first of twelve steps and whatever the function returned after that; settings are ``learning_rate``,
``beta1``, ``beta2``, ``epsilon`` and ``weight_decay`` (0 but for AdamW). The gradients are given, large at first and small later, so
that AMSGrad's maximum matters.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, get_args

import numpy as np

from vqnp.optim import Adam
from vqnp.testing.adapter import Arrays, Port, Precision, to_numpy
from vqnp.testing.check import Check, Functions, judge, unpack
from vqnp.testing.golden import Case, cases, draw
from vqnp.testing.result import Mutant, Result, Tolerance
from vqnp.validation import Array

Optimizer = Literal["adam", "amsgrad", "adamw"]
STEPS = 12
TWELVE = Tolerance(
    256, "twelve steps of some twenty operations each; 1 − βᵗ cancels a little in the first"
)


def check_optimizer(
    step: Callable[..., Any],
    *,
    kind: Optimizer = "adam",
    arrays: Arrays = "numpy",
    dtype: Precision = "float64",
    raises: bool = True,
) -> Result:
    """Check twelve steps of ``kind``."""
    if kind not in get_args(Optimizer):
        raise ValueError(f"kind must be one of {', '.join(get_args(Optimizer))}, got {kind!r}")
    chosen = tuple(case for case in cases("optimizer") if case.name == kind)
    return judge(
        Check(f"check_optimizer, {kind}", chosen, _run, mutants(kind), TWELVE),
        (step,),
        Port(arrays, dtype),
        raises=raises,
    )


def _run(case: Case, functions: Functions, port: Port) -> dict[str, Array]:
    parameter, gradients = port.give(case.inputs["parameter"]), port.give(case.inputs["gradients"])
    state, seen = None, []
    for t in range(STEPS):
        parameter, state = unpack(
            functions[0](parameter, gradients[t], state, dict(case.settings)), "parameter, state"
        )
        seen.append(to_numpy(parameter))
    return {"parameter": np.stack(seen)}


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
    m, v, largest, t = state or (0 * parameter, 0 * parameter, 0 * parameter, late)
    t += 1
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
    moved = (1 - factor) * parameter - rate * (m / first) / root
    if decay == "afterwards":
        moved = (1 - rate * shrink) * (parameter - rate * (m / first) / root)
    return moved, (m, v, largest, t)


def mutants(kind: Optimizer) -> tuple[Mutant, ...]:
    """Return what goes wrong in ``kind``."""

    def mutant(name: str, says: str, **changes: Any) -> Mutant:
        return Mutant(name, says, (partial(adam, kind, **changes),))

    common = (
        mutant("no-bias-correction", "m and v are not divided by 1 − βᵗ", bias=(False, False)),
        mutant("first-uncorrected", "m is not divided by 1 − β₁ᵗ", bias=(False, True)),
        mutant("second-uncorrected", "v is not divided by 1 − β₂ᵗ", bias=(True, False)),
        mutant("step-late", "t is one too large: it is 1 in the first step", late=1),
        mutant("betas-swapped", "β₁ and β₂ are swapped", swapped=True),
        mutant("epsilon-inside", "ε is added under the root", epsilon="inside"),
        mutant(
            "epsilon-scaled",
            "ε is added before the correction by √(1 − β₂ᵗ), as TensorFlow does",
            epsilon="scaled",
        ),
        Mutant(
            "sign",
            "the step goes uphill",
            (lambda p, g, s, settings: adam(kind, p, -g, s, settings),),
        ),
    )
    if kind == "amsgrad":
        return (
            *common,
            mutant(
                "maximum-forgotten",
                "the largest v so far is not kept: this is Adam",
                maximum="forgotten",
            ),
            mutant(
                "maximum-of-corrected",
                "the maximum is taken of v / (1 − β₂ᵗ), as Optax does; a difference",
                maximum="corrected",
            ),
        )
    if kind == "adamw":
        return (
            *common,
            mutant("decay-forgotten", "there is no weight decay", decay="forgotten"),
            mutant(
                "decay-coupled",
                "the decay is added to the gradient and passes through m and v: L2, not decoupled",
                decay="coupled",
            ),
            mutant(
                "decay-without-rate",
                "the decay is not multiplied by the learning rate",
                decay="without-rate",
            ),
            mutant(
                "decay-afterwards",
                "the new parameter is shrunk, not the old one",
                decay="afterwards",
            ),
        )
    return common


def make_cases() -> tuple[Case, ...]:
    """One trajectory a kind, of the same parameter and gradients."""
    rng = np.random.default_rng(15)
    fading = 2.0 ** -np.arange(STEPS)[:, None, None]
    parameter, gradients = (
        draw(rng, 3, 2),
        (draw(rng, STEPS, 3, 2) * fading).astype(np.float32).astype(np.float64),
    )
    made = []
    for kind in get_args(Optimizer):
        settings = {
            "learning_rate": 0.05,
            "beta1": 0.8,
            "beta2": 0.9,
            "epsilon": 1e-3,
            "weight_decay": 0.0,
        }
        settings["weight_decay"] = 0.1 if kind == "adamw" else 0.0
        made.append(Case(kind, {"parameter": parameter, "gradients": gradients},
                         {"parameter": _trajectory(parameter, gradients, kind, settings)}, settings))  # fmt: skip
    return tuple(made)


def _trajectory(parameter: Array, gradients: Array, kind: str, s: dict[str, float]) -> Array:
    params, seen = {"p": parameter.copy()}, []
    optimizer = Adam(params, s["learning_rate"], betas=(s["beta1"], s["beta2"]), epsilon=s["epsilon"],
                     amsgrad=kind == "amsgrad", weight_decay=s["weight_decay"])  # fmt: skip
    for gradient in gradients:
        optimizer.step({"p": gradient})
        seen.append(params["p"].copy())
    return np.stack(seen)


MAKE = {"optimizer": make_cases}
