"""CIFAR-10 in either of its published layouts, from a folder or straight from the archive.

Both layouts keep an image as 3,072 bytes: the red plane, the green, the blue, each 32 rows of 32 pixels. In the binary layout
the label stands in front of each image as one more byte; in the Python layout labels and images are entries of a pickled dictionary.
A local copy is read as it is, its sizes and ranges checked; only the archive with the published checksum is called CIFAR-10.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np

from vqnp.data.archives import MEMBER_LIMIT, read_members
from vqnp.data.fetch import ARCHIVES
from vqnp.data.images import Images
from vqnp.data.unpickle import as_text, byte_array, read_pickle
from vqnp.validation import Array, require_integer

SIDE, PIXELS = 32, 3 * 32 * 32
COPY = "a copy of CIFAR-10, not the published archive"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def load_cifar10(path: str | PathLike[str], *, batch_size: int = 10_000) -> Images:
    """Return CIFAR-10: 50,000 training and 10,000 test images, uint8 ``(N, 32, 32, 3)``, with labels and their names.

    ``path`` is the ``.tar.gz`` of either layout, or a folder that is, or holds, ``cifar-10-batches-bin``, ``cifar-10-batches-py`` or
    one of the archives under its published name, in this order. ``batch_size`` is the number of images in each of the six files.

    Raises ``FileNotFoundError`` when nothing of the kind is there or a file is missing, and ``ValueError`` naming the file when
    one has the wrong size, count or labels, or is unsafe to read.
    """
    require_integer(batch_size, "batch_size", least=1)
    layout, where, files, name = _open(Path(path).expanduser())
    for needed in layout.files:
        if needed not in files:
            raise FileNotFoundError(
                f"{where}/{needed} is missing; {layout.folder} holds {', '.join(layout.files)}"
            )

    def read(names: tuple[str, ...]) -> tuple[Array, Array]:
        batches = [
            layout.read_batch(files.pop(name), f"{where}/{name}", batch_size) for name in names
        ]
        return np.concatenate([images for images, _ in batches]), np.concatenate(
            [labels for _, labels in batches]
        )

    meta = f"{where}/{layout.meta}"
    label_names = _checked_names(layout.read_names(files.pop(layout.meta), meta), meta)
    return Images(name, *read(layout.train), *read((layout.test,)), label_names)


def read_binary_batch(raw: bytes, where: str, count: int) -> tuple[Array, Array]:
    """Return images ``(count, 32, 32, 3)`` uint8 and labels ``(count,)`` int64 of a file of the binary layout."""
    if len(raw) != count * (1 + PIXELS):
        raise ValueError(f"{where} must have {count:,} × {1 + PIXELS:,} bytes, got {len(raw):,}")
    rows = np.frombuffer(raw, np.uint8).reshape(count, 1 + PIXELS)
    return _channels_last(rows[:, 1:]), _checked_labels(rows[:, 0].tolist(), where, count)


def read_python_batch(raw: bytes, where: str, count: int) -> tuple[Array, Array]:
    """Return images ``(count, 32, 32, 3)`` uint8 and labels ``(count,)`` int64 of a file of the Python layout."""
    batch = read_pickle(raw, where)
    rows = byte_array(batch.get("data"), (count, PIXELS), f"'data' in {where}")
    return _channels_last(rows), _checked_labels(batch.get("labels"), where, count)


def read_binary_names(raw: bytes, where: str) -> list[str]:
    """Return the names, one a line."""
    return as_text(raw).split()


def read_python_names(raw: bytes, where: str) -> list[str]:
    """Return the names, an entry of the dictionary."""
    names = read_pickle(raw, where).get("label_names")
    return [as_text(name) for name in names] if isinstance(names, list) else []


def _channels_last(planes: Array) -> Array:
    """Turn rows of three planes ``(N, 3072)`` into images ``(N, 32, 32, 3)``."""
    images = planes.reshape(-1, 3, SIDE, SIDE)  # (N, 3, H, W)
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1))  # (N, H, W, 3)


def _checked_labels(labels: object, where: str, count: int) -> Array:
    if not isinstance(labels, list) or len(labels) != count:
        given = f"{len(labels):,}" if isinstance(labels, list) else type(labels).__name__
        raise ValueError(f"{where} must hold a list of {count:,} labels, got {given}")
    for i, label in enumerate(labels):
        if type(label) is not int or not 0 <= label < len(CLASSES):
            raise ValueError(
                f"{where}: labels must be integers from 0 to {len(CLASSES) - 1}, that of image {i} is not"
            )
    return np.array(labels, np.int64)


def _checked_names(names: list[str], where: str) -> tuple[str, ...]:
    if tuple(names) != CLASSES:
        raise ValueError(
            f"{where} must name the classes {', '.join(CLASSES)}; got {', '.join(names) or 'nothing':.200}"
        )
    return CLASSES


@dataclass(frozen=True)
class Layout:
    """What a published folder is called, which files it holds, and how they are read."""

    folder: str
    train: tuple[str, ...]
    test: str
    meta: str
    read_batch: Callable[[bytes, str, int], tuple[Array, Array]]
    read_names: Callable[[bytes, str], list[str]]

    @property
    def files(self) -> tuple[str, ...]:
        """The seven files that must be there."""
        return (*self.train, self.test, self.meta)


LAYOUTS = (
    Layout(
        folder="cifar-10-batches-bin",
        train=tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
        test="test_batch.bin",
        meta="batches.meta.txt",
        read_batch=read_binary_batch,
        read_names=read_binary_names,
    ),
    Layout(
        folder="cifar-10-batches-py",
        train=tuple(f"data_batch_{i}" for i in range(1, 6)),
        test="test_batch",
        meta="batches.meta",
        read_batch=read_python_batch,
        read_names=read_python_names,
    ),
)


def _open(path: Path) -> tuple[Layout, str, dict[str, bytes], str]:
    """Return the layout found at ``path``, where it is, the content of its files by name, and what to call the data."""
    archives = (
        [path]
        if path.is_file()
        else [path / name for name, _ in ARCHIVES.values() if (path / name).is_file()]
    )
    found = _in_folder(path)
    if found is None and archives:
        path = archives[0]
        found = _in_archive(path)
    if found is None:
        raise FileNotFoundError(
            f"no CIFAR-10 in {path}: expected {' or '.join(layout.folder for layout in LAYOUTS)}, or the .tar.gz of either"
        )
    return *found, "CIFAR-10" if path.is_file() and is_published(path) else COPY


def is_published(archive: Path) -> bool:
    """Tell whether an archive has a published checksum."""
    with archive.open("rb") as file:
        return f"md5:{hashlib.file_digest(file, 'md5').hexdigest()}" in {
            checksum for _, checksum in ARCHIVES.values()
        }


def _in_archive(path: Path) -> tuple[Layout, str, dict[str, bytes]] | None:
    members = read_members(
        path, {f"{layout.folder}/{name}" for layout in LAYOUTS for name in layout.files}
    )
    for layout in LAYOUTS:
        files = {
            name: members[full]
            for name in layout.files
            if (full := f"{layout.folder}/{name}") in members
        }
        if files:
            return layout, f"{path}: {layout.folder}", files
    return None


def _in_folder(path: Path) -> tuple[Layout, str, dict[str, bytes]] | None:
    for layout in LAYOUTS:
        for folder in (path / layout.folder, path):
            files = {
                name: _read_file(folder / name)
                for name in layout.files
                if (folder / name).is_file()
            }
            if files:
                return layout, str(folder), files
    return None


def _read_file(path: Path) -> bytes:
    if path.stat().st_size > MEMBER_LIMIT:
        raise ValueError(
            f"{path} has {path.stat().st_size:,} bytes, expected at most {MEMBER_LIMIT:,}"
        )
    return path.read_bytes()
