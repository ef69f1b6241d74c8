"""A reader can step through a kernel: without compilation a debugger stops inside and reads it."""

import inspect
import os
import re
import subprocess
import sys

from vqnp.fast.windows import gather_windows
from vqnp.quantize.search import _search_rows

SEARCH = """\
import numpy as np
from vqnp.quantize.search import _search_rows, nearest

points = np.array([[0.0], [2.0]])
tokens = np.array([[5.0], [1.0], [3.0], [9.0], [7.0]])
nearest(points, tokens)
"""

WINDOWS = """\
import numpy as np
from vqnp.fast.windows import gather_windows
from vqnp.layers.im2col import im2col

image = np.arange(1.0, 10).reshape(1, 3, 3, 1)
im2col(image, kernel_size=2)
"""


def read_at(directory, program, kernel, line, expression, stops):
    """Return the ``expression`` at the ``line`` of ``kernel`` that begins so.

    The debugger stops there ``stops`` times while ``program`` runs.
    """
    lines, first = inspect.getsourcelines(getattr(kernel, "py_func", kernel))
    (number,) = (i for i, text in enumerate(lines, first) if text.strip().startswith(line))
    script = directory / "program.py"
    script.write_text(program)
    last = len(program.splitlines())
    commands = [f"until {last}", f"tbreak {kernel.__name__}", "continue", f"break {number}"]
    commands += ["continue", f"print('read', {expression})"] * stops + ["quit", ""]
    done = subprocess.run(
        [sys.executable, "-m", "pdb", script],
        input="\n".join(commands),
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return re.findall(r"read (.*)", done.stdout)


def test_the_search_is_watched_token_by_token(tmp_path):
    expression = (
        "k, one[:2].tolist(), after, two[:2].tolist(), least[:2].tolist(), code[:2].tolist()"
    )
    assert read_at(tmp_path, SEARCH, _search_rows, "_keep_nearer(", expression, stops=3) == [
        "0 [25.0, 9.0] 1 [1.0, 1.0] [inf, inf] [0, 0]",
        "2 [9.0, 1.0] 3 [81.0, 49.0] [1.0, 1.0] [1, 1]",
        # Token 2 was as near to the second point: the lower index stayed.
        "4 [49.0, 25.0] 4 [49.0, 25.0] [1.0, 1.0] [1, 1]",
    ]


def test_windows_are_watched_row_by_row(tmp_path):
    line, expression = "target = columns[y, x, i]", "y, x, i, source.tolist()"
    assert read_at(tmp_path, WINDOWS, gather_windows, line, expression, stops=8) == [
        "0 0 0 [1.0, 2.0]", "0 0 1 [4.0, 5.0]",
        "0 1 0 [2.0, 3.0]", "0 1 1 [5.0, 6.0]",
        "1 0 0 [4.0, 5.0]", "1 0 1 [7.0, 8.0]",
        "1 1 0 [5.0, 6.0]", "1 1 1 [8.0, 9.0]",
    ]  # fmt: skip
