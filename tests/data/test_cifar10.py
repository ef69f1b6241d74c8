"""Files as Python 2 and C programs wrote them, with three images a file instead of 10,000."""

import gzip
import hashlib
import io
import os
import pickle
import shutil
import struct
import tarfile

import numpy as np
import pytest

from vqnp.data import cifar10 as module
from vqnp.data.cifar10 import load_cifar10
from vqnp.data.images import pixel_variance

COUNT = 3
NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
BATCHES = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
BINARY, PYTHON = "cifar-10-batches-bin", "cifar-10-batches-py"


def short(text):
    """A Python 2 string of less than 256 bytes, pickled."""
    return b"U" + bytes([len(text)]) + text


def python2_batch(labels, rows):
    """A batch as Python 2 pickled it: protocol 2, byte strings, an array of NumPy 1."""
    state = b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    dtype = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R" + state
    shape = b"K" + bytes([len(rows)]) + b"M" + struct.pack("<H", rows.shape[1]) + b"\x86"
    raw = b"T" + struct.pack("<i", rows.nbytes) + rows.tobytes()
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01"
        + shape
        + dtype
        + b"\x89"
        + raw
    )
    entries = [
        short(b"batch_label") + short(b"training batch 1 of 5"),
        short(b"labels") + b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e",
        short(b"data") + array + b"tb",
        short(b"filenames")
        + b"]("
        + b"".join(short(b"%d.png" % i) for i in range(len(labels)))
        + b"e",
    ]
    return b"\x80\x02}(" + b"".join(entries) + b"u."


def python2_names(names):
    entries = (
        short(b"label_names") + b"](" + b"".join(short(name.encode()) for name in names) + b"e"
    )
    return b"\x80\x02}(" + short(b"num_vis") + b"M\x00\x0c" + entries + b"u."


@pytest.fixture
def content():
    """Labels ``(3,)`` and rows of planes ``(3, 3072)`` of each of the six files."""
    rng = np.random.default_rng(0)
    return [
        (rng.permutation(10)[:COUNT], rng.integers(0, 256, (COUNT, 3072), dtype=np.uint8))
        for _ in BATCHES
    ]


@pytest.fixture
def binary(tmp_path, content):
    folder = tmp_path / "data" / BINARY
    folder.mkdir(parents=True)
    for name, (labels, rows) in zip(BATCHES, content, strict=True):
        (folder / f"{name}.bin").write_bytes(
            b"".join(bytes([n]) + row.tobytes() for n, row in zip(labels, rows, strict=True))
        )
    (folder / "batches.meta.txt").write_text("\n".join(NAMES) + "\n\n")
    (folder / "readme.html").write_text("not read")
    return folder


@pytest.fixture
def python(tmp_path, content):
    folder = tmp_path / "data" / PYTHON
    folder.mkdir(parents=True)
    for name, (labels, rows) in zip(BATCHES, content, strict=True):
        (folder / name).write_bytes(python2_batch(labels, rows))
    (folder / "batches.meta").write_bytes(python2_names(NAMES))
    (folder / "readme.html").write_text("not read")
    return folder


@pytest.fixture(params=["binary", "python"])
def folder(request):
    return request.getfixturevalue(request.param)


def packed(folder):
    """The folder as a .tar.gz beside it; the folder itself goes."""
    path = folder.parent / "cifar-10.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        tar.add(folder, folder.name)
    shutil.rmtree(folder)
    return path


def load(path):
    return load_cifar10(path, batch_size=COUNT)


def check(images, content):
    """By the layout's formula: channel c, row y, column x is byte 1024 c + 32 y + x."""
    c, y, x = np.arange(3), np.arange(32)[:, None, None], np.arange(32)[:, None]
    rows = np.concatenate([rows for _, rows in content])
    labels = np.concatenate([labels for labels, _ in content])
    np.testing.assert_array_equal(images.train, rows[:15, 1024 * c + 32 * y + x])
    np.testing.assert_array_equal(images.test, rows[15:, 1024 * c + 32 * y + x])
    np.testing.assert_array_equal(images.train_labels, labels[:15])
    np.testing.assert_array_equal(images.test_labels, labels[15:])
    assert images.label_names == tuple(NAMES)
    assert images.name == "a copy of CIFAR-10, not the published archive"
    assert images.train.flags.c_contiguous


