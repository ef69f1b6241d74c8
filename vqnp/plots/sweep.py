"""A number against a size, such as error or perplexity against the tokens in a codebook."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from vqnp.plots import style
from vqnp.validation import Array, as_array

__all__ = ["draw_sweep"]


@style.styled
def draw_sweep(
    sizes: Any,
    values: Any,
    *,
    color: str = style.TOKEN,
    label: str = "",
    first: bool = False,
    axes: Any = None,
) -> Any:
    """Draw a line through the medians of a sweep, and a dot for every run.

    Call it again with the same ``axes`` to compare sweeps.

    Parameters
    ----------
    sizes : array-like (S,)
        What is varied, positive and rising: tokens in the codebook, or the width of a network.
    values : array-like (S,) or (S, seeds)
        What was measured. NaN stands for a run that was not made.
    color : str
        One of the colors of ``style``, such as ``style.PRETRAINED``.
    label : str
        The entry in the legend; none when empty.
    first : bool
        Draw the line through the first seed's runs instead. Medians would mix two things where
        only some sizes have several seeds.
    axes : matplotlib.axes.Axes, optional
        Where to draw; a new figure of pyplot's unless given.

    Returns
    -------
    matplotlib.axes.Axes
        The axes, whose horizontal one doubles from tick to tick.

    Raises
    ------
    ValueError
        For values whose rows do not belong to the sizes, and sizes that are not positive.

    Example
    -------
    >>> axes = draw_sweep([16, 64], [[9.0, 11.0, 10.0], [30.0, 50.0, 31.0]], label="perplexity")
    >>> axes.lines[0].get_ydata().tolist()
    [10.0, 31.0]
    """
    sizes, values = as_array(sizes, "sizes"), as_array(values, "values").astype(np.float64)
    values = values[:, None] if values.ndim == 1 else values  # (S, seeds)
    if sizes.ndim != 1 or values.ndim != 2 or len(values) != len(sizes):
        raise ValueError(
            f"values must have a row for each of sizes {sizes.shape}, got {values.shape}"
        )
    if not (sizes > 0).all():
        raise ValueError(f"sizes must be positive, got {sizes.min():g}")
    panel = style.panels(axes, 1, 6, 3.4)[0]
    some = np.isfinite(values).any(axis=1)
    middles = values[some, 0] if first else np.nanmedian(values[some], axis=1)
    panel.plot(sizes[some], middles, color=color, label=label or None)
    panel.plot(sizes, values, "o", color=color, alpha=0.5, markersize=4)
    panel.set_xscale("log", base=2)
    panel.set_xticks(sizes, [f"{size:,g}" for size in sizes], fontsize=7.5)
    if label:
        panel.legend(fontsize=7)
    return panel


def by_seed(table: Sequence[dict[str, Any]], over: str, quantity: str) -> tuple[list[Any], Array]:
    """Return the values of ``over`` in a table, rising, and ``quantity`` ``(S, seeds)`` of them.

    The first seed has the first column. NaN stands for a run that is not in the table.
    """
    measured = {(row[over], row["seed"]): row[quantity] for row in table}
    sizes, seeds = (sorted(set(keys)) for keys in zip(*measured, strict=True))
    rows = [[measured.get((size, seed), np.nan) for seed in seeds] for size in sizes]
    return sizes, np.array(rows)


def seeds_shown(table: Sequence[dict[str, Any]]) -> str:
    """Return what a legend says of a sweep whose line goes through the first seed."""
    return "first seed; dots: all" if len({row["seed"] for row in table}) > 1 else "one seed"
