"""Reading files that anyone may have made: archives are not unpacked, pickles are not run.

An archive is refused whole when any of its members is unsafe, wanted or not. Unsafe members lie
outside the archive's folder, are links or devices, or are too large. The limit on the total counts
decompressed bytes, so that a small archive cannot fill the memory. Nothing is written to disk.
Headers that carry more about the next member, as its dates, are skipped and not parsed.

A pickle is a program: it may name any function and call it. The usual guard admits harmless names.
Here not even these are called. An admitted name becomes an :class:`Inert`, which records its calls.
:func:`byte_array` builds the array from this record. So the file decides neither the code that runs
nor the memory that is set aside. Before that, :func:`require_plain` walks the pickle: a few bytes
could make the reader set aside any memory, or hash a tuple of tuples for ever.

The published CIFAR-10 files are Python 2 pickles, and name ``_reconstruct``, ``ndarray`` and
``dtype``. A file written by Python 3 finds the first in ``numpy._core``, and spells its bytes as
``_codecs.encode(text, "latin1")``.
"""

import io
import math
import pickle
import tarfile
import zlib
from collections.abc import Collection
from pathlib import Path, PurePosixPath
from pickletools import OpcodeInfo, genops, markobject
from typing import IO, Any

import numpy as np

from vqnp.files import named
from vqnp.validation import Array

MEMBER_BYTES = 64 << 20  # the most that one member may have
TOTAL_BYTES = 256 << 20  # the most that all may have, decompressed
CHUNK_BYTES = 1 << 20
MEMBERS = 1000  # the most that an archive may have
HEADER_BYTES = 64 << 10  # the most that a header about the next member may have
BLOCK_BYTES = 512  # of which a tar is made
OPCODES = 1_000_000  # the most that a pickle may have; a tensor needs some 50
ABOUT_NEXT = {tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE,
              tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK}  # fmt: skip


class LimitedReader:
    """The content of a ``.gz``, which raises ``ValueError`` after more than ``limit`` bytes."""

    def __init__(self, file: IO[bytes], limit: int) -> None:
        self.file, self.limit, self.left = file, limit, limit
        self.inflate = zlib.decompressobj(wbits=31)  # 31: with the header and checksum of gzip

    def read(self, size: int) -> bytes:
        """Return ``size`` bytes, fewer at the end; raises ``EOFError`` before the checksum."""
        found = b""
        while len(found) < size and not self.inflate.eof:
            raw = self.inflate.unconsumed_tail or self.file.read(CHUNK_BYTES)
            if not raw:
                raise EOFError("it is cut short")
            found += self.inflate.decompress(raw, size - len(found))
        self.left -= len(found)
        if self.left < 0:
            raise ValueError(f"it decompresses to more than {self.limit:,} bytes")
        return found


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
    with (
        archive.open("rb") as file,
        named(archive, "is refused: not a .tar.gz that can be read safely"),
    ):
        return _read(LimitedReader(file, total_bytes), wanted, member_bytes)


def _read(stream: LimitedReader, wanted: Collection[str], member_bytes: int) -> dict[str, bytes]:
    members: dict[str, bytes] = {}
    for _ in range(MEMBERS):
        block = stream.read(BLOCK_BYTES)
        if not any(block):  # blocks of zeros, or nothing at all, end the archive
            break
        member = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        about_next = member.type in ABOUT_NEXT
        limit = min(HEADER_BYTES, member_bytes) if about_next else member_bytes
        name = checked_name(member, limit, about_next)
        content = stream.read(member.size + -member.size % BLOCK_BYTES)[: member.size]
        if len(content) < member.size:
            raise ValueError(f"member {member.name!r} is cut short")
        if member.isfile() and name in wanted:
            if name in members:
                raise ValueError(f"it holds {name} twice")
            members[name] = content
    else:
        raise ValueError(f"it has more than {MEMBERS:,} members")
    while stream.read(CHUNK_BYTES):  # the checksum of the whole archive stands at its end
        pass
    return members


