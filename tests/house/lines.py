"""How wide a page is, and how much a package says."""

import ast
from pathlib import Path

from house.package import Package, docstrings

COLUMNS = 100


def long_lines(paths: list[Path], root: Path) -> list[str]:
    """Name every line of source that is longer than the page is wide."""
    return [
        f"{path.relative_to(root)}:{number}: {len(line)} columns, at most {COLUMNS}: break the line"
        for path in paths
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if len(line) > COLUMNS
    ]


def long_markdown_lines(path: Path) -> list[str]:
    """Name every long line of Markdown; a table, a link and a shell command cannot be broken."""
    offenders, fenced = [], ""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("```"):
            fenced = "" if fenced else line
        apart = fenced == "```sh" or line.startswith("|") or "](" in line or "://" in line
        if len(line) > COLUMNS and not apart:
            offenders.append(f"{path.name}:{number}: {len(line)} columns, at most {COLUMNS}")
    return offenders


def count_statements(package: Package) -> int:
    """Return the number of statements in a package, docstrings apart."""
    statements = sum(
        isinstance(node, ast.stmt)
        for module in package.modules.values()
        for node in ast.walk(module.tree)
    )
    return statements - sum(1 for m in package.modules.values() for _ in docstrings(m))
