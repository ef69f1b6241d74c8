"""Files that are written whole or not at all, and that are read without trust.

The content goes to a temporary name beside the target, is flushed to disk, and is then renamed.
A file that is read may have been made or damaged by anyone. Every error names it, and it decides
neither the code that runs nor the memory that is set aside.
"""

import json
import math
import os
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields, is_dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from vqnp.validation import Array

try:
    import fcntl
except ImportError:  # Windows, which lets no one remove a file that is open
    fcntl = None  # type: ignore[assignment]

HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
LEFT_SECONDS = 2  # a file so old without a lock is left; a younger one may be about to get its name
SHOWN = 1000  # characters of an error that a file caused


@contextmanager
def whole(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that appears at ``path`` when the ``with`` block ends without an exception.

    After an exception the old file is still there, untouched.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            with suppress(OSError):  # there are file systems without locks
                _lock(handle)  # by which _remove_leftovers sees that the writer lives
            yield file
            file.flush()
            os.fsync(handle)
            Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(path)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # a full disk names no file
        raise


def _umask() -> int:
    mask = os.umask(0)  # reading it means setting it
    os.umask(mask)
    return mask


def writable_directory(path: Path) -> Path:
    """Make the directory ``path`` and prove that files can be written there.

    What killed processes left half written there is removed. Raises ``OSError`` naming the
    directory when nothing can be written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            _remove_leftovers(path)
            return path
    except OSError as error:
        raise OSError(f"cannot write to the directory {path}: {error.strerror or error}") from error


def _lock(handle: int) -> None:
    """Lock an open file until it is closed; raises ``OSError`` where another process did."""
    if fcntl is not None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _remove_leftovers(directory: Path) -> None:
    for part in directory.glob(".*.part"):
        with suppress(OSError), part.open("rb") as file:
            _lock(file.fileno())
            if time.time() - part.stat().st_ctime > LEFT_SECONDS:
                part.unlink()


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
    # np.savez refuses to pickle only since NumPy 2.2.
    with whole(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                npy.write_array(member, np.asanyarray(array), allow_pickle=False)


def load_arrays(path: Path) -> dict[str, Array]:
    """Read the arrays that ``save_arrays`` wrote.

    Raises ``ValueError`` naming the file when it is truncated or no such file.
    """
    arrays = {}
    with path.open("rb") as file, named(path, "is not a whole .npz file of arrays"):
        archive = zipfile.ZipFile(file)
        members = archive.infolist()
        if sum(member.file_size for member in members) > path.stat().st_size:
            raise ValueError("its members declare more bytes than it has")
        for member in members:
            with archive.open(member) as content:
                require_header(content, member.file_size)
            with archive.open(member) as content:  # from its start, or its checksum would be off
                array = npy.read_array(content, allow_pickle=False)
            arrays[member.filename.removesuffix(".npy")] = array
    return arrays


def require_header(file: IO[bytes], size: int) -> None:
    """Raise ``ValueError`` unless a ``.npy`` of ``size`` bytes can hold what its header declares.

    It must declare numbers or text. NumPy sets the memory aside before it looks for them.
    """
    version = npy.read_magic(file)
    if version not in HEADERS:
        raise ValueError(f"it has version {version}, which no array of numbers needs")
    shape, _, dtype = HEADERS[version](file)
    if dtype.hasobject or dtype.kind not in "biufcU":
        raise ValueError(f"it declares {dtype}: Python objects and records are not read")
    if math.prod(shape) * max(dtype.itemsize, 1) > size:
        raise ValueError(f"its header declares an array {shape} of {dtype}, more than it holds")


@contextmanager
def named(path: Any, verdict: str) -> Iterator[None]:
    """Turn any exception into a ``ValueError`` of ``path``, ``verdict`` and the reason.

    Readers of damaged files raise what they do not document, ``MemoryError`` included. Characters
    that could steer a terminal are escaped.
    """
    try:
        yield
    except Exception as error:
        reason = "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(error)[:SHOWN])
        raise ValueError(f"{path} {verdict}: {reason or type(error).__name__}") from error


def save_with_meta(path: Path, arrays: dict[str, Array], meta: dict[str, Any]) -> None:
    """Write arrays and ``meta``, JSON values, as one ``.npz``; :func:`load_with_meta` inverts."""
    text = json.dumps(meta, default=np.generic.item)
    content = arrays | {"meta": np.array(text)}
    save_arrays(path, content | {"sha256": np.array(digest(content))})


def load_with_meta(path: Path, format: int) -> tuple[dict[str, Array], dict[str, Any]]:
    """Read the arrays and ``meta`` of a file that :func:`save_with_meta` wrote.

    Raises ``ValueError`` naming the file when an array was lost, added or changed, or when the
    entry ``format`` of its ``meta`` is another than the one given.
    """
    arrays = load_arrays(path)
    with named(path, "is not a whole file of vqnp"):
        stored = str(arrays.pop("sha256", None))
        found = digest(arrays)
        meta = json.loads(str(arrays.pop("meta")))
        if meta["format"] == format and stored != found:
            raise ValueError("its arrays are not those that its sha256 was taken of")
    if meta["format"] != format:
        raise ValueError(
            f"{path} has format {meta['format']!r:.80}, and this version reads format {format}: "
            "remove it and make it anew"
        )
    return arrays, meta


def digest(arrays: dict[str, Array]) -> str:
    """Return the SHA-256 of named arrays: their names, dtypes, shapes and bytes."""
    found = sha256()
    for name, array in sorted(arrays.items()):
        found.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()
