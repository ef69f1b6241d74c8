"""Claims: sentences of the paper, or of ours, that are computed from the runs and may turn out not to hold.

One rule decides all of them: a claim holds when it holds for *every* seed. With three seeds, a difference in a direction fixed
beforehand comes out so by chance once in eight; with ten, once in a thousand.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np


@dataclass(frozen=True)
class Claim:
    """A statement with one value a seed, and the bound that each of them has to meet.

    ``why`` says why the bound is where it is; ``source`` is the place in the paper, or ``"beyond the paper"``.
    """

    id: str
    figure: str
    statement: str
    source: str
    quantity: str
    values: tuple[float, ...]
    side: Literal["<", ">", "<=", ">="]
    limit: float
    why: str
    seeds: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.values or len(self.values) != len(self.seeds):
            raise ValueError(
                f"claim {self.id} needs one value a seed, got {len(self.values)} for {len(self.seeds)} seeds"
            )

    @property
    def agreeing(self) -> int:
        """For how many seeds the bound is met."""
        compare = {"<": np.less, ">": np.greater, "<=": np.less_equal, ">=": np.greater_equal}[
            self.side
        ]
        return int(compare(self.values, self.limit).sum())

    @property
    def holds(self) -> bool:
        """Whether the bound is met for every seed."""
        return self.agreeing == len(self.seeds)

    @property
    def bound(self) -> str:
        """What is measured and the bound on it, in words."""
        return f"{self.quantity} {self.side} {self.limit:g} for every seed"

    def to_json(self) -> dict[str, Any]:
        """Return the entry for ``claims.json``."""
        return {
            "id": self.id,
            "figure": self.figure,
            "statement": self.statement,
            "paper": self.source,
            "value": list(self.values),
            "bound": self.bound,
            "why": self.why,
            "seeds": list(self.seeds),
            "holds": self.holds,
        }


def ratio(numerators: Sequence[float], denominators: Sequence[float]) -> tuple[float, ...]:
    """Return the ratios seed by seed: the comparison is paired, both arms had the same data and the same initial weights."""
    return tuple(float(a) / float(b) for a, b in zip(numerators, denominators, strict=True))


def difference(left: Sequence[float], right: Sequence[float]) -> tuple[float, ...]:
    """Return ``left - right`` seed by seed, paired likewise."""
    return tuple(float(a) - float(b) for a, b in zip(left, right, strict=True))
