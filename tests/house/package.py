"""A package read from its source text: its modules, and who imports whom."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path


@dataclass(frozen=True)
class Import:
    """One import of the package's own: who imports whom, and where."""

    importer: str
    imported: str
    where: str


@dataclass(eq=False)
class Module:
    """A file of the package: its dotted name without the package's, its tree and its path."""

    name: str
    path: Path
    shown: str
    tree: ast.Module = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.tree = ast.parse(self.path.read_text(encoding="utf-8"))

    @property
    def is_package(self) -> bool:
        return self.path.stem == "__init__"

    def at(self, node: ast.AST) -> str:
        return f"{self.shown}:{node.lineno}"


@dataclass
class Package:
    """A package on disk. ``""`` names its own ``__init__``, ``"layers.conv"`` a module."""

    root: Path

    @cached_property
    def modules(self) -> dict[str, Module]:
        found = {}
        for path in sorted(self.root.rglob("*.py")):
            parts = path.relative_to(self.root).with_suffix("").parts
            name = ".".join(part for part in parts if part != "__init__")
            found[name] = Module(name, path, str(path.relative_to(self.root.parent)))
        return found

    @cached_property
    def stub(self) -> Module | None:
        """The ``__init__.pyi`` that lists the names people use."""
        path = self.root / "__init__.pyi"
        return Module("", path, f"{self.root.name}/__init__.pyi") if path.exists() else None

    @cached_property
    def lazy(self) -> dict[str, str]:
        """The names of the stub and the module that each comes from."""
        if self.stub is None:
            return {}
        return {
            alias.asname or alias.name: target
            for node in self.stub.tree.body
            if isinstance(node, ast.ImportFrom)
            for alias, target in zip(node.names, self.targets(self.stub, node), strict=True)
        }

    def targets(self, module: Module, node: ast.stmt) -> list[str | None]:
        """Return, for each name that ``node`` imports, the module it is of; None: not of ours."""
        if isinstance(node, ast.Import):
            return [self.within(alias.name) for alias in node.names]
        base = self.base(module, node)
        if base is None:
            return [None] * len(node.names)
        return [self.home_of(base, alias.name) for alias in node.names]

    def base(self, module: Module, node: ast.ImportFrom) -> str | None:
        """Return the module that ``from`` names."""
        if not node.level:
            return self.within(node.module or "")
        parts = module.name.split(".") if module.name else []
        kept = len(parts) + module.is_package - node.level
        if module is self.stub:
            kept = 0
        return ".".join([*parts[:kept], *([node.module] if node.module else [])])

    def home_of(self, base: str, name: str) -> str:
        """Return the module that ``from base import name`` reaches."""
        inner = f"{base}.{name}".lstrip(".")
        if inner in self.modules:
            return inner
        return self.lazy.get(name, base) if base == "" and self.stub is not None else base

    def within(self, dotted: str) -> str | None:
        """Return ``"layers"`` of ``"vqnp.layers"``, and None of a name that is not of ours."""
        first, _, rest = dotted.partition(".")
        return rest if first == self.root.name else None

    @cached_property
    def imports(self) -> list[Import]:
        """Every import of the package's own: in functions and under ``TYPE_CHECKING``, too.

        The package's ``__init__`` is apart: it loads everything, later.
        """
        return [
            Import(module.name, target, module.at(node))
            for module in self.modules.values()
            if module.name
            for node in ast.walk(module.tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for target in dict.fromkeys(self.targets(module, node))
            if target
        ]

    def definition(self, base: str, name: str) -> tuple[Module, ast.AST] | None:
        """Return where ``name`` of the module ``base`` is defined, through imports; or None."""
        module = self.modules.get(base)
        for node in module.tree.body if module else ():
            if name in names_of(node):
                return module, node
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    if name != (alias.asname or alias.name):
                        continue
                    source = self.base(module, node)
                    if source is None:
                        return None
                    inner = self.modules.get(f"{source}.{alias.name}".lstrip("."))
                    found = self.definition(source, alias.name)
                    return found or (inner and (inner, inner.tree))
        return None


def names_of(node: ast.stmt) -> set[str]:
    """Return the names that a statement defines."""
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return {name}
        case ast.Assign(targets=targets):
            return {target.id for target in targets if isinstance(target, ast.Name)}
        case ast.AnnAssign(target=ast.Name(id=name)):
            return {name}
    return set()


def can_be_documented(node: ast.AST) -> bool:
    """Tell whether a docstring can stand in ``node``: it cannot in an assignment."""
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module)


def docstrings(module: Module) -> Iterator[tuple[str, int, str]]:
    """Yield the owner, the line of the first quote and the raw text of every docstring."""
    for node in ast.walk(module.tree):
        if can_be_documented(node) and ast.get_docstring(node, clean=False) is not None:
            first = node.body[0]
            yield getattr(node, "name", "the module"), first.lineno, first.value.value
