"""What you can ask of the checks by name: their mistakes, a function to fill in, pytest tests."""

import re
from collections.abc import Mapping
from functools import partial
from inspect import cleandoc, signature
from textwrap import indent
from typing import Any

from vqnp.testing.check import CHECKS, Check, Function, KnownMistake, choice_of


def find(name: str) -> Check:
    """Return the check called ``name``: "ema", "check_ema", "adam". Raises ``ValueError``."""
    short = name.removeprefix("check_")
    for key, entry in CHECKS.items():
        if short in (key, entry.function.__name__.removeprefix("check_")):
            return entry
    raise ValueError(f"no check is called {name!r}; known are {', '.join(sorted(CHECKS))}")


def mistakes(name: str, **choice: str) -> tuple[KnownMistake, ...]:
    """Return the mistakes that a check knows.

    Parameters
    ----------
    name : str
        A name of the check, with or without "check_": "ema", "nearest", "adam".
    **choice : str
        The dialect, kind or model, where the check has one: ``dialect="paper"``.

    Returns
    -------
    tuple of KnownMistake
        Each has a name, a sentence and the functions that make the mistake. They take NumPy
        arrays, as the check's own functions do. Other dialects are not among them.

    Raises
    ------
    ValueError, TypeError
        For an unknown name or choice.

    Example
    -------
    >>> for mistake in mistakes("tie_break"):
    ...     print(mistake.name)
    last-of-equals
    square-root
    """
    entry = find(name)
    chosen = choice_of(entry, entry.fixed | choice)
    return tuple(mistake for mistake in entry.mistakes(chosen) if not mistake.dialect)


class Stub(str):
    """Source code that shows as it is, also at the end of a notebook's cell."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Return the source itself."""
        return str(self)


def stub(name: str) -> Stub:
    """Return the source of a function to fill in, for any check.

    Parameters
    ----------
    name : str
        A name of the check, with or without "check_": "ema", "nearest", "adam".

    Returns
    -------
    str
        One function for each that the check takes. Its docstring is the contract, with shapes. Its
        body raises ``NotImplementedError``, and the check then says so in one line.

    Raises
    ------
    ValueError
        For an unknown name.

    Example
    -------
    >>> print(stub("perplexity").splitlines()[0])
    def perplexity(codes, n_tokens):
    >>> print(stub("perplexity").splitlines()[-1])
        raise NotImplementedError
    """
    entry = find(name)
    contract = cleandoc(entry.run.__doc__ or "").partition("\nExample\n")[0].rstrip()
    body = indent(f'"""{contract}\n"""\nraise NotImplementedError\n', "    ", lambda line: True)
    lines = "\n".join(line.rstrip() for line in body.split("\n"))
    names = "|".join(p.name for p in entry.functions)
    headings = re.findall(rf"^    ``((?:{names})\(.*?\)) ->", contract, re.MULTILINE)
    return Stub("\n\n".join(f"def {heading}:\n{lines}" for heading in headings))


def parametrize_checks(
    implementation: Mapping[str, Any],
    *,
    expected_failed: Mapping[str, str] | None = None,
    **options: Any,
) -> Function:
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
