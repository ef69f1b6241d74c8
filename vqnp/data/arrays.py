"""Arrays in files of other programs: ``.npy``, ``.npz``, ``.safetensors``, and PyTorch's ``.pt``.

No file is trusted. What a file declares is compared with its size before memory is set aside, and
an array stays on disk where its bytes stand there as they are. A ``.pt`` file holds a pickle, which
is a program. It is walked before it is read, by :func:`vqnp.data.untrusted.require_plain`. Then
stand-ins serve the few names that a state dict needs, and any other name is refused. So nothing in
it runs, and it ends.
"""

import io
import json
import math
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from vqnp.data.npy import load_array
from vqnp.data.untrusted import require_plain
from vqnp.validation import AnyArray, Array, require_instance

WHOLE_BYTES = 4 << 30  # of an array that must be read whole, because it is compressed or bfloat16
TEXT_BYTES = 100 << 20  # of the names and shapes: the limit of safetensors' own format
NAME_CHARACTERS = 4_000_000  # of the names of all tensors; some 40,000 of 100 letters
MOST_AXES = 128  # and strides: 64 of each, as in NumPy
BFLOAT16 = "bfloat16"  # no dtype of NumPy's: the upper half of a float32

DTYPES = {  # of safetensors, little-endian
    "BF16": BFLOAT16,
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
    "BOOL": "|b1",
    **{f"{kind.upper()}{8 * size}": f"<{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)},
}
STORAGES = {  # of PyTorch
    "BFloat16Storage": BFLOAT16,
    "HalfStorage": "<f2",
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "BoolStorage": "|b1",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "ShortStorage": "<i2",
    "IntStorage": "<i4",
    "LongStorage": "<i8",
}


@dataclass(frozen=True)
class Place:
    """Where the numbers of an array stand in a file, or in a member of an archive."""

    dtype: str
    shape: tuple[int, ...]
    start: int = 0  # bytes
    member: str = ""
    strides: tuple[int, ...] | None = None  # in numbers; None: in order


def load_any(path: str | PathLike[str]) -> AnyArray:
    """Return an array of a file, on disk where possible. Nothing in the file is run.

    Parameters
    ----------
    path : str or path
        A ``.npy``, ``.npz``, ``.safetensors`` or ``.pt`` file (``.pth``, ``.ckpt`` and ``.bin``
        are read as ``.pt``). Where it holds several arrays, ``FILE:KEY`` names one. The keys of
        dictionaries in dictionaries are joined by dots.

    Returns
    -------
    ndarray
        Of the file's shape and dtype, read-only. Bfloat16 becomes float32.

    Raises
    ------
    FileNotFoundError
        For a file that is not there.
    ValueError
        For a file of another kind, a damaged or hostile one, and a key that is not in it. The
        message names the file.
    TypeError
        For anything that is no path.

    Examples
    --------
    >>> np.savez("arrays.npz", first=[1, 2], second=[3.0])
    >>> load_any("arrays.npz:second").tolist()
    [3.0]
    """
    require_instance(path, str | PathLike, "path")
    file, key = split_key(str(path))
    readers = {".npz": in_npz, ".safetensors": in_safetensors}
    readers |= dict.fromkeys((".pt", ".pth", ".ckpt", ".bin"), in_torch)
    if file.suffix == ".npy":
        return load_array(file, mmap=True)
    if file.suffix not in readers:
        raise ValueError(f"{file} must be one of .npy, {', '.join(readers)}, by its ending")
    try:
        return readers[file.suffix](file, key)
    except (FileNotFoundError, PermissionError, IsADirectoryError):
        raise
    # zip files, pickles and headers of hostile files fail in more ways than are documented
    except Exception as error:
        raise ValueError(f"{file} cannot be read: {error!s:.300}") from error


def split_key(text: str) -> tuple[Path, str | None]:
    """Return the file and the key of ``FILE:KEY``; a file of the whole name goes first."""
    name, colon, key = text.rpartition(":")
    if not colon or Path(text).exists() or not Path(name).suffix:
        return Path(text), None
    return Path(name), key


def chosen(places: Mapping[str, Any], key: str | None) -> Any:
    """Return the entry of ``key``, or the only one; raises ``ValueError`` naming the others."""
    if key is None and len(places) == 1:
        return next(iter(places.values()))
    if key is None or key not in places:
        names = ", ".join(list(places)[:20]) or "nothing"
        raise ValueError(f"{f'it has no {key}' if key else 'say which array, FILE:KEY'}: {names}")
    return places[key]


def in_safetensors(path: Path, key: str | None) -> Array:
    """Return an array of a file that begins with the length of a JSON header, and the header."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > TEXT_BYTES:
            raise ValueError(f"its header has {length:,} bytes, expected at most {TEXT_BYTES:,}")
        header = json.loads(file.read(length))
    entry = chosen({name: header[name] for name in header if name != "__metadata__"}, key)
    begin, end = entry["data_offsets"]
    place = Place(DTYPES[entry["dtype"]], tuple(entry["shape"]), 8 + length + begin)
    require_numbers(place)
    if end - begin != math.prod(place.shape) * item_bytes(place.dtype):
        raise ValueError("its offsets and its shape disagree")
    return mapped(path, place)


def in_npz(path: Path, key: str | None) -> Array:
    """Return an array of an archive of ``.npy`` files; a compressed one is read whole."""
    with zipfile.ZipFile(path) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        info = chosen(members, key)
        with archive.open(info) as member:
            version = npy.read_magic(member)
            read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
            shape, fortran, dtype = read(member)
            header = member.tell()
            if dtype.hasobject:
                raise ValueError("it holds Python objects, expected numbers")
            if math.prod(shape) * dtype.itemsize != info.file_size - header:
                raise ValueError(f"{info.filename} is not whole")
        if info.compress_type == zipfile.ZIP_STORED and not fortran:
            return mapped(path, Place(dtype.str, shape, data_start(path, info) + header))
        if info.file_size > WHOLE_BYTES:
            raise ValueError(
                f"{info.filename} has {info.file_size:,} bytes, expected at most {WHOLE_BYTES:,} "
                "where it is compressed: save it as .npy"
            )
        with archive.open(info) as member:
            return npy.read_array(member, allow_pickle=False)


def in_torch(path: Path, key: str | None) -> Array:
    """Return a tensor of a state dict, or of a dictionary that holds one."""
    if not zipfile.is_zipfile(path):
        raise ValueError("it is no .pt file of PyTorch 1.6 or later: load it there and save again")
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: info for info in archive.infolist()}
        (named,) = (name for name in members if name.count("/") == 1 and name.endswith("/data.pkl"))
        if members[named].file_size > TEXT_BYTES:
            raise ValueError(f"{named} is larger than {TEXT_BYTES:,} bytes")
        raw = archive.read(named)
    require_plain(raw)
    places = dict(tensors(StateDictReader(io.BytesIO(raw)).load()))
    place = chosen(places, key)
    require_numbers(place)
    info = members[f"{named.removesuffix('data.pkl')}data/{place.member}"]
    strides = place.strides or ()
    last = place.start + sum((n - 1) * step for n, step in zip(place.shape, strides, strict=True))
    held = info.file_size // item_bytes(place.dtype)
    fits = place.start >= 0 and last < held and math.prod(place.shape) <= held
    if info.compress_type != zipfile.ZIP_STORED or not fits or min(strides, default=0) < 0:
        raise ValueError(f"{info.filename} is too short for shape {place.shape}")
    whole = mapped(path, Place(place.dtype, (held,), data_start(path, info)))[place.start :]
    bytes_apart = [step * whole.itemsize for step in strides]
    return np.lib.stride_tricks.as_strided(whole, place.shape, bytes_apart, writeable=False)


def tensors(found: Any) -> Iterator[tuple[str, Place]]:
    """Yield the tensors of nested dictionaries, their keys joined by dots.

    A pickle can hold one dictionary in many others, or in itself. So the names are bounded.
    """
    queue, characters = [("", found)], 0
    for inside, value in queue:  # which grows meanwhile
        if isinstance(value, Place):
            yield inside, value
        for key in value if isinstance(value, dict) else ():
            queue.append((f"{inside}.{key}" if inside else str(key), value[key]))
            characters += 1 + len(queue[-1][0])
            if characters > NAME_CHARACTERS:
                raise ValueError(f"its names have more than {NAME_CHARACTERS:,} characters")


class StateDictReader(pickle.Unpickler):
    """Knows the names that a state dict needs, and imports nothing."""

    def find_class(self, module: str, name: str) -> Any:
        """Return a stand-in for a known name; raises ``pickle.UnpicklingError`` for another."""
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        known = {  # made anew each time, because a pickle may set attributes on what it is given
            ("collections", "OrderedDict"): lambda: OrderedDict(()),  # always empty at first
            ("torch._utils", "_rebuild_tensor_v2"): lambda storage, start, shape, strides, *_: (
                Place(storage[0], tuple(shape), start, storage[1], tuple(strides))
            ),
            ("torch._utils", "_rebuild_parameter"): lambda tensor, *_: tensor,
        }
        if (module, name) not in known:
            raise pickle.UnpicklingError(
                f"it names {module}.{name}, which is not admitted: save the state dict alone"
            )
        return known[module, name]

    def persistent_load(self, given: Any) -> Any:
        """Return the dtype and the member of a storage, ("storage", dtype, member, device, N)."""
        _, dtype, member, _, _ = given
        return dtype, member


def require_numbers(place: Place) -> None:
    """Raise ``ValueError`` unless ``place`` is one of numbers: a file can declare what it likes."""
    known = place.dtype in (*DTYPES.values(), *STORAGES.values()) and isinstance(place.member, str)
    numbers = (place.start, *place.shape, *(place.strides or ()))
    if not (known and len(numbers) <= MOST_AXES and all(isinstance(n, int) for n in numbers)):
        raise ValueError("it has an array of no known dtype or shape")


def item_bytes(dtype: str) -> int:
    """Return the size of one number."""
    return 2 if dtype == BFLOAT16 else np.dtype(dtype).itemsize


def data_start(path: Path, info: zipfile.ZipInfo) -> int:
    """Return where in the archive the bytes of a stored member begin: after its own header."""
    with path.open("rb") as file:
        file.seek(info.header_offset)
        name, extra = struct.unpack("<26x2H", file.read(30))
    return info.header_offset + 30 + int(name) + int(extra)


def mapped(path: Path, place: Place) -> Array:
    """Return the array at ``place``, left on disk; bfloat16 becomes float32 in memory."""
    bits = "<u2" if place.dtype == BFLOAT16 else place.dtype
    size = math.prod(place.shape) * np.dtype(bits).itemsize
    if place.start + size > path.stat().st_size:
        raise ValueError("it ends before its last array")
    if not size:
        return np.empty(place.shape, np.float32 if place.dtype == BFLOAT16 else bits)
    found = np.memmap(path, bits, "r", place.start, place.shape)
    if place.dtype != BFLOAT16:
        return found
    if 2 * size > WHOLE_BYTES:
        raise ValueError(f"bfloat16 needs {2 * size:,} bytes here: save it as float32")
    return (found.astype(np.uint32) << 16).view(np.float32)
