"""The tables of PUBLISHED.md are those that the script measures, where the packages are there."""

import re
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the published quantizers are written in PyTorch")
from published import PUBLISHED, installed, table

PAGE = (Path(__file__).parent / "PUBLISHED.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("package", PUBLISHED)
@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
def test_the_table_is_what_the_script_measures(package):
    measured = re.search(rf"\| `{package}` ([\d.]+)", PAGE)[1]
    if installed(package) != measured:
        found = installed(package) or "no version"
        pytest.skip(f"the table is of {package} {measured}, and {found} is installed")
    assert table(package) in PAGE