def test_the_python_files_are_true_pickles(python, content):
    for name, (labels, rows) in zip(BATCHES, content, strict=True):
        batch = pickle.loads((python / name).read_bytes(), encoding="bytes")
        np.testing.assert_array_equal(batch[b"data"], rows)
        assert batch[b"labels"] == labels.tolist()


def test_folder_is_read_from_itself_and_from_above(folder, content):
    check(load(folder), content)
    check(load(str(folder.parent)), content)


def test_archive_is_read_and_nothing_is_written(folder, content):
    path = packed(folder)
    check(load(path), content)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("name", ["cifar-10-binary.tar.gz", "cifar-10-python.tar.gz"])
def test_fetched_archive_is_found_in_its_folder(folder, content, name):
    path = packed(folder)
    path.rename(path.with_name(name))
    check(load(path.parent), content)


def test_only_the_published_checksum_makes_it_cifar10(folder, monkeypatch):
    path = packed(folder)
    checksum = f"md5:{hashlib.md5(path.read_bytes()).hexdigest()}"
    monkeypatch.setattr(
        "vqnp.data.cifar10.ARCHIVES", {"python": ("cifar-10-python.tar.gz", checksum)}
    )
    assert load(path).name == "CIFAR-10"
    with gzip.open(path, "ab") as more:
        more.write(b"\0" * 512)  # tar ignores what follows its end
    assert load(path).name == "a copy of CIFAR-10, not the published archive"


def test_layouts_agree(binary, python):
    assert load(binary).identity == load(python).identity == load(binary.parent).identity


def test_of_two_layouts_the_one_without_pickles_is_read(binary, python, content):
    for path in python.iterdir():
        path.write_bytes(b"damaged")
    check(load(python.parent), content)


def test_order_of_members_does_not_matter(folder, content):
    path = folder.parent / "shuffled.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for file in sorted(folder.iterdir(), reverse=True):
            tar.add(file, f"./{folder.name}/{file.name}")
    check(load(path), content)


def test_files_hold_ten_thousand_images_unless_said_otherwise(binary, python):
    with pytest.raises(
        ValueError, match=r"data_batch_1\.bin must have 10,000 × 3,073 bytes, got 9,219"
    ):
        load_cifar10(binary)
    with pytest.raises(
        ValueError, match=r"data_batch_1 must be a C-ordered uint8 array of shape \(10000, 3072\)"
    ):
        load_cifar10(python)
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        load_cifar10(binary, batch_size=0)


@pytest.fixture(params=["folder", "archive"])
def source(request):
    """From a spoiled folder to what is loaded: the folder, or the archive of it."""
    return packed if request.param == "archive" else lambda folder: folder


def refused(path, error, message):
    before = sorted(path.parent.rglob("*"))
    with pytest.raises(error, match=message):
        load(path)
    assert sorted(path.parent.rglob("*")) == before


@pytest.mark.parametrize("index", range(7))
def test_missing_file_is_named(folder, source, index):
    file = sorted(folder.glob("*batch*"))[index]
    file.unlink()
    refused(source(folder), FileNotFoundError, rf"{folder.name}/{file.name} is missing")


@pytest.mark.parametrize("keep", [0, 20, -3])
@pytest.mark.parametrize("index", range(7))
def test_truncated_file_is_named(folder, source, index, keep):
    file = sorted(folder.glob("*batch*"))[index]
    file.write_bytes(file.read_bytes()[:keep])
    refused(source(folder), ValueError, rf"{folder.name}/{file.name} ")


def test_binary_file_of_another_size_is_named(binary, source):
    with (binary / "data_batch_2.bin").open("ab") as file:
        file.write(b"x")
    refused(source(binary), ValueError, r"data_batch_2\.bin must have 3 × 3,073 bytes, got 9,220")


@pytest.mark.parametrize("count", [2, 4])
def test_python_file_of_another_count_is_named(python, source, count):
    rows = np.zeros((count, 3072), np.uint8)
    (python / "data_batch_5").write_bytes(python2_batch([0] * count, rows))
    refused(
        source(python),
        ValueError,
        r"data_batch_5 must be a C-ordered uint8 array of shape \(3, 3072\)",
    )


def test_images_of_another_size_are_named(python, source):
    (python / "test_batch").write_bytes(
        python2_batch([0] * COUNT, np.zeros((COUNT, 3 * 28 * 28), np.uint8))
    )
    refused(
        source(python),
        ValueError,
        r"test_batch must be a C-ordered uint8 array of shape \(3, 3072\)",
    )


