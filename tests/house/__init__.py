"""The rules of the house, read from source text alone: each rule returns its offenders.

An offender is one line: where it is (``file:line``) and what to do about it. ``test_house.py``
holds the package to every rule, ``test_house_rules.py`` every rule to a made-up offender.
"""

from collections.abc import Callable

from house.documented import incomplete, needs_what_is_absent, undocumented
from house.imports import circles, upward_imports
from house.lines import count_statements, long_lines, long_markdown_lines
from house.package import Package, docstrings
from house.pages import long_markdown_sentences, long_sentences
from house.sentences import count_words, sentences

__all__ = [
    "RULES",
    "Package",
    "circles",
    "count_statements",
    "count_words",
    "docstrings",
    "incomplete",
    "long_lines",
    "long_markdown_lines",
    "long_markdown_sentences",
    "long_sentences",
    "needs_what_is_absent",
    "sentences",
    "undocumented",
    "upward_imports",
]

RULES: dict[str, Callable[[Package], list[str]]] = {
    "no circle of imports": circles,
    "no upward import": upward_imports,
    "public names have docstrings": undocumented,
    "docstrings of the names people use are whole": incomplete,
    "docstring sentences are short": long_sentences,
}
