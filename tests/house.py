"""The rules of the house, read from source text alone: each rule returns its offenders, one a line.

An offender says where it is (``file:line``) and what to do about it. ``test_house.py`` holds the
package to every rule, and every rule to a made-up offender.
"""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

# From the ground. A module may import from its own floor and from the floors below.
FLOORS = (
    {"validation", "jit", "threads", "files"},
    {"losses", "optim", "fast", "layers", "quantize", "data", "tiny"},
    {"networks", "models", "diagnostics"},
    {"training"},
    {"experiments", "plots", "testing"},
    {"cli", "lessons", "teaching", "estimators"},
)
STRANGERS = ({"layers", "quantize"},)  # neither of these imports the other
ALONE = {"tiny": {"data.gaussians"}}  # all that a module may import of the package
WORDS_IN_A_SENTENCE = 30
COLUMNS = 100


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


# Imports


def circles(package: Package) -> list[str]:
    """Name the circles of modules; one that holds a shorter one is left out."""
    arrows: dict[str, dict[str, str]] = {}
    for one in package.imports:
        for reached in (one.imported, *foreign_parents(one)):
            arrows.setdefault(one.importer, {}).setdefault(reached, one.where)
    found = [
        (shortest(arrows, imported, importer), where)
        for importer, reached in arrows.items()
        for imported, where in reached.items()
    ]
    offenders: dict[frozenset[str], str] = {}
    for circle, where in sorted(found, key=lambda each: len(each[0])):
        if circle and not any(shorter <= set(circle) for shorter in offenders):
            way = " → ".join([circle[-1], *circle])
            offenders[frozenset(circle)] = f"{where}: circle {way}; move what both need below them"
    return list(offenders.values())


def foreign_parents(one: Import) -> list[str]:
    """Return the packages whose ``__init__`` an import runs on its way, its own ones apart."""
    parts = one.imported.split(".")
    parents = [".".join(parts[:count]) for count in range(1, len(parts))]
    return [name for name in parents if not f"{one.importer}.".startswith(f"{name}.")]


def shortest(arrows: dict[str, dict[str, str]], start: str, end: str) -> list[str]:
    """Return the shortest way along the arrows, both ends included; empty: there is none."""
    ways, seen = [[start]], {start}
    for way in ways:
        if way[-1] == end:
            return way
        ways += [[*way, step] for step in arrows.get(way[-1], {}) if step not in seen]
        seen |= set(arrows.get(way[-1], {}))
    return []


def upward_imports(package: Package) -> list[str]:
    """Name every import of a higher floor, of a stranger, or by a module that stands alone."""
    floor = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    offenders = []
    for one in package.imports:
        above, below = one.importer.partition(".")[0], one.imported.partition(".")[0]
        if above not in floor or below not in floor:
            unknown = above if above not in floor else below
            offenders.append(f"{one.where}: {unknown} has no floor; give it one in tests/house.py")
        elif above in ALONE and one.imported not in ALONE[above]:
            offenders.append(f"{one.where}: {above} stands alone; it may not import {one.imported}")
        elif floor[below] > floor[above]:
            offenders.append(
                f"{one.where}: {one.importer} (floor {floor[above]}) imports {one.imported} "
                f"(floor {floor[below]}); hand it in, or move it down"
            )
        elif above != below and {above, below} in STRANGERS:
            offenders.append(
                f"{one.where}: {above} and {below} do not know each other; hand in what is needed"
            )
    return offenders


# Docstrings


def public_names(package: Package) -> dict[str, tuple[Module, ast.AST]]:
    """Return the definitions of the stub's names and of every ``__all__`` of a package."""
    found = {}
    for module in package.modules.values():
        for name in declared(module) if module.is_package and module.name else ():
            found[f"{module.name}.{name}"] = package.definition(module.name, name)
    for name, base in package.lazy.items():
        module = package.modules.get(base)
        own = (module, module.tree) if module and base.endswith(name) else None
        found[name] = package.definition(base, name) or own
    return {name: where for name, where in found.items() if where}


