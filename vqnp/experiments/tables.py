"""Tables of numbers: lists of rows, each a dictionary, as ``figN.json`` holds them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

Row = dict[str, Any]
Table = Sequence[Row]


def select(table: Table, **where: Any) -> list[Row]:
    """Return the rows that have the values ``where``."""
    return [row for row in table if all(row[name] == value for name, value in where.items())]


def column(table: Table, name: str, **where: Any) -> list[Any]:
    """Return the values called ``name`` in the rows that have the values ``where``."""
    return [row[name] for row in select(table, **where)]


def median(table: Table, name: str, **where: Any) -> float:
    """Return the median of a column."""
    return float(np.median(column(table, name, **where)))
