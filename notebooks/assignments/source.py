"""An assignment's source: a script of cells in which tags say for whom a cell is.

| tag | what the cell holds | who gets it |
|---|---|---|
| none | prose, imports, what is given | notebook and module |
| desk | pictures, runs, printed tables | notebook |
| check | a public check | notebook; the module's pytest file |
| answer | functions; BEGIN SOLUTION to END SOLUTION is theirs to write | both, without solutions |
| written | a written answer; `rubric` says what it must name | both, without the answer |
| hidden | one test of `points`; its docstring is the published title | autograder |
| grader | what hidden tests share | autograder |
| bug | a patch of the answers above: `old`, `new`, `name`, and what the message `says` | nobody |

A heading "## Question 2. Title (8 points)" begins a question. `given` names what its answers may
borrow from the package; "all" switches the guards off.
"""

import ast
import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import indent
from typing import Any

import jupytext
import nbformat
import numpy as np
import yaml
from nbformat import NotebookNode

HEADING = re.compile(r"^## Question (\d+)\. (.+) \((\d+) points\)$", re.MULTILINE)
SOLUTION = re.compile(r"^( *)# BEGIN SOLUTION\n.*?^ *# END SOLUTION$", re.MULTILINE | re.DOTALL)
WRITTEN = "*Write your answer here, below this line.*"
TAGS = {"desk", "check", "answer", "written", "hidden", "grader", "bug", "parameters"}
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
GRADER = """import numpy as np

import vqnp
from vqnp.teaching import caught_by, untouched, variant, written_by_hand
from vqnp.testing import *
"""


@dataclass
class Case:
    """One hidden test: its function, its published title, its points and its source."""

    name: str
    title: str
    points: float
    source: str


@dataclass
class Written:
    """One written answer: its label, its points, what it must name, and a model answer."""

    label: str
    points: float
    rubric: str
    model: str


@dataclass
class Bug:
    """One patch of the answers of a question, and what the message must say."""

    name: str
    old: str
    new: str
    says: str


@dataclass
class Question:
    """One question, with everything that belongs to it."""

    number: int
    title: str
    points: int
    given: list[str] | str = field(default_factory=list)
    answers: list[NotebookNode] = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)
    written: list[Written] = field(default_factory=list)
    bugs: list[Bug] = field(default_factory=list)
    helpers: list[str] = field(default_factory=list)

    @property
    def functions(self) -> list[str]:
        """The names of the functions that a student writes."""
        return [f.name for cell in self.answers for f in functions(cell.source)]

    @property
    def adds_up(self) -> bool:
        """Whether its points are those of its tests and its written answers."""
        return self.points == sum(part.points for part in (*self.cases, *self.written))


@dataclass
class Assignment:
    """The cells of one source, and its questions in order."""

    path: Path
    cells: list[NotebookNode]
    questions: list[Question]

    @property
    def name(self) -> str:
        """Its short name: a1."""
        return self.path.name.partition("_")[0]

    @property
    def automatic(self) -> dict[str, float]:
        """The points that tests give, by question: q1, q2, …"""
        return {f"q{q.number}": sum(c.points for c in q.cases) for q in self.questions if q.cases}

    @property
    def title(self) -> str:
        """The heading of its first cell."""
        return self.cells[0].source.splitlines()[0].removeprefix("# ")


def read(path: Path, course: str) -> Assignment:
    """Read one source for a course; raises ``ValueError`` for an unknown tag."""
    cells = jupytext.read(path).cells
    questions: list[Question] = []
    for i, cell in enumerate(cells):
        cell.id = f"cell-{i}"
        cell.metadata.pop("lines_to_next_cell", None)
        if unknown := set(cell.metadata.get("tags", [])) - TAGS:
            raise ValueError(f"{path.name}: a cell has the unknown tag {unknown}")
        if heading := HEADING.search(cell.source):
            number, title, points = heading.groups()
            questions.append(Question(int(number), title, int(points)))
        if questions:
            _add(questions[-1], cell)
    made = Assignment(path, cells, questions)
    for cell in cells:
        cell.source = cell.source.replace("{table}", table(made))
        if role(cell) == "parameters":
            cell.source = re.sub('^course = ".*"$', f'course = "{course}"', cell.source, flags=re.M)
    return made