def declared(module: Module) -> list[str]:
    """Return the names of ``__all__``."""
    for node in module.tree.body:
        if "__all__" in names_of(node) and isinstance(node.value, ast.List | ast.Tuple):
            return [ast.literal_eval(element) for element in node.value.elts]
    return []


def undocumented(package: Package) -> list[str]:
    """Name every public function, class, method or module without a docstring."""
    offenders = {}
    for name, (module, node) in public_names(package).items():
        if not can_be_documented(node):
            continue
        if not ast.get_docstring(node):
            offenders[module, node] = (
                f"{module.at(node) if not isinstance(node, ast.Module) else module.shown}: "
                f"{name} has no docstring; say in one sentence what it does"
            )
        for method in node.body if isinstance(node, ast.ClassDef) else ():
            if is_method(method) and not documented_method(package, module, node, method.name):
                offenders[module, method] = (
                    f"{module.at(method)}: {name}.{method.name} has no docstring; "
                    "say in one sentence what it does"
                )
    return list(offenders.values())


def can_be_documented(node: ast.AST) -> bool:
    """Tell whether a docstring can stand in ``node``: it cannot in an assignment."""
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module)


def is_method(node: ast.stmt) -> bool:
    """Tell whether ``node`` is a public method; a property's setter speaks through its getter."""
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith("_"):
        return False
    return not any(isinstance(d, ast.Attribute) and d.attr == "setter" for d in node.decorator_list)


def documented_method(package: Package, module: Module, owner: ast.ClassDef, name: str) -> bool:
    """Tell whether a method has a docstring, its own or that of the class it overrides."""
    for node in owner.body:
        if name in names_of(node) and can_be_documented(node) and ast.get_docstring(node):
            return True
    for base in owner.bases:
        base = base.value if isinstance(base, ast.Subscript) else base
        found = isinstance(base, ast.Name) and package.definition(module.name, base.id)
        known = found and isinstance(found[1], ast.ClassDef) and found[1] is not owner
        if known and documented_method(package, *found, name):
            return True
    return False


def incomplete(package: Package) -> list[str]:
    """Name what the docstrings of the stub's functions and classes lack."""
    offenders = []
    for name in package.lazy:
        module, node = public_names(package).get(name, (None, None))
        if not isinstance(node, ast.FunctionDef | ast.ClassDef):
            continue
        lacks = missing_sections(node)
        if lacks:
            offenders.append(f"{module.at(node)}: the docstring of {name} lacks {', '.join(lacks)}")
    return offenders


def missing_sections(node: ast.FunctionDef | ast.ClassDef) -> list[str]:
    """Return the sections that a docstring should have and has not."""
    text = ast.get_docstring(node) or ""
    sections = set(re.findall(r"^(\w+)\n-+$", text, re.MULTILINE))
    lacks = []
    if takes_arguments(node) and not sections & {"Parameters", "Attributes"}:
        lacks.append("Parameters")
    if returns_something(node) and "Returns" not in sections:
        lacks.append("Returns")
    if not sections & {"Example", "Examples"} or ">>> " not in text:
        lacks.append("an Example with >>>")
    return lacks


def takes_arguments(node: ast.FunctionDef | ast.ClassDef) -> bool:
    """Tell whether a function has parameters, or a class a constructor or fields that take some."""
    if isinstance(node, ast.ClassDef):
        inits = [each for each in node.body if "__init__" in names_of(each)]
        if inits:
            return len(inits[0].args.args) > 1 or bool(inits[0].args.kwonlyargs)
        return any(isinstance(each, ast.AnnAssign) for each in node.body)
    return bool(node.args.posonlyargs or node.args.args or node.args.kwonlyargs)


def returns_something(node: ast.FunctionDef | ast.ClassDef) -> bool:
    """Tell whether ``node`` is a function that is not annotated to return None."""
    if isinstance(node, ast.ClassDef):
        return False
    return not (isinstance(node.returns, ast.Constant) and node.returns.value is None)


