"""Make the lessons: execute each script ``NN_name.py`` into ``NN_name.ipynb`` and a picture.

    python notebooks/build.py           # all of them
    python notebooks/build.py 01 04     # those whose names begin so

Edit the scripts. Ids and metadata depend on the script alone, so two builds differ in substance
only. In the kernel a warning is an error. A lesson that fails leaves its old notebook and picture.
"""

import argparse
from base64 import b64decode
from io import BytesIO
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError
from nbformat import NotebookNode
from PIL import Image

from vqnp.files import save_text, whole

HERE = Path(__file__).parent
SCRIPTS = sorted(HERE.glob("[0-9][0-9]_*.py"))
PARAMETER = "FAST = {}  # True shrinks the work: for a quick look, and for the tests"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
STRICT = (
    "import warnings; warnings.simplefilter('error'); "
    "warnings.filterwarnings('ignore', module='ipykernel')"
)
WIDGET, WIDGETS = (f"application/vnd.jupyter.widget-{kind}+json" for kind in ("view", "state"))
SIDE = 480  # pixels: what a picture in the index measures at most


def read(script: Path) -> NotebookNode:
    """Return the cells of ``script``, none of them executed."""
    notebook = jupytext.read(script)
    for i, cell in enumerate(notebook.cells):
        cell.id = f"cell-{i}"
        cell.metadata.pop("lines_to_next_cell", None)
    notebook.metadata = nbformat.from_dict(METADATA)
    return notebook


def execute(notebook: NotebookNode, fast: bool = False) -> None:
    """Fill in the outputs.

    Raises ``CellExecutionError`` where a cell fails, and ``ValueError`` for warnings and errors
    that would stay visible.
    """
    (parameters,) = tagged(notebook, "parameters")
    if parameters.source != PARAMETER.format(False):
        raise ValueError(f"the cell tagged parameters must read {PARAMETER.format(False)!r}")
    parameters.source = PARAMETER.format(fast)
    try:
        run(notebook, seconds=180 if fast else 600)
    except CellTimeoutError:
        # A cell with a widget may wait for a reply that never comes (nbclient's issue 312).
        run(notebook, seconds=600)
    widgets = notebook.metadata.get("widgets", {}).get(WIDGETS, {"state": {}})["state"].values()
    inside = [output for widget in widgets for output in widget["state"].get("outputs", [])]
    for output in inside + [
        output for cell in notebook.cells for output in cell.get("outputs", [])
    ]:
        if output["output_type"] == "error" or output.get("name") == "stderr":
            raise ValueError("\n".join(output.get("traceback", [output.get("text")])))
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        if "outputs" in cell:
            # A widget without a kernel is an error message; a static picture shows what it would.
            cell.outputs = [
                output for output in cell.outputs if WIDGET not in output.get("data", {})
            ]


def run(notebook: NotebookNode, seconds: int) -> None:
    """Run every cell in a new kernel; raises ``CellTimeoutError`` after ``seconds`` in one."""
    strict = [f"--IPKernelApp.exec_lines={STRICT}"]
    where = {"metadata": {"path": str(HERE)}}
    NotebookClient(
        notebook,
        timeout=seconds,
        startup_timeout=600,
        record_timing=False,
        extra_arguments=strict,
        resources=where,
    ).execute()


def tagged(notebook: NotebookNode, tag: str) -> list[NotebookNode]:
    """Return the cells that carry ``tag``."""
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


def small_picture(notebook: NotebookNode) -> Image.Image:
    """Return the picture under the cell tagged ``thumbnail``, shrunk."""
    (cell,) = tagged(notebook, "thumbnail")
    (png,) = (
        output.data["image/png"] for output in cell.outputs if "image/png" in output.get("data", {})
    )
    picture = Image.open(BytesIO(b64decode(png))).convert("RGB")
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return picture


def build(script: Path) -> None:
    """Execute one lesson and write its notebook and its picture, each whole or not at all."""
    notebook = read(script)
    execute(notebook)
    picture = small_picture(notebook)
    save_text(script.with_suffix(".ipynb"), nbformat.writes(notebook) + "\n")
    with whole(HERE / "pictures" / f"{script.name[:2]}.png") as file:
        picture.save(file, format="png", optimize=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "names",
        nargs="*",
        default=[""],
        help="the beginnings of the lessons' names; all when none is given",
    )
    wanted = tuple(parser.parse_args().names)
    for script in SCRIPTS:
        if script.name.startswith(wanted):
            print(script.name, flush=True)
            build(script)
