"""The checks of single quantizers: right answers of other kinds pass, and bugs have their names."""

import pytest
from loops import LOOPS

from vqnp.testing.check import CHECKS


@pytest.mark.parametrize("seed", [None, 0])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", LOOPS)
def test_loops_pass(name, dtype, seed):
    assert CHECKS[name](*LOOPS[name], dtype=dtype, seed=seed).passed


@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")  # some divide by zero
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", LOOPS)
def test_every_mistake_has_its_name_on_fresh_cases_too(name, dtype):
    for mistake in CHECKS[name].mistakes():
        result = CHECKS[name](*mistake.functions, dtype=dtype, seed=0, raises=False)
        assert [suspect.name for suspect in result.suspects] == [mistake.name]