def _add(question: Question, cell: NotebookNode) -> None:
    more = cell.metadata
    match role(cell):
        case "answer":
            question.answers.append(cell)
            question.given = more.get("given", [])
        case "hidden":
            (test,) = functions(cell.source)
            title = ast.get_docstring(test) or ""
            question.cases.append(Case(test.name, title, more["points"], cell.source))
        case "grader":
            question.helpers.append(cell.source)
        case "written":
            label = f"{question.number}{'abc'[len(question.written)]}"
            more["label"] = label
            question.written.append(Written(label, more["points"], more["rubric"], cell.source))
        case "bug":
            patch = yaml.safe_load(cell.source)
            question.bugs.append(Bug(**({"says": patch["name"]} | patch)))


def role(cell: NotebookNode) -> str:
    """Return the tag of a cell, or nothing."""
    return (cell.metadata.get("tags") or [""])[0]


def functions(source: str) -> list[ast.FunctionDef]:
    """Return the functions that a cell defines."""
    code = "\n".join("" if line.startswith("%") else line for line in source.split("\n"))
    return [node for node in ast.parse(code).body if isinstance(node, ast.FunctionDef)]


def table(assignment: Assignment) -> str:
    """Return the questions with their points, and what each part looks at."""
    rows = ["| question | points | what decides the points |", "|---|---|---|"]
    for q in assignment.questions:
        parts = [f"{case.title} ({case.points:g})" for case in q.cases]
        parts += [f"written, by hand: {part.rubric} ({part.points:g})" for part in q.written]
        rows.append(f"| {q.number}. {q.title} | {q.points} | {'; '.join(parts)} |")
    total = sum(q.points for q in assignment.questions)
    return "\n".join([*rows, f"| together | {total} | |"])


def stripped(source: str, number: int) -> str:
    """Return the source of an answer without its solutions."""
    return SOLUTION.sub(
        lambda found: (
            f'{found[1]}raise NotImplementedError("question {number} is not written yet")'
        ),
        source,
    )


def without_marks(source: str) -> str:
    """Return a solution without the marks around it."""
    return re.sub(r"^ *# (BEGIN|END) SOLUTION\n?", "", source, flags=re.MULTILINE).rstrip()


def hand_out(assignment: Assignment, *, module: bool = False) -> NotebookNode:
    """Return what students get, as a notebook or as the cells of a module."""
    kept, number = [], 0
    for cell in deepcopy(assignment.cells):
        if heading := HEADING.search(cell.source):
            number = int(heading[1])
        kind = role(cell)
        if kind in ("hidden", "grader", "bug") or (module and kind in ("desk", "check")):
            continue
        if kind == "answer":
            cell.source = stripped(cell.source, number)
        if kind == "written":
            cell.source = f"**Answer {cell.metadata.label}** ({cell.metadata.rubric}).\n{WRITTEN}"
        if kind == "parameters":
            cell.source = re.sub('^student = ".*?"', 'student = ""', cell.source, flags=re.M)
        cell.metadata = {}
        kept.append(cell)
    return _notebook(kept)


def solution(assignment: Assignment, *, module: bool = False) -> NotebookNode:
    """Return the worked solution; without tests for the module."""
    kept = []
    for cell in deepcopy(assignment.cells):
        kind = role(cell)
        if kind == "bug" or (module and kind in ("desk", "check", "hidden", "grader")):
            continue
        if kind in ("hidden", "grader"):
            cell = nbformat.v4.new_markdown_cell(f"```python\n{cell.source}\n```", id=cell.id)
        if kind == "answer":
            cell.source = without_marks(cell.source)
        if kind == "written":
            cell.source = f"**Answer {cell.metadata.label}**\n\n{cell.source}"
        cell.metadata = {}
        kept.append(cell)
    return _notebook(kept)


def _notebook(cells: list[NotebookNode]) -> NotebookNode:
    made = nbformat.v4.new_notebook(cells=cells, metadata=METADATA)
    made.nbformat_minor = 5
    return made


def as_module(notebook: NotebookNode) -> str:
    """Return the notebook as a script of cells."""
    return jupytext.writes(notebook, "py:percent")


