"""Mistakes put into the package, one at a time: the tests must see each.

``python tests/robustness/mutants.py --sample 300`` draws mutants of the syntax tree: another
comparison, operator, constant or branch, a statement dropped, two arguments swapped. Each runs in
a forked process against the tests that matter: first those named for its file without compilation,
then all that name what the file defines, then the same compiled. A mutant that no test sees
survives. It is a missing test, or it is equivalent and stands with its reason in
``equivalent_mutants.txt``. Results are appended to a file, and another call goes on from there.
"""

import argparse
import ast
import collections
import contextlib
import io
import json
import multiprocessing
import os
import random
import re
import resource
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
EQUIVALENT = Path(__file__).with_name("equivalent_mutants.txt")
PLACES = (
    "layers", "quantize", "fast", "losses.py", "optim.py", "models.py", "training", "diagnostics",
)  # fmt: skip
NOT_HERE = re.compile(r"benchmarks|experiments|house|lessons|plots|robustness|notebooks|readme")
ALWAYS = ("testing/test_golden.py", "test_known_bugs.py", "test_tiny.py")
WARM = "matplotlib.pyplot numba pytest scipy.stats scipy.spatial sklearn.cluster torch"
PASSED, NO_TESTS = 0, 5  # what pytest returns

# Mutants of a syntax tree

COMPARISONS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
OPERATORS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip


def parts(node: ast.AST, function: str = "") -> Iterator[tuple[ast.AST, str]]:
    """Yield what can be mutated, with the function around it: no annotation, no message."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_params"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or isinstance(child, ast.JoinedStr):
                continue
            inside = function
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                inside = f"{function}.{child.name}".lstrip(".")
            yield child, inside
            if not isinstance(child, ast.Raise):
                yield from parts(child, inside)


def changed(target: Any, name: str, value: Any) -> Callable[[], None]:
    return lambda: setattr(target, name, value)


def exchanged(items: list, at: int, value: Any) -> Callable[[], None]:
    return lambda: items.__setitem__(at, value)


def sites(node: ast.AST) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield the mutants of one node: what is said of them, and what makes them."""
    match node:
        case ast.Compare(ops=ops):
            for at, op in enumerate(ops):
                new = COMPARISONS[type(op)]
                yield f"{type(op).__name__} becomes {new.__name__}", exchanged(ops, at, new())
        case ast.BinOp(op=op) | ast.AugAssign(op=op) | ast.BoolOp(op=op) if type(op) in OPERATORS:
            new = OPERATORS[type(op)]
            yield f"{type(op).__name__} becomes {new.__name__}", changed(node, "op", new())
        case ast.UnaryOp(op=ast.USub()):
            yield "the sign is dropped", changed(node, "op", ast.UAdd())
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield "the not is dropped", changed(node, "operand", ast.UnaryOp(ast.Not(), operand))
        case ast.Constant(value=bool(value)):
            yield f"{value} becomes {not value}", changed(node, "value", not value)
        case ast.Constant(value=int(value)):
            yield f"{value} becomes {value + 1}", changed(node, "value", value + 1)
        case ast.Constant(value=float(value)):
            new = value * 1.5 if value else 1.0
            yield f"{value} becomes {new}", changed(node, "value", new)
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
            no = ast.copy_location(ast.UnaryOp(ast.Not(), test), test)
            yield "the test is negated", changed(node, "test", no)
        case ast.Call(args=[first, second, *_] as args):
            if not isinstance(first, ast.Starred) and not isinstance(second, ast.Starred):
                swapped = [second, first, *args[2:]]
                yield "two arguments are swapped", changed(node, "args", swapped)
    for block in ("body", "orelse", "finalbody"):
        statements = getattr(node, block, None)
        for at, statement in enumerate(statements if isinstance(statements, list) else []):
            if can_be_dropped(statement):
                nothing = ast.copy_location(ast.Pass(), statement)
                said = f"dropped: {ast.unparse(statement).splitlines()[0]}"
                yield said, exchanged(statements, at, nothing)


def can_be_dropped(statement: ast.AST) -> bool:
    """Tell whether the names are defined without this statement."""
    match statement:
        case ast.Expr(value=ast.Call()) | ast.AugAssign() | ast.Raise() | ast.Break():
            return True
        case ast.Continue() | ast.Assign(targets=[ast.Subscript() | ast.Attribute()]):
            return True
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            return any(isinstance(n, ast.Name) and n.id == name for n in ast.walk(value))
    return False


