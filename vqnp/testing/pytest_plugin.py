"""An implementation as pytest tests, one a check."""

from collections.abc import Callable, Mapping
from functools import partial
from inspect import signature
from typing import Any

from vqnp.testing.check import CHECKS


def parametrize_checks(
    implementation: Mapping[str, Any],
    *,
    expected_failed: Mapping[str, str] | None = None,
    **options: Any,
) -> Callable[..., Any]:
    """Return a decorator that runs a test of one argument, ``check``, for each check you name.

    Parameters
    ----------
    implementation : dict
        Your functions by the name of the check: "nearest", "ema", "adam". Where a check takes two
        functions, give a tuple.
    expected_failed : dict, optional
        Checks that must fail, with the reason. When one passes, its test fails.
    **options
        ``arrays``, ``dtype``, ``layout``, ``seed`` or ``dialect``, for the checks that have them.

    Returns
    -------
    function
        A decorator of a test function.

    Raises
    ------
    ValueError
        For names that are no checks, and for options that none of the checks has.

    Example
    -------
    >>> @parametrize_checks({"nearest": len, "tie_break": len}, expected_failed={"nearest": "why"})
    ... def test_mine(check):
    ...     check()
    >>> print(test_mine.pytestmark[0].args[0])
    check
    """
    import pytest

    expected_failed = expected_failed or {}
    _require_known(implementation, CHECKS, "implementation")
    _require_known(expected_failed, implementation, "expected_failed")
    accepted = {name: signature(CHECKS[name].function).parameters for name in implementation}
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
