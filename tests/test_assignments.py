"""The graded assignments: points add up, solutions earn them all, stubs none, and bugs are named.

The quick half needs no otter: hidden tests run in this process. The other half builds a course.
"""

import json
import re
import subprocess
import sys
import warnings
import zipfile
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import vqnp.testing

pytest.importorskip("otter", reason="the assignments need the extra `teach`")
pytest.importorskip("yaml", reason="the assignments need the extra `teach`")

FOLDER = Path(__file__).parents[1] / "notebooks" / "assignments"
sys.path.insert(0, str(FOLDER))  # its modules import each other by name
import source  # noqa: E402

COURSE, SEED = "demo", 2026
ALL = [source.read(path, COURSE) for path in sorted(FOLDER.glob("a[0-9]_*.py"))]
ASSIGNMENTS = [pytest.param(a, id=a.name) for a in ALL]
QUESTIONS = [pytest.param(a, q, id=f"{a.name}-{q.number}") for a in ALL for q in a.questions]
BUGS = [
    pytest.param(a, q, bug, id=f"{a.name}-{q.number}-{bug.name}")
    for a in ALL
    for q in a.questions
    for bug in q.bugs
]
TESTED = [each for each in QUESTIONS if each.values[1].cases]
POINTS, MOST_TITLE = 40, 100
SLOW = ("A hundred starts", "Two hundred epochs on your clusters")  # seconds for each answer


def names_of(assignment, bug=None, student=""):
    with np.errstate(all="ignore"):
        return source.names_of(assignment, bug, student)


SOLVED = {}


def solved(assignment):
    """The names of a solution, made once."""
    if assignment.name not in SOLVED:
        SOLVED[assignment.name] = names_of(assignment)
    return SOLVED[assignment.name]


def failures(question, names, **options):
    return list(source.failures(question, names, COURSE, SEED, **options).values())


def stubbed(assignment):
    """The names of a hand-out in which nothing was written; only the student's name is there."""
    found = {"__name__": assignment.name}
    for cell in source.hand_out(assignment, module=True).cells:
        if cell.cell_type == "code":
            code = cell.source.replace('student = ""', 'student = "ada@example.edu"')
            exec(code, found)
    return found


@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_points_add_up(assignment):
    assert all(q.adds_up for q in assignment.questions)
    assert sum(q.points for q in assignment.questions) == POINTS
    assert [q.number for q in assignment.questions] == [*range(1, len(assignment.questions) + 1)]
    table = source.table(assignment)
    assert f"| together | {POINTS} | |" in table
    stated = [float(p) for p in re.findall(r"\(([\d.]+)\)(?=;| \|)", table)]
    assert sum(stated) == POINTS


