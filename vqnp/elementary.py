"""Logarithm, exponential and powers with the same bits on every processor.

The C library and NumPy have several versions of each, and pick one by the processor. They differ in
the last digit. A number that decides a claim, such as a perplexity, must not. Here each function is
a short series of additions, multiplications and divisions, which every processor rounds alike. The
error is at most two units in the last place.
"""

import math

import numpy as np

from vqnp.jit import kernel
from vqnp.validation import Array

LN2_HIGH = 0.6931471803691238  # ln 2 in its first 32 bits, so that a multiple of it is exact
LN2_LOW = 1.9082149292705877e-10  # the rest of ln 2
LOG_TERMS = 11  # |s| <= 0.172, so that the next term, s²³/23, is below 2⁻⁵³ of the sum
EXP_TERMS = 14  # |r| <= 0.347, so that the next term, r¹⁵/15!, is below 2⁻⁵³


@kernel
def log(value: float) -> float:
    """Return ln x for a finite x > 0.

    With x = m·2ᵉ and s = (m − 1)/(m + 1), ln x = e ln 2 + 2 (s + s³/3 + s⁵/5 + …).
    """
    mantissa, exponent = math.frexp(value)
    if mantissa < 0.7071067811865476:  # √½, so that m lies in [√½, √2)
        mantissa, exponent = 2 * mantissa, exponent - 1
    s = (mantissa - 1) / (mantissa + 1)
    series = 0.0
    for n in range(2 * LOG_TERMS - 1, 1, -2):
        series = s * s * (series + 1 / n)
    return exponent * LN2_HIGH + (2 * s + (2 * s * series + exponent * LN2_LOW))


@kernel
def exp(value: float) -> float:
    """Return eˣ for a finite x of at most 709.

    With x = k ln 2 + r, eˣ = 2ᵏ (1 + r + r²/2! + r³/3! + …).
    """
    k = math.floor(value / (LN2_HIGH + LN2_LOW) + 0.5)
    r = (value - k * LN2_HIGH) - k * LN2_LOW
    series = 0.0
    for n in range(EXP_TERMS, 0, -1):
        series = r / n * (1 + series)
    return math.ldexp(1 + series, int(k))


@kernel
def logs(values: Array) -> Array:
    """Return ln x of each of the ``values`` ``(n,)``, float64."""
    out = np.empty(len(values))
    for i in range(len(values)):
        out[i] = log(values[i])
    return out


def power(base: float, exponent: int) -> float:
    """Return ``base`` to a whole power of at least 0, by squaring: a²ⁿ = (aⁿ)²."""
    if exponent == 0:
        return 1.0
    half = power(base, exponent // 2)
    return half * half * (base if exponent % 2 else 1.0)
