"""Our own implementations pass every check, which catches and names every known mistake."""

from functools import partial

import pytest
from implementations import OURS, ema, start
from implementations import quantizer_step as quantizer_step_of

from vqnp.quantize import DIALECTS
from vqnp.testing import (
    CheckFailed,
    check_ema,
    check_ema_mask,
    check_ema_start,
    check_quantizer_step,
    parametrize_checks,
)
from vqnp.testing.check import CHECKS


def test_every_check_has_an_implementation_of_ours():
    assert set(OURS) == set(CHECKS)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@parametrize_checks(OURS)
def test_our_own_pass(check, dtype):
    assert check(dtype=dtype).passed


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_our_own_pass_in_each_dialect(dialect, dtype):
    assert check_ema(partial(ema, dialect=dialect), dialect=dialect, dtype=dtype).passed
    assert check_ema_mask(partial(ema, dialect=dialect), dialect=dialect, dtype=dtype).passed
    assert check_quantizer_step(
        partial(quantizer_step_of, dialect=dialect), dialect=dialect, dtype=dtype
    ).passed
    assert check_ema_start(partial(start, dialect=dialect), dialect=dialect, dtype=dtype).passed


DIALECTAL = ("ema", "ema_start", "ema_mask", "quantizer_step")


def catalogue():
    """Yield every known mistake of every check, dialects included, with the options to ask for."""
    for name, entry in CHECKS.items():
        choices = [{"dialect": d} for d in DIALECTS] if name in DIALECTAL else [entry.fixed]
        for choice in choices:
            known = entry.mistakes(*choice.values())
            # The convolutional model takes seconds: once for its optimizer, once for the rest.
            known = (known[0], known[-1]) if name == "training_conv" else known
            for dtype in ("float64", "float32") if name in BOTH_PRECISIONS else ("float64",):
                yield from ((name, mistake, choice, dtype) for mistake in known)


BOTH_PRECISIONS = ("nearest", "tie_break", "ema", "ema_unused", "quantizer_step")
MISTAKES = [
    pytest.param(*row, id="-".join([row[0], *row[2].values(), row[3], row[1].name]))
    for row in catalogue()
]


@pytest.mark.parametrize(("name", "mistake", "choice", "dtype"), MISTAKES)
@pytest.mark.filterwarnings(
    "ignore:.*encountered in:RuntimeWarning"
)  # some mistakes divide by zero
def test_every_mistake_is_caught_and_diagnosed_as_itself(name, mistake, choice, dtype):
    with pytest.raises(CheckFailed) as caught:
        CHECKS[name].function(*mistake.functions, **choice, dtype=dtype)
    assert [suspect.name for suspect in caught.value.result.suspects] == [mistake.name]
    assert mistake.sentence in str(caught.value)


def test_every_check_knows_mistakes():
    assert {row.values[0] for row in MISTAKES} == set(CHECKS)
