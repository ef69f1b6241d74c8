"""Figure 4b as a picture: the table of what was changed, a row a change, its numbers as bars."""

from typing import Any

import numpy as np

from vqnp.plots import style

COLUMNS = (
    ("perplexity", "perplexity over the test set", "{:.0f}"),
    ("codes_used", "tokens chosen at least once", "{:.0f}"),
    ("mse", "mean squared error", "{:.4f}"),
)


@style.styled
def draw(table: list[dict[str, Any]]) -> Any:
    """Draw the ``table`` of numbers over all arms and seeds: a line of panels for each codebook size."""
    sizes = sorted({row["tokens"] for row in table})
    figure, axes = style.new_figure(len(sizes), len(COLUMNS), 14, 0.6 + 3.6 * len(sizes))
    figure.suptitle(headline([row for row in table if row["tokens"] == sizes[-1]]))
    for line, size in zip(axes, sizes, strict=True):
        for column, (panel, (quantity, name, text)) in enumerate(zip(line, COLUMNS, strict=True)):
            bars(panel, [row for row in table if row["tokens"] == size], quantity, text)
            panel.set_xlabel(name)
            if column:
                panel.set_yticklabels([])
        line[0].set_title(f"codebook of {size:,} tokens", loc="left")
    axes[0, -1].legend(
        loc="upper left",
        bbox_to_anchor=(0, 1.2),
        ncols=2,
        fontsize=8,
        title="bars and numbers: medians; dots: seeds",
    )
    return figure


def headline(table: list[dict[str, Any]]) -> str:
    """Say what each of the causes does to the perplexity of the largest codebook."""
    same = table[0]["change"]
    sample = next(row["change"] for row in table if row["sample"] != table[0]["sample"])
    start = median(table, same, False, "perplexity")
    return (
        f"Perplexity {start:.0f} of {table[0]['tokens']:,}: more images for k-means make it "
        f"{median(table, sample, False, 'perplexity'):.0f}, pretraining {median(table, same, True, 'perplexity'):.0f}"
    )


def median(table: list[dict[str, Any]], change: str, pretrained: bool, quantity: str) -> float:
    """Return the median of ``quantity`` over the seeds of one arm."""
    values = [
        row[quantity] for row in table if (row["change"], row["pretrained"]) == (change, pretrained)
    ]
    return float(np.median(values))


def bars(axes: Any, table: list[dict[str, Any]], quantity: str, text: str) -> None:
    """Draw ``quantity`` for each change and either arm: a bar for the median of the seeds, its number, a dot for each of them."""
    changes = list(dict.fromkeys(row["change"] for row in table))
    for shift, (arm, color, label) in zip((-0.2, 0.2), style.ARMS, strict=True):
        for place, change in enumerate(changes):
            values = [
                row[quantity]
                for row in table
                if (row["change"], row["pretrained"]) == (change, arm)
            ]
            middle = float(np.median(values))
            axes.barh(
                place + shift,
                middle,
                height=0.36,
                color=color,
                alpha=0.75,
                label=None if place else label,
            )
            if len(values) > 1:
                axes.plot(values, [place + shift] * len(values), ".", color="#333333", markersize=3)
            beyond = {
                "xytext": (6, 0),
                "textcoords": "offset points",
                "va": "center",
                "fontsize": 7,
            }
            axes.annotate(text.format(middle), (max(values), place + shift), **beyond)
    axes.set_yticks(
        range(len(changes)), ["nothing else" if change == "paper" else change for change in changes]
    )
    axes.invert_yaxis()
    axes.margins(x=0.12)
