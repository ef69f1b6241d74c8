"""Points give one set of numbers on every processor and for any number of threads.

Other processors are imitated: Numba compiles for them, OpenBLAS takes their kernel, and NumPy and
the C library leave out the instructions they lack. ``golden_points.json`` holds the digests of a
small reproduction of Figures 2, 3 and 5, and of a whole one with three seeds.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from runs import INTERPRETED

HERE = Path(__file__).parent
GOLDEN = json.loads((HERE / "golden_points.json").read_text())
PROCESSORS = {
    "this one": {"NUMBA_NUM_THREADS": "2"},
    "Nehalem": {
        "NUMBA_CPU_NAME": "nehalem",
        "OPENBLAS_CORETYPE": "Nehalem",
        "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3",
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4,-AVX512F",
        "NUMBA_NUM_THREADS": "1",
    },
    "generic": {
        "NUMBA_CPU_NAME": "x86-64",
        "OPENBLAS_CORETYPE": "Prescott",
        "NUMBA_NUM_THREADS": "4",
    },
    "Haswell": {
        "NUMBA_CPU_NAME": "haswell",
        "OPENBLAS_CORETYPE": "Haswell",
        "OPENBLAS_NUM_THREADS": "2",
    },
}


def digests(whole: bool, environment: dict[str, str]) -> dict[str, str]:
    command = [sys.executable, str(HERE / "points_digest.py"), *(["whole"] if whole else [])]
    env = os.environ | {"PYTHONPATH": str(HERE.parent)} | environment
    return json.loads(subprocess.run(command, env=env, capture_output=True, check=True).stdout)


@pytest.mark.jit
@pytest.mark.parametrize("processor", PROCESSORS)
def test_a_small_reproduction(processor):
    assert digests(False, PROCESSORS[processor]) == GOLDEN["small"]


@pytest.mark.skipif(not INTERPRETED, reason="with compilation it is tested above")
def test_a_small_reproduction_without_compilation():
    assert digests(False, {}) == GOLDEN["small"]


@pytest.mark.jit
@pytest.mark.skipif("VQNP_WHOLE" not in os.environ, reason="takes minutes: set VQNP_WHOLE=1")
@pytest.mark.parametrize("processor", PROCESSORS)
def test_the_whole_reproduction(processor):
    assert digests(True, PROCESSORS[processor]) == GOLDEN["whole"]
