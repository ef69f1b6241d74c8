"""The decorator that makes a check, and the registry of all checks.

A contract is one function, decorated by :func:`check`. Its docstring tells what to pass. Its body
gives one case's inputs to the checked functions and returns their answers by name. The decorator
adds the options that all checks share and enters the check in ``CHECKS``.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import wraps
from inspect import Parameter, Signature, cleandoc, signature
from typing import Any

from vqnp.testing.adapter import Adapter, Arrays, Layout, Precision
from vqnp.testing.golden import Case, draw
from vqnp.testing.result import KnownMistake, Result, Tolerance
from vqnp.testing.run import Answers, Check, Draw, run_check, unpack

# What a contract needs, under one roof.
__all__ = ["Adapter", "Answers", "Case", "KnownMistake", "Tolerance", "check", "draw", "unpack"]

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