def test_label_of_ten_in_a_binary_file_is_named(binary, source):
    file = binary / "data_batch_3.bin"
    raw = bytearray(file.read_bytes())
    raw[2 * 3073] = 10
    file.write_bytes(raw)
    refused(
        source(binary),
        ValueError,
        r"data_batch_3\.bin: labels must be integers from 0 to 9, that of image 2",
    )


@pytest.mark.parametrize(
    "label", [10, 255, -1, 1.0, True, None, "3", b"3", [3], pytest.param(10**500, id="huge")]
)
def test_label_that_is_none_in_a_python_file_is_named(python, source, content, label):
    batch = {"labels": [0, label, 9], "data": content[0][1]}
    (python / "data_batch_3").write_bytes(pickle.dumps(batch, protocol=2))
    refused(
        source(python),
        ValueError,
        "data_batch_3: labels must be integers from 0 to 9, that of image 1 is not",
    )


@pytest.mark.parametrize("labels", [[0, 1], [0, 1, 2, 3], None, "012", {0: 1}])
def test_wrong_list_of_labels_is_named(python, content, labels):
    batch = {"labels": labels, "data": content[0][1]}
    (python / "data_batch_3").write_bytes(pickle.dumps(batch, protocol=2))
    refused(python, ValueError, "data_batch_3 must hold a list of 3 labels, got ")


@pytest.mark.parametrize(
    "names", [NAMES[:9], [*NAMES, "cat"], NAMES[::-1], [*NAMES[:9], ["truck"]], "truck", [], None]
)
def test_wrong_names_are_refused(python, names):
    (python / "batches.meta").write_bytes(pickle.dumps({"label_names": names}, protocol=2))
    refused(python, ValueError, "batches.meta must name the classes airplane, .*; got ")


class Payload:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("name", ["data_batch_2", "test_batch", "batches.meta"])
def test_hostile_pickle_is_named_and_not_run(python, source, content, tmp_path, name):
    marker = tmp_path / "ran"
    hostile = pickle.dumps(
        {"labels": [0, 1, 2], "data": content[0][1], "more": Payload(marker)}, protocol=2
    )
    pickle.loads(hostile)
    marker.rmdir()  # elsewhere it would have run
    (python / name).write_bytes(hostile)
    refused(
        source(python), ValueError, rf"{PYTHON}/{name} is refused: .*mkdir, which is not admitted"
    )
    assert not marker.exists()


def test_unsafe_archive_is_refused(folder):
    path = packed(folder)
    with tarfile.open(path, "r:gz") as tar:
        members = [(member, tar.extractfile(member)) for member in tar if member.isfile()]
        with tarfile.open(path.with_name("unsafe.tar.gz"), "w:gz") as unsafe:
            for member, stream in members:
                unsafe.addfile(member, stream)
            outside = tarfile.TarInfo(f"{folder.name}/../../outside")
            unsafe.addfile(outside, io.BytesIO())
    refused(
        path.with_name("unsafe.tar.gz"),
        ValueError,
        r"unsafe\.tar\.gz is refused: .*outside the archive's folder",
    )


def test_oversized_file_is_refused_unread(folder, monkeypatch):
    monkeypatch.setattr(module, "MEMBER_BYTES", 5000)
    refused(folder, ValueError, r"data_batch_1.* has [0-9,]+ bytes, expected at most 5,000")


@pytest.mark.parametrize("kind", ["absent", "empty folder", "other archive"])
def test_nothing_of_the_kind(tmp_path, kind):
    path = tmp_path / kind
    if kind == "empty folder":
        path.mkdir()
    elif kind == "other archive":
        with tarfile.open(path, "w:gz") as tar:
            tar.addfile(tarfile.TarInfo("cifar-100-python/train"), io.BytesIO())
    refused(path, FileNotFoundError, f"no CIFAR-10 in .*{kind}: expected {BINARY} or {PYTHON}")


@pytest.mark.jit
def test_published_variance():
    """The number in ``pixel_variance``'s docstring, where the published archive is in the cache."""
    from vqnp.data.fetch import ARCHIVES

    pooch = pytest.importorskip("pooch")
    for name, checksum in ARCHIVES.values():
        path = pooch.os_cache("vqnp") / name
        if path.exists() and pooch.file_hash(str(path), "md5") == checksum.removeprefix("md5:"):
            assert pixel_variance(load_cifar10(path).train) == pytest.approx(0.0632704, abs=5e-8)
            return
    pytest.skip("the published archive is not in the cache: vqnp data cifar10")
