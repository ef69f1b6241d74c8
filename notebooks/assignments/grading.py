"""Grade what students handed in, each in a process of its own.

A submission is run by ``otter run`` in an empty folder, with limits of time, memory and file sizes.
On Linux it has no network, sees the other files read-only, and every process that it leaves behind
is killed. What it prints is not kept. Student code and hidden tests share one process: who reads
the tests can spoil their own grade alone, and a message that quotes them is withheld.
"""

import csv
import json
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import jupytext
import psutil
import source
from jinja2 import Environment, FileSystemLoader, select_autoescape
from submissions import Submission, collect

PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "pages"), autoescape=select_autoescape()
)
NAMESPACES = ["unshare", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child"]
# The box stays writable; everything else becomes read-only. Kernels talk through the loopback.
ALONE = """mount --bind "$BOX" "$BOX" && mount -o remount,bind,ro / && mount -t proc proc /proc &&
ip link set lo up && cd "$BOX" && exec "$@" """
LIMITS = 'ulimit -v "$KILOBYTES" -f "$BLOCKS" -c 0; exec "$@"'
LARGEST_FILE = 200_000_000  # bytes that a submission may write to one file
LARGEST_RESULT = 5_000_000  # bytes of otter's report
QUOTED = "otter.test_files"  # the first line of every hidden test file
LONGEST = 4_000  # characters of one message


@dataclass(frozen=True)
class Grade:
    """What one submission earned: points and a report by question, and notes for the instructor."""

    key: str
    email: str
    digest: str
    points: dict[str, float] = field(default_factory=dict)
    reports: dict[str, str] = field(default_factory=dict)
    written: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def total(self) -> float:
        """The sum of its points."""
        return sum(self.points.values())


@dataclass(frozen=True)
class Grader:
    """Grades one assignment into the folder ``out``, and goes on where it was interrupted."""

    assignment: source.Assignment
    instructors: Path
    out: Path
    seconds: float
    gigabytes: float

    def grade(self, submitted: Path, jobs: int = 2, canvas: Path | None = None) -> list[Grade]:
        """Grade every submission, and write the tables and pages."""
        (self.out / "results").mkdir(parents=True, exist_ok=True)
        (self.out / "feedback").mkdir(exist_ok=True)
        submissions = collect(submitted, self.assignment.name)
        with tempfile.TemporaryDirectory() as warm, ThreadPoolExecutor(jobs) as pool:
            self._require_full_points(Path(warm))
            grades = list(pool.map(lambda each: self._kept(each, Path(warm)), submissions))
        self._save_tables(grades)
        if canvas:
            fill_canvas(canvas, self.out / "canvas.csv", self.assignment, grades)
        return grades

    def _require_full_points(self, warm: Path) -> None:
        """Grade the solution: it must earn all points on this machine. It compiles the kernels."""
        content = (self.instructors / f"{self.assignment.name}.py").read_bytes()
        solution = Submission("solution", "", ".py", content)
        grade = self._run(solution, warm, keep=True)
        if grade.points != self.assignment.automatic:
            said = [*grade.notes, *grade.reports.values()]
            raise RuntimeError(f"the solution earns {grade.points}:\n" + "\n".join(said))

    def _kept(self, submission: Submission, warm: Path) -> Grade:
        """Return the kept grade of an unchanged file, or grade it and keep that."""
        tests = sha256((self.instructors / "autograder.zip").read_bytes()).hexdigest()
        digest = sha256(f"{submission.digest} {tests}".encode()).hexdigest()
        path = self.out / "results" / f"{submission.key}.json"
        if path.exists() and json.loads(path.read_text("utf-8"))["digest"] == digest:
            return Grade(**json.loads(path.read_text("utf-8")))
        grade = Grade(**(asdict(self._run(submission, warm)) | {"digest": digest}))
        part = path.with_suffix(".part")
        part.write_text(json.dumps(asdict(grade), indent=1), encoding="utf-8")
        part.replace(path)
        return grade

    def _run(self, submission: Submission, warm: Path, *, keep: bool = False) -> Grade:
        """Run one submission in a box of its own; ``keep`` its compiled kernels in ``warm``."""
        grade = Grade(submission.key, submission.email, "")
        if submission.problem:
            grade.notes.append(submission.problem)
            return grade
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            box = Path(folder)
            for part in ("tmp", "out", "cache"):
                (box / part).mkdir()
            if not keep:
                shutil.copytree(warm, box / "cache", dirs_exist_ok=True)
            file = box / f"{self.assignment.name}{submission.suffix}"
            file.write_bytes(submission.content)
            shutil.copy(self.instructors / "autograder.zip", box)
            ended = run_boxed(box, file.name, self.seconds, self.gigabytes)
            if ended:
                grade.notes.append(ended)
            self._read_results(box / "out" / "results.json", grade)
            if keep:
                shutil.copytree(box / "cache", warm, dirs_exist_ok=True)
        self._read_answers(submission, grade)
        return grade

    def _read_results(self, path: Path, grade: Grade) -> None:
        """Read otter's report, which the submission may have damaged."""
        try:
            if path.is_symlink() or path.stat().st_size > LARGEST_RESULT:
                raise ValueError("too large")
            tests = json.loads(path.read_bytes())["tests"]
            told = {str(t["name"]).split(" ")[0]: t for t in tests}
            for name, points in self.assignment.automatic.items():
                if name in told:
                    earned = float(told[name].get("score") or 0)
                    grade.points[name] = earned if 0 <= earned <= points else 0.0
                    said = str(told[name].get("output", ""))[:LONGEST]
                    if QUOTED in said:
                        grade.notes.append(f"{name} quotes the hidden tests")
                        said = "Withheld: the message quotes the hidden tests."
                    grade.reports[name] = said
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            grade.points.clear()
            grade.notes.append("it left no report")

    def _read_answers(self, submission: Submission, grade: Grade) -> None:
        """Find the written answers, and whose variant it is."""
        try:
            kind = submission.suffix.removeprefix(".")
            cells = jupytext.reads(submission.content.decode(), fmt=kind).cells
        except Exception as error:  # a notebook that is none
            grade.notes.append(f"the file cannot be read: {type(error).__name__}")
            return
        labels = [w.label for q in self.assignment.questions for w in q.written]
        for label in labels:
            text = next((c.source for c in cells if c.source.startswith(f"**Answer {label}")), "")
            answer = text.partition(source.WRITTEN)[2] or text.partition("\n")[2]
            grade.written[label] = answer.strip()[:LONGEST]
        code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
        student = re.search(r'^student = ["\'](.*?)["\']', code, re.MULTILINE)
        given, known = (student[1] if student else "").strip().lower(), grade.email.lower()
        if known and given != known:
            grade.notes.append(f"the variant is that of {given!r:.80}")

    def _save_tables(self, grades: list[Grade]) -> None:
        """Write grades.csv, the feedback and the page of written answers."""
        questions = self.assignment.questions
        automatic = [q for q in questions if q.cases]
        written = [w for q in questions for w in q.written]
        with (self.out / "grades.csv").open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["student", "email", *(f"q{q.number}" for q in automatic), "automatic",
                           *(w.label for w in written), "notes"])  # fmt: skip
            for grade in grades:
                points = [grade.points.get(f"q{q.number}", 0) for q in automatic]
                notes = "; ".join(grade.notes)
                rows.writerow([
                    _cell(grade.key), _cell(grade.email), *points, grade.total,
                    *("" for _ in written), _cell(notes),
                ])  # fmt: skip
        values = {"assignment": self.assignment, "grades": grades}
        page = PAGES.get_template("by_hand.html").render(**values)
        (self.out / "by_hand.html").write_text(page, encoding="utf-8")
        for grade in grades:
            page = PAGES.get_template("feedback.html").render(grade=grade, **values)
            (self.out / "feedback" / f"{grade.key}.html").write_text(page, encoding="utf-8")


