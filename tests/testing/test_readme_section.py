"""What the README says of checking other quantizers is run from the README."""

import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from vqnp.testing import CheckFailed, check_ema_unused

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
SECTION = README.split("## Checking a quantizer of your own\n")[1].split("\n## ")[0]


def test_ten_lines_of_pytorch(capsys):
    pytest.importorskip("torch", reason="the quantizer is written in PyTorch")
    code = re.search(r"```python\n(.*?)```", SECTION, re.DOTALL)[1]
    assert sum(bool(line.strip()) for line in code.splitlines()) == 10
    names = {}
    exec(code, names)
    printed = capsys.readouterr().out
    assert printed.startswith(
        "check_ema, dialect paper: all 6 comparisons pass\ncheck_nearest: 1 of 3 comparisons fail"
    )
    assert "expanded-square" in printed
    with pytest.raises(CheckFailed, match="fade into denormal numbers"):
        check_ema_unused(names["step"], arrays="torch")


def test_the_table_is_what_the_script_measures():
    pytest.importorskip("torch", reason="the published quantizer is written in PyTorch")
    measured = re.search(r"`vector-quantize-pytorch` ([\d.]+)", SECTION)[1]
    try:
        installed = version("vector-quantize-pytorch")
    except PackageNotFoundError:
        pytest.skip("vector-quantize-pytorch is not installed")
    if installed != measured:
        pytest.skip(f"the table is of version {measured}, installed is {installed}")
    from published import table

    assert table() in SECTION
