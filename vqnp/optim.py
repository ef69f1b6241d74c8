"""Adam (Kingma and Ba, 2015), its AMSGrad variant (Reddi et al., 2018) and AdamW (Loshchilov and Hutter, 2019).

With the gradient g of a parameter p at step t

    m ← β₁ m + (1 − β₁) g        v ← β₂ v + (1 − β₂) g²        p ← p − η · (m / (1 − β₁ᵗ)) / (√(u / (1 − β₂ᵗ)) + ε)

where u is v for Adam and the largest v so far for AMSGrad. AdamW first shrinks p ← (1 − ηλ) p: the decay does not pass through
m and v, which is what *decoupled* means.
"""

from typing import Any

import numpy as np

from vqnp.jit import kernel
from vqnp.validation import Array


def adam_update_loop(
    parameter: Array,
    gradient: Array,
    m: Array,
    v: Array,
    largest: Array,
    amsgrad: bool,
    factors: Array,
) -> None:
    """One step for flat arrays, in place; the plain loop is the definition and, compiled, the fast version.

    ``factors`` are, in the parameter's dtype: β₁, 1 − β₁, β₂, 1 − β₂, 1 − ηλ, η / (1 − β₁ᵗ), √(1 − β₂ᵗ), ε.
    """
    beta1, rest1, beta2, rest2, shrink, rate, correction, epsilon = factors
    for i in range(parameter.size):
        m[i] = beta1 * m[i] + rest1 * gradient[i]
        v[i] = beta2 * v[i] + rest2 * (gradient[i] * gradient[i])
        second = v[i]
        if amsgrad:
            largest[i] = max(largest[i], v[i])
            second = largest[i]
        parameter[i] = shrink * parameter[i] - rate * m[i] / (
            np.sqrt(second) / correction + epsilon
        )


def adam_update_numpy(
    parameter: Array,
    gradient: Array,
    m: Array,
    v: Array,
    largest: Array,
    amsgrad: bool,
    factors: Array,
) -> None:
    """The same in NumPy."""
    beta1, rest1, beta2, rest2, shrink, rate, correction, epsilon = factors
    m[:] = beta1 * m + rest1 * gradient
    v[:] = beta2 * v + rest2 * (gradient * gradient)
    if amsgrad:
        np.maximum(largest, v, out=largest)
    second = largest if amsgrad else v
    parameter[:] = shrink * parameter - rate * m / (np.sqrt(second) / correction + epsilon)


adam_update = kernel(adam_update_loop)


class Adam:
    """Adam over named parameter arrays, which it changes in place; with ``amsgrad`` the denominator never shrinks.

    ``state`` holds, under the parameter's name, m, v and (AMSGrad) the largest v, flat; ``steps`` is t.
    """

    def __init__(
        self,
        params: dict[str, Array],
        learning_rate: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
        amsgrad: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        if learning_rate < 0 or weight_decay < 0 or not all(0 <= beta < 1 for beta in betas):
            raise ValueError(
                "learning_rate and weight_decay must be at least 0 and betas in [0, 1), got "
                f"{learning_rate}, {weight_decay} and {betas}"
            )
        for name, value in params.items():
            if not value.flags.c_contiguous:
                raise ValueError(
                    f"parameter {name} must be C-contiguous: it is changed in place, and a flat view of it is not"
                )
        self.params = params
        self.learning_rate, self.betas, self.epsilon = learning_rate, betas, epsilon
        self.amsgrad, self.weight_decay = amsgrad, weight_decay
        self.steps = 0
        self.state = {name: self._fresh(value) for name, value in params.items()}

    def _fresh(self, value: Array) -> dict[str, Array]:
        kinds = ("m", "v", "largest") if self.amsgrad else ("m", "v")
        return {kind: np.zeros(value.size, value.dtype) for kind in kinds}

    def step(self, gradients: dict[str, Array]) -> None:
        """Change every parameter by its gradient; raises ``KeyError`` when one has none and ``ValueError`` for another shape."""
        self.steps += 1
        factors = self._factors()
        for name, parameter in self.params.items():
            gradient = gradients[name]
            if gradient.shape != parameter.shape:
                raise ValueError(
                    f"the gradient of {name} must have shape {parameter.shape}, got {gradient.shape}"
                )
            state = self.state[name]
            largest = state["largest"] if self.amsgrad else state["v"]
            flat = gradient.ravel()
            now = factors[parameter.dtype.char]
            adam_update(
                parameter.reshape(-1), flat, state["m"], state["v"], largest, self.amsgrad, now
            )

    def _factors(self) -> dict[Any, Array]:
        (beta1, beta2), rate = self.betas, self.learning_rate
        factors = np.array([
            beta1, 1 - beta1, beta2, 1 - beta2, 1 - rate * self.weight_decay,
            rate / (1 - beta1**self.steps), (1 - beta2**self.steps) ** 0.5, self.epsilon,
        ])  # fmt: skip
        return {"d": factors, "f": factors.astype(np.float32)}


class AdamW(Adam):
    """Adam with decoupled weight decay, 0.01 unless given."""

    def __init__(
        self,
        params: dict[str, Array],
        learning_rate: float = 1e-3,
        *,
        weight_decay: float = 0.01,
        **adam: Any,
    ) -> None:
        super().__init__(params, learning_rate, weight_decay=weight_decay, **adam)
