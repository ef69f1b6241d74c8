"""How every check goes: run the functions on each golden case, compare, and when something is wrong, ask the known mistakes.

A mutant takes the place of the checked functions in the same run. When it gives the very answer that was given, it is a suspect.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vqnp.testing.adapter import Port, to_numpy
from vqnp.testing.golden import Case
from vqnp.testing.result import Comparison, Mutant, Result, Tolerance, compare
from vqnp.validation import Array

Functions = tuple[Callable[..., Any], ...]
Run = Callable[[Case, Functions, Port], dict[str, Any]]


@dataclass(frozen=True)
class Check:
    """A named check: ``run`` gives the functions a case's inputs and returns their answers under the names of the case's outputs."""

    name: str
    cases: tuple[Case, ...]
    run: Run
    mutants: tuple[Mutant, ...]
    tolerance: Tolerance


def judge(check: Check, functions: Functions, port: Port, *, raises: bool) -> Result:
    """Return what ``check`` finds about ``functions``; with ``raises``, :class:`CheckFailed` when that is anything wrong."""
    for function in functions:
        if not callable(function):
            raise TypeError(f"{check.name} checks functions, got {type(function).__name__}")
    usable = [case for case in check.cases if case.settings.get("dtype", port.dtype) == port.dtype]
    comparisons = tuple(_compared(check, usable, functions, port))
    result = Result(check.name, comparisons)
    if not result.passed:
        result = _diagnosed(check, usable, result, port)
    return result.require() if raises else result


def _compared(
    check: Check, usable: list[Case], functions: Functions, port: Port
) -> Iterable[Comparison]:
    for case in usable:
        try:
            answers = check.run(case, functions, port)
        except Exception as error:
            error.add_note(f"while {check.name} ran the case {case.name!r}")
            raise
        for name, answer in answers.items():
            where, expected = f"{case.name}: {name}", case.outputs[name]
            yield compare(where, _as(answer, expected), expected, check.tolerance, port.dtype)


def _as(answer: Any, expected: Array) -> Array:
    """Return the answer as an array; a scalar may come in an array of one element."""
    array = to_numpy(answer)
    return array.reshape(()) if expected.ndim == 0 and array.size == 1 else array


def _diagnosed(check: Check, usable: list[Case], result: Result, port: Port) -> Result:
    numpy_port = Port("numpy", port.dtype)
    places = {comparison.where: comparison.passed for comparison in result.comparisons}
    suspects, alike = [], []
    for mutant in check.mutants:
        with np.errstate(all="ignore"):
            wrong = list(_compared(check, usable, mutant.functions, numpy_port))
        if all(comparison.passed for comparison in wrong):
            continue
        given = {comparison.where: comparison for comparison in result.comparisons}
        made = {comparison.where: comparison for comparison in wrong}
        if given.keys() == made.keys() and all(
            _same(check, given[where], made[where], port) for where in given
        ):
            suspects.append(mutant)
        if (
            any(places.values())
            and {where: comparison.passed for where, comparison in made.items()} == places
        ):
            alike.append(mutant)
    return replace(result, suspects=tuple(suspects), alike=tuple(alike))


def _same(check: Check, one: Comparison, other: Comparison, port: Port) -> bool:
    """Whether two answers are one: equal, or both without a number in the same places."""
    if one.answer.shape != other.answer.shape:
        return False
    finite = np.isfinite(one.answer)
    if not np.array_equal(finite, np.isfinite(other.answer)):
        return False
    doubled = replace(check.tolerance, roundings=2 * check.tolerance.roundings)  # both have rounded
    return compare("", one.answer[finite], other.answer[finite], doubled, port.dtype).passed


def unpack(value: Any, names: str) -> tuple[Any, ...]:
    """Return the parts of what a function returned; raises ``TypeError`` unless there are as many as ``names``, comma-separated."""
    count = len(names.split(","))
    if not isinstance(value, tuple | list) or len(value) != count:
        got = f"{len(value)} values" if isinstance(value, tuple | list) else type(value).__name__
        raise TypeError(f"the checked function must return ({names}), got {got}")
    return tuple(value)
