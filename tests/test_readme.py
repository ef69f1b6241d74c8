"""What the README shows is run from the README."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.mark.jit
def test_the_first_snippet(capsys):
    snippet = blocks("python")[0]
    assert sum(bool(line.strip()) for line in snippet.splitlines()) <= 10
    exec(snippet, {})
    printed = capsys.readouterr().out
    header, *lines = printed.splitlines()
    assert re.search(r"baseline +AE-then-VQ", header)
    perplexity = next(line.split() for line in lines if line.startswith("perplexity"))
    assert float(perplexity[1]) < float(perplexity[2])


def test_two_commands_of_one_line_each_make_their_own_environment():
    reproduce, test = (
        next(b for b in blocks("sh") if name in b) for name in ("vqnp reproduce\n", "pytest")
    )
    for command in (reproduce, test):
        assert command.startswith("python3 -m venv ")
        assert command.count("\n") == 1
    assert reproduce.rstrip().endswith("vqnp reproduce")
    assert "grep -m 1 'venv .venv-test' README.md" in (ROOT / ".ci" / "run").read_text()


def test_the_files_it_names_are_there():
    for path in re.findall(r"`(vqnp/[\w/]+(?:\.py)?|tests/[\w/]+(?:\.py)?)/?`", README):
        assert (ROOT / path).exists(), path


def test_every_lesson_is_in_the_index():
    index = re.findall(r'\| <img src="(.*)" width="220" alt=""> \| \[(.*)\]\((.*)\) \| \S', README)
    for script in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.py")):
        title = next(
            line[4:] for line in script.read_text("utf-8").splitlines() if line.startswith("# # ")
        )
        picture, notebook = (
            f"notebooks/pictures/{script.name[:2]}.png",
            f"notebooks/{script.stem}.ipynb",
        )
        assert (picture, title, notebook) in index
        assert (ROOT / picture).exists()
        assert (ROOT / notebook).exists()
