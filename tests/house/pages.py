"""The prose of docstrings and of Markdown, in units that no sentence crosses."""

import re
from collections.abc import Iterator
from pathlib import Path

from house.package import Package, docstrings
from house.sentences import count_words, sentences

WORDS_IN_A_SENTENCE = 30


def long_sentences(package: Package) -> list[str]:
    """Name every sentence of a docstring that has too many words."""
    return [
        too_long(f"{module.shown}:{line + above}", sentence)
        for module in package.modules.values()
        for _, line, text in docstrings(module)
        for above, unit in docstring_units(text)
        for sentence in sentences(unit)
        if count_words(sentence) > WORDS_IN_A_SENTENCE
    ]


def long_markdown_sentences(path: Path) -> list[str]:
    """Name every sentence of a Markdown file that has too many words."""
    return [
        too_long(f"{path.name}:{line + 1}", sentence)
        for line, unit in markdown_units(path.read_text(encoding="utf-8"))
        for sentence in sentences(unit)
        if count_words(sentence) > WORDS_IN_A_SENTENCE
    ]


def too_long(where: str, sentence: str) -> str:
    words = count_words(sentence)
    return f"{where}: {words} words, at most {WORDS_IN_A_SENTENCE}: split “{sentence}”"


def docstring_units(text: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of each paragraph, list item and parameter of a docstring.

    Examples, literal blocks (indented after an empty line), drawings and tables of ``=`` are left
    out. In a section of the NumPy style a line ``name : type`` is a head, what is below it is text.
    """
    lines = dedented(text)
    in_section = in_example = in_table = False
    unit: list[str] = []
    begun, after_gap, literal = 0, True, False
    for number, line in enumerate([*lines, ""]):
        body, indent = line.strip(), len(line) - len(line.lstrip())
        below = lines[number + 1].strip() if number + 1 < len(lines) else ""
        heading = bool(body) and bool(re.fullmatch(r"-{3,}|={3,}", below)) and not indent
        rule = bool(re.fullmatch(r"[-=~\s]{3,}", body)) if body else False
        if rule and body.startswith("=") and " " in body:
            in_table = not (in_table and not below)
        in_example = bool(body) and (in_example or body.startswith(">>> "))
        literal = bool(body) and indent >= (8 if in_section else 4) and (literal or after_gap)
        head = in_section and not indent
        starts = heading or rule or head or is_item(body)
        if unit and (not body or in_example or literal or in_table or starts):
            yield begun, " ".join(unit)
            unit = []
        if heading:
            in_section = not re.fullmatch("Notes?|References|Examples?", body)
        kept = not (heading or rule or in_example or literal or in_table)
        kept = kept and not (head and not is_prose(body))
        if body and kept:
            begun = number if not unit else begun
            unit.append(re.sub(r"^([-*]|\d+\.) ", "", body))
        after_gap = not body


def dedented(text: str) -> list[str]:
    """Return the lines without the indentation of the code around them; none is dropped."""
    first, *rest = text.expandtabs().split("\n")
    margin = min((len(line) - len(line.lstrip()) for line in rest if line.strip()), default=0)
    return [first.strip(), *(line[margin:].rstrip() for line in rest)]


def is_item(body: str) -> bool:
    """Tell whether a line begins an item of a list."""
    return bool(re.match(r"([-*]|\d+\.) \S", body))


def is_prose(head: str) -> bool:
    """Tell whether an unindented line of a section is a sentence, and not ``name : type``."""
    return " : " not in head and len(head.split()) > 3


def markdown_units(text: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of each paragraph, item, heading, cell and ``alt`` text."""
    unit: list[str] = []
    begun, fenced = 0, False
    for number, line in enumerate([*text.split("\n"), ""]):
        body = line.strip()
        fence = body.startswith("```")
        apart = fenced or fence or not body or body.startswith(("|", "#", "<", "!["))
        if unit and (apart or is_item(body)):
            yield begun, " ".join(unit)
            unit = []
        fenced ^= fence
        if fenced or fence or not body:
            continue
        for alt in re.findall(r'alt="([^"]*)"|!\[([^\]]*)\]', body):
            yield number, "".join(alt)
        body = re.sub(r"<[^>]*>|!\[[^\]]*\]\([^)]*\)", "", body).strip()
        if body.startswith("|"):
            yield from ((number, cell.strip()) for cell in body.split("|") if cell.strip(" :-"))
        elif body.startswith("#"):
            yield number, body.lstrip("# ")
        elif body:
            begun = number if not unit else begun
            unit.append(re.sub(r"^([-*]|\d+\.) ", "", body))