def docstrings(module: Module) -> Iterator[tuple[str, int, str]]:
    """Yield the owner, the line of the first quote and the raw text of every docstring."""
    for node in ast.walk(module.tree):
        if can_be_documented(node) and ast.get_docstring(node, clean=False) is not None:
            first = node.body[0]
            yield getattr(node, "name", "the module"), first.lineno, first.value.value


# Prose

ABBREVIATIONS = {
    "al.", "approx.", "cf.", "ch.", "e.g.", "ed.", "eds.", "eq.", "eqs.", "etc.", "fig.", "figs.",
    "i.e.", "no.", "p.", "pp.", "resp.", "sec.", "st.", "vol.", "vs.",
}  # fmt: skip
SYMBOL = re.compile(r"[^\W\d_]?['′²³ᵀ*]*|[\d.,×/^−+%²³⁰-⁹]+")  # one letter, or a number
OPERATOR = re.compile(r"[=+−·×*/<>≤≥≈→←±∈Σ∑∏√‖|^~≡]+")
SENTENCE_END = re.compile(r"[.!?][)\]”’\"'*_]*$")


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


def plain(text: str) -> str:
    """Return text without its markup: a literal is one word, a link is its words."""
    text = re.sub(r":\w+:(`[^`]+`)", r"\1", text)
    text = re.sub(r"(`+)(.+?)\1", lambda found: "`" + "_".join(found[2].split()) + "`", text)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    return re.sub(r"https?://\S+?(?=[.,;:)]*(\s|$))", "link", text).replace("**", "")


def sentences(text: str) -> list[str]:
    """Return the sentences of a paragraph."""
    tokens, found, begun = plain(text).split(), [], 0
    for number in range(len(tokens)):
        if ends_sentence(tokens, number):
            found.append(" ".join(tokens[begun : number + 1]))
            begun = number + 1
    return [*found, *([" ".join(tokens[begun:])] if begun < len(tokens) else [])]


def ends_sentence(tokens: list[str], number: int) -> bool:
    """Tell whether a sentence ends with this token: a stop that belongs to no abbreviation."""
    token = tokens[number]
    after = tokens[number + 1] if number + 1 < len(tokens) else ""
    stop = SENTENCE_END.search(token)
    if not stop or "..." in token:
        return False
    word = token[: stop.start() + 1].lstrip("([“‘\"'*_")
    if word.lower() in ABBREVIATIONS:
        return word.lower() == "etc." and after[:1].isupper()
    return not is_initial(word, after, tokens[number - 1] if number else "")


def is_initial(word: str, after: str, before: str) -> bool:
    """Tell an initial, as in "by A. van den Oord", from a letter that ends a sentence."""
    if not re.fullmatch(r"[A-Z]\.", word) or not after:
        return False
    opens = not before or before.lower() in {"by", "and", "of"} or before.endswith((",", "&"))
    return (opens and before.lower() != "of") or bool(re.fullmatch(r"[A-Z]\.", before))


def count_words(sentence: str) -> int:
    """Return how many words a sentence has; an equation, however long, is one."""
    count, run, operators = 0, 0, 0
    calls = re.sub(r"\b\w+\([^()]*\)", lambda call: "".join(call[0].split()), sentence)
    for token in [*calls.split(), "end"]:
        bare = token.strip(".,;:!?()[]{}“”‘’\"'*_—–…")
        operator = bool(OPERATOR.fullmatch(token.strip(".,;:()[]{}")))
        # "a" and "I" are words
        if operator or (bare and bare not in "aAI" and SYMBOL.fullmatch(bare)):
            run, operators = run + (not operator), operators + operator
            if not token.endswith((",", ";", ":")):
                continue
            bare = ""
        count += 1 if operators and run else run
        run = operators = 0
        count += any(letter.isalnum() or letter == "`" for letter in bare)
    return count - 1


# Lines and statements


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


RULES: dict[str, Callable[[Package], list[str]]] = {
    "no circle of imports": circles,
    "no upward import": upward_imports,
    "public names have docstrings": undocumented,
    "docstrings of the stub's names are whole": incomplete,
    "docstring sentences are short": long_sentences,
}