def public_tests(assignment: Assignment) -> str:
    """Return the pytest file of the module: the public checks, one a test."""
    name, number = assignment.name, 0
    found = [
        f'"""The public checks of {assignment.title}: run `pytest -q test_{name}.py`."""\n',
        f"from {name} import *  # noqa: F403",
    ]
    for i, cell in enumerate(assignment.cells):
        if heading := HEADING.search(cell.source):
            number = int(heading[1])
        if role(cell) == "check":
            body = indent(cell.source.replace(", raises=False", ""), "    ")
            found.append(f"\n\ndef test_question_{number}_{i}():\n{body}")
    return "\n".join(found) + "\n"


def grader_header(question: Question, course: str, seed: int) -> str:
    """Return what stands above the hidden tests of a question."""
    return "\n\n".join([GRADER, f"COURSE, SEED = {course!r}, {seed}", *question.helpers])


def guarded(question: Question, case: Case) -> str:
    """Return the source of a hidden test; the guards are its first lines."""
    if question.given == "all":
        return case.source
    (test,) = functions(case.source)
    own = [a.arg for a in test.args.args if a.arg in question.functions]
    given = ", ".join(question.given)
    lines = case.source.split("\n")
    guards = f"    untouched()\n    written_by_hand({', '.join(own)}, given=[{given}])"
    return "\n".join([*lines[: test.body[1].lineno - 1], guards, *lines[test.body[1].lineno - 1 :]])


def otter_tests(question: Question, course: str, seed: int) -> str:
    """Return the question's hidden tests in otter's format."""
    parts = [
        "from otter.test_files import test_case\n\nOK_FORMAT = False\n"
        f'name = "q{question.number}"\npoints = None\n',
        grader_header(question, course, seed),
    ]
    for case in question.cases:
        title = f"q{question.number}: {case.title}"
        parts.append(
            f"@test_case(name={title!r}, points={case.points:g}, hidden=True)\n"
            f"{guarded(question, case)}"
        )
    return "\n\n\n".join(parts) + "\n"


def names_of(assignment: Assignment, bug: Bug | None = None, student: str = "") -> dict[str, Any]:
    """Run the solution, with a bug or as another student if given, and return its names.

    Raises ``ValueError`` unless the bug's patch fits in one place.
    """
    found: dict[str, Any] = {"__name__": assignment.name}
    fits = 0
    for question, cell in _cells_of_module(assignment):
        code = without_marks(cell.source) if role(cell) == "answer" else cell.source
        if bug and question and bug in question.bugs and role(cell) == "answer":
            fits += code.count(bug.old)
            code = code.replace(bug.old, bug.new)
        if student and role(cell) == "parameters":
            code = re.sub('^student = ".*?"', f'student = "{student}"', code, flags=re.MULTILINE)
        exec(compile(code, f"<{cell.id}>", "exec"), found)
    if bug and fits != 1:
        raise ValueError(f"{assignment.name}: the bug {bug.name} fits in {fits} places, not in one")
    return found


def _cells_of_module(assignment: Assignment) -> Iterator[tuple[Question | None, NotebookNode]]:
    question, ahead = None, iter(assignment.questions)
    for cell in assignment.cells:
        question = next(ahead) if HEADING.search(cell.source) else question
        if cell.cell_type == "code" and role(cell) in ("", "answer", "parameters"):
            yield question, cell


def failures(
    question: Question, names: dict[str, Any], course: str, seed: int, *, guards: bool = True
) -> dict[str, str]:
    """Run a question's hidden tests on a student's names; return what the failing ones say."""
    space: dict[str, Any] = {}
    exec(compile(grader_header(question, course, seed), "<grader>", "exec"), space)
    said = {}
    for case in question.cases:
        test = guarded(question, case) if guards else case.source
        exec(compile(test, f"<{case.name}>", "exec"), space)
        arguments = functions(case.source)[0].args.args
        try:
            with np.errstate(all="ignore"):
                space[case.name](**{a.arg: names.get(a.arg) for a in arguments})
        except Exception as error:
            said[case.title] = f"{type(error).__name__}: {error}"
    return said
