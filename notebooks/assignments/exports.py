"""The same assignment for a course that uses another system: Classroom 50, on GitHub.

The hand-out is the template repository. The hidden tests are a pytest file beside ``tests.json``,
in the folder that only the teacher's side holds. Each test is an entry of its own with its points.
"""

import json
import shutil
from pathlib import Path

import source

SECONDS = 120  # for one test, compilation included; Classroom 50 allows 600


def classroom50(
    assignment: source.Assignment, students: Path, folder: Path, course: str, seed: int
) -> None:
    """Write ``template`` and ``autograder`` for Classroom 50 into ``folder``."""
    shutil.copytree(students, folder / "template")
    (folder / "autograder").mkdir()
    entries = []
    for question in assignment.questions:
        file = f"test_hidden_q{question.number}.py"
        if question.cases:
            text = hidden_tests(assignment, question, course, seed)
            (folder / "autograder" / file).write_text(text, encoding="utf-8")
        for case in question.cases:
            entries.append(
                {
                    "name": f"{question.number}. {case.title}",
                    "type": "python",
                    "setup": "python3 -m pip install -q -r environment.txt",
                    "run": f'python3 -m pytest -q "$CLASSROOM50_BUNDLE_DIR/{file}::{case.name}"',
                    "timeout": SECONDS,
                    "points": case.points,
                }
            )
    text = json.dumps(entries, indent=1, ensure_ascii=False) + "\n"
    (folder / "autograder" / "tests.json").write_text(text, encoding="utf-8")


def hidden_tests(
    assignment: source.Assignment, question: source.Question, course: str, seed: int
) -> str:
    """Return the hidden tests of a question for pytest; the student's names are its fixtures."""
    asked = {a.arg for c in question.cases for a in source.functions(c.source)[0].args.args}
    fixtures = [f"@pytest.fixture\ndef {name}():\n    return mine.{name}" for name in sorted(asked)]
    return "\n\n\n".join(
        [
            "import os\nimport sys\n\nimport pytest\n\nsys.path.insert(0, os.getcwd())\n"
            f"import {assignment.name} as mine",
            source.grader_header(question, course, seed),
            *fixtures,
            *(source.guarded(question, case) for case in question.cases),
        ]
    )
