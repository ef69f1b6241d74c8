"""A training run, epoch by epoch: its losses, and how evenly its tokens are used."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from vqnp.plots import style
from vqnp.training import EpochRecord

__all__ = ["draw_history"]

COLORS = (style.RECONSTRUCTION, style.EMBEDDING, style.TOKEN, style.OUTSIDE)


@style.styled
def draw_history(records: Sequence[EpochRecord], *, axes: Any = None) -> Any:
    """Draw the losses and the perplexity of every epoch of a training run.

    Lines are dashed in the epochs of pretraining. They have no tokens, so they have no perplexity.

    Parameters
    ----------
    records : sequence of EpochRecord
        What :func:`~vqnp.train` returns.
    axes : sequence of two matplotlib.axes.Axes, optional
        Where to draw losses and perplexity; a new figure of pyplot's unless given.

    Returns
    -------
    array (2,) of matplotlib.axes.Axes
        The axes of the losses, and those of the perplexity.

    Raises
    ------
    ValueError
        For no records, or another number of axes.

    Example
    -------
    >>> from vqnp.training import EpochRecord
    >>> records = [
    ...     EpochRecord("pretrain", 1, {"reconstruction": 0.5}),
    ...     EpochRecord("fine-tune", 2, {"reconstruction": 0.4, "commitment": 0.1}, 9.0, 12),
    ... ]
    >>> losses, perplexity = draw_history(records)
    >>> [text.get_text() for text in losses.get_legend().get_texts()]
    ['reconstruction', 'commitment']
    """
    if not records:
        raise ValueError("records must hold at least one epoch, got none")
    left, right = found = style.panels(axes, 2, 8, 3)
    names = dict.fromkeys(name for record in records for name in record.losses)
    for i, name in enumerate(names):
        draw_quantity(left, records, name, COLORS[i % len(COLORS)], label=name)
    left.set(xlabel="epoch", ylabel="loss, mean over the epoch", yscale="log")
    left.legend()
    draw_quantity(right, records, "perplexity", style.TOKEN)
    top = 1.1 * max([record.perplexity or 1.0 for record in records])
    right.set(xlabel="epoch", ylabel="perplexity", xlim=left.get_xlim(), ylim=(0, top))
    return found


def draw_quantity(
    axes: Any,
    records: Sequence[EpochRecord],
    name: str,
    color: str,
    label: str | None = None,
) -> None:
    """Draw a loss by ``name``, or the perplexity; dashed in the epochs of pretraining."""
    values = [
        record.perplexity if name == "perplexity" else record.losses.get(name) for record in records
    ]
    heights = np.array(values, np.float64)  # None becomes NaN
    epochs = np.array([record.epoch for record in records])
    before = np.array([record.phase == "pretrain" for record in records])
    for part, dashes in ((before, "--"), (~before, "-")):
        if np.isfinite(heights[part]).any():
            # The part with the last epoch has the legend's one entry.
            axes.plot(
                epochs[part],
                heights[part],
                dashes,
                color=color,
                label=label if part[-1] else None,
            )
