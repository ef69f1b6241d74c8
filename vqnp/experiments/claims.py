"""Claims: sentences of the paper, or of ours, that are computed from the runs and can fail.

One rule decides all of them: a claim holds when it holds for *every* seed. With three seeds, a
difference in a direction fixed beforehand comes out so by chance once in eight. With ten, it does
once in a thousand.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

COMPARE = {"<": np.less, ">": np.greater, "<=": np.less_equal, ">=": np.greater_equal}
FOR_EVERY_SEED = " for every seed"
DIRECTION = "the paper names a direction and no size"  # why most bounds are 0 or 1


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A statement, and a bound that one measured value a seed has to meet.

    ``because`` says why the bound is where it is. ``source`` is the place in the paper, or
    ``"beyond the paper"``.
    """

    id: str
    figure: str
    statement: str
    source: str
    measured: str
    values: Sequence[float]
    bound: tuple[Literal["<", ">", "<=", ">="], float]
    because: str
    seeds: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.values or len(self.values) != len(self.seeds):
            given = f"{len(self.values)} for {len(self.seeds)} seeds"
            raise ValueError(f"claim {self.id} needs one value a seed, got {given}")

    @property
    def agreeing(self) -> int:
        """For how many seeds the bound is met."""
        side, limit = self.bound
        return int(COMPARE[side](self.values, limit).sum())

    @property
    def holds(self) -> bool:
        """Whether the bound is met for every seed."""
        return self.agreeing == len(self.seeds)

    @property
    def bound_in_words(self) -> str:
        """The measure, and the bound on it."""
        side, limit = self.bound
        return f"{self.measured} {side} {limit:g}{FOR_EVERY_SEED}"

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> "Claim":
        """Return the claim of an entry of ``claims.json``; whether it holds is computed anew."""
        measured, side, limit = entry["bound"].removesuffix(FOR_EVERY_SEED).rsplit(" ", 2)
        return cls(
            **{name: entry[name] for name in ("id", "figure", "statement")},
            source=entry["paper"],
            measured=measured,
            values=[v if isinstance(v, int) else float(v) for v in entry["value"]],
            bound=(side, float(limit)),
            because=entry["why"],
            seeds=tuple(entry["seeds"]),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the entry for ``claims.json``."""
        return {
            "id": self.id,
            "figure": self.figure,
            "statement": self.statement,
            "paper": self.source,
            "value": list(self.values),
            "bound": self.bound_in_words,
            "why": self.because,
            "seeds": list(self.seeds),
            "holds": self.holds,
        }


def claim_maker(
    figure: str, statements: Mapping[str, str], *, key: str = "", about: str = "", **shared: Any
) -> Callable[..., Claim]:
    """Return a maker of the claims of a ``figure``, called with a name and the rest by keyword.

    The name finds the statement. ``key`` and ``about`` stand before the two, where a figure makes
    the same claims about several cases. The claims have what is ``shared``, unless they say else.
    """

    def claim(name: str, **own: Any) -> Claim:
        return Claim(
            id=f"{figure}-{key}{name}",
            figure=figure,
            statement=about + statements[name],
            **{"because": DIRECTION, **shared, **own},
        )

    return claim


def ratios(numerators: Sequence[float], denominators: Sequence[float]) -> tuple[float, ...]:
    """Return the ratios seed by seed: both arms had the same data and the same initial weights."""
    return tuple(float(a) / float(b) for a, b in zip(numerators, denominators, strict=True))


def differences(left: Sequence[float], right: Sequence[float]) -> tuple[float, ...]:
    """Return ``left - right`` seed by seed, paired likewise."""
    return tuple(float(a) - float(b) for a, b in zip(left, right, strict=True))
