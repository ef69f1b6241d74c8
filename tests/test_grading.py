"""Grading: both kinds of downloads, and submissions that mean harm and cost their own grade alone.

Reading what was handed in needs no otter; running it does.
"""

import csv
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("otter", reason="the assignments need the extra `teach`")
pytest.importorskip("psutil", reason="grading needs the extra `teach`")

FOLDER = Path(__file__).parents[1] / "notebooks" / "assignments"
sys.path.insert(0, str(FOLDER))  # its modules import each other by name
import grading  # noqa: E402
import source  # noqa: E402
import submissions  # noqa: E402

A1 = source.read(FOLDER / "a1_a_codebook.py", "demo")
METADATA = """
submission_1:
  :submitters:
  - :name: Ada L
    :email: Ada@example.edu
submission_2:
  :submitters:
  - :name: Bob
    :email: bob@example.edu
"""


def zipped(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def test_gradescopes_download(tmp_path):
    path = zipped(
        tmp_path / "export.zip",
        {
            "assignment_7_export/submission_metadata.yml": METADATA,
            "assignment_7_export/submission_1/a1.ipynb": "one",
            "assignment_7_export/submission_2/other.py": "two",
            "assignment_7_export/submission_3/notes.txt": "none",
            "assignment_7_export/submission_4/x.py": "",
            "assignment_7_export/submission_4/y.py": "",
        },
    )
    found = submissions.collect(path, "a1")
    assert [(s.key, s.email, s.suffix, s.content) for s in found] == [
        ("submission_1", "Ada@example.edu", ".ipynb", b"one"),
        ("submission_2", "bob@example.edu", ".py", b"two"),
        ("submission_4", "", "", b""),
    ]
    assert found[2].problem == "no file is called a1.ipynb or a1.py"


def test_canvass_download(tmp_path):
    path = zipped(
        tmp_path / "submissions.zip",
        {"lovelaceada_11_901_a1.ipynb": "one", "bobbob_LATE_12_902_a1-2.py": "two"},
    )
    found = submissions.collect(path, "a1")
    assert [(s.key, s.content) for s in found] == [
        ("bobbob_12", b"two"),
        ("lovelaceada_11", b"one"),
    ]


def test_a_folder_of_files_or_of_folders(tmp_path):
    (tmp_path / "ada@example.edu").mkdir()
    (tmp_path / "ada@example.edu" / "a1.py").write_text("one")
    (tmp_path / "bob.ipynb").write_text("two")
    (tmp_path / "link.py").symlink_to("/etc/passwd")
    found = submissions.collect(tmp_path, "a1")
    assert [s.key for s in found] == ["ada@example.edu", "bob"]


def test_names_that_climb_and_bombs_are_harmless(tmp_path, monkeypatch):
    monkeypatch.setattr(submissions, "LARGEST", 1000)
    path = zipped(tmp_path / "x.zip", {"../../evil/a1.py": "x" * 5000, "/etc/a1.py": ""})
    found = submissions.collect(path, "a1")
    assert [s.key for s in found] == ["_", "a1"]
    assert max(len(s.content) for s in found) == 0
    assert any("exceeds" in s.problem for s in found)
    with pytest.raises(ValueError, match="holds no notebooks"):
        submissions.collect(zipped(tmp_path / "y.zip", {"a.txt": ""}), "a1")


def test_canvass_column_is_filled(tmp_path):
    gradebook = tmp_path / "gradebook.csv"
    gradebook.write_text(
        "Student,ID,SIS Login ID,Section,A1 (77),A2 (78)\n    Points Possible,,,,40,40\n"
        '"Lovelace, Ada",11,ada,1,,\n"Bob, Bob",12,bob,1,,3\n'
    )
    grades = [grading.Grade("lovelaceada_11", "", "", {"q1": 8, "q3": 1.5})]
    grading.fill_canvas(gradebook, tmp_path / "canvas.csv", A1, grades)
    rows = list(csv.reader((tmp_path / "canvas.csv").read_text().splitlines()))
    assert rows[2] == ["Lovelace, Ada", "11", "ada", "1", "9.5", ""]
    assert rows[3] == ["Bob, Bob", "12", "bob", "1", "", "3"]
    gradebook.write_text("Student,ID\n")
    with pytest.raises(ValueError, match="0 columns begin with a1"):
        grading.fill_canvas(gradebook, tmp_path / "canvas.csv", A1, grades)


def test_no_cell_is_a_formula():
    assert grading._cell("=HYPERLINK(1)") == "'=HYPERLINK(1)"
    assert grading._cell("ada") == "ada"


# From here on, submissions are run.

HONEST = source.as_module(source.solution(A1, module=True))
START = 'student = "ada@example.edu"'


def hostile(code):
    """The solution, with code that runs first."""
    return f"# %%\n{code}\n\n{HONEST}"


HOSTILE = {
    "hangs": hostile("while True: pass"),
    "crashes": hostile("import os; os._exit(3)"),
    "dies": hostile("import ctypes; ctypes.string_at(0)"),
    "eats": hostile("eaten = [bytearray(10**9) for _ in range(64)]"),
    "prints": hostile("while True: print('x' * 10**6)"),
    "fills": hostile("with open('big', 'wb') as f:\n    while True: f.write(b'x' * 10**7)"),
    "spawns": hostile(
        "import subprocess, sys\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(3600)'],"
        " start_new_session=True)"
    ),
    "exits": hostile("raise SystemExit"),
    "is_no_notebook": "]" * 1000,
}
WRITES = """
import pathlib
for place in (OUT, ZIP):
    try:
        pathlib.Path(place).write_text("mine")
    except OSError:
        pass
"""
READS = """
import glob, os
where = os.environ.get("TMPDIR", "..") + "/**/tests/q*.py"
found = [open(path).read() for path in glob.glob(where, recursive=True)]
def nearest_token(points, tokens):
    raise ValueError("STOLEN" + "".join(found))
"""


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """Nine hostile submissions between two honest ones, graded in one go."""
    pytest.importorskip("otter", reason="grading needs the extra `teach`")
    import make

    folder = tmp_path_factory.mktemp("graded")
    make.build(["a1"], folder / "course", make.course_of(None))
    instructors = folder / "course" / "instructors" / "a1"
    handed_in = folder / "submissions"
    handed_in.mkdir()
    places = f"OUT, ZIP = {str(folder / 'grades' / 'x')!r}, {str(instructors / 'autograder.zip')!r}"
    texts = HOSTILE | {
        "a_first": HONEST,
        "z_last": HONEST.replace(START, 'student = "bob@example.edu"'),
        "writes": hostile(places + WRITES),
        "reads": HONEST + f"\n\n# %%\n{READS}",
    }
    for name, text in texts.items():
        (handed_in / f"{name}.py").write_text(text, encoding="utf-8")
    grader = grading.Grader(A1, instructors, folder / "grades", 600, 4)
    (folder / "warm").mkdir()
    start = time.monotonic()
    grader._require_full_points(folder / "warm")
    # Two at a time, and other work beside them: honest ones must not be stopped.
    grader = replace(grader, seconds=30 + 5 * (time.monotonic() - start))
    grades = {grade.key: grade for grade in grader.grade(handed_in)}
    return folder, grader, grades


def test_honest_work_beside_it_earns_everything_with_otter(graded):
    _, _, grades = graded
    for name in ("a_first", "z_last"):
        assert grades[name].points == A1.automatic
        assert grades[name].notes == []
        assert grades[name].written["6b"].startswith("In my worst end")


@pytest.mark.parametrize("name", ["hangs", "crashes", "dies", "eats", "prints", "fills", "exits"])
def test_a_hostile_submission_costs_its_own_grade_with_otter(graded, name):
    _, _, grades = graded
    # otter goes on after an error; what stands below it in a module is lost
    assert grades[name].total == 0
    if name in ("hangs", "prints"):
        assert grades[name].notes


def test_what_is_no_program_earns_nothing_with_otter(graded):
    assert graded[2]["is_no_notebook"].total == 0


def test_what_a_submission_starts_is_killed_with_otter(graded):
    import psutil

    if not grading.alone():
        pytest.skip("this system cannot separate processes")
    lines = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    assert not [line for line in lines if "import time; time.sleep(3600)" in line]


def test_other_files_stay_as_they_are_with_otter(graded):
    folder, grader, grades = graded
    if not grading.alone():
        pytest.skip("this system cannot protect other files")
    assert not (folder / "grades" / "x").exists()
    assert zipfile.is_zipfile(grader.instructors / "autograder.zip")
    assert grades["writes"].points == A1.automatic


def test_who_reads_the_hidden_tests_spoils_one_question_with_otter(graded):
    folder, _, grades = graded
    assert grades["reads"].points == A1.automatic | {"q1": 0}
    for page in (folder / "grades").rglob("*"):
        assert not page.is_file() or "STOLEN" not in page.read_text("utf-8")
    assert grades["reads"].notes == ["q1 quotes the hidden tests"]


def test_tables_and_pages_with_otter(graded):
    folder, _, grades = graded
    table = (folder / "grades" / "grades.csv").read_text("utf-8")
    rows = list(csv.DictReader(table.splitlines()))
    assert [row["student"] for row in rows] == sorted(grades)
    first = rows[0]
    assert first["automatic"] == "34" or float(first["automatic"]) == 34
    page = (folder / "grades" / "feedback" / "a_first.html").read_text("utf-8")
    assert "Question 1. The nearest token" in page
    by_hand = (folder / "grades" / "by_hand.html").read_text("utf-8")
    assert by_hand.count("In my worst end") >= 2
    assert "a_first" not in by_hand


def test_grading_resumes_with_otter(graded, monkeypatch):
    folder, grader, grades = graded
    ran = []
    monkeypatch.setattr(grading.Grader, "_require_full_points", lambda *given: None)
    whole = grading.run_boxed
    monkeypatch.setattr(grading, "run_boxed", lambda *given: ran.append(1) or whole(*given))
    start = time.monotonic()
    assert grader.grade(folder / "submissions") == list(grades.values())
    assert ran == []
    assert time.monotonic() - start < 10
    changed = folder / "submissions" / "z_last.py"
    changed.write_text(HONEST + "\n\n# changed\n", encoding="utf-8")
    grader.grade(folder / "submissions")
    assert ran == [1]