def checked_name(member: tarfile.TarInfo, member_bytes: int, about_next: bool = False) -> str:
    """Return a member's name without ``./``; raises ``ValueError`` naming an unsafe one."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"member {member.name!r:.200} lies outside the archive's folder")
    if not (member.isfile() or member.isdir() or about_next):
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


# What a pickled dictionary of texts, numbers, lists and arrays is made of, from protocol 1 on.
# Texts and numbers of 32 bits may be keys. Thousands of other numbers could have one hash.
KEYS = {
    "BININT", "BININT1", "BININT2", "SHORT_BINSTRING", "BINSTRING", "SHORT_BINBYTES", "BINBYTES",
    "SHORT_BINUNICODE", "BINUNICODE",
}  # fmt: skip
PUTS, GETS = {"BINPUT", "LONG_BINPUT", "MEMOIZE"}, {"BINGET", "LONG_BINGET"}
PLAIN = {
    "PROTO", "FRAME", "STOP", "MARK", "NONE", "NEWTRUE", "NEWFALSE", "LONG1", "BINFLOAT",
    "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_LIST", "LIST", "APPEND", "APPENDS",
    "EMPTY_DICT", "DICT", "SETITEM", "SETITEMS", "GLOBAL", "STACK_GLOBAL", "REDUCE", "NEWOBJ",
    "BUILD", "BINPERSID",
} | KEYS | PUTS | GETS  # fmt: skip


def require_plain(raw: bytes, *more_keys: str) -> None:
    """Walk the pickle ``raw`` without loading it; raises ``UnpicklingError`` unless it is plain.

    A pickle numbers what it may use again, and the reader sets aside places up to the largest
    number. It must not exceed the count of opcodes. A key is hashed, which takes for ever for a
    pair of pairs, 60 levels deep. The walk therefore follows the reader's stack: it keeps of each
    value the opcode that made it. Only ``KEYS`` and ``more_keys`` may make a key.
    """
    keys = KEYS.union(more_keys)
    stack: list[str] = []
    marks: list[int] = []  # positions in the stack
    places: dict[Any, str] = {}  # the numbered values
    for count, (opcode, number, _) in enumerate(genops(raw)):
        name = opcode.name
        if name not in PLAIN or count > OPCODES:
            raise pickle.UnpicklingError(f"{name} as opcode {count:,} is not admitted")
        if name == "MARK":
            marks.append(len(stack))
        elif name in PUTS:
            number = len(places) if number is None else number
            if number > count:
                raise pickle.UnpicklingError(f"it sets aside {number:,} places")
            places[number] = "".join(stack[-1:])
        elif name in GETS:
            stack.append(places.get(number, ""))
        else:
            taken = take(stack, marks, opcode)
            pairs = {"SETITEM": taken[1:], "SETITEMS": taken[1:], "DICT": taken}.get(name, [])
            if not keys.issuperset(pairs[::2]):
                raise pickle.UnpicklingError(f"a key at opcode {count:,} is no text or number")


def take(stack: list[str], marks: list[int], opcode: OpcodeInfo) -> list[str]:
    """Do to the stack what ``opcode`` does, and return what it takes from there.

    Where a value or mark is missing, the reader will refuse the pickle at this opcode.
    """
    marked = markobject in opcode.stack_before  # it takes all that came after the last mark
    start = marks.pop() if marked and marks else len(stack)
    start = max(0, start + 2 * marked - len(opcode.stack_before))  # mark and slice count as two
    taken, stack[start:] = stack[start:], [opcode.name] * len(opcode.stack_after)
    return taken


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
    with named(where, "is refused: not a pickle that can be read safely"):
        require_plain(raw, "REDUCE")  # as Python 3 spells bytes in protocol 2
        found = RestrictedUnpickler(io.BytesIO(raw), encoding="bytes").load()
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
