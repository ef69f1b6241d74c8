"""Golden cases: inputs and right answers as arrays, never as seeds, in ``.npz`` files beside this.

``cases("ema")`` reads ``ema.npz``. Nothing in it is pickled. Its sha256 stands in
``manifest.json`` with the settings of each case. Inputs are float32 numbers stored as float64, so
both precisions start from the same numbers. An array of the file is named ``case/inputs/name`` or
``case/outputs/name``.

In a clone of the repository, ``python tests/testing/make_golden.py --check`` makes every case anew
and compares it with the stored one.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache, wraps
from pathlib import Path
from typing import Any

import numpy as np

from vqnp.files import load_arrays
from vqnp.validation import Array as Array  # for the contracts, too

DIRECTORY = Path(__file__).parent


@dataclass(frozen=True)
class Case:
    """Named ``inputs``, the right ``outputs`` to them, and ``settings`` that are no arrays."""

    name: str
    inputs: dict[str, Array]
    outputs: dict[str, Array] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)


Cases = Iterator[Case]
Draw = Callable[[int], tuple[Case, ...]]


@cache
def manifest() -> dict[str, Any]:
    """Return the manifest, which lies beside the cases and has their sha256."""
    return json.loads((DIRECTORY / "manifest.json").read_text(encoding="utf-8"))


@cache
def cases(group: str) -> tuple[Case, ...]:
    """Return the golden cases of a group.

    Parameters
    ----------
    group : str
        A name from the manifest, "ema" or "nearest" for instance. Most are names of checks.

    Returns
    -------
    tuple of Case
        Their arrays are float64 or integers and cannot be written to.

    Raises
    ------
    ValueError
        For an unknown group, and for a file that is not the one in the manifest.

    Example
    -------
    >>> case = cases("perplexity")[0]
    >>> case.name, case.settings, float(case.outputs["perplexity"])
    ('one code', {'tokens': 9}, 1.0)
    """
    files = manifest()["files"]
    path, entry = DIRECTORY / f"{group}.npz", files.get(f"{group}.npz")
    if entry is None:
        groups = ", ".join(name.removesuffix(".npz") for name in files)
        raise ValueError(f"group must be one of {groups}, got {group!r}")
    if hashlib.sha256(path.read_bytes()).hexdigest() != entry["sha256"]:
        raise ValueError(f"{path} is damaged: its sha256 is not the one in manifest.json")
    arrays = load_arrays(path)
    for array in arrays.values():
        array.setflags(write=False)
    return tuple(
        Case(name, _part(arrays, f"{name}/inputs/"), _part(arrays, f"{name}/outputs/"), settings)
        for name, settings in entry["cases"].items()
    )


def _part(arrays: dict[str, Array], prefix: str) -> dict[str, Array]:
    """Return the arrays whose names start with ``prefix``, by the rest of the name."""
    return {k.removeprefix(prefix): a for k, a in arrays.items() if k.startswith(prefix)}


def from_seed(drawn: Callable[[np.random.Generator], Iterable[Case]]) -> Draw:
    """Return the function that draws the same cases from a seed."""
    return wraps(drawn)(lambda seed: tuple(drawn(np.random.default_rng(seed))))


def draw(rng: np.random.Generator, *shape: int) -> Array:
    """Return normal numbers in multiples of 1/1024.

    float32 holds them, sums of them, and their products with small counts.
    """
    return np.round(1024 * rng.standard_normal(shape)) / 1024