def _cell(text: str) -> str:
    """Return text that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t") else text


@cache
def alone() -> bool:
    """Whether this system can run a process without network and with other files read-only."""
    with tempfile.TemporaryDirectory() as box:
        command = [*NAMESPACES, "sh", "-c", ALONE, "sh", "true"]
        try:
            done = subprocess.run(command, env={"BOX": box, "PATH": PATH}, capture_output=True)
        except FileNotFoundError:
            return False
        return done.returncode == 0


PATH = f"{Path(sys.executable).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def run_boxed(box: Path, file: str, seconds: float, gigabytes: float) -> str:
    """Run otter on a file in ``box``, and return why it ended badly, or nothing."""
    environment = {
        "BOX": str(box),
        "PATH": PATH,
        "KILOBYTES": str(int(gigabytes * 1e6)),
        "BLOCKS": str(LARGEST_FILE // 512),
        "HOME": str(box),
        "TMPDIR": str(box / "tmp"),
        "NUMBA_CACHE_DIR": str(box / "cache"),
        "NUMBA_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MPLBACKEND": "agg",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(Path(source.__file__).resolve().parents[2]),
    }
    otter = [sys.executable, "-m", "otter", "run", "--no-logo", "-a", "autograder.zip", "-o", "out"]
    limited = ["sh", "-c", LIMITS, "sh", *otter, file]
    command = [*NAMESPACES, "sh", "-c", ALONE, "sh", *limited] if alone() else limited
    process = subprocess.Popen(
        command,
        cwd=box,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        code = process.wait(seconds)
        return f"it ended with exit code {code}" if code else ""
    except subprocess.TimeoutExpired:
        return f"it was stopped after {seconds:g} seconds"
    finally:
        _kill(process)


def _kill(process: subprocess.Popen[Any]) -> None:
    """Kill a process with all that it has started."""
    try:
        family = [*psutil.Process(process.pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        family = []
    for member in family:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue
    process.kill()
    process.wait()


def fill_canvas(
    gradebook: Path, out: Path, assignment: source.Assignment, grades: list[Grade]
) -> None:
    """Fill in this assignment's column of the gradebook that Canvas exported.

    Raises ``ValueError`` unless exactly one column begins with the assignment's name.
    """
    with gradebook.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    names = (assignment.name.lower(), assignment.title.lower())
    columns = [i for i, head in enumerate(rows[0]) if head.lower().startswith(names)]
    if len(columns) != 1:
        raise ValueError(f"{gradebook}: {len(columns)} columns begin with {assignment.name}, not 1")
    identity = rows[0].index("ID")
    earned = {grade.key.rpartition("_")[2]: grade.total for grade in grades}
    for row in rows[1:]:
        if row[identity] in earned:
            row[columns[0]] = f"{earned[row[identity]]:g}"
    with out.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