def test_the_guide_lists_every_assignment():
    guide = (FOLDER / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (a\d) \| .* \| (\d+) \|$", guide, re.MULTILINE)
    assert rows == [(a.name, str(POINTS)) for a in ALL]


@pytest.mark.parametrize(("assignment", "question"), QUESTIONS)
def test_every_hidden_test_has_a_name_and_a_title_of_its_own(assignment, question):
    for each in ([c.name for c in question.cases], [c.title for c in question.cases]):
        assert len(set(each)) == len(each)  # of two with one name, otter runs one
    for case in question.cases:
        assert 0 < len(case.title) <= MOST_TITLE
        assert '"' not in case.title


@pytest.mark.jit
@pytest.mark.parametrize(("assignment", "question"), TESTED)
def test_the_solution_earns_every_point(assignment, question):
    assert failures(question, solved(assignment)) == []


@pytest.mark.parametrize(("assignment", "question"), TESTED)
def test_the_stub_earns_none(assignment, question):
    said = failures(question, stubbed(assignment), guards=False)
    assert len(said) == len(question.cases)
    for message in said:
        assert message.startswith("NotImplementedError")


@pytest.mark.jit
@pytest.mark.parametrize(("assignment", "question", "bug"), BUGS)
def test_a_bug_loses_its_own_question_and_is_named(assignment, question, bug):
    names = names_of(assignment, bug)
    said = {
        q.number: failures(q, names, guards=False)
        for q in assignment.questions
        if q is question or not alone(q, question)
    }
    assert [number for number, messages in said.items() if messages] == [question.number]
    assert bug.says in " ".join(said[question.number])


def alone(slow, question):
    """Whether a question takes seconds, and its answer calls no function of the other one."""
    text = "".join(cell.source for cell in slow.answers)
    return slow.title in SLOW and not any(f"{name}(" in text for name in question.functions)


@pytest.mark.parametrize(("assignment", "question"), TESTED)
def test_every_question_has_bugs(assignment, question):
    assert len(question.bugs) >= 2


def test_an_unknown_tag_and_a_patch_that_does_not_fit_are_refused(tmp_path):
    path = tmp_path / "a9_x.py"
    path.write_text('# %% [markdown]\n# # A\n\n# %% tags=["hiden"]\n1\n')
    with pytest.raises(ValueError, match="hiden"):
        source.read(path, COURSE)
    bug = source.Bug("x", "nowhere", "", "")
    ALL[0].questions[0].bugs.append(bug)
    with pytest.raises(ValueError, match="fits in 0 places"):
        names_of(ALL[0], bug)
    ALL[0].questions[0].bugs.remove(bug)


# The variants: for every name the solution passes, and for a neighbour it does not.


def named(name):
    return next(a for a in ALL if a.name == name)


@pytest.mark.jit
@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_the_solution_of_every_variant_passes(assignment):
    for i in range(50):
        names = names_of(assignment, student=f"s{i}@example.edu")
        for question in assignment.questions:
            varied = any(", student)" in case.source for case in question.cases)
            if varied and (question.title not in SLOW or i < 2):
                assert failures(question, names, guards=False) == []


def neighbours(assignment, differ):
    """Two students' names with unlike variants."""
    first, *others = (names_of(assignment, student=f"s{i}@example.edu") for i in range(20))
    return first, next(other for other in others if differ(first, other))


def test_the_mystery_of_a_neighbour_has_another_name():
    for assignment, number in (named("a1"), 5), (named("a3"), 7):
        mine, other = neighbours(
            assignment, lambda a, b: a["counterexample"]()[0] != b["counterexample"]()[0]
        )
        mixed = mine | {"student": other["student"]}
        said = failures(assignment.questions[number - 1], mixed)
        assert "has another name" in " ".join(said)


def test_the_dialect_of_a_neighbour_is_named():
    a3 = named("a3")
    mine, other = neighbours(a3, lambda a, b: a["dialect"] != b["dialect"])
    said = failures(a3.questions[3], mine | {"student": other["student"]})
    assert f"this is the dialect {mine['dialect']}" in " ".join(said)


# The two cheats, and honest answers of other kinds.


def answered(name, function):
    a1 = named("a1")
    return failures(a1.questions[0], {name: function})


def test_the_package_is_not_an_answer():
    def nearest_token(points, tokens):
        return vqnp.nearest(points, tokens)[0]

    said = answered("nearest_token", nearest_token)
    assert len(said) == len(ALL[0].questions[0].cases)
    assert all("uses vqnp.nearest: write it yourself" in message for message in said)


def test_a_replaced_check_earns_nothing(monkeypatch):
    monkeypatch.setattr(vqnp.testing, "check_nearest", lambda *args, **options: None)
    said = answered("nearest_token", lambda points, tokens: None)
    assert len(said) == len(ALL[0].questions[0].cases)
    assert all("vqnp.testing.check_nearest" in message for message in said)


@pytest.mark.jit
def test_right_answers_of_other_kinds_pass():
    numba = pytest.importorskip("numba")

    def in_blocks(points, tokens):
        found = []
        for start in range(0, len(points), 256):
            block = points[start : start + 256, None]
            found.append(np.square(block - tokens).sum(axis=2).argmin(axis=1))
        return np.concatenate(found)

    def loop(points, tokens):
        codes = np.empty(len(points), np.int64)
        for n in range(len(points)):
            best = np.inf
            for k in range(len(tokens)):
                squared = 0.0
                for d in range(points.shape[1]):
                    difference = points[n, d] - tokens[k, d]
                    squared += difference * difference
                if squared < best:
                    best, codes[n] = squared, k
        return codes

    def helped(points, tokens):
        return np.asfortranarray(in_blocks(points, tokens).reshape(-1, 1))[:, 0].astype(np.int32)

    for answer in in_blocks, numba.njit(loop), helped:
        assert answered("nearest_token", answer) == []


# What is built. From here on, otter is needed.


@pytest.fixture(scope="module")
def make():
    pytest.importorskip("otter", reason="building and grading need the extra `teach`")
    import make

    return make


@pytest.fixture(scope="module")
def course(make, tmp_path_factory):
    """Return a function of an assignment's name; it returns a course with it, built once."""

    @cache
    def built(name):
        out = tmp_path_factory.mktemp("built") / "course"
        make.build([name], out, make.course_of(None))
        return out

    return built


def otter_run(course, folder, name, text, suffix=".py"):
    """Grade one text as otter does, and return its report."""
    (folder / f"{name}{suffix}").write_text(text, encoding="utf-8")
    zipped = course(name) / "instructors" / name / "autograder.zip"
    command = [sys.executable, "-m", "otter", "run", "-a", zipped, "-o", folder, "--no-logo"]
    subprocess.run([*command, folder / f"{name}{suffix}"], check=True, capture_output=True)
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))["tests"]


