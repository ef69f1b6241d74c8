"""What happens when a check is called: run the cases, compare, and on failure look for a mistake.

A known mistake takes the place of the checked functions in the same run. It is a suspect when it
gives the very answer that was given.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from inspect import Parameter
from typing import Any, get_args

import numpy as np

from vqnp.testing.adapter import Adapter, to_numpy
from vqnp.testing.golden import Case, Cases, Draw, cases, from_seed
from vqnp.testing.result import (
    Comparison,
    Function,
    Functions,
    KnownMistake,
    Result,
    Tolerance,
    compare,
)
from vqnp.validation import Array

# What the contracts take from here.
__all__ = [
    "Answers",
    "Array",
    "Cases",
    "Check",
    "Draw",
    "Function",
    "Functions",
    "choice_of",
    "from_seed",
    "guarded",
    "named",
    "run_check",
    "swap_axes",
    "to_numpy",
    "unpack",
]

EXACT_MISTAKES_ROUND = 8  # roundings allowed to the answer of a mistake
FRESH = 1000  # seeds below drew the stored cases
Answers = dict[str, Any]


@dataclass(frozen=True)
class Check:
    """One entry of ``CHECKS``: how to run a case, and how to judge the answer."""

    function: Callable[..., Result]
    run: Callable[..., Answers]
    draws: dict[str, Draw]
    tolerance: Tolerance
    mistakes: Callable[..., tuple[KnownMistake, ...]]
    only: Callable[[Case], bool]
    returns: str
    functions: tuple[Parameter, ...]
    choice: Parameter | None
    fixed: dict[str, Any] = field(default_factory=dict)

    def __call__(self, *functions: Any, **options: Any) -> Result:
        """Check ``functions``, with the choice that this entry stands for."""
        return self.function(*functions, **self.fixed, **options)

    def cases(self, chosen: str | None, seed: int | None, dtype: str) -> list[Case]:
        """Return the cases of one choice and one precision: the stored ones, or drawn ones."""
        made = [
            case
            for group, drawn in self.draws.items()
            for case in (cases(group) if seed is None else drawn(FRESH + seed))
        ]
        return [
            case
            for case in made
            if self.only(case)
            and case.settings.get("dtype", dtype) == dtype
            and chosen in (None, case.name, case.settings.get("dialect"))
        ]


def choice_of(entry: Check, given: dict[str, Any]) -> str | None:
    """Return the dialect, kind or model asked for; raises ``ValueError`` for an unknown one."""
    extra = given.keys() - {entry.choice.name if entry.choice else None}
    if extra:
        raise TypeError(f"{entry.function.__name__} has no option {', '.join(sorted(extra))}")
    if entry.choice is None:
        return None
    value = given.get(entry.choice.name, entry.choice.default)
    known = get_args(entry.choice.annotation)
    if value not in known:
        raise ValueError(f"{entry.choice.name} must be one of {', '.join(known)}, got {value!r}")
    return str(value)


def run_check(entry: Check, given: dict[str, Any]) -> Result:
    """Return what ``entry`` finds about the functions in ``given``, its bound arguments."""
    name, choice = entry.function.__name__, entry.choice
    chosen = choice_of(entry, {choice.name: given[choice.name]} if choice else {})
    title = f"{name}, {choice.name} {chosen}" if choice else name
    functions = tuple(guarded(name, p.name, given[p.name]) for p in entry.functions)
    adapter = Adapter(given["arrays"], given["dtype"], given.get("layout", "NHWC"))
    usable = entry.cases(chosen, given["seed"], adapter.dtype)
    try:
        comparisons = tuple(_compared(entry, usable, functions, adapter))
    except NotImplementedError as error:
        if given["raises"]:
            raise NotImplementedError(str(error)) from None
        return Result(title, (), problem=str(error))
    result = Result(title, comparisons, returns=entry.returns)
    if not result.passed:
        result = _diagnosed(entry, usable, result, adapter, entry.mistakes(chosen))
    return result.require() if given["raises"] else result


def guarded(check_name: str, name: str, function: Any) -> Function:
    """Return ``function``; it says its name and no more when it is not implemented."""
    if not callable(function):
        raise TypeError(f"{check_name}: {name} must be a function, got {type(function).__name__}")

    def called(*args: Any) -> Any:
        try:
            return function(*args)
        except NotImplementedError:
            raise NotImplementedError(f"{check_name}: {name} is not implemented yet") from None

    return called


def _compared(
    entry: Check, usable: list[Case], functions: Functions, adapter: Adapter
) -> Iterable[Comparison]:
    for case in usable:
        try:
            answers = entry.run(case, adapter, *functions)
        except NotImplementedError:
            raise
        except Exception as error:
            error.add_note(
                f"while {entry.function.__name__} ran the case {case.name!r} "
                f"with arrays={adapter.arrays!r}, dtype={adapter.dtype!r}"
            )
            raise
        for name, answer in answers.items():
            where, expected = f"{case.name}: {name}", case.outputs[name]
            yield compare(where, _as(answer, expected), expected, entry.tolerance, adapter.dtype)


def _as(answer: Any, expected: Array) -> Array:
    """Return the answer as an array; a scalar may come in an array of one element."""
    array = to_numpy(answer)
    return array.reshape(()) if expected.ndim == 0 and array.size == 1 else array


def _diagnosed(
    entry: Check,
    usable: list[Case],
    result: Result,
    adapter: Adapter,
    known: tuple[KnownMistake, ...],
) -> Result:
    """Return ``result`` with the mistakes that it resembles."""
    places = {given.where: given.passed for given in result.comparisons}
    suspects, partly, alike = [], [], []
    for mistake in known:
        with np.errstate(all="ignore"):
            numpy = Adapter("numpy", adapter.dtype)
            made = {m.where: m for m in _compared(entry, usable, mistake.functions, numpy)}
        same = {
            given.where: given.where in made
            and _same(entry.tolerance, given, made[given.where], adapter.dtype)
            for given in result.comparisons
        }
        failed = [same[where] for where, passed in places.items() if not passed]
        if all(same.values()) and same.keys() == made.keys():
            suspects.append(mistake)
        elif 2 * sum(failed) >= len(failed):
            partly.append(mistake)
        elif any(places.values()) and {w: m.passed for w, m in made.items()} == places:
            alike.append(mistake)
    return replace(result, suspects=tuple(suspects), partly=tuple(partly), alike=tuple(alike))


def _same(tolerance: Tolerance, one: Comparison, other: Comparison, dtype: str) -> bool:
    """Whether two answers are one: equal, or both without a number in the same places."""
    if one.answer.shape != other.answer.shape:
        return False
    finite = np.isfinite(one.answer)
    if not np.array_equal(finite, np.isfinite(other.answer)):
        return False
    # Both have rounded, also where the right answer is exact.
    doubled = replace(tolerance, roundings=2 * max(tolerance.roundings, EXACT_MISTAKES_ROUND))
    return compare("", one.answer[finite], other.answer[finite], doubled, dtype).passed


def unpack(value: Any, names: str) -> tuple[Any, ...]:
    """Return the parts of what a function returned.

    Raises ``TypeError`` unless there are as many parts as ``names``, separated by commas.
    """
    count = len(names.split(","))
    if not isinstance(value, tuple | list) or len(value) != count:
        got = f"{len(value)} values" if isinstance(value, tuple | list) else type(value).__name__
        raise TypeError(f"the checked function must return ({names}), got {got}")
    return tuple(value)


def named(value: Any, names: str) -> Answers:
    """Return the parts of what a function returned, by name; raises as ``unpack`` does."""
    return dict(zip(names.split(", "), unpack(value, names), strict=True))


def swap_axes(image: Array) -> Array:
    """Read the numbers of ``(B, H, W, ...)`` as those of ``(B, W, H, ...)``, where there are W."""
    b, *sides = image.shape
    turned = (b, *sides[1::-1], *sides[2:])
    return image.reshape(turned).swapaxes(1, 2) if image.ndim > 2 else image
