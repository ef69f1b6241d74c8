import ast
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba import prange
from runs import INTERPRETED

import vqnp
from vqnp.jit import HAS_KERNELS, both


@both
def double(values):
    for i in prange(len(values)):
        values[i] *= 2


def test_the_versions_for_one_thread_and_for_all_give_the_same():
    for version in double:
        values = np.arange(5.0)
        version(values)
        assert values.tolist() == [0, 2, 4, 6, 8]


def test_the_cache_tells_them_apart():
    """Numba keeps compiled code under the function's name, whatever the options.

    If both shared a name, the first compiled would serve as both.
    """
    if not INTERPRETED:
        serial, parallel = (version.py_func.__qualname__ for version in double)
        assert serial != parallel


def test_work_is_spread_from_the_size_asked_for():
    assert double.sized(9, 10) is double.serial
    assert double.sized(10, 10) is double.parallel


# The cache on disk


SHOW_DISTANCE = """
import numpy as np, vqnp
_, distances = vqnp.quantize.search.nearest(np.zeros((9, 3), "f"), np.ones((2, 3), "f"))
print(vqnp.__file__, distances[0])
"""


@pytest.mark.jit
def test_an_edit_of_a_kernel_is_seen_by_the_kernels_that_call_it(tmp_path):
    """``nearest`` calls kernels of ``fast/squares.py``, and Numba does not look there."""
    copy = shutil.copytree(
        Path(vqnp.__file__).parent, tmp_path / "vqnp", ignore=shutil.ignore_patterns("__pycache__")
    )

    def distance():
        command = [sys.executable, "-c", SHOW_DISTANCE]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        file, value = done.stdout.split()
        assert Path(file).parent == copy
        return float(value)

    assert distance() == distance() == 3
    squares = copy / "fast" / "squares.py"
    before = squares.read_text()
    line = "squared[i] += one * one"
    assert line in before
    squares.write_text(before.replace(line, "squared[i] += 2 * one * one"))
    assert distance() != 3
    squares.write_text(before)
    assert distance() == 3


def test_kernels_use_only_files_with_kernels():
    """The digest covers these files alone, so a constant from elsewhere could change unseen."""
    package = Path(vqnp.__file__).parent
    seen = 0
    for path in package.rglob("*.py"):
        if HAS_KERNELS not in path.read_bytes():
            continue
        tree = ast.parse(path.read_text())
        origin = {
            name.asname or name.name: node.module
            for node in tree.body
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("vqnp.")
            for name in node.names
        }
        for name in names_in_kernels(tree) & origin.keys():
            source = package.parent / (origin[name].replace(".", "/") + ".py")
            assert HAS_KERNELS in source.read_bytes(), f"{path.name}: {name} of {source.name}"
            seen += 1
    assert seen > 10


def names_in_kernels(tree):
    makers = {"kernel", "contracting_kernel", "parallel_kernel", "both"}
    kernels = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and makers & {d.id for d in node.decorator_list if isinstance(d, ast.Name)}
    ]
    return {
        name.id
        for function in kernels
        for statement in function.body
        for name in ast.walk(statement)
        if isinstance(name, ast.Name)
    }