def scores(tests):
    return {
        t["name"].split(" ")[0]: (t["score"], t["max_score"])
        for t in tests
        if re.match(r"q\d", t["name"])
    }


@pytest.mark.parametrize("assignment", ASSIGNMENTS)
@pytest.mark.parametrize("suffix", [".py", ".ipynb"])
def test_otter_gives_the_solution_all_points_and_the_stub_none(
    course, tmp_path, assignment, suffix
):
    most = assignment.automatic
    folder = course(assignment.name) / "instructors" / assignment.name
    file = folder / (f"{assignment.name}.py" if suffix == ".py" else "solution.ipynb")
    tests = otter_run(course, tmp_path, assignment.name, file.read_text("utf-8"), suffix)
    assert scores(tests) == {name: (points, points) for name, points in most.items()}
    stub = (
        course(assignment.name) / "students" / assignment.name / f"{assignment.name}{suffix}"
    ).read_text("utf-8")
    tests = otter_run(course, tmp_path, assignment.name, stub, suffix)
    assert scores(tests) == {name: (0, points) for name, points in most.items()}


@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_otter_names_a_bug_in_every_question(course, tmp_path, assignment):
    text = (
        course(assignment.name) / "instructors" / assignment.name / f"{assignment.name}.py"
    ).read_text("utf-8")
    tested = [q for q in assignment.questions if q.bugs]
    for question in tested:
        parts = re.split(r"(?=^# ## Question )", text, flags=re.MULTILINE)  # a patch fits one
        parts[question.number] = parts[question.number].replace(
            question.bugs[0].old, question.bugs[0].new
        )
        text = "".join(parts)
    tests = otter_run(course, tmp_path, assignment.name, text)
    for question in tested:
        (said,) = [t for t in tests if t["name"].split(" ")[0] == f"q{question.number}"]
        assert said["score"] < said["max_score"]
        assert question.bugs[0].says in said["output"]


