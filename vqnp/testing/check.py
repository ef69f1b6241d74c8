"""The decorator that makes a check, the registry of all checks, and how a check runs.

A contract is one function, decorated by :func:`check`. Its docstring tells what to pass. Its body
gives one case's inputs to the checked functions and returns their answers by name. The decorator
adds the options that all checks share and enters the check in ``CHECKS``.

The same body makes the right outputs of a drawn case, and the answer of each known mistake. A
mistake is a suspect when it gives the very answer that was given.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import wraps
from inspect import Parameter, Signature, cleandoc, signature
from typing import Any

import numpy as np

from vqnp.testing.adapter import Adapter, Arrays, Function, Functions, Layout, Precision, to_numpy
from vqnp.testing.golden import Case, Draw, cases
from vqnp.testing.result import (
    Comparison,
    KnownMistake,
    Result,
    Tolerance,
    compare,
)
from vqnp.validation import require_one_of

# What a contract needs, under one roof; what draws its cases is in ``golden``.
__all__ = [
    "Adapter",
    "Answers",
    "Function",
    "KnownMistake",
    "Tolerance",
    "check",
    "named",
]

EXACT_MISTAKES_ROUND = 8  # roundings allowed to the answer of a mistake
FRESH = 1000  # seeds below drew the stored cases
Answers = dict[str, Any]
SHARED: dict[str, tuple[Any, Any]] = {  # the options of every check: default and type
    "arrays": ("numpy", Arrays),
    "dtype": ("float64", Precision),
    "layout": ("NHWC", Layout),
    "raises": (True, bool),
    "seed": (None, int | None),
}
LAYOUT = """layout : "NHWC" or "NCHW"
    Where images have their channels.
"""
OPTIONS = f"""
arrays : "numpy", "torch", "jax" or function of a NumPy array
    The kind of array your function takes. It may return any kind.
dtype : "float64" or "float32"
    The precision in which it is called.
{LAYOUT}raises : bool
    False returns the result of a failure instead of raising it.
seed : int, optional
    Draw fresh cases from this seed. Without it, the stored golden cases are used.

Returns
-------
Result
    Every comparison. ``print`` it to read it.

Raises
------
CheckFailed
    When an answer is wrong. The message names the first mismatch and the probable mistake.
NotImplementedError
    When a function still raises it.
TypeError
    When you pass no function, or when your function returns another kind of thing.
