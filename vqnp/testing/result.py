"""What a check finds: every comparison, its errors and its bound, and the probable mistakes.

A number a passes for the expected e when |a − e| <= n · u · (|e| + scale). That is n roundings of
the precision u (2.2e-16 in float64, 1.2e-7 in float32) of the number and of the largest number it
may be a sum of. Each check states its n, and why.
"""

from dataclasses import dataclass

import numpy as np

from vqnp.testing.adapter import Functions
from vqnp.validation import Array

MOST_NAMED = 8
MOST_ALIKE_NAMED = 3  # more candidates than this are not informative


@dataclass(frozen=True)
class Tolerance:
    """Allow ``roundings`` of the precision, of |expected| + ``scale``.

    ``scale`` is the largest |expected| of the array unless given.
    """

    roundings: float
    reason: str
    scale: float | None = None

    def bound(self, expected: Array, dtype: str) -> Array:
        """Return the error allowed at each place; integers must be equal."""
        if expected.dtype.kind != "f" or self.roundings == 0:
            return np.zeros(expected.shape)
        scale = np.abs(expected).max(initial=0) if self.scale is None else self.scale
        return self.roundings * np.finfo(dtype).eps * (np.abs(expected) + scale)


@dataclass(frozen=True)
class KnownMistake:
    """A known mistake: ``functions`` stand where the checked ones do and make it.

    ``sentence`` tells what is probably wrong. A ``dialect`` is a variant under its own name. It
    stands in the same list, because it is recognized in the same way.
    """

    name: str
    sentence: str
    functions: Functions
    dialect: bool = False


@dataclass(frozen=True)
class Comparison:
    """One array of the answer beside the expected one, with the largest errors."""

    where: str
    answer: Array
    expected: Array
    tolerance: Tolerance
    first_mismatch: tuple[int, ...] | None
    absolute_error: float
    relative_error: float
    allowed: float
    passed: bool

    def describe(self) -> str:
        """Return where and by how much it differs."""
        if self.answer.shape != self.expected.shape:
            return (
                f"{self.where}: got shape {self.answer.shape}, expected shape {self.expected.shape}"
            )
        place = self.first_mismatch or ()  # () is the place of a number
        n = self.tolerance.roundings if self.allowed else 0
        return (
            f"{self.where}{list(place) or ''}: "
            f"got {self.answer[place]:.17g}, expected {self.expected[place]:.17g}\n"
            f"    largest error: absolute {self.absolute_error:.3g}, "
            f"relative {self.relative_error:.3g}\n"
            f"    allowed: {self.allowed:.2g}, {n:g} roundings, because {self.tolerance.reason}"
        )


def compare(
    where: str, answer: Array, expected: Array, tolerance: Tolerance, dtype: str
) -> Comparison:
    """Compare one array; NaN is never right."""
    if answer.shape != expected.shape:
        return Comparison(where, answer, expected, tolerance, None, np.inf, np.inf, 0, False)
    with np.errstate(all="ignore"):
        error = np.asarray(np.abs(answer.astype(np.float64) - expected))
        error = np.where(np.isnan(error), np.inf, error)
        relative = np.where(error == 0, 0, error / np.abs(expected))
        bound = tolerance.bound(expected, dtype)
        wrong = ~(error <= bound)
    first = tuple(map(int, np.argwhere(wrong)[0])) if wrong.any() else None
    most, share, allowed = (float(array.max(initial=0)) for array in (error, relative, bound))
    return Comparison(
        where, answer, expected, tolerance, first, most, share, allowed, passed=first is None
    )


@dataclass(frozen=True)
class Result:
    """All comparisons of one check; ``print`` it to read what it found.

    ``suspects`` are the known mistakes, and dialects, with this very answer. ``partly`` are those
    with this answer in half of the failed comparisons. ``alike`` give other numbers and fail in
    the same comparisons. ``problem`` says why nothing was compared. ``returns`` says what the
    function must return.
    """

    check: str
    comparisons: tuple[Comparison, ...]
    suspects: tuple[KnownMistake, ...] = ()
    partly: tuple[KnownMistake, ...] = ()
    alike: tuple[KnownMistake, ...] = ()
    problem: str = ""
    returns: str = ""

    @property
    def passed(self) -> bool:
        """Whether every comparison passed."""
        return not self.problem and not self.failed

    @property
    def failed(self) -> tuple[Comparison, ...]:
        """The comparisons that did not pass, in order."""
        return tuple(comparison for comparison in self.comparisons if not comparison.passed)

    def __str__(self) -> str:
        """Say what you need to act: the first mismatch, the probable mistake, what else differs."""
        count = len(self.comparisons)
        if not self.failed:
            return self.problem or f"{self.check}: all {count} comparisons pass"
        first, *rest = self.failed
        misshapen = first.answer.shape != first.expected.shape
        lines = [
            f"{self.check}: {len(self.failed)} of {count} comparisons fail; the first:",
            *([f"  {self.returns}"] if misshapen and self.returns else []),
            f"  {first.describe()}",
            *self._diagnosis(),
        ]
        if rest:
            more = f" and {len(rest) - MOST_NAMED} more" if len(rest) > MOST_NAMED else ""
            lines.append(f"also wrong: {'; '.join(c.where for c in rest[:MOST_NAMED])}{more}")
        return "\n".join(lines)

    def _diagnosis(self) -> list[str]:
        if self.suspects and self.suspects[0].dialect:
            name = self.suspects[0].name
            return [
                f"this is the dialect {name}, a variant and not a mistake: "
                f"{self.suspects[0].sentence}",
                f'  to check it, pass dialect="{name}"',
            ]
        if self.suspects:
            return ["this is the answer of a known mistake:", *map(_line, self.suspects)]
        nothing = "no known mistake gives this answer"
        for found, says in (
            (self.partly, "  these give it in at least half of the comparisons that fail:"),
            (
                self.alike,
                "  these fail in the same comparisons with other numbers, perhaps by chance:",
            ),
        ):
            if 0 < len(found) <= MOST_ALIKE_NAMED:
                return [nothing, says, *map(_line, found)]
        return [nothing]

    def require(self) -> "Result":
        """Return the result itself; raises :class:`CheckFailed` unless everything passed."""
        __tracebackhide__ = True
        if not self.passed:
            raise CheckFailed(self)
        return self


class CheckFailed(AssertionError):
    """An answer that is wrong; ``result`` has the arrays."""

    def __init__(self, result: Result) -> None:
        super().__init__(str(result))
        self.result = result


def _line(mistake: KnownMistake) -> str:
    return f"  {mistake.name}: {mistake.sentence}"
