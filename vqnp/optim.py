"""Adam (Kingma and Ba, 2015), AMSGrad (Reddi et al., 2018) and AdamW (Loshchilov and Hutter, 2019).

With the gradient g of a parameter p at step t::

    m ← β₁ m + (1 − β₁) g
    v ← β₂ v + (1 − β₂) g²
    p ← p − η · (m / (1 − β₁ᵗ)) / (√(u / (1 − β₂ᵗ)) + ε)

Here u is v for Adam and the largest v so far for AMSGrad. AdamW first shrinks p ← (1 − ηλ) p. This
decay is called *decoupled* because it does not pass through m and v. Parameters can be spared it:
a codebook is no weight, and shrinking it is no part of any method to learn one.
"""

import math
from typing import Any

import numpy as np

from vqnp.elementary import power
from vqnp.jit import kernel
from vqnp.validation import (
    Array,
    require_flag,
    require_float,
    require_instance,
    require_plain,
    require_share,
    require_weight,
)

SHRINK = 4  # where 1 − ηλ stands among the factors


def adam_update_loop(
    parameter: Array, gradient: Array, m: Array, v: Array, u: Array, amsgrad: bool, factors: Array
) -> None:
    """Take one step in place; this loop is the definition and, compiled, the fast version.

    Parameters
    ----------
    parameter, gradient, m, v, u : arrays (n,) of one dtype
        The parameter, its gradient and its averages; u is read and changed only by AMSGrad.
    amsgrad : bool
        Whether u keeps the largest v.
    factors : array (8,) of that dtype
        β₁, 1 − β₁, β₂, 1 − β₂, 1 − ηλ, η / (1 − β₁ᵗ), √(1 − β₂ᵗ), ε.

    Example
    -------
    >>> p, m, v = np.array([1.0]), np.zeros(1), np.zeros(1)
    >>> adam_update_loop(p, np.array([2.0]), m, v, v, False, np.array([0, 1, 0, 1, 1, 0.5, 1, 0]))
    >>> p
    array([0.5])
    """
    beta1, rest1, beta2, rest2, shrink, rate, correction, epsilon = factors
    for i in range(parameter.size):
        m[i] = beta1 * m[i] + rest1 * gradient[i]
        v[i] = beta2 * v[i] + rest2 * (gradient[i] * gradient[i])
        second = v[i]
        if amsgrad:
            u[i] = max(u[i], v[i])
            second = u[i]
        parameter[i] = shrink * parameter[i] - rate * m[i] / (
            np.sqrt(second) / correction + epsilon
        )


def adam_update_numpy(
    parameter: Array, gradient: Array, m: Array, v: Array, u: Array, amsgrad: bool, factors: Array
) -> None:
    """Do the same as :func:`adam_update_loop` in NumPy, with the same arguments and bits."""
    beta1, rest1, beta2, rest2, shrink, rate, correction, epsilon = factors
    m[:] = beta1 * m + rest1 * gradient
    v[:] = beta2 * v + rest2 * (gradient * gradient)
    second = np.maximum(u, v, out=u) if amsgrad else v
    parameter[:] = shrink * parameter - rate * m / (np.sqrt(second) / correction + epsilon)


adam_update = kernel(adam_update_loop)