@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_nothing_leaks_from_the_hand_out(make, course, tmp_path, assignment):
    students = course(assignment.name) / "students" / assignment.name
    make.require_no_leak(assignment, students)  # and it finds what is put there:
    question = next(q for q in assignment.questions if q.cases)
    secret = max(make.secret_lines(assignment), key=len)
    (wheel,) = students.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert not [n for n in names if "assignments" in n or n.endswith((".pyc", ".so", ".ipynb"))]
    for file, added in (
        (f"{assignment.name}.py", secret),
        (f"{assignment.name}.py", question.cases[0].source),
        ("README.md", "/home/someone"),
        ("a.pyc", ""),
        ("README.md", "# BEGIN SOLUTION"),
    ):
        copied = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        copied.mkdir()
        for path in students.iterdir():
            (copied / path.name).write_bytes(path.read_bytes())
        with (copied / file).open("a", encoding="utf-8") as out:
            out.write(f"\n{added}\n")
        with pytest.raises(ValueError, match=r"leaks|holds other files|says"):
            make.require_no_leak(assignment, copied)


@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_the_public_tests_run_with_pytest(course, tmp_path, assignment):
    name = assignment.name
    for folder, passes in (("instructors", True), ("students", False)):
        text = (course(name) / folder / name / f"{name}.py").read_text("utf-8")
        (tmp_path / f"{name}.py").write_text(text.replace('student = ""', 'student = "a@b.c"'))
        tests = (course(name) / "students" / name / f"test_{name}.py").read_text("utf-8")
        (tmp_path / f"test_{name}.py").write_text(tests)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        assert (done.returncode == 0) == passes, done.stdout
        assert " passed" in done.stdout if passes else " passed" not in done.stdout
        assert passes or "NotImplementedError" in done.stdout


@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_classroom_50_gives_the_same_points(course, tmp_path, assignment):
    import exports

    name = assignment.name
    exports.classroom50(assignment, course(name) / "students" / name, tmp_path / "x", COURSE, SEED)
    entries = json.loads((tmp_path / "x" / "autograder" / "tests.json").read_text("utf-8"))
    assert sum(each["points"] for each in entries) == sum(assignment.automatic.values())
    solution = course(name) / "instructors" / name / f"{name}.py"
    (tmp_path / f"{name}.py").write_text(solution.read_text("utf-8"), encoding="utf-8")
    tests = [str(tmp_path / "x" / "autograder")]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert f"{len(entries)} passed" in done.stdout, done.stdout
    named = {each["run"].rpartition("/")[2].rstrip('"') for each in entries}
    assert all((Path(tests[0]) / each.partition("::")[0]).is_file() for each in named)


@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_every_picture_of_the_solution_has_its_sentence(course, assignment):
    import nbformat

    solved = nbformat.read(
        course(assignment.name) / "instructors" / assignment.name / "solution.ipynb", 4
    )
    followers = [*solved.cells[1:], SimpleNamespace(source="")]
    for cell, after in zip(solved.cells, followers, strict=True):
        outputs = cell.get("outputs", [])
        if any("image/png" in output.get("data", {}) for output in outputs):
            assert after.source.startswith("*Picture: ")
        assert not [o for o in outputs if o["output_type"] == "error" or o.get("name") == "stderr"]


@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_two_builds_are_equal(make, course, tmp_path, assignment):
    with warnings.catch_warnings():
        make.build([assignment.name], tmp_path / "course", make.course_of(None))
    one, two = (
        json.loads((folder / "manifest.json").read_text("utf-8"))["sha256"]
        for folder in (course(assignment.name), tmp_path / "course")
    )
    assert one == two


def test_a_build_is_whole_or_not_at_all(make, tmp_path, monkeypatch):
    with pytest.raises(FileExistsError, match="already"):
        make.build(["a1"], tmp_path, make.course_of(None))
    monkeypatch.setattr(make, "build_wheel", lambda folder: folder / "none.whl")
    with pytest.raises(FileNotFoundError):  # in the middle of the hand-out
        make.build(["a1"], tmp_path / "course", make.course_of(None))
    assert list(tmp_path.iterdir()) == []
