"""Golden cases: inputs and right answers as arrays, never as seeds, in float64 ``.npz`` files beside this module.

``cases("ema")`` reads ``ema.npz``; nothing in it is pickled, and its sha256 stands in ``manifest.json`` with the settings of each
case and how it was made. Inputs are float32 numbers stored as float64: both precisions start from the same numbers. An array of the
file is named ``case/inputs/name`` or ``case/outputs/name``.

    python -m vqnp.testing.golden --check        makes every case anew and compares
    python -m vqnp.testing.golden --write        makes every case anew and stores it
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

import vqnp
from vqnp.files import load_arrays, save_arrays, save_json
from vqnp.validation import Array

FORMAT = 1
DIRECTORY = Path(__file__).parent
GROUPS = (
    "nearest", "ema", "ema_start", "ema_mask", "ema_unused", "revival", "quantizer_step", "kmeans", "straight_through",
    "commitment", "conv2d", "conv_transpose2d", "residual", "optimizer", "perplexity", "training",
)  # fmt: skip
# The same float64 formulas on another machine: its exp, its BLAS and its sums in another order, through ten steps of training.
REMADE = 1e-10


@dataclass(frozen=True)
class Case:
    """Named ``inputs``, the right ``outputs`` to them, and ``settings`` that are no arrays."""

    name: str
    inputs: dict[str, Array]
    outputs: dict[str, Array]
    settings: dict[str, Any] = field(default_factory=dict)


@cache
def manifest() -> dict[str, Any]:
    """Return the manifest; raises ``ValueError`` for a format this version does not read."""
    found = json.loads((DIRECTORY / "manifest.json").read_text(encoding="utf-8"))
    if found["format"] != FORMAT:
        raise ValueError(
            f"golden cases have format {found['format']}, this version of vqnp reads format {FORMAT}"
        )
    return found


@cache
def cases(group: str) -> tuple[Case, ...]:
    """Return the golden cases of ``group``, one of ``GROUPS``; their arrays cannot be written to.

    Raises ``ValueError`` for an unknown group and for a file that is not the one in the manifest.
    """
    if group not in GROUPS:
        raise ValueError(f"group must be one of {', '.join(GROUPS)}, got {group!r}")
    path, entry = DIRECTORY / f"{group}.npz", manifest()["files"][f"{group}.npz"]
    if hashlib.sha256(path.read_bytes()).hexdigest() != entry["sha256"]:
        raise ValueError(f"{path} is damaged: its sha256 is not the one in manifest.json")
    arrays = load_arrays(path)
    for array in arrays.values():
        array.setflags(write=False)
    return tuple(_case(name, settings, arrays) for name, settings in entry["cases"].items())


def _case(name: str, settings: dict[str, Any], arrays: dict[str, Array]) -> Case:
    sides = ({}, {})  # type: tuple[dict[str, Array], dict[str, Array]]
    for side, part in zip(sides, ("inputs", "outputs"), strict=True):
        prefix = f"{name}/{part}/"
        side.update(
            {
                key.removeprefix(prefix): array
                for key, array in arrays.items()
                if key.startswith(prefix)
            }
        )
    return Case(name, *sides, settings)


def write(directory: Path = DIRECTORY) -> None:
    """Make every case anew and store it in ``directory`` with a manifest."""
    files = {}
    for group, made in _made():
        path = directory / f"{group}.npz"
        save_arrays(path, {key: array for case in made for key, array in _arrays(case).items()})
        files[path.name] = {
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "made_by": f"{_module(group)}.make_cases, in float64 from vqnp's own definitions",
            "cases": {case.name: case.settings for case in made},
        }
    versions = {"vqnp": vqnp.__version__, "numpy": np.__version__}
    command = "python -m vqnp.testing.golden --write"
    save_json(
        directory / "manifest.json",
        {"format": FORMAT, "command": command, "versions": versions, "files": files},
    )


def differences() -> list[str]:
    """Make every case anew and return what differs from the stored ones, one line an array."""
    return [line for group, made in _made() for line in _group_differences(group, made)]


def _group_differences(group: str, made: tuple[Case, ...]) -> Iterator[str]:
    stored = cases(group)
    if [(case.name, case.settings) for case in made] != [
        (case.name, case.settings) for case in stored
    ]:
        yield f"{group}: other cases or settings than those stored"
        return
    for new, old in zip(made, stored, strict=True):
        fresh, kept = _arrays(new), _arrays(old)
        for key in sorted(fresh.keys() | kept.keys()):
            if key not in fresh or key not in kept or not _equal(fresh[key], kept[key]):
                yield f"{group}: {key} differs from what is stored"


def _equal(new: Array, old: Array) -> bool:
    if new.shape != old.shape or new.dtype != old.dtype:
        return False
    if new.dtype.kind != "f":
        return np.array_equal(new, old)
    return bool(np.all(np.abs(new - old) <= REMADE * np.abs(old).max(initial=0)))


def _arrays(case: Case) -> dict[str, Array]:
    parts = {"inputs": case.inputs, "outputs": case.outputs}
    return {
        f"{case.name}/{part}/{name}": array
        for part, named in parts.items()
        for name, array in named.items()
    }


def _made() -> Iterator[tuple[str, tuple[Case, ...]]]:
    """Yield each group with its cases, as the module that checks them makes them: through JSON, as they are stored."""
    for group in GROUPS:
        made = import_module(_module(group)).MAKE[group]()
        yield (
            group,
            tuple(
                Case(c.name, c.inputs, c.outputs, json.loads(json.dumps(c.settings))) for c in made
            ),
        )


def _module(group: str) -> str:
    shared = {"ema_start": "start", "revival": "start", "ema_mask": "ema", "ema_unused": "ema", "conv2d": "conv",
              "conv_transpose2d": "conv"}  # fmt: skip
    return f"vqnp.testing.{shared.get(group, group)}"


def draw(rng: np.random.Generator, *shape: int) -> Array:
    """Return normal numbers, in multiples of 1/1024: float32 holds them, sums of them and their products with small counts."""
    return np.round(1024 * rng.standard_normal(shape)) / 1024
