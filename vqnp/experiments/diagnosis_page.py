"""``vqnp diagnose``: from files of embeddings and tokens to a page that says if they collapse."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from vqnp.data import load_any
from vqnp.diagnostics import (
    Diagnosis,
    Levels,
    answer,
    diagnose,
    diagnose_levels,
    diagnose_usage,
    side_by_side,
)
from vqnp.diagnostics.assignment import assign
from vqnp.diagnostics.diagnosis import Metric, with_length_one
from vqnp.diagnostics.reading import lines
from vqnp.diagnostics.reference import SEED
from vqnp.diagnostics.verdict import LIMITS
from vqnp.experiments.report import embedded, render
from vqnp.files import save_text, writable_directory
from vqnp.machine import environment
from vqnp.plots import codebook, style
from vqnp.validation import Array, as_labels, as_latents


@dataclass(frozen=True)
class Case:
    """A codebook of the user's: its name, its files by what they hold, and what was found."""

    name: str
    files: dict[str, str]
    found: Diagnosis | Levels
    picture: Any = None
    alternative: str = ""  # the picture in words

    @property
    def answer(self) -> str:
        """The verdict in a sentence."""
        return self.found.answer if isinstance(self.found, Levels) else answer(self.found)

    @property
    def parts(self) -> list[tuple[str, Diagnosis]]:
        """The diagnoses, by the level where there are several."""
        if isinstance(self.found, Diagnosis):
            return [("", self.found)]
        return [(f"level {i}", level) for i, level in enumerate(self.found.levels)]


def of_files(
    embeddings: str,
    tokens: str,
    labels: str | None,
    name: str,
    *,
    metric: Metric = "euclidean",
    progress: bool = False,
) -> Case:
    """Diagnose the arrays of files. Embeddings stay on disk where they can, and come in blocks.

    Raises ``ValueError``, ``TypeError`` or ``OSError`` naming the file or argument, before the
    search.
    """
    files = {"embeddings": embeddings, "tokens": tokens} | ({"labels": labels} if labels else {})
    cloud, book = load_any(embeddings), load_any(tokens)
    if book.ndim == 3:
        return Case(name, files, diagnose_levels(cloud, book, metric=metric))
    book = as_latents(book, "tokens")
    cloud = as_latents(cloud, "embeddings", dim=book.shape[1])
    classes = None if labels is None else as_labels(load_any(labels), "labels", len(cloud))
    if metric == "cosine":
        cloud, book = with_length_one(cloud), with_length_one(book)
    assignment = assign(cloud, book, progress=progress)
    found = diagnose(cloud, book, classes, assignment=assignment, metric=metric)
    drawn = picture(cloud, book, assignment.counts, answer(found))
    return Case(name, files, found, drawn, in_words(found, assignment.counts))


def of_codes(path: str, name: str, n_tokens: int | None, *, histogram: bool = False) -> Case:
    """Measure the usage of codes, or of a histogram of them."""
    array = np.asarray(load_any(path))
    if histogram:
        return Case(name, {"histogram": path}, diagnose_usage(counts=array))
    return Case(name, {"codes": path}, diagnose_usage(array, n_tokens))


@style.styled
def picture(embeddings: Array, tokens: Array, counts: Array, said: str) -> Any:
    """Draw the codebook under the verdict."""
    figure, (axes,) = style.new_figure(1, 3, 14, 4.4)
    figure.suptitle(said.partition(";")[0])
    codebook.draw_codebook(embeddings, tokens, counts, axes=axes)
    return figure


def in_words(found: Diagnosis, counts: Array) -> str:
    """Say what the picture shows."""
    share = counts.max() / counts.sum()
    return (
        f"Left: embeddings as points in the plane of their largest spread, and {found.n_tokens} "
        f"tokens, {len(found.dead_tokens)} of them dead. Middle: each token's share of the "
        f"embeddings on a logarithmic axis, falling from {share:.2%} over the {found.codes_used} "
        f"tokens in use, beside an even share of {1 / found.n_tokens:.2%}. Right: the spread along "
        f"the principal components; the tokens reach {found.spread_ratio or 0:.2f} times as far as "
        "the embeddings."
    )


def write_cases(cases: Sequence[Case], directory: Path) -> Path:
    """Write ``diagnosis.json``, the pictures and the page; return the page."""
    directory = writable_directory(directory)
    save_text(directory / "diagnosis.json", to_json(cases) + "\n")
    shown = []
    for i, case in enumerate(cases):
        stem = directory / (f"diagnosis-{i + 1}" if len(cases) > 1 else "diagnosis")
        if case.picture is not None:
            style.save(case.picture, stem)
        drawn = embedded(stem.with_suffix(".png")) if case.picture is not None else ""
        shown.append({"case": case, "picture": drawn})
    report = directory / "report.html"
    text = render(
        "diagnosis.html",
        title="Is this codebook collapsing?",
        date=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        shown=shown,
        lines=lines,
        address=address,
        limits=LIMITS,
        seed=SEED,
        made=environment(),
        compared=compared(cases)._repr_html_() if len(cases) > 1 else "",
    )
    save_text(report, text)
    return report


def address(where: str) -> str:
    """Return the address of a lesson or a source file on this machine; "" where it is not."""
    path = Path(__file__).parents[2] / where
    return path.as_uri() if path.exists() else ""


def compared(cases: Sequence[Case]) -> Any:
    """Return the diagnoses of all cases side by side, a level a column."""
    columns: Mapping[str, Diagnosis] = {
        f"{case.name} {level}".strip(): part for case in cases for level, part in case.parts
    }
    return side_by_side(columns)


def to_json(cases: Sequence[Case]) -> str:
    """Return the only diagnosis as JSON, or several by their names."""
    if len(cases) == 1:
        return cases[0].found.to_json()
    return json.dumps({case.name: json.loads(case.found.to_json()) for case in cases}, indent=2)
