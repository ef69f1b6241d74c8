"""CIFAR-10 in either of its published layouts, from a folder or from the archive.

Both layouts keep an image as 3,072 bytes: the red plane, the green one and the blue one, each 32
rows of 32 pixels. In the binary layout one more byte, the label, precedes each image. In the Python
layout labels and images are entries of a pickled dictionary.

A local copy is read as it is, after its sizes and ranges are checked. Only an archive with the
published checksum is called CIFAR-10.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

import numpy as np

from vqnp.data.dataset import Source
from vqnp.data.fetch import ARCHIVES, data_folder
from vqnp.data.images import Images
from vqnp.data.untrusted import MEMBER_BYTES, as_text, byte_array, read_members, read_pickle
from vqnp.validation import Array, require_integer

SIDE, BYTES_AN_IMAGE = 32, 3 * 32 * 32
COPY = "a copy of CIFAR-10, not the published archive"
BATCHES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@dataclass(frozen=True)
class Cifar10(Source):
    """The first images of CIFAR-10, the same for every seed.

    ``name`` replaces the name of a copy that is not the published archive. ``directory`` is left
    out of comparisons and records, because it says nothing about the data.
    """

    train: int = 10_000
    test: int = 2_000
    name: str | None = None
    directory: str | None = field(default=None, compare=False, repr=False)

    def load(self, seed: int) -> Images:
        """Return the images; ``seed`` has no effect. Raises as ``load_cifar10`` does."""
        return load_cifar10(data_folder(self.directory)).first(self.train, self.test, self.name)


def load_cifar10(path: str | PathLike[str], *, batch_size: int = 10_000) -> Images:
    """Return CIFAR-10: 50,000 training and 10,000 test images with their labels.

    Parameters
    ----------
    path : str or path
        The ``.tar.gz`` of either layout, or a folder. The folder is, or holds, one of these:
        ``cifar-10-batches-bin``, ``cifar-10-batches-py``, an archive under its published name.
        The first of them is read.
    batch_size : int
        The number of images in each of the six files.

    Returns
    -------
    Images
        uint8 ``(50000, 32, 32, 3)`` and ``(10000, 32, 32, 3)``.

    Raises
    ------
    FileNotFoundError
        For a path without CIFAR-10, and for a missing file.
    ValueError
        For a file that has another size, count or labels, or is unsafe. The message names the file.

    Examples
    --------
    >>> from vqnp.data import fetch_cifar10
    >>> load_cifar10(fetch_cifar10()).train.shape  # doctest: +SKIP
    (50000, 32, 32, 3)
    """
    require_integer(batch_size, "batch_size", least=1)
    layout, where, files, name = _open(Path(path).expanduser())
    for needed in layout.files:
        if needed not in files:
            raise FileNotFoundError(
                f"{where}/{needed} is missing; {layout.folder} holds {', '.join(layout.files)}"
            )
    *batches, meta = layout.files
    names = layout.read_names(files.pop(meta), f"{where}/{meta}")
    if tuple(names) != CLASSES:
        raise ValueError(
            f"{where}/{meta} must name the classes {', '.join(CLASSES)}; "
            f"got {', '.join(names) or 'nothing':.200}"
        )
    *train, test = (layout.read(files.pop(x), f"{where}/{x}", batch_size) for x in batches)
    images, labels = map(np.concatenate, zip(*train, strict=True))
    return Images(name, images, labels, *test, CLASSES)


def read_binary_batch(raw: bytes, where: str, count: int) -> tuple[Array, Array]:
    """Return images uint8 ``(count, 32, 32, 3)`` and labels int64 ``(count,)`` of a binary file."""
    if len(raw) != count * (1 + BYTES_AN_IMAGE):
        raise ValueError(
            f"{where} must have {count:,} × {1 + BYTES_AN_IMAGE:,} bytes, got {len(raw):,}"
        )
    rows = np.frombuffer(raw, np.uint8).reshape(count, 1 + BYTES_AN_IMAGE)
    return _channels_last(rows[:, 1:]), _checked_labels(rows[:, 0].tolist(), where, count)


def read_python_batch(raw: bytes, where: str, count: int) -> tuple[Array, Array]:
    """Return images uint8 ``(count, 32, 32, 3)`` and labels int64 ``(count,)`` of a pickle."""
    batch = read_pickle(raw, where)
    rows = byte_array(batch.get("data"), (count, BYTES_AN_IMAGE), f"'data' in {where}")
    return _channels_last(rows), _checked_labels(batch.get("labels"), where, count)


def read_python_names(raw: bytes, where: str) -> list[str]:
    """Return the names of the classes, an entry of the dictionary."""
    names = read_pickle(raw, where).get("label_names")
    return [as_text(name) for name in names] if isinstance(names, list) else []


def _channels_last(planes: Array) -> Array:
    """Turn rows of three planes ``(N, 3072)`` into images ``(N, 32, 32, 3)``."""
    return np.ascontiguousarray(planes.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1))


def _checked_labels(labels: object, where: str, count: int) -> Array:
    if not isinstance(labels, list) or len(labels) != count:
        given = f"{len(labels):,}" if isinstance(labels, list) else type(labels).__name__
        raise ValueError(f"{where} must hold a list of {count:,} labels, got {given}")
    for i, label in enumerate(labels):
        # a hostile label can be a bool, or an integer too large for an array
        if type(label) is not int or not 0 <= label < len(CLASSES):
            raise ValueError(
                f"{where}: labels must be integers from 0 to {len(CLASSES) - 1}, "
                f"that of image {i} is not"
            )
    return np.array(labels, np.int64)


@dataclass(frozen=True)
class Layout:
    """A published folder: the files in it, the classes' last, and the functions that read them."""

    folder: str
    files: tuple[str, ...]
    read: Callable[[bytes, str, int], tuple[Array, Array]]
    read_names: Callable[[bytes, str], list[str]]


