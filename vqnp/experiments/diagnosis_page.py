"""``vqnp diagnose``: the embeddings and the codebook of anyone's model, from files, to a page that says whether it collapses."""

from pathlib import Path

from vqnp.data import load_array
from vqnp.diagnostics import Diagnosis, diagnose, verdict
from vqnp.diagnostics.assignment import assign
from vqnp.diagnostics.reading import lines
from vqnp.experiments.report import embedded, render
from vqnp.files import save_text, writable_directory
from vqnp.plots import codebook, style


def write_diagnosis(
    embeddings: Path, tokens: Path, labels: Path | None, directory: Path, *, progress: bool = False
) -> tuple[Diagnosis, Path]:
    """Diagnose the arrays in ``.npy`` files and write ``diagnosis.json``, the picture and ``report.html`` to ``directory``.

    Embeddings stay on disk and are read in blocks. Raises ``ValueError``, ``TypeError`` or ``OSError`` naming the file or argument
    before the search begins.
    """
    cloud, book = load_array(embeddings, mmap=True), load_array(tokens)
    classes = None if labels is None else load_array(labels)
    directory = writable_directory(directory)
    assignment = assign(cloud, book, progress=progress)
    diagnosis = diagnose(cloud, book, classes, assignment=assignment)
    save_text(directory / "diagnosis.json", diagnosis.to_json() + "\n")
    style.save(
        codebook.draw(cloud, book, assignment.counts, verdict(diagnosis)), directory / "diagnosis"
    )
    report = directory / "report.html"
    title = f"Is this codebook collapsing? {book.shape[0]} tokens, {cloud.shape[0]} embeddings, {book.shape[1]} dimensions"
    picture = embedded(directory / "diagnosis.png")
    save_text(
        report,
        render(
            "diagnosis.html",
            title=title,
            verdict=verdict(diagnosis),
            picture=picture,
            lines=lines(diagnosis),
        ),
    )
    return diagnosis, report
