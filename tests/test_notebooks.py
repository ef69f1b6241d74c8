"""The lessons: script and notebook are a pair, what is committed can be read, and all run."""

import re
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("ipywidgets", reason="the lessons need the extra `notebooks`")
pytest.importorskip("jupytext", reason="the lessons need the extra `notebooks`")
nbformat = pytest.importorskip("nbformat", reason="the lessons need the extra `notebooks`")

LESSONS = Path(__file__).parents[1] / "notebooks"
build = SimpleNamespace(**runpy.run_path(str(LESSONS / "build.py")))
PAIRS = [
    pytest.param(script, script.with_suffix(".ipynb"), id=script.stem) for script in build.SCRIPTS
]
LARGEST = 1_500_000  # bytes: code-hosting pages show larger notebooks slowly, or not at all
HERE = re.escape(str(LESSONS.parent))  # where this clone lies
MACHINE = re.compile(rf"/home|/root|/tmp|{HERE}|Users|site-packages|ipykernel_")
PROGRESS = re.compile(r"\r|it/s")
LINE_NUMBER = re.compile(r"vqnp/\S+\.py[(:]\d")  # an edit of the package would make it stale


def cells(notebook):
    return [(cell.cell_type, cell.source, cell.metadata.get("tags", [])) for cell in notebook.cells]


def texts(cell):
    """What a cell printed or returned, pictures left out."""
    for output in cell.get("outputs", []):
        yield from [output["text"]] if "text" in output else []
        yield from (
            str(data)
            for kind, data in output.get("data", {}).items()
            if not kind.startswith("image/")
        )


def has_picture(cell):
    return any(
        kind.startswith("image/")
        for output in cell.get("outputs", [])
        for kind in output.get("data", {})
    )


@pytest.fixture
def written(notebook):
    return nbformat.read(notebook, as_version=4)


def test_there_are_lessons():
    assert PAIRS


@pytest.mark.parametrize(("script", "notebook"), PAIRS)
def test_script_and_notebook_are_a_pair(script, notebook, written):
    assert cells(written) == cells(build.read(script)), (
        f"rebuild it: python notebooks/build.py {script.stem}"
    )


@pytest.mark.parametrize(("script", "notebook"), PAIRS)
def test_the_notebook_was_run_from_top_to_bottom(script, notebook, written):
    code = [cell for cell in written.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not [
        output
        for output in outputs
        if output.output_type == "error" or output.get("name") == "stderr"
    ]


@pytest.mark.parametrize(("script", "notebook"), PAIRS)
def test_the_notebook_holds_nothing_but_the_lesson(script, notebook, written):
    for cell in written.cells:
        for text in texts(cell):
            assert not MACHINE.search(text), text
            assert not PROGRESS.search(text), text
            assert not LINE_NUMBER.search(text), text
    assert notebook.stat().st_size < LARGEST
    nbformat.validate(written)


@pytest.mark.parametrize(("script", "notebook"), PAIRS)
def test_every_picture_has_a_caption_under_it(script, notebook, written):
    followers = [*written.cells[1:], SimpleNamespace(cell_type=None, source="")]
    captions = [
        after for cell, after in zip(written.cells, followers, strict=True) if has_picture(cell)
    ]
    assert captions
    for caption in captions:
        assert caption.cell_type == "markdown"
        assert re.fullmatch(r"\*Picture: (?:.|\n)+?\.\*", caption.source.split("\n\n")[0]), (
            caption.source
        )


@pytest.mark.parametrize(("script", "notebook"), PAIRS)
def test_the_lesson_has_its_parts(script, notebook):
    first, *_, last = build.read(script).cells
    assert first.source.startswith(f"# {int(script.name[:2])}. ")
    assert "**After this lesson you can**" in first.source
    assert '`%pip install -q "vqnp[notebooks]"`' in first.source
    assert "## Exercises" in last.source
    assert re.findall(r"^(\d)\. ", last.source, re.MULTILINE) == ["1", "2", "3"]


@pytest.mark.jit
@pytest.mark.parametrize(("script", "notebook"), PAIRS)
def test_the_lesson_runs(script, notebook):
    build.execute(build.read(script), fast=True)
