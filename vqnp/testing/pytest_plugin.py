"""An implementation as pytest tests, one a check::

@parametrize_checks(
    {"nearest": search, "tie_break": search, "conv2d": (forward, vjp)}, arrays="torch",
    expected_failed={"tie_break": "argmin of the GPU takes any"},
)
def test_mine(check):
    check()
"""

from collections.abc import Callable, Mapping
from functools import partial
from inspect import signature
from typing import Any

from vqnp.testing.commitment import check_commitment
from vqnp.testing.conv import check_conv2d, check_conv_transpose2d
from vqnp.testing.ema import check_ema, check_ema_mask, check_ema_unused
from vqnp.testing.ema_start import check_ema_start, check_revival
from vqnp.testing.kmeans import check_kmeans_empty, check_kmeans_init
from vqnp.testing.nearest import check_nearest, check_tie_break
from vqnp.testing.optimizer import check_optimizer
from vqnp.testing.perplexity import check_perplexity
from vqnp.testing.residual import check_residual_blocks
from vqnp.testing.step_order import check_evaluation, check_quantizer_step
from vqnp.testing.straight_through import check_straight_through
from vqnp.testing.training import check_training

CHECKS: dict[str, Callable[..., Any]] = {
    "nearest": check_nearest,
    "tie_break": check_tie_break,
    "kmeans_init": check_kmeans_init,
    "kmeans_empty": check_kmeans_empty,
    "ema": check_ema,
    "ema_start": check_ema_start,
    "ema_mask": check_ema_mask,
    "ema_unused": check_ema_unused,
    "revival": check_revival,
    "quantizer_step": check_quantizer_step,
    "evaluation": check_evaluation,
    "straight_through": check_straight_through,
    "commitment": check_commitment,
    "perplexity": check_perplexity,
    "conv2d": check_conv2d,
    "conv_transpose2d": check_conv_transpose2d,
    "residual_blocks": check_residual_blocks,
    "adam": partial(check_optimizer, kind="adam"),
    "amsgrad": partial(check_optimizer, kind="amsgrad"),
    "adamw": partial(check_optimizer, kind="adamw"),
    "training_mlp": partial(check_training, model="mlp"),
    "training_conv": partial(check_training, model="conv"),
}


def parametrize_checks(
    implementation: Mapping[str, Any],
    *,
    expected_failed: Mapping[str, str] | None = None,
    **options: Any,
) -> Callable[..., Any]:
    """Return a decorator that runs a test of one argument, ``check``, for each check that ``implementation`` names.

    Its values are functions, or tuples of them where a check takes several; ``options`` (arrays, dtype, layout, dialect) go to the
    checks that have them. A check in ``expected_failed`` must fail, for the reason given there; when it passes, the test fails.
    Raises ``ValueError`` for names that are no checks, and for options that none of them has.
    """
    import pytest

    expected_failed = expected_failed or {}
    _require_known(implementation, CHECKS, "implementation")
    _require_known(expected_failed, implementation, "expected_failed")
    accepted = {name: signature(CHECKS[name]).parameters for name in implementation}
    _require_known(options, {option for names in accepted.values() for option in names}, "options")
    tests = []
    for name, functions in implementation.items():
        own = {option: value for option, value in options.items() if option in accepted[name]}
        check = partial(
            CHECKS[name], *(functions if isinstance(functions, tuple) else (functions,)), **own
        )
        fails = pytest.mark.xfail(
            reason=expected_failed.get(name, ""), strict=True, raises=AssertionError
        )
        tests.append(pytest.param(check, id=name, marks=[fails] if name in expected_failed else []))
    return pytest.mark.parametrize("check", tests)


def _require_known(given: Any, known: Any, what: str) -> None:
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ValueError(f"{what} names {', '.join(unknown)}; known are {', '.join(sorted(known))}")
