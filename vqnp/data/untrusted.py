"""Reading files that anyone may have made: archives are not unpacked, pickles are not run.

An archive is refused whole when any of its members is unsafe, wanted or not. Unsafe members lie
outside the archive's folder, are links or devices, or are too large. The limit on the total counts
decompressed bytes, so that a small archive cannot fill the memory. Nothing is written to disk.

A pickle is a program: it may name any function and call it. The usual guard admits harmless names.
Here not even these are called. An admitted name becomes an :class:`Inert`, which records its calls.
:func:`byte_array` builds the array from this record. So the file decides neither the code that runs
nor the memory that is set aside.

The published CIFAR-10 files are Python 2 pickles, and name ``_reconstruct``, ``ndarray`` and
``dtype``. A file written by Python 3 finds the first in ``numpy._core``, and spells its bytes as
``_codecs.encode(text, "latin1")``.
"""

import gzip
import io
import math
import pickle
import tarfile
import zlib
from collections.abc import Collection
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from vqnp.validation import Array

MEMBER_BYTES = 64 << 20  # the most that one member may have
TOTAL_BYTES = 256 << 20  # the most that all may have, decompressed
CHUNK_BYTES = 1 << 20


class LimitedReader:
    """A stream that raises ``ValueError`` after more than ``limit`` bytes."""

    def __init__(self, stream: gzip.GzipFile, limit: int) -> None:
        self.stream, self.limit, self.left = stream, limit, limit

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes, none at the end."""
        chunk = self.stream.read(size)
        self.left -= len(chunk)
        if self.left < 0:
            raise ValueError(f"it decompresses to more than {self.limit:,} bytes")
        return chunk


def read_members(
    archive: Path,
    wanted: Collection[str],
    *,
    member_bytes: int = MEMBER_BYTES,
    total_bytes: int = TOTAL_BYTES,
) -> dict[str, bytes]:
    """Return the content of those ``wanted`` members that a ``.tar.gz`` holds, by name.

    Raises ``ValueError`` naming the archive when it is damaged, unsafe or too large.
    """
    try:
        with gzip.open(archive) as stream:
            return _read(LimitedReader(stream, total_bytes), wanted, member_bytes)
    except (ValueError, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise ValueError(
            f"{archive} is refused: not a .tar.gz that can be read safely ({error!s:.300})"
        ) from error


def _read(stream: LimitedReader, wanted: Collection[str], member_bytes: int) -> dict[str, bytes]:
    members: dict[str, bytes] = {}
    with tarfile.open(  # type: ignore[call-overload]
        fileobj=stream, mode="r|", bufsize=CHUNK_BYTES
    ) as tar:
        for member in tar:
            name = checked_name(member, member_bytes)
            if member.isfile() and name in wanted:
                if name in members:
                    raise ValueError(f"it holds {name} twice")
                members[name] = tar.extractfile(member).read()
    while stream.read(CHUNK_BYTES):  # the checksum of the whole archive stands at its end
        pass
    return members


def checked_name(member: tarfile.TarInfo, member_bytes: int) -> str:
    """Return a member's name without ``./``; raises ``ValueError`` naming an unsafe one."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"member {member.name!r:.200} lies outside the archive's folder")
    if not (member.isfile() or member.isdir()):
        raise ValueError(
            f"member {member.name!r} is a link or a device, expected files and folders only"
        )
    if not 0 <= member.size <= member_bytes:
        raise ValueError(
            f"member {member.name!r} declares {member.size:,} bytes, "
            f"expected at most {member_bytes:,}"
        )
    return str(path)


class Inert:
    """Stands for an admitted name and for its result: keeps arguments and state, does nothing."""

    def __init__(self) -> None:
        self.arguments: tuple = ()
        self.state: Any = None

    def __call__(self, *arguments: Any) -> "Inert":
        made = Inert()
        made.arguments = arguments
        return made

    def __setstate__(self, state: Any) -> None:
        self.state = state


class Latin1:
    """Stands for ``_codecs.encode``, in the one way that pickle itself uses it."""

    __slots__ = ()

    def __call__(self, text: str, encoding: str) -> bytes:
        if encoding not in ("latin1", b"latin1"):
            raise pickle.UnpicklingError("_codecs.encode is admitted with 'latin1' alone")
        return text.encode("latin1")


ADMITTED: dict[tuple[str, str], type] = {
    ("numpy.core.multiarray", "_reconstruct"): Inert,
    ("numpy._core.multiarray", "_reconstruct"): Inert,
    ("numpy", "ndarray"): Inert,
    ("numpy", "dtype"): Inert,
    ("_codecs", "encode"): Latin1,
}


class RestrictedUnpickler(pickle.Unpickler):
    """Knows the admitted names and imports nothing."""

    def find_class(self, module: str, name: str) -> Any:
        """Return a stand-in for an admitted name; raises ``pickle.UnpicklingError`` for another."""
        if (module, name) not in ADMITTED:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is not admitted")
        return ADMITTED[module, name]()


def read_pickle(raw: bytes, where: str) -> dict[str, Any]:
    """Return the dictionary pickled in ``raw``, its keys as text, its arrays as :class:`Inert`.

    Raises ``ValueError`` naming ``where`` for a damaged pickle, a name that is not admitted, or
    anything that is no dictionary.
    """
    try:
        found = RestrictedUnpickler(io.BytesIO(raw), encoding="bytes").load()
    # pickle does not document the errors of damaged or hostile files
    except Exception as error:
        raise ValueError(
            f"{where} is refused: not a pickle that can be read safely ({error!s:.300})"
        ) from error
    if not isinstance(found, dict):
        raise ValueError(f"{where} must hold a pickled dictionary, got {type(found).__name__}")
    return {as_text(key): value for key, value in found.items()}


def as_text(value: Any) -> str:
    """Return the text of either Python, str or ASCII bytes, as str; all else gives ``""``."""
    if isinstance(value, bytes):
        return value.decode("ascii", "replace")
    return value if isinstance(value, str) else ""


def byte_array(found: Any, shape: tuple[int, ...], name: str) -> Array:
    """Return the read-only uint8 array that an unpickled ``found`` stands for.

    Raises ``ValueError`` naming ``name`` unless it is a C-ordered uint8 array of exactly ``shape``.
    """
    match found:
        case Inert(state=(_, given, Inert(arguments=("u1" | b"u1", *_)), False, bytes(raw))):
            if given == shape and len(raw) == math.prod(shape):
                return np.frombuffer(raw, np.uint8).reshape(shape)
    raise ValueError(f"{name} must be a C-ordered uint8 array of shape {shape}")
