"""``vqnp diagnose``: from files of embeddings and tokens to a page that says if they collapse."""

from pathlib import Path
from typing import Any

from vqnp.data import load_array
from vqnp.diagnostics import Diagnosis, answer, diagnose
from vqnp.diagnostics.assignment import assign
from vqnp.diagnostics.reading import lines
from vqnp.experiments.report import embedded, render
from vqnp.files import save_text, writable_directory
from vqnp.plots import codebook, style
from vqnp.validation import Array


@style.styled
def picture(embeddings: Array, tokens: Array, counts: Array, answer: str) -> Any:
    """Draw the codebook under the ``answer``."""
    figure, (axes,) = style.new_figure(1, 3, 14, 4.4)
    figure.suptitle(answer)
    codebook.draw_codebook(embeddings, tokens, counts, axes=axes)
    return figure


def write_diagnosis(
    embeddings: Path, tokens: Path, labels: Path | None, directory: Path, *, progress: bool = False
) -> tuple[Diagnosis, Path]:
    """Diagnose the arrays in ``.npy`` files; write ``diagnosis.json``, a picture and a page.

    Embeddings stay on disk and are read in blocks. Returns the diagnosis and the page. Raises
    ``ValueError``, ``TypeError`` or ``OSError`` naming the file or argument before the search.
    """
    cloud, book = load_array(embeddings, mmap=True), load_array(tokens)
    classes = None if labels is None else load_array(labels)
    directory = writable_directory(directory)
    assignment = assign(cloud, book, progress=progress)
    diagnosis = diagnose(cloud, book, classes, assignment=assignment)
    said = answer(diagnosis)
    save_text(directory / "diagnosis.json", diagnosis.to_json() + "\n")
    style.save(picture(cloud, book, assignment.counts, said), directory / "diagnosis")
    report = directory / "report.html"
    text = render(
        "diagnosis.html",
        title=f"Is this codebook collapsing? {diagnosis.n_tokens} tokens, "
        f"{diagnosis.n_embeddings} embeddings, {diagnosis.dimension} dimensions",
        verdict=said,
        picture=embedded(directory / "diagnosis.png"),
        lines=lines(diagnosis),
    )
    save_text(report, text)
    return diagnosis, report
