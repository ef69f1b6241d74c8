"""What a finished run leaves on disk: arrays and ``info``, a JSON text, in one ``.npz`` file; and whose run it is."""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from vqnp.data import Dataset, Images
from vqnp.files import load_arrays, save_arrays
from vqnp.training import EpochRecord
from vqnp.validation import Array

DIGITS = 16  # of the data's digest: enough to tell them apart

Kind = TypeVar("Kind")


class Described(Protocol):
    """A setting that tells, as JSON values, everything that its run depends on but the data."""

    def to_json(self) -> dict[str, Any]:
        """Return them."""


def account_of(
    setting: Described, data: Dataset | Images, history: Iterable[EpochRecord], seconds: float
) -> dict[str, Any]:
    """Return what is written down of every run: its setting, which data, and its history, epochs numbered from the first of all."""
    return {
        "setting": setting.to_json(),
        "data": data.name,
        "data_identity": data.identity[:DIGITS],
        "seconds": seconds,
        "history": [
            asdict(record) | {"epoch": number} for number, record in enumerate(history, start=1)
        ],
    }


def save_finished(path: Path, info: dict[str, Any], arrays: dict[str, Array]) -> None:
    """Write a finished run, whole or not at all."""
    save_arrays(path, arrays | {"info": np.array(json.dumps(info))})


def load_finished(path: Path, kind: Callable[..., Kind]) -> Kind:
    """Return ``kind(info=..., **arrays)`` of the run in ``path``; raises ``ValueError`` naming the file when it is none."""
    arrays = load_arrays(path)
    try:
        return kind(info=json.loads(str(arrays.pop("info"))), **arrays)
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is not the result of a run: {error}") from error


def is_finished(path: Path, setting: Described, data: Dataset | Images) -> bool:
    """Tell whether ``path`` holds a whole run of exactly this setting on exactly these data."""
    if not path.exists():
        return False
    try:
        info = load_finished(path, lambda info, **_: info)
    except ValueError:
        return False
    wanted = json.loads(json.dumps(setting.to_json()))
    return bool(
        info.get("setting") == wanted and info.get("data_identity") == data.identity[:DIGITS]
    )
