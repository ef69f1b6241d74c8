"""Make the graded assignments from their sources, and grade what students hand in.

    python notebooks/assignments/make.py build a1 --out course
    python notebooks/assignments/make.py grade a1 submissions.zip --built course --out grades
    python notebooks/assignments/make.py verify

``build`` writes course/students and course/instructors, whole or not at all. ``README.md`` beside
this file is the instructor's guide, and ``source.py`` tells how a source is written.
"""

import argparse
import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from hashlib import sha256
from importlib.metadata import requires, version
from pathlib import Path
from typing import Any

import exports
import grading
import nbformat
import source
from jinja2 import Environment, FileSystemLoader, select_autoescape
from nbclient import NotebookClient
from nbconvert import HTMLExporter

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SOURCES = {path.name.partition("_")[0]: path for path in sorted(HERE.glob("a[0-9]_*.py"))}
PAGES = Environment(
    loader=FileSystemLoader(HERE / "pages"), autoescape=select_autoescape(), trim_blocks=True
)
EPOCH = "315532800"  # seconds: 1980-01-01, the first date that a zip can hold
# Marks of a solution or a hidden test, and paths of the machine that builds.
FORBIDDEN = re.compile(
    rf"BEGIN SOLUTION|END SOLUTION|\bhidden\b.*\bpoints=|/home/|/tmp/|{re.escape(str(ROOT))}"
)
STRANGE_EXTRA = r"extra == .(?!notebooks|test)"
LEAST_LINE = 20  # characters: shorter lines of a solution are in many programs


def course_of(path: Path | None) -> dict[str, Any]:
    """Return the settings of a course."""
    return tomllib.loads((path or HERE / "course.toml").read_text(encoding="utf-8"))


def build(
    names: list[str], out: Path, course: dict[str, Any], *, classroom50: bool = False
) -> None:
    """Build the assignments into the new folder ``out``; whole or not at all."""
    if out.exists():
        raise FileExistsError(f"{out} is there already: name another folder, or remove it")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".course-") as made:
        made_in = Path(made) / out.name
        wheel = build_wheel(Path(made))
        for name in names:
            assignment = source.read(SOURCES[name], course["name"])
            students, instructors = made_in / "students" / name, made_in / "instructors" / name
            students.mkdir(parents=True)
            instructors.mkdir(parents=True)
            require_right(assignment, course)
            for_students(assignment, students, wheel)
            for_instructors(assignment, instructors, course, wheel)
            require_no_leak(assignment, students)
            if classroom50:
                folder = made_in / "classroom50" / name
                exports.classroom50(assignment, students, folder, course["name"], course["seed"])
        save_manifest(made_in, course)
        made_in.rename(out)


def build_wheel(folder: Path) -> Path:
    """Return a wheel of the package: no index may answer for its name."""
    command = ["pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    with tempfile.TemporaryDirectory() as copied:  # setuptools leaves its own build folder
        for part in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / part, copied)
        skip = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "vqnp", Path(copied) / "vqnp", ignore=skip)
        environment = os.environ | {"SOURCE_DATE_EPOCH": EPOCH}
        subprocess.run([sys.executable, "-m", *command, copied], check=True, env=environment)
    (wheel,) = folder.glob("vqnp-*.whl")
    return wheel


def require_right(assignment: source.Assignment, course: dict[str, Any]) -> None:
    """Raise ``ValueError`` unless the points add up and the solution passes every test."""
    names = source.names_of(assignment)
    for question in assignment.questions:
        if not question.adds_up:
            raise ValueError(f"{assignment.name}: the points of question {question.number} differ")
        said = source.failures(question, names, course["name"], course["seed"])
        if said:
            raise ValueError(f"{assignment.name}: the solution of {question.number} fails: {said}")


