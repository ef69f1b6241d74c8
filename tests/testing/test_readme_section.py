"""What the README and its page on checked quantizers say is run from there."""

import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from vqnp.testing import CheckFailed, check_ema_unused

HERE = Path(__file__).parent
PAGE = (HERE / "PUBLISHED.md").read_text(encoding="utf-8")
README = (HERE.parents[1] / "README.md").read_text(encoding="utf-8")
SECTION = README.split("## Test a quantizer of your own\n")[1].split("\n## ")[0]


def code_of(text):
    return re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]


def test_the_search_of_the_readme_fails_as_it_says(capsys):
    pytest.importorskip("torch", reason="the search is written in PyTorch")
    exec(code_of(SECTION), {})
    printed = capsys.readouterr().out
    assert printed.startswith("check_nearest: 1 of 3 comparisons fail")
    assert "expanded-square" in printed


def test_a_few_lines_of_pytorch(capsys):
    pytest.importorskip("torch", reason="the quantizer is written in PyTorch")
    code = code_of(PAGE)
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
    measured = re.search(r"`vector-quantize-pytorch` ([\d.]+)", PAGE)[1]
    try:
        installed = version("vector-quantize-pytorch")
    except PackageNotFoundError:
        pytest.skip("vector-quantize-pytorch is not installed")
    if installed != measured:
        pytest.skip(f"the table is of version {measured}, installed is {installed}")
    from published import table

    assert table() in PAGE
