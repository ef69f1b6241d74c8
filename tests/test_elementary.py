import math
from decimal import Decimal, getcontext

import numpy as np
import pytest

from vqnp import elementary

getcontext().prec = 40
ULPS = 2  # what the module states
VALUES = [
    *np.random.default_rng(0).uniform(0, 1, 300),
    *np.exp(np.random.default_rng(1).uniform(-700, 700, 300)),
    *(1 + np.random.default_rng(2).uniform(-1e-6, 1e-6, 50)),
    *(0.5**0.5 * (1 + np.arange(-3, 4) * 2**-52)),
    5e-324, 2.2e-308, 1.0, 2.0, 0.5, 1.7e308,
]  # fmt: skip


def ulps(value: float, exact: Decimal) -> float:
    return abs(float((Decimal(value) - exact) / Decimal(math.ulp(float(exact)))))


def test_the_logarithm_is_right_to_two_units_in_the_last_place():
    assert elementary.log(1.0) == 0
    for value in map(float, VALUES):
        assert ulps(elementary.log(value), Decimal(value).ln()) <= ULPS or value == 1


def test_the_exponential_is_right_to_two_units_in_the_last_place():
    assert elementary.exp(0.0) == 1
    rng = np.random.default_rng(0)
    for value in [*rng.uniform(-700, 709, 300), *rng.uniform(-1, 1, 300), 1e-300, -1e-20]:
        assert ulps(elementary.exp(float(value)), Decimal(float(value)).exp()) <= ULPS


def test_logarithms_of_an_array_are_those_of_its_values():
    values = np.array(VALUES)
    assert elementary.logs(values).tolist() == [elementary.log(float(v)) for v in values]


@pytest.mark.parametrize("base", [0.9, 0.99, 0.999, 0.5])
def test_powers(base):
    for n in (0, 1, 2, 3, 10, 255, 256, 900):
        exact = Decimal(base) ** n
        error = Decimal(elementary.power(base, n)) / exact - 1
        assert (
            abs(error) <= Decimal(n) * Decimal(2) ** -53
        )  # one rounding a multiplication, at most n