class Mutant(NamedTuple):
    """One mistake: its file, its number among the mutants of that file, and its name."""

    path: str
    number: int
    name: str  # without line numbers, which move


def mutations(path: str) -> tuple[ast.Module, list[tuple[str, Callable[[], None]]]]:
    """Return the tree of a file, and the name of every mutant with the change that makes it."""
    source = (ROOT / path).read_text()
    lines, tree, found = source.splitlines(), ast.parse(source), []
    seen: collections.Counter = collections.Counter()
    for node, inside in parts(tree):
        for said, change in sites(node):
            line = "" if said.startswith("dropped") else f"{lines[node.lineno - 1].strip()} | "
            name = f"{path} | {inside} | {line}{said}"
            seen[name] += 1
            found.append((name if seen[name] == 1 else f"{name} #{seen[name]}", change))
    return tree, found


def every_mutant() -> list[Mutant]:
    files = [file for place in PLACES for file in sorted((ROOT / "vqnp").glob(f"{place}*"))]
    files = [inner for file in files for inner in (sorted(file.glob("*.py")) or [file])]
    paths = [str(file.relative_to(ROOT)) for file in files if file.name != "__init__.py"]
    return [
        Mutant(path, number, name)
        for path in paths
        for number, (name, _) in enumerate(mutations(path)[1])
    ]


# The tests that matter for a file


def named_for(path: str) -> list[str]:
    """Return the test files that are named for a file of the package."""
    inner = Path(path).relative_to("vqnp")
    found = (TESTS / inner.parent).glob(f"test_{inner.stem}*.py")
    return sorted(str(file) for file in found)


def that_name(path: str) -> list[str]:
    """Return the test files that name what a file defines, those that say it most often first."""
    tree = ast.parse((ROOT / path).read_text())
    defined = [n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)]
    words = re.compile(rf"\b({'|'.join([*defined, f'{Path(path).stem} import'])})\b")
    counts = {
        str(file): len(words.findall(file.read_text()))
        for file in TESTS.rglob("test_*.py")
        if not NOT_HERE.search(str(file.relative_to(TESTS)))
    }
    naming = sorted((file for file in counts if counts[file]), key=lambda file: -counts[file])
    return naming + [str(TESTS / file) for file in ALWAYS if not counts[str(TESTS / file)]]


def of_importers(path: str) -> list[str]:
    """Return the test files that are named for the files that import this one."""
    module = path.removesuffix(".py").replace("/", ".")
    place, _, name = module.rpartition(".")
    words = re.compile(rf"from {module} import|from {place} import .*\b{name}\b")
    files = [file for file in (ROOT / "vqnp").rglob("*.py") if words.search(file.read_text())]
    return [test for file in files for test in named_for(str(file.relative_to(ROOT)))]


def stages(path: str) -> Iterator[tuple[str, list[str], bool]]:
    """Yield the stages a mutant goes through: a name, test files, and whether to compile."""
    near = named_for(path)
    far = list(dict.fromkeys(of_importers(path) + that_name(path)))
    far = [file for file in far if file not in near and not NOT_HERE.search(file)]
    calls = str(TESTS / "robustness" / "test_robustness.py")
    yield "own", near, False
    yield "naming", far, False
    yield "compiled", [*near, *far, calls], True


# One mutant in one process


def run_tests(
    mutant: Mutant | None, tests: Sequence[str], compiled: bool, seconds: int, answer: Path
) -> None:
    """Run the tests on the mutant, in a fork that has not imported the package yet."""
    import numba
    import pytest

    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    numba.config.DISABLE_JIT = not compiled
    os.environ["NUMBA_DISABLE_JIT"] = "01"[not compiled]
    numba.config.CACHE_DIR = str(answer.parent)  # never beside the package
    if mutant:
        tree, found = mutations(mutant.path)
        found[mutant.number][1]()
        code = compile(ast.fix_missing_locations(tree), str(ROOT / mutant.path), "exec")
        get = SourceFileLoader.get_code

        def get_code(self: SourceFileLoader, name: str) -> Any:
            return code if self.get_filename(name) == str(ROOT / mutant.path) else get(self, name)

        SourceFileLoader.get_code = get_code
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        options = ["-x", "-q", "-p", "no:cacheprovider", "--no-header", "--tb=no", "-rfE"]
        code = pytest.main([*options, f"--rootdir={ROOT}", *tests])
    failed = re.search(r"^(?:FAILED|ERROR) (\S+?::.*?)(?: - |$)", said.getvalue(), re.M)
    answer.write_text(json.dumps([int(code), failed[1] if failed else ""]))
    os._exit(0)


