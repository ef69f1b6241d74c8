"""The package keeps the rules of the house; ``test_house_rules.py`` tries the rules themselves."""

import doctest
import importlib
from pathlib import Path

import house
import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = house.Package(ROOT / "vqnp")
PAGES = [
    ROOT / page
    for page in (
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "tests/benchmarks/LOG.md",
        "tests/testing/PUBLISHED.md",
    )
]
STATEMENTS = 10_250  # the rebuilt house had 5,720; bits, quantizers, checks and a table came after
README_WORDS = 1_500


def report(offenders):
    return f"{len(offenders)} to mend:\n" + "\n".join(offenders)


@pytest.mark.parametrize("rule", house.RULES)
def test_the_package_keeps(rule):
    offenders = house.RULES[rule](PACKAGE)
    assert not offenders, report(offenders)


@pytest.mark.parametrize("folder", ["vqnp", "tests", "notebooks"])
def test_lines_fit_the_page(folder):
    offenders = house.long_lines(sorted((ROOT / folder).rglob("*.py")), ROOT)
    assert not offenders, report(offenders)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_pages_have_short_sentences_and_lines(path):
    offenders = house.long_markdown_sentences(path) + house.long_markdown_lines(path)
    assert not offenders, report(offenders)


def test_the_readme_stays_short():
    count = len(PAGES[0].read_text(encoding="utf-8").split())  # tables and code included
    assert count <= README_WORDS, f"{count:,} words, at most {README_WORDS:,}: move details"


def test_the_package_stays_small():
    count = house.count_statements(PACKAGE)
    assert count <= STATEMENTS, f"{count:,} statements, at most {STATEMENTS:,}: merge what repeats"


@pytest.mark.jit
def test_the_examples_of_the_docstrings_print_what_they_say(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # an example may write a file
    printed: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    for module in PACKAGE.modules.values():
        for owner, line, text in house.docstrings(module):
            if ">>> " not in text or house.needs_what_is_absent(text):
                continue
            names = dict(vars(importlib.import_module(f"vqnp.{module.name}".rstrip("."))))
            names["__name__"] = "__main__"  # what an example defines is the reader's own
            example = doctest.DocTestParser().get_doctest(
                text, names, owner, str(module.path), line - 1
            )
            runner.run(example, out=printed.append)
    assert not runner.failures, "".join(printed)
