"""Every public name says what it does; the names people use say it with an example."""

import ast
import re
from importlib.util import find_spec

from house.package import Module, Package, can_be_documented, names_of


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


def needs_what_is_absent(text: str) -> bool:
    """Tell whether an example in ``text`` imports a framework that is not installed."""
    return any(f">>> import {name}" in text and not find_spec(name) for name in ("jax", "torch"))


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
    """Tell whether a function has parameters, or a class a constructor or fields that take some.

    A field made by a call (``field(init=False)``, or one that carries its own sentence) is apart.
    """
    if isinstance(node, ast.ClassDef):
        inits = [each for each in node.body if "__init__" in names_of(each)]
        if inits:
            return len(inits[0].args.args) > 1 or bool(inits[0].args.kwonlyargs)
        return any(
            isinstance(each, ast.AnnAssign)
            and "ClassVar" not in ast.unparse(each.annotation)
            and not isinstance(each.value, ast.Call)
            for each in node.body
        )
    return bool(node.args.posonlyargs or node.args.args or node.args.kwonlyargs)


def returns_something(node: ast.FunctionDef | ast.ClassDef) -> bool:
    """Tell whether ``node`` is a function that is not annotated to return None."""
    if isinstance(node, ast.ClassDef):
        return False
    return not (isinstance(node.returns, ast.Constant) and node.returns.value is None)