def for_students(assignment: source.Assignment, folder: Path, wheel: Path) -> None:
    """Write the hand-out: notebook, module with its tests, what to install, and how to begin."""
    name = assignment.name
    save(folder / f"{name}.ipynb", nbformat.writes(source.hand_out(assignment)) + "\n")
    save(folder / f"{name}.py", source.as_module(source.hand_out(assignment, module=True)))
    save(folder / f"test_{name}.py", source.public_tests(assignment))
    pinned = [f"{each}=={version(each)}" for each in sorted(needed())]
    save(folder / "environment.txt", "\n".join([f"./{wheel.name}[notebooks,test]", *pinned]) + "\n")
    save(folder / "README.md", page("students.md", assignment=assignment))
    shutil.copy(wheel, folder)


def needed() -> set[str]:
    """Return the packages that students install: those of the extras `notebooks` and `test`."""
    lines = [line for line in requires("vqnp") or [] if not re.search(STRANGE_EXTRA, line)]
    return {re.split(r"[<>=;\[ ]", line)[0] for line in lines} - {"vqnp"}


def for_instructors(
    assignment: source.Assignment, folder: Path, course: dict[str, Any], wheel: Path
) -> None:
    """Write the solution and its page, the autograder, the rubric and the list of bugs."""
    solved = source.solution(assignment)
    with tempfile.TemporaryDirectory() as empty:
        where = {"metadata": {"path": empty}}
        NotebookClient(solved, timeout=600, record_timing=False, resources=where).execute()
    save(folder / "solution.ipynb", nbformat.writes(solved) + "\n")
    save(folder / "solution.html", HTMLExporter().from_notebook_node(solved)[0])
    save(
        folder / f"{assignment.name}.py", source.as_module(source.solution(assignment, module=True))
    )
    save(folder / "rubric.html", page("rubric.html", assignment=assignment))
    save(folder / "rubric.csv", rubric_table(assignment))
    save(folder / "bugs.md", page("bugs.md", assignment=assignment))
    autograder(assignment, folder / "autograder.zip", course, wheel)


def rubric_table(assignment: source.Assignment) -> str:
    """Return a table of the written answers, with a column for the points that you give."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["answer", "points", "rubric"])
    for question in assignment.questions:
        rows.writerows([w.label, w.points, w.rubric] for w in question.written)
    return text.getvalue()


def autograder(
    assignment: source.Assignment, path: Path, course: dict[str, Any], wheel: Path
) -> None:
    """Write otter's zip, which grades notebooks and modules, on Gradescope and here."""
    with tempfile.TemporaryDirectory() as folder:
        tests = Path(folder) / "tests"
        tests.mkdir()
        for question in [q for q in assignment.questions if q.cases]:
            text = source.otter_tests(question, course["name"], course["seed"])
            save(tests / f"q{question.number}.py", text)
        save(Path(folder) / "otter_config.json", json.dumps({"lang": "python"}))
        shutil.copy(wheel, folder)
        # Not its name alone: anyone may register that on an index.
        where = f"/autograder/source/files/{wheel.name}"
        save(Path(folder) / "requirements.txt", f"{where}\n")
        command = ["generate", "-t", "tests", "-o", "made.zip", "-r", "requirements.txt"]
        otter = [sys.executable, "-m", "otter", *command, "-c", "otter_config.json"]
        done = subprocess.run([*otter, wheel.name], cwd=folder, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"otter generate fails: {done.stderr or done.stdout}")
        with zipfile.ZipFile(Path(folder) / "made.zip") as old, zipfile.ZipFile(path, "w") as new:
            for name in sorted(old.namelist()):  # the same bytes at any time of day
                new.writestr(zipfile.ZipInfo(name), old.read(name))


def require_no_leak(assignment: source.Assignment, students: Path) -> None:
    """Raise ``ValueError`` when the hand-out holds what only instructors may see."""
    name = assignment.name
    wheel = next(students.glob("*.whl")).name
    expected = {f"{name}.ipynb", f"{name}.py", f"test_{name}.py", "environment.txt", "README.md"}
    if {path.name for path in students.rglob("*")} != expected | {wheel}:
        raise ValueError(f"{name}: the hand-out holds other files than it should")
    secrets = secret_lines(assignment)
    for path in [students / each for each in sorted(expected)]:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".ipynb":
            notebook = nbformat.reads(text, as_version=4)
            if any(cell.get("outputs") for cell in notebook.cells):
                raise ValueError(f"{name}: {path.name} has outputs")
            text = "\n".join(cell.source for cell in notebook.cells)
        if found := FORBIDDEN.search(text):
            raise ValueError(f"{name}: {path.name} says {found[0]!r}")
        leaked = secrets & {line.strip() for line in text.splitlines()}
        if leaked:
            raise ValueError(f"{name}: {path.name} leaks {leaked.pop()!r}")


