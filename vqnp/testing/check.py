"""How every check goes: run the functions on each case, compare, and on failure look for a mistake.

A contract is one function, decorated by :func:`check`. Its docstring tells what to pass. Its body
gives one case's inputs to the checked functions and returns their answers by name. The decorator
adds the options that all checks share and enters the check in ``CHECKS``.

A known mistake takes the place of the checked functions in the same run. It is a suspect when it
gives the very answer that was given.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import wraps
from inspect import Parameter, Signature, cleandoc, signature
from typing import Any, get_args

import numpy as np

from vqnp.testing.adapter import Adapter, Arrays, Layout, Precision, to_numpy
from vqnp.testing.golden import Case, cases, draw
from vqnp.testing.result import Comparison, KnownMistake, Result, Tolerance, compare
from vqnp.validation import Array

__all__ = ["Adapter", "Answers", "Case", "Functions", "KnownMistake", "Tolerance"]
__all__ += ["check", "draw", "swap_axes", "to_numpy", "unpack"]

EXACT_MISTAKES_ROUND = 8  # roundings allowed to the answer of a mistake
FRESH = 1000  # seeds below drew the stored cases
Functions = tuple[Callable[..., Any], ...]
Answers = dict[str, Any]
Draw = Callable[[int], tuple[Case, ...]]

OPTIONS = """
arrays : "numpy", "torch", "jax" or function of a NumPy array
    The kind of array your function takes. It may return any kind.
dtype : "float64" or "float32"
    The precision in which it is called.
layout : "NHWC" or "NCHW"
    Where images have their channels.
raises : bool
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


CHECKS: dict[str, Check] = {}


def check(
    draws: dict[str, Draw],
    tolerance: Tolerance,
    mistakes: Any,
    *,
    only: Callable[[Case], bool] = lambda case: True,
    images: bool = False,
    names: dict[str, dict[str, Any]] | None = None,
    returns: str = "",
) -> Callable[[Callable[..., Answers]], Callable[..., Result]]:
    """Return a decorator that makes a check of a function which runs one case.

    ``draws`` maps each golden group to the function that draws its cases from a seed. ``mistakes``
    is a tuple, or a function of the choice (a dialect) that returns one. ``images`` adds
    ``layout``. ``names`` gives an entry in ``CHECKS`` its fixed options. ``returns`` is the hint
    for an answer of the wrong shape.
    """

    def decorate(run: Callable[..., Answers]) -> Callable[..., Result]:
        own = list(signature(run).parameters.values())[2:]  # after case and adapter
        functions = tuple(p for p in own if p.kind is p.POSITIONAL_OR_KEYWORD)
        choice = next((p for p in own if p.kind is p.KEYWORD_ONLY), None)

        @wraps(run)
        def checked(*args: Any, **options: Any) -> Result:
            __tracebackhide__ = True  # pytest shows the caller's line
            given = public.bind(*args, **options)
            given.apply_defaults()
            return run_check(entry, given.arguments)

        public = Signature([*own, *_options(images)], return_annotation=Result)
        checked.__signature__ = public  # type: ignore[attr-defined]
        checked.__doc__ = _with_options(run.__doc__ or "", images)
        known = mistakes if callable(mistakes) else lambda *_: mistakes
        entry = Check(checked, run, draws, tolerance, known, only, returns, functions, choice)
        for name, fixed in (names or {run.__name__.removeprefix("check_"): {}}).items():
            CHECKS[name] = replace(entry, fixed=fixed)
        return checked

    return decorate


def _options(images: bool) -> Iterator[Parameter]:
    """Yield the parameters that the decorator adds."""
    options: list[tuple[str, Any, Any]] = [
        ("arrays", "numpy", Arrays),
        ("dtype", "float64", Precision),
        *([("layout", "NHWC", Layout)] if images else []),
        ("raises", True, bool),
        ("seed", None, int | None),
    ]
    for name, default, kind in options:
        yield Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=kind)


def _with_options(doc: str, images: bool) -> str:
    """Return the contract with the options after its own parameters, before its example."""
    contract, heading, example = cleandoc(doc).partition("\nExample\n")
    lines = OPTIONS.strip().split("\n")
    if not images:
        del lines[4:6]  # layout
    return contract.rstrip() + "\n" + "\n".join(lines) + "\n" + heading + example


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
    chosen = _chosen(entry, entry.fixed | choice)
    return tuple(mistake for mistake in entry.mistakes(chosen) if not mistake.dialect)


def _chosen(entry: Check, given: dict[str, Any]) -> str | None:
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
    chosen = _chosen(entry, {choice.name: given[choice.name]} if choice else {})
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
        suspects, alike = _diagnosed(entry, usable, result, adapter, entry.mistakes(chosen))
        result = replace(result, suspects=suspects, alike=alike)
    return result.require() if given["raises"] else result


def guarded(check_name: str, name: str, function: Any) -> Callable[..., Any]:
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
) -> tuple[tuple[KnownMistake, ...], tuple[KnownMistake, ...]]:
    """Return the mistakes with this very answer, and those that fail in the same comparisons."""
    given = {comparison.where: comparison for comparison in result.comparisons}
    places = {where: comparison.passed for where, comparison in given.items()}
    suspects, alike = [], []
    for mistake in known:
        with np.errstate(all="ignore"):
            made = {
                comparison.where: comparison
                for comparison in _compared(
                    entry, usable, mistake.functions, Adapter("numpy", adapter.dtype)
                )
            }
        failed = {where: comparison.passed for where, comparison in made.items()}
        if all(failed.values()):
            continue
        if given.keys() == made.keys() and all(
            _same(entry.tolerance, given[where], made[where], adapter) for where in given
        ):
            suspects.append(mistake)
        if any(places.values()) and failed == places:
            alike.append(mistake)
    return tuple(suspects), tuple(alike)


def _same(tolerance: Tolerance, one: Comparison, other: Comparison, adapter: Adapter) -> bool:
    """Whether two answers are one: equal, or both without a number in the same places."""
    if one.answer.shape != other.answer.shape:
        return False
    finite = np.isfinite(one.answer)
    if not np.array_equal(finite, np.isfinite(other.answer)):
        return False
    # Both have rounded, also where the right answer is exact.
    doubled = replace(tolerance, roundings=2 * max(tolerance.roundings, EXACT_MISTAKES_ROUND))
    return compare("", one.answer[finite], other.answer[finite], doubled, adapter.dtype).passed


def unpack(value: Any, names: str) -> tuple[Any, ...]:
    """Return the parts of what a function returned.

    Raises ``TypeError`` unless there are as many parts as ``names``, separated by commas.
    """
    count = len(names.split(","))
    if not isinstance(value, tuple | list) or len(value) != count:
        got = f"{len(value)} values" if isinstance(value, tuple | list) else type(value).__name__
        raise TypeError(f"the checked function must return ({names}), got {got}")
    return tuple(value)


def swap_axes(image: Array) -> Array:
    """Read the numbers of ``(B, H, W, C)`` as those of ``(B, W, H, C)``."""
    b, h, w, c = image.shape
    return image.reshape(b, w, h, c).swapaxes(1, 2)