LAYOUTS = (
    Layout(
        "cifar-10-batches-bin",
        (*(f"{name}.bin" for name in BATCHES), "batches.meta.txt"),
        read_binary_batch,
        lambda raw, where: as_text(raw).split(),  # one a line
    ),
    Layout("cifar-10-batches-py", (*BATCHES, "batches.meta"), read_python_batch, read_python_names),
)


def _open(path: Path) -> tuple[Layout, str, dict[str, bytes], str]:
    """Return the layout at ``path``, its place, its files by name, and the name of the data."""
    for layout in LAYOUTS:
        for folder in (path / layout.folder, path):
            present = [name for name in layout.files if (folder / name).is_file()]
            if present:
                return layout, str(folder), {name: _read(folder / name) for name in present}, COPY
    for archive in filter(Path.is_file, [path, *(path / name for name, _ in ARCHIVES.values())]):
        members = read_members(archive, {f"{x.folder}/{name}" for x in LAYOUTS for name in x.files})
        for layout in LAYOUTS:
            inside = f"{layout.folder}/"
            files = {n.removeprefix(inside): members[n] for n in members if n.startswith(inside)}
            if files:
                called = "CIFAR-10" if is_published(archive) else COPY
                return layout, f"{archive}: {layout.folder}", files, called
    raise FileNotFoundError(
        f"no CIFAR-10 in {path}: expected {' or '.join(layout.folder for layout in LAYOUTS)}, "
        "or the .tar.gz of either; `vqnp data cifar10` fetches it"
    )


def _read(path: Path) -> bytes:
    if (size := path.stat().st_size) > MEMBER_BYTES:
        raise ValueError(f"{path} has {size:,} bytes, expected at most {MEMBER_BYTES:,}")
    return path.read_bytes()


def is_published(archive: Path) -> bool:
    """Tell whether an archive has a published checksum."""
    with archive.open("rb") as file:
        checksum = f"md5:{hashlib.file_digest(file, 'md5').hexdigest()}"
    return checksum in {published for _, published in ARCHIVES.values()}
