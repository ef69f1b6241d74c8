"""The table of quantizers on the page: medians over seeds, and what was found of each method."""

from typing import Any, NamedTuple

import numpy as np

from vqnp.experiments.method_texts import ABOUT
from vqnp.experiments.methods import NAMES, Size
from vqnp.experiments.report import render
from vqnp.experiments.table_plan import TablePlan
from vqnp.experiments.tables import Row, Table, select

GROUP = ("case", "method", "name", "nominal_bits", "main", "pretrained")


class Column(NamedTuple):
    """A column: the number's name in a row, its title and format, and its explanation."""

    name: str
    title: str
    format: str
    about: str


COLUMNS = (
    Column("token_dim", "D", "{:.0f}", "dimensions of a vector"),
    Column("bits", "bits", "{:.2f}", "bits that name an embedding"),
    Column("entropy_bits", "entropy", "{:.2f}", "entropy of the codes of the whole set, in bits"),
    Column("bits_an_image", "bits/image", "{:.0f}", "bits that name an image"),
    Column("entropy_an_image", "entropy/image", "{:.0f}", "entropy of the codes of an image"),
    Column("mse", "error", "{:.4f}", "mean squared error from the codes alone, on test data"),
    Column("mse_soft", "soft error", "{:.4f}", "error with the vectors that training decodes"),
    Column("mse_over_patches", "/ raw k-means", "{:.2f}", "above 1 the row loses"),
    Column("epochs_to_beat", "epochs to beat", "{:.1f}", "until it beats raw k-means"),
    Column("perplexity", "perplexity", "{:.1f}", "of the codes of the whole set"),
    Column("perplexity_share", "share", "{:.2f}", "perplexity over the greatest possible"),
    Column("codes_used", "used", "{:.0f}", "codes chosen at least once"),
    Column("tokens", "of", "{:.0f}", "all codes"),
    Column("embedding_rank", "rank z", "{:.1f}", "effective rank of the embeddings"),
    Column("token_rank", "rank t", "{:.1f}", "effective rank of the tokens"),
    Column("kmeans_spread", "spread", "{:.2f}", "over that of k-means on the same embeddings"),
    Column("class_divergence", "classes", "{:.3f}", "class divergence in bits, 0 is best"),
    Column("disagreement", "not nearest", "{:.3f}", "embeddings whose token is not the nearest"),
    Column("milliseconds", "ms/step", "{:.1f}", "a step of training, on a machine that was shared"),
    Column("parameters", "numbers", "{:,.0f}", "numbers that encoder, decoder and codes need"),
)


def summary(table: Table) -> list[Row]:
    """Return a row for each method, data, size and arm: medians over seeds, and their ``ranges``.

    A number that a seed lacks is None.
    """
    groups = dict.fromkeys(tuple(row[name] for name in GROUP) for row in table)
    made = []
    for group in groups:
        own = dict(zip(GROUP, group, strict=True))
        runs = [derived(row) for row in select(table, **own)]
        ranges = {column.name: span(runs, column.name) for column in COLUMNS}
        medians = {name: ends and ends[1] for name, ends in ranges.items()}
        limits = {name: ends and (ends[0], ends[2]) for name, ends in ranges.items()}
        places = runs[0].get("embeddings_an_example")
        diverged = any("diverged" in run for run in runs)
        made.append(
            own | medians
            | {"ranges": limits, "embeddings_an_example": places, "diverged": diverged}
        )  # fmt: skip
    return made


def derived(run: Row) -> Row:
    """Return a run with bits an image and milliseconds."""
    run, places = dict(run), run.get("embeddings_an_example", 1)
    if places > 1:
        run |= {"bits_an_image": places * run["bits"]}
        run |= {"entropy_an_image": places * run["entropy_bits"]}
    if "seconds_a_step" in run:
        run["milliseconds"] = 1000 * run["seconds_a_step"]
    return run


def span(runs: list[Row], name: str) -> tuple[float, float, float] | None:
    """Return the least, median and greatest of a number, or None where a run lacks it."""
    values = [run.get(name) for run in runs]
    if None in values:
        return None
    low, middle, high = np.percentile(np.array(values, np.float64), [0, 50, 100])
    return float(low), float(middle), float(high)


def section(plan: TablePlan, table: Table) -> str:
    """Return the sortable table and a paragraph for each method, as HTML."""
    rows = [*summary(table), *missing(plan)]
    cases = {case.key: case.name for case in plan.cases}
    shown = [
        {
            "case": cases[row["case"]],
            "name": row["name"],
            "pretrained": "yes" if row["pretrained"] else "no",
            "cells": [cell(row, column) for column in COLUMNS],
            # The code of patches is no row that could lose: its other seeds differ by chance.
            "loses": row["method"] in NAMES and (row.get("mse_over_patches") or 0) > 1,
            "diverged": row.get("diverged", False),
        }
        for row in rows
    ]
    abouts = dict.fromkeys(method.about for method in plan.rows)
    paragraphs = [{"text": ABOUT[about], "found": found(plan, rows, about)} for about in abouts]
    return render("table.html", columns=COLUMNS, rows=shown, paragraphs=paragraphs)


def missing(plan: TablePlan) -> list[Row]:
    """Return the rows that cannot exist at the width of a case."""
    return [
        {"case": case.key, "method": method.key, "name": method.name, "pretrained": False,
         "nominal_bits": case.bits, "main": True, "missing": True}
        for case in plan.cases
        for method in plan.rows
        if not method.exists(Size(case.bits, case.token_dim, 1, 0.9))
    ]  # fmt: skip


def cell(row: Row, column: Column) -> dict[str, Any]:
    """Return what a cell shows, and the number that it is sorted by."""
    value = row.get(column.name)
    if value is None:
        trained = row["case"] == "images" and row["method"] in NAMES and row.get("mse")
        never = column.name == "epochs_to_beat" and trained
        return {"text": "never" if never else "—", "value": "", "title": ""}
    low, high = row["ranges"][column.name]
    ends = f"{column.format.format(low)} to {column.format.format(high)}" if low < high else ""
    return {"text": column.format.format(value), "value": repr(value), "title": ends}


def found(plan: TablePlan, rows: list[Row], about: str) -> list[str]:
    """Return a sentence for each row of a method and each of the data."""
    said = []
    for case in plan.cases:
        for method in plan.rows:
            if method.about != about:
                continue
            own = [row for row in select(rows, case=case.key, method=method.key) if row["main"]]
            if own:
                said.append(f"{method.name}, {case.name}: {'; '.join(map(sentence, own))}.")
    return said


def sentence(row: Row) -> str:
    """Say the error and the perplexity of a row, and whether it loses to raw patches."""
    if row.get("missing"):
        return "it cannot exist at this width"
    if row["mse"] is None:
        return "it diverged"
    beside = row["mse_over_patches"]
    verdict = "" if beside is None else (
        f", {beside:.2f} of raw k-means, to which it {'loses' if beside > 1 else 'does not lose'}"
    )  # fmt: skip
    arm = "with" if row["pretrained"] else "without"
    return (
        f"{arm} pretraining error {row['mse']:.4f}{verdict}, "
        f"perplexity {row['perplexity']:.1f} of {row['tokens']:.0f}"
    )
