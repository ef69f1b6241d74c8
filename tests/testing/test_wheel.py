"""The wheel has the golden cases in it, and the checks work from it in an empty folder."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from vqnp.testing.golden import manifest

ROOT = Path(__file__).parents[2]
FROM_THE_WHEEL = """
import numpy as np, vqnp
from vqnp.testing import cases, check_nearest
from vqnp.testing.golden import manifest
assert all(cases(name.removesuffix('.npz')) for name in manifest()['files'])
check_nearest(lambda points, tokens: np.square(points[:, None] - tokens).sum(axis=2).argmin(axis=1))
print(vqnp.__file__)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    pytest.importorskip("setuptools", minversion="77", reason="builds a wheel without the network")
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "vqnp", source / "vqnp", ignore=shutil.ignore_patterns("__pycache__"))
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(built),
        str(source),
    ]
    subprocess.run(command, check=True, capture_output=True, cwd=source)
    return next(built.glob("*.whl"))


def test_the_golden_cases_are_in_it(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {f"vqnp/testing/golden/{name}" for name in manifest()["files"]} | {
        "vqnp/testing/golden/manifest.json"
    } <= set(names)


def test_the_checks_work_from_an_empty_folder(wheel, tmp_path):
    installed, empty = tmp_path / "installed", tmp_path / "empty"
    zipfile.ZipFile(wheel).extractall(installed)
    empty.mkdir()
    environment = os.environ | {
        "PYTHONPATH": str(installed),
        "NUMBA_DISABLE_JIT": "1",
    }  # nothing here needs compiling
    command = [sys.executable, "-c", FROM_THE_WHEEL]
    done = subprocess.run(
        command, cwd=empty, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(installed / "vqnp" / "__init__.py")
