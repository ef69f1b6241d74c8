"""Our own implementations pass every check, and every known mistake is caught by its check and named."""

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
    commitment,
    conv,
    kmeans,
    nearest,
    optimizer,
    parametrize_checks,
    perplexity,
    residual,
    step_order,
    straight_through,
    training,
)
from vqnp.testing import ema as ema_checks
from vqnp.testing import ema_start as start_checks
from vqnp.testing.pytest_plugin import CHECKS


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


CATALOGUE = [
    ("nearest", nearest.MUTANTS, {"dtype": "float64"}),
    ("nearest", nearest.MUTANTS, {"dtype": "float32"}),
    ("tie_break", nearest.TIE_MUTANTS, {"dtype": "float64"}),
    ("tie_break", nearest.TIE_MUTANTS, {"dtype": "float32"}),
    ("kmeans_init", kmeans.MUTANTS, {}),
    ("kmeans_empty", kmeans.EMPTY_MUTANTS, {}),
    *(("ema", ema_checks.mutants(dialect), {"dialect": dialect}) for dialect in DIALECTS),
    *(
        ("ema", ema_checks.mutants(dialect), {"dialect": dialect, "dtype": "float32"})
        for dialect in DIALECTS
    ),
    *(("ema_start", start_checks.mutants(dialect), {"dialect": dialect}) for dialect in DIALECTS),
    *(("ema_mask", ema_checks.mask_mutants(dialect), {"dialect": dialect}) for dialect in DIALECTS),
    ("ema_unused", ema_checks.UNUSED_MUTANTS, {"dtype": "float64"}),
    ("ema_unused", ema_checks.UNUSED_MUTANTS, {"dtype": "float32"}),
    ("revival", start_checks.REVIVAL_MUTANTS, {}),
    *(
        ("quantizer_step", step_order.step_mutants(dialect), {"dialect": dialect})
        for dialect in DIALECTS
    ),
    ("evaluation", step_order.EVALUATION_MUTANTS, {}),
    ("straight_through", straight_through.MUTANTS, {}),
    ("commitment", commitment.MUTANTS, {}),
    ("perplexity", perplexity.MUTANTS, {}),
    ("conv2d", conv.MUTANTS, {}),
    ("conv_transpose2d", conv.TRANSPOSED_MUTANTS, {}),
    ("residual_blocks", residual.MUTANTS, {}),
    *((kind, optimizer.mutants(kind), {}) for kind in ("adam", "amsgrad", "adamw")),
    ("training_mlp", training.MUTANTS, {}),
    # The convolutional model takes seconds: once for the catalogue, whose other mistakes the MLP shows, and for its own optimizer.
    ("training_conv", (training.MUTANTS[0], training.MUTANTS[-1]), {}),
]
MUTANTS = [
    pytest.param(name, mutant, options, id="-".join([name, *options.values(), mutant.name]))
    for name, mutants, options in CATALOGUE
    for mutant in mutants
]


@pytest.mark.parametrize(("name", "mutant", "options"), MUTANTS)
@pytest.mark.filterwarnings(
    "ignore:.*encountered in:RuntimeWarning"
)  # some mistakes divide by zero
def test_every_mutant_is_caught_and_diagnosed_as_itself(name, mutant, options):
    with pytest.raises(CheckFailed) as caught:
        CHECKS[name](*mutant.functions, **options)
    assert [suspect.name for suspect in caught.value.result.suspects] == [mutant.name]
    assert f"{mutant.name}: {mutant.says}" in str(caught.value)


def test_the_catalogue_has_every_check():
    assert {name for name, _, _ in CATALOGUE} == set(CHECKS)