class Adam:
    """Adam over named parameter arrays, which it changes in place.

    Parameters
    ----------
    params : dict of str to array
        The parameters, C-contiguous.
    learning_rate : float
        η, at least 0.
    betas : pair of float
        β₁ and β₂, in [0, 1).
    epsilon : float
        ε, which keeps the denominator from zero.
    amsgrad : bool
        Divide by the largest v so far, so that the denominator never shrinks.
    weight_decay : float
        λ, at least 0, decoupled.
    spared : tuple of str
        Parameters whose names begin with one of these do not decay.

    Attributes
    ----------
    steps : int
        t, the steps taken.
    state : dict
        Under each parameter's name its flat averages ``"m"``, ``"v"`` and, for AMSGrad,
        ``"largest"``.

    Raises
    ------
    ValueError
        For a setting out of its range or a parameter that is not C-contiguous.

    Example
    -------
    >>> params = {"weight": np.array([1.0, 1.0])}
    >>> Adam(params, learning_rate=0.1).step({"weight": np.array([3.0, -0.5])})
    >>> params["weight"].round(3)
    array([0.9, 1.1])
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
        spared: tuple[str, ...] = (),
    ) -> None:
        for name, value in (("learning_rate", learning_rate), ("weight_decay", weight_decay)):
            require_weight(value, name)
        require_weight(epsilon, "epsilon")
        require_flag(amsgrad, "amsgrad")
        for beta in require_instance(betas, tuple, "betas"):
            require_share(beta, "betas")
        self.learning_rate, self.betas, self.epsilon = learning_rate, betas, epsilon
        self.amsgrad, self.weight_decay, self.spared = amsgrad, weight_decay, spared
        self.steps = 0
        self.params: dict[str, Array] = {}
        self.state: dict[str, dict[str, Array]] = {}
        self.extend(params)

    def extend(self, params: dict[str, Array]) -> None:
        """Hold ``params`` too; a name not held before begins with averages of zero.

        Names held before keep their averages, and t goes on. So a quantizer may bring parameters in
        the middle of a training. Raises ``ValueError`` for a parameter that is not C-contiguous.
        """
        for name, value in require_instance(params, dict, "params").items():
            require_float(value, f"parameter {name}")
            if not value.flags.c_contiguous:
                raise ValueError(
                    f"parameter {name} must be C-contiguous, got strides {value.strides}: "
                    "Adam changes it in place through a flat view"
                )
        kinds = ("m", "v", "largest") if self.amsgrad else ("m", "v")
        for name, value in params.items():
            if name not in self.state:
                self.state[name] = {kind: np.zeros(value.size, value.dtype) for kind in kinds}
        self.params = self.params | params

    def step(self, gradients: dict[str, Array]) -> None:
        """Change every parameter by its gradient.

        Raises ``KeyError`` for a missing gradient and ``ValueError`` for one of another shape.
        """
        require_instance(gradients, dict, "gradients")
        self.steps += 1
        factors = self._factors()
        for name, parameter in self.params.items():
            gradient, held = gradients[name], self.state[name]
            require_plain(gradient, name)
            if gradient.shape != parameter.shape:
                raise ValueError(
                    f"the gradient of {name} must have shape {parameter.shape}, "
                    f"got {gradient.shape}"
                )
            m, v = held["m"], held["v"]
            u = held["largest"] if self.amsgrad else v
            if not m.size == v.size == u.size == parameter.size:  # the kernel does not look
                raise ValueError(f"the averages of {name} must have {parameter.size} numbers each")
            now = factors[parameter.dtype.char]
            if self.spared and name.startswith(self.spared):
                now = now.copy()
                now[SHRINK] = 1
            adam_update(parameter.reshape(-1), gradient.ravel(), m, v, u, self.amsgrad, now)

    def _factors(self) -> dict[Any, Array]:
        (beta1, beta2), rate = self.betas, self.learning_rate
        rest1, rest2 = 1 - power(beta1, self.steps), 1 - power(beta2, self.steps)  # 1 − βᵗ
        factors = np.array([
            beta1, 1 - beta1, beta2, 1 - beta2, 1 - rate * self.weight_decay,
            rate / rest1, math.sqrt(rest2), self.epsilon,
        ])  # fmt: skip
        return {"d": factors, "f": factors.astype(np.float32)}


class AdamW(Adam):
    """Adam with decoupled weight decay, 0.01 unless given; its other parameters are Adam's.

    Example
    -------
    >>> params = {"weight": np.array([2.0])}
    >>> AdamW(params, learning_rate=0.1, weight_decay=0.5).step({"weight": np.zeros(1)})
    >>> params["weight"]
    array([1.9])
    """

    def __init__(
        self,
        params: dict[str, Array],
        learning_rate: float = 1e-3,
        *,
        weight_decay: float = 0.01,
        **adam: Any,
    ) -> None:
        super().__init__(params, learning_rate, weight_decay=weight_decay, **adam)