def secret_lines(assignment: source.Assignment) -> set[str]:
    """Return the lines of solutions, hidden tests and model answers that no given cell has."""
    secret, given = set(), set()
    for cell in assignment.cells:
        kind = source.role(cell)
        lines = {line.strip() for line in cell.source.splitlines()}
        if kind in ("hidden", "grader", "written", "bug"):
            secret |= lines
        elif kind == "answer":
            shown = {line.strip() for line in source.stripped(cell.source, 0).splitlines()}
            secret |= lines - shown
            given |= shown
        else:
            given |= lines | {line.replace(", raises=False", "") for line in lines}
    return {line for line in secret - given if len(line) >= LEAST_LINE}


def save_manifest(folder: Path, course: dict[str, Any]) -> None:
    """Write the commit, the versions and a checksum of every file."""
    git = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True).stdout.strip()
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    manifest = {
        "course": course["name"],
        "commit": commit or "unknown",
        "versions": {name: version(name) for name in ("vqnp", "numpy", "numba", "otter-grader")},
        "sha256": {
            path.relative_to(folder).as_posix(): sha256(path.read_bytes()).hexdigest()
            for path in files
        },
    }
    save(folder / "manifest.json", json.dumps(manifest, indent=1) + "\n")


def page(name: str, **values: Any) -> str:
    """Fill in one of the pages in the folder ``pages``."""
    return PAGES.get_template(name).render(**values).rstrip() + "\n"


def save(path: Path, text: str) -> None:
    """Write text as UTF-8."""
    path.write_text(text, encoding="utf-8")


def verify(quick: bool) -> int:
    """Run the proofs: those of every assignment, and those of grading."""
    tests = [str(ROOT / "tests" / f"test_{name}.py") for name in ("assignments", "grading")]
    quickly = ["-k", "not otter"] if quick else []
    command = [sys.executable, "-m", "pytest", "-q", *tests, *quickly]
    return subprocess.run(command, cwd=ROOT).returncode


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("build", help="hand-outs, solutions and autograders")
    making.add_argument("names", nargs="*", help=f"of {', '.join(SOURCES)}; all without a name")
    making.add_argument("--classroom50", action="store_true", help="also for Classroom 50")
    judging = commands.add_parser("grade", help="grades and feedback of what was handed in")
    judging.add_argument("name", choices=SOURCES)
    judging.add_argument("submissions", type=Path, help="a folder, or Gradescope's or Canvas's zip")
    judging.add_argument("--built", type=Path, required=True, help="the folder that build made")
    judging.add_argument("--jobs", type=int, default=2)
    judging.add_argument("--canvas", type=Path, help="the gradebook that Canvas exports")
    for command in making, judging:
        command.add_argument("--out", type=Path, required=True)
        command.add_argument("--course", type=Path, help="another course.toml")
    proving = commands.add_parser("verify", help="the proofs")
    proving.add_argument("--quick", action="store_true", help="without otter")
    given = parser.parse_args()
    if given.command == "verify":
        return verify(given.quick)
    course = course_of(given.course)
    if unknown := set(getattr(given, "names", [])) - set(SOURCES):
        parser.error(f"no assignment is called {unknown.pop()}")
    if given.command == "build":
        build(given.names or list(SOURCES), given.out, course, classroom50=given.classroom50)
    else:
        assignment = source.read(SOURCES[given.name], course["name"])
        grader = grading.Grader(
            assignment,
            given.built / "instructors" / given.name,
            given.out,
            course["minutes"] * 60,
            course["gigabytes"],
        )
        grader.grade(given.submissions, given.jobs, given.canvas)
    return 0


if __name__ == "__main__":
    sys.exit(main())
