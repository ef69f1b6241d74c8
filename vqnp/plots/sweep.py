"""A number against a size, such as error or perplexity against the tokens in a codebook."""

from typing import Any

import numpy as np

from vqnp.plots import style
from vqnp.validation import as_array

__all__ = ["draw_sweep"]


@style.styled
def draw_sweep(
    sizes: Any,
    values: Any,
    *,
    color: str = style.TOKEN,
    label: str = "",
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
    middles = np.nanmedian(values[some], axis=1)
    panel.plot(sizes[some], middles, color=color, label=label or None)
    every = np.broadcast_to(sizes[:, None], values.shape)
    panel.plot(every.ravel(), values.ravel(), "o", color=color, alpha=0.5, markersize=4)
    panel.set_xscale("log", base=2)
    panel.set_xticks(sizes, [f"{size:,g}" for size in sizes])
    if label:
        panel.legend()
    return panel