"""


@dataclass(frozen=True)
class Check:
    """One entry of ``CHECKS``: how to run a case, and how to judge the answer."""

    function: Callable[..., Result]
    run: Callable[..., Answers]
    right: Callable[[Case], Functions]
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

    def drawn(self, group: str, seed: int) -> Iterable[Case]:
        """Yield the cases of a group drawn from a seed, with the outputs of ``right``."""
        for case in filter(self.only, self.draws[group](seed)):
            answers = self.run(case, Adapter(), *self.right(case))
            yield replace(case, outputs={name: to_numpy(a) for name, a in answers.items()})

    def cases(self, chosen: str | None, seed: int | None, dtype: str) -> list[Case]:
        """Return the cases of one choice and one precision: the stored ones, or drawn ones."""
        return [
            case
            for group in self.draws
            for case in (cases(group) if seed is None else self.drawn(group, FRESH + seed))
            if self.only(case)
            and case.settings.get("dtype", dtype) == dtype
            and chosen in (None, case.name, case.settings.get("dialect"))
        ]


CHECKS: dict[str, Check] = {}


def check(
    draws: dict[str, Draw],
    tolerance: Tolerance,
    mistakes: Any,
    *,
    right: Any,
    only: Callable[[Case], bool] = lambda case: True,
    images: bool = False,
    names: dict[str, dict[str, Any]] | None = None,
    returns: str = "",
) -> Callable[[Callable[..., Answers]], Callable[..., Result]]:
    """Return a decorator that makes a check of a function which runs one case.

    ``draws`` maps each golden group to the function that draws its cases from a seed. ``right``
    are the functions that answer rightly, or a function of the case that returns them. ``mistakes``
    is a tuple, or a function of the choice (a dialect) that returns one. ``only`` picks cases of
    the groups. ``images`` adds ``layout``. ``names`` gives an entry in ``CHECKS`` its fixed
    options. ``returns`` is the hint for an answer of the wrong shape.
    """

    def decorate(run: Callable[..., Answers]) -> Callable[..., Result]:
        own = list(signature(run).parameters.values())[2:]  # after case and adapter
        functions = tuple(p for p in own if p.kind is p.POSITIONAL_OR_KEYWORD)
        choice = next((p for p in own if p.kind is p.KEYWORD_ONLY), None)
        options = [
            Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=kind)
            for name, (default, kind) in SHARED.items()
            if images or name != "layout"
        ]

        @wraps(run)
        def checked(*args: Any, **options: Any) -> Result:
            __tracebackhide__ = True  # pytest shows the caller's line
            given = public.bind(*args, **options)
            given.apply_defaults()
            return run_check(entry, given.arguments)

        public = Signature([*own, *options], return_annotation=Result)
        checked.__signature__ = public  # type: ignore[attr-defined]
        contract, heading, example = cleandoc(run.__doc__ or "").partition("\nExample\n")
        said = OPTIONS if images else OPTIONS.replace(LAYOUT, "")
        checked.__doc__ = contract.rstrip() + said + heading + example
        answer = right if callable(right) else lambda case: right
        known = mistakes if callable(mistakes) else lambda *_: mistakes
        entry = Check(
            checked, run, answer, draws, tolerance, known, only, returns, functions, choice
        )
        for name, fixed in (names or {run.__name__.removeprefix("check_"): {}}).items():
            CHECKS[name] = replace(entry, fixed=fixed)
        return checked

    return decorate


def choice_of(entry: Check, given: dict[str, Any]) -> str | None:
    """Return the dialect, kind or model asked for; raises ``ValueError`` for an unknown one."""
    extra = given.keys() - {entry.choice.name if entry.choice else None}
    if extra:
        raise TypeError(f"{entry.function.__name__} has no option {', '.join(sorted(extra))}")
    if entry.choice is None:
        return None
    value = given.get(entry.choice.name, entry.choice.default)
    require_one_of(value, entry.choice.annotation, entry.choice.name)
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
        except Exception as error:
            error.add_note(
                f"while {entry.function.__name__} ran the case {case.name!r} "
                f"with arrays={adapter.arrays!r}, dtype={adapter.dtype!r}"
            )
            raise
        for name in filter(answers.__contains__, case.outputs):
            answer, expected = to_numpy(answers[name]), case.outputs[name]
            if expected.ndim == 0 and answer.size == 1:  # a number in an array of one element
                answer = answer.reshape(())
            yield compare(f"{case.name}: {name}", answer, expected, entry.tolerance, adapter.dtype)


def _diagnosed(
    entry: Check,
    usable: list[Case],
    result: Result,
    adapter: Adapter,
    known: tuple[KnownMistake, ...],
) -> Result:
    """Return ``result`` with the mistakes that it resembles."""
    places = {given.where: given.passed for given in result.comparisons}
    numpy, suspects, partly, alike = Adapter("numpy", adapter.dtype), [], [], []
    for mistake in known:
        with np.errstate(all="ignore"):
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
    finite = np.isfinite(one.answer)
    if not np.array_equal(finite, np.isfinite(other.answer)):  # or of another shape
        return False
    # Both have rounded, also where the right answer is exact.
    doubled = replace(tolerance, roundings=2 * max(tolerance.roundings, EXACT_MISTAKES_ROUND))
    return compare("", one.answer[finite], other.answer[finite], doubled, dtype).passed


def named(value: Any, names: str) -> Answers:
    """Return the parts of what a function returned, by name.

    Raises ``TypeError`` unless there are as many parts as ``names``, separated by commas.
    """
    keys = names.split(", ")
    if not isinstance(value, tuple | list) or len(value) != len(keys):
        got = f"{len(value)} values" if isinstance(value, tuple | list) else type(value).__name__
        raise TypeError(f"the checked function must return ({names}), got {got}")
    return dict(zip(keys, value, strict=True))
