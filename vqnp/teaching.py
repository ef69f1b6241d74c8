"""What the graded assignments need at a student's desk; it gives no answer away.

A student's name picks their variant. Two guards tell whether a function is the student's own work
and whether the checks are still those of the package. They deter; they are no sandbox.
``caught_by`` judges a test that a student has written by the mistakes that it catches.
"""

import json
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dis import get_instructions
from functools import cache, partial
from hashlib import sha256
from importlib import import_module
from operator import attrgetter
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from vqnp.testing import KnownMistake

LIBRARIES = {"vqnp", "scipy", "sklearn", "torch", "jax", "faiss", "importlib", "otter"}
BUILTINS = {"__import__", "eval", "exec", "open"}  # ways around the guard


def variant(course: str, assignment: str, student: str, n: int) -> int:
    """Return the student's number in an assignment, from 0 to ``n`` − 1.

    Parameters
    ----------
    course, assignment : str
        Their names. Another name gives the student another number.
    student : str
        The e-mail address. Capitals and spaces around it change nothing.
    n : int
        The number of variants.

    Returns
    -------
    int
        The same on every machine: CRC-32 of "course/assignment/student", modulo ``n``.

    Raises
    ------
    ValueError
        When the student has no name yet.

    Example
    -------
    >>> variant("fall26", "a1", "ada@example.edu", 9)
    6
    """
    name = str(student).strip().lower()
    if not name:
        raise ValueError("student must be your e-mail address, got an empty name")
    return zlib.crc32(f"{course}/{assignment}/{name}".encode()) % n


def written_by_hand(*functions: Callable[..., Any], given: Sequence[Any] = ()) -> None:
    """Pass when the functions, and the helpers that they call, borrow from no library but NumPy.

    Parameters
    ----------
    *functions : function
        The student's own.
    given : sequence of functions
        What the assignment lets them use, ``vqnp.nearest`` for instance.

    Raises
    ------
    AssertionError
        It names the functions that were borrowed.

    Example
    -------
    >>> import vqnp
    >>> def mine(points, tokens):
    ...     return vqnp.nearest(points, tokens)[0]
    >>> written_by_hand(mine, given=[vqnp.nearest])
    >>> written_by_hand(mine)
    Traceback (most recent call last):
    AssertionError: mine uses vqnp.nearest: write it yourself, with NumPy
    """
    for function in functions:
        borrowed = sorted(set(_borrowed(function, given, set())))
        if borrowed:
            name = getattr(function, "__name__", repr(function))
            raise AssertionError(
                f"{name} uses {', '.join(borrowed)}: write it yourself, with NumPy"
            )


def _borrowed(value: Any, given: Sequence[Any], seen: set[int]) -> Iterator[str]:
    """Yield the names of what ``value`` reaches in ``LIBRARIES``."""
    if id(value) in seen or any(value is allowed for allowed in given):
        return
    seen.add(id(value))
    home = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", "")
    if _library(home):
        yield _shown(value, home)
    elif isinstance(value, FunctionType):
        yield from _borrowed_by_code(value.__code__, value, given, seen)
    for part in [] if _library(home) else _parts(value):
        yield from _borrowed(part, given, seen)


def _library(module: Any) -> bool:
    return str(module).partition(".")[0] in LIBRARIES


def _shown(value: Any, home: str) -> str:
    if isinstance(value, ModuleType):
        return home
    name = getattr(value, "__qualname__", type(value).__qualname__)
    return f"{home.partition('.')[0]}.{name}"


def _parts(value: Any) -> Iterable[Any]:
    """Return what a function, a container, a wrapper or a class of the student's holds."""
    if isinstance(value, FunctionType):
        cells = [cell for cell in value.__closure__ or () if _filled(cell)]
        defaults = [*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()]
        return [*(cell.cell_contents for cell in cells), *defaults]
    if isinstance(value, MethodType):
        return [value.__func__, value.__self__]
    if isinstance(value, partial):
        return [value.func, *value.args, *value.keywords.values()]
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, list | tuple | set):
        return list(value)
    if hasattr(value, "py_func"):  # compiled by Numba
        return [value.py_func]
    owner = value if isinstance(value, type) else type(value)
    foreign = owner.__module__.partition(".")[0] in {"builtins", "numpy", *sys.stdlib_module_names}
    return [] if foreign else vars(owner).values()


