"""Files that are written whole or not at all.

The content goes to a temporary name beside the target, is flushed to disk, and is then renamed.
"""

import json
import os
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from vqnp.validation import Array


@contextmanager
def whole(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that appears at ``path`` when the ``with`` block ends without an exception.

    After an exception the old file is still there, untouched.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)  # reading it means setting it
    os.umask(mask)
    return mask


def writable_directory(path: Path) -> Path:
    """Make the directory ``path`` and prove that files can be written there.

    Raises ``OSError`` naming the directory when they cannot.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path
    except OSError as error:
        raise OSError(f"cannot write to the directory {path}: {error.strerror or error}") from error


def save_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8."""
    with whole(path) as file:
        file.write(text.encode())


def as_json(value: Any, **more: Any) -> Any:
    """Return ``value`` as values that JSON has.

    A dataclass becomes a dictionary of ``more`` and of its fields; those with ``compare=False`` are
    left out. A part of it with a method ``to_json`` is asked for its own. Tuples become lists.

    >>> from vqnp.data import Clusters
    >>> as_json((Clusters(2), 0.5))
    [{'kind': 'Clusters', 'dim': 2, 'per_class': 1000}, 0.5]
    """

    def of_part(part: Any) -> Any:
        return part.to_json() if hasattr(part, "to_json") else as_json(part)

    if is_dataclass(value):
        named = {spec.name: getattr(value, spec.name) for spec in fields(value) if spec.compare}
        return more | {name: of_part(part) for name, part in named.items()}
    if isinstance(value, dict):
        return {name: of_part(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [of_part(part) for part in value]
    return value.item() if isinstance(value, np.generic) else value


def save_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON; raises ``ValueError`` for NaN and infinity."""
    save_text(path, json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False) + "\n")


def save_arrays(path: Path, arrays: dict[str, Array]) -> None:
    """Write named arrays as an uncompressed ``.npz``; nothing in it is pickled."""
    with whole(path) as file:
        np.savez(file, allow_pickle=False, **arrays)


def load_arrays(path: Path) -> dict[str, Array]:
    """Read the arrays that ``save_arrays`` wrote.

    Raises ``ValueError`` naming the file when it is truncated or no such file.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (zipfile.BadZipFile, ValueError, TypeError, EOFError, KeyError, RuntimeError) as error:
        raise ValueError(f"{path} is not a whole .npz file of arrays: {error}") from error


def save_with_meta(path: Path, arrays: dict[str, Array], meta: dict[str, Any]) -> None:
    """Write arrays and ``meta``, JSON values, as one ``.npz``; :func:`load_with_meta` inverts."""
    text = json.dumps(meta | {"arrays": sorted(arrays)}, default=np.generic.item)
    save_arrays(path, arrays | {"meta": np.array(text)})


def load_with_meta(path: Path, format: int) -> tuple[dict[str, Array], dict[str, Any]]:
    """Read the arrays and ``meta`` of a file that :func:`save_with_meta` wrote.

    Raises ``ValueError`` naming the file when an array is missing or too many, or when the entry
    ``format`` of its ``meta`` is another than the one given.
    """
    arrays = load_arrays(path)
    try:
        meta = json.loads(str(arrays.pop("meta")))
        found = meta["format"]
        if found == format and meta["arrays"] != sorted(arrays):
            raise ValueError(f"it should hold the arrays {meta['arrays']}, got {sorted(arrays)}")
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not a whole file of vqnp: {error}") from error
    if found != format:
        raise ValueError(
            f"{path} has format {found}, and this version reads format {format}: "
            "remove it and make it anew"
        )
    return arrays, meta