@cache
def passes(tests: tuple[str, ...], compiled: bool, seconds: int) -> bool:
    """Tell whether the tests pass, in time, where there is no mistake."""
    return in_a_fork(None, tests, compiled, seconds)[0] == PASSED


def in_a_fork(
    mutant: Mutant | None, tests: Sequence[str], compiled: bool, seconds: int
) -> tuple[int, str]:
    """Return what pytest returned, or the signal that ended it, and the test that failed."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        arguments = mutant, tests, compiled, seconds, answer
        process = multiprocessing.get_context("fork").Process(target=run_tests, args=arguments)
        process.start()
        process.join(20 * seconds)  # one that waits for ever uses no processor
        process.kill()
        process.join()
        if answer.exists():
            return tuple(json.loads(answer.read_text()))
        assert process.exitcode < 0, "the driver has a fault of its own"
        return -process.exitcode, ""


def tried(mutant: Mutant, seconds: int) -> dict[str, Any]:
    """Return the fate of one mutant, and the stages that end too late even without a mistake.

    A test that fails without a mistake shows nothing.
    """
    late = []
    for stage, tests, compiled in stages(mutant.path):
        code, test = in_a_fork(mutant, tests, compiled, seconds) if tests else (NO_TESTS, "")
        if code in (PASSED, NO_TESTS):
            continue
        if passes((test,) if test else tuple(tests), compiled, seconds):
            by = test or f"signal {code}"
            return {"mutant": mutant.name, "fate": "killed", "stage": stage, "by": by}
        late.append(test or stage)
    return {"mutant": mutant.name, "fate": "undecided" if late else "survived", "late": late}


def equivalent() -> set[str]:
    """Return the names of the mutants that change no answer."""
    lines = EQUIVALENT.read_text().splitlines()
    return {line for line in lines if line.startswith("vqnp/")}


def summary(results: list[dict[str, Any]]) -> str:
    """Return the count of each fate, and the survivors without an excuse."""
    excused = equivalent()
    fates: dict[str, list[str]] = collections.defaultdict(list)
    for result in results:
        alive = result["fate"] != "killed"
        fate = "equivalent" if alive and result["mutant"] in excused else result["fate"]
        fates[fate].append(result["mutant"])
    killed, survived = len(fates["killed"]), len(fates["survived"])
    counts = ", ".join(f"{len(names)} {fate}" for fate, names in fates.items())
    share = f"{killed / max(1, killed + survived):.1%} of the decided killed"
    return "\n".join([*fates["survived"], f"{len(results)} mutants: {counts}; {share}"])


def main() -> None:
    """Run a sample, or go on with it, and print the survivors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, help="this many, instead of all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="part of a mutant's name")
    parser.add_argument("--jobs", type=int, default=1, help="mutants at a time")
    parser.add_argument("--seconds", type=int, default=600, help="of the processor, for a stage")
    parser.add_argument("--results", type=Path, default=Path("mutants.jsonl"))
    given = parser.parse_args()
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    for module in WARM.split():
        with contextlib.suppress(ImportError):
            __import__(module)
    chosen = every_mutant()
    random.Random(given.seed).shuffle(chosen)
    chosen = [mutant for mutant in chosen if given.only in mutant.name][: given.sample]
    known = given.results.read_text().splitlines() if given.results.exists() else []
    fates = {result["mutant"]: result for result in map(json.loads, known)}
    waiting = [mutant for mutant in chosen if mutant.name not in fates]
    with ThreadPoolExecutor(given.jobs) as pool, given.results.open("a") as file:
        for result in pool.map(partial(tried, seconds=given.seconds), waiting):
            fates[result["mutant"]] = result
            print(json.dumps(result), file=file, flush=True)
    results = [fates[mutant.name] for mutant in chosen]
    print(summary(results))
    sys.exit(any(r["fate"] == "survived" and r["mutant"] not in equivalent() for r in results))


if __name__ == "__main__":
    main()