def _filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _borrowed_by_code(
    code: CodeType, owner: FunctionType, given: Sequence[Any], seen: set[int]
) -> Iterator[str]:
    """Yield what the names in ``code`` borrow, with the functions defined inside it."""
    module: ModuleType | None = None  # the module on top of the stack, whose attribute comes next
    for step in get_instructions(code):
        name, value = step.argval, None
        if step.opname == "IMPORT_NAME" and _library(name):
            yield name
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            value = owner.__globals__.get(name)
            if value is None and name in BUILTINS:
                yield name
        elif module is not None and step.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            value = getattr(module, name, None)
        elif module is not None and step.opname not in ("CACHE", "PUSH_NULL", "EXTENDED_ARG"):
            yield from _borrowed(module, given, seen)  # the module itself went somewhere
            module = None
        if isinstance(value, ModuleType):
            module = value
        elif value is not None:
            module = None
            yield from _borrowed(value, given, seen)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _borrowed_by_code(constant, owner, given, seen)


def untouched() -> None:
    """Pass when the functions of this package are those on disk.

    A fresh interpreter reads the same modules, and the functions are compared.

    Raises
    ------
    AssertionError
        It names the functions that were replaced.

    Example
    -------
    >>> untouched()
    """
    here = _digests(_names())
    there = _fresh(tuple(here))
    replaced = [name.replace(":", ".") for name, digest in here.items() if there[name] != digest]
    if replaced:
        raise AssertionError(f"the package was changed: {', '.join(replaced[:5])}")


@cache
def _fresh(names: tuple[str, ...]) -> dict[str, str]:
    """Return the digests of functions in an interpreter that nobody has touched."""
    program = (
        "import json, sys; from vqnp.teaching import _digests\n"
        "print(json.dumps(_digests(json.load(sys.stdin))))"
    )
    command = [sys.executable, "-P", "-c", program]  # -P: not the modules beside the notebook
    done = subprocess.run(
        command, input=json.dumps(names), capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def _names() -> list[str]:
    """Return "module:name" of what the loaded modules of this package and their classes hold."""
    return [
        f"{module}:{name}{inner}"
        for module, loaded in sorted(sys.modules.items())
        if module.partition(".")[0] == "vqnp"
        for name, value in vars(loaded).items()
        if not name.startswith("__")
        for inner in ["", *(f".{m}" for m in (vars(value) if isinstance(value, type) else ()))]
    ]


def _digests(names: Iterable[str]) -> dict[str, str]:
    """Return a digest of the code behind each name; empty for what has none."""
    found = {}
    for name in names:
        module, _, attribute = name.partition(":")
        try:
            value = attrgetter(attribute)(import_module(module))
        except AttributeError:
            found[name] = ""
            continue
        code = getattr(getattr(value, "py_func", value), "__code__", None)
        made = isinstance(code, CodeType)
        found[name] = sha256(repr(_content(code)).encode()).hexdigest() if made else ""
    return found


def _content(code: Any) -> tuple[Any, ...]:
    """Return what makes a function: instructions, names and constants, not where it stands."""
    constants = [
        _content(c)
        if isinstance(c, CodeType)
        else sorted(map(repr, c))  # a set is written in another order by each interpreter
        if isinstance(c, frozenset)
        else repr(c)
        for c in code.co_consts
    ]
    return code.co_code.hex(), code.co_names, code.co_varnames, constants


def caught_by(
    is_right: Callable[..., bool],
    mistakes: Iterable[KnownMistake],
    right: Iterable[Callable[..., Any]],
) -> tuple[str, ...]:
    """Return the names of the mistakes that a student's test catches.

    Parameters
    ----------
    is_right : function
        ``is_right(*functions) -> bool``: the test. It is False, or raises, for a wrong answer.
    mistakes : iterable of KnownMistake
        Those of ``vqnp.testing.mistakes``.
    right : iterable of functions
        Right answers, of which the test must reject none.

    Returns
    -------
    tuple of str
        In the order of ``mistakes``.

    Raises
    ------
    AssertionError
        When the test rejects a right answer.
    TypeError
        When it returns neither True nor False.

    Example
    -------
    >>> from vqnp.testing import mistakes
    >>> import vqnp
    >>> def never_fails(search):
    ...     return True
    >>> caught_by(never_fails, mistakes("nearest"), [vqnp.nearest])
    ()
    """
    for function in right:
        if not _accepts(is_right, function):
            raise AssertionError("your test rejects a right answer, so it catches nothing")
    return tuple(m.name for m in mistakes if not _accepts(is_right, *m.functions))


def _accepts(is_right: Callable[..., bool], *functions: Callable[..., Any]) -> bool:
    try:
        verdict = is_right(*functions)
    except NotImplementedError:
        raise
    except Exception:  # what a wrong function raises is one way to be caught
        return False
    if verdict not in (True, False):
        raise TypeError(f"your test must return True or False, got {verdict!r:.60}")
    return bool(verdict)
