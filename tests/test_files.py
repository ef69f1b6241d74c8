import json
import os
import subprocess
import sys
import time
import zipfile
from dataclasses import dataclass, field

import numpy as np
import pytest

from vqnp import files
from vqnp.files import (
    as_json,
    load_arrays,
    load_with_meta,
    named,
    save_arrays,
    save_json,
    save_text,
    save_with_meta,
    whole,
    writable_directory,
)


def test_arrays_come_back_to_the_last_bit(tmp_path):
    arrays = {
        "dotted.name": np.array([np.pi, -0.0, np.inf, np.nan]),
        "small": np.float32(1e-45) * np.ones((2, 3), np.float32),
        "empty": np.zeros((0, 2)),
        "text": np.array("äöü"),
    }
    save_arrays(tmp_path / "a.npz", arrays)
    loaded = load_arrays(tmp_path / "a.npz")
    assert loaded.keys() == arrays.keys()
    for name, array in arrays.items():
        assert loaded[name].dtype == array.dtype
        assert loaded[name].tobytes() == array.tobytes()


def test_file_that_fails_on_the_way_leaves_the_old_one(tmp_path):
    path = tmp_path / "file.txt"
    save_text(path, "old")

    def write_half():
        with whole(path) as file:
            file.write(b"half of the n")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        write_half()
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["file.txt"]


def test_nothing_is_seen_until_the_file_is_whole(tmp_path):
    with whole(tmp_path / "file") as file:
        file.write(b"content")
        file.flush()
        assert not (tmp_path / "file").exists()
    assert (tmp_path / "file").read_bytes() == b"content"


def test_file_is_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    order = []
    fsync, replace = os.fsync, type(tmp_path).replace
    monkeypatch.setattr(os, "fsync", lambda file: order.append("flushed") or fsync(file))
    monkeypatch.setattr(
        type(tmp_path), "replace", lambda *paths: order.append("renamed") or replace(*paths)
    )
    save_text(tmp_path / "file", "content")
    assert order == ["flushed", "renamed"]


def test_files_have_the_permissions_of_any_other(tmp_path):
    (tmp_path / "plain").touch()
    save_text(tmp_path / "whole", "")
    assert (tmp_path / "whole").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_json_is_utf_8_and_knows_no_nan(tmp_path):
    save_json(tmp_path / "a.json", {"γ": [1, 0.5, None]})
    assert json.loads((tmp_path / "a.json").read_bytes().decode()) == {"γ": [1, 0.5, None]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        save_json(tmp_path / "b.json", {"value": float("nan")})
    assert not (tmp_path / "b.json").exists()


def test_objects_are_not_saved(tmp_path):
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        save_arrays(tmp_path / "a.npz", {"a": np.array([object()])})
    assert not list(tmp_path.iterdir())


def test_a_single_array_is_not_an_archive(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(3))
    with pytest.raises(ValueError, match=r"a\.npy is not a whole \.npz file of arrays"):
        load_arrays(tmp_path / "a.npy")


def test_damaged_array_is_noticed(tmp_path):
    """Every byte of an array's values is covered by the archive's checksum."""
    save_arrays(tmp_path / "a.npz", {"a": np.arange(100.0)})
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[content.index(np.float64(50).tobytes())] ^= 1
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.npz is not a whole \.npz file of arrays: Bad CRC-32"):
        load_arrays(tmp_path / "a.npz")


def test_directory_is_made_and_proved_writable(tmp_path):
    assert writable_directory(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert not list((tmp_path / "a" / "b").iterdir())


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_directory_that_cannot_be_is_named(tmp_path, place):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=f"cannot write to the directory {tmp_path / place}: "):
        writable_directory(tmp_path / place)


@dataclass(frozen=True)
class Part:
    width: int
    folder: str = field(default="/home/me", compare=False)

    def to_json(self):
        return as_json(self, kind="Part")


@dataclass(frozen=True)
class Whole:
    part: Part
    parts: tuple[Part, ...]
    rate: float
    folder: str = field(default="/home/me", compare=False)


def test_a_dataclass_in_json_is_what_enters_a_comparison():
    part = {"kind": "Part", "width": 2}
    whole = as_json(Whole(Part(2), (Part(2), Part(2)), 0.5))
    assert whole == {"part": part, "parts": [part, part], "rate": 0.5}
    assert json.loads(json.dumps(whole)) == whole
    assert as_json({"a": Part(2), "b": np.float32(0.5)}) == {"a": part, "b": 0.5}


def write_zip(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)


def npy(shape, dtype="<f4", content=b"", magic=b"\x93NUMPY\x01\x00"):
    header = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return magic + len(header).to_bytes(2, "little") + header + content


DAMAGED = {
    "compressed, and larger than the file": (bytes(10**7), "declare more bytes than it has"),
    "no array": (b"text", "magic"),
    "a shape beyond the file": (npy("(1000000000000,)"), "declares"),
    "of empty strings beyond the file": (npy("(1000000000000,)", "<U0"), "declares"),
    "a negative shape": (npy("(-1, -1000)"), "declares"),
    "a shape of bools": (npy("(True, 2)", content=bytes(8)), "integer is required"),
    "an open bracket": (npy("(2,", content=bytes(8)), "EOF"),
    "objects": (npy("(2,)", "|O", bytes(20)), "Python objects and records"),
    "a later version": (npy("(2,)", content=bytes(8), magic=b"\x93NUMPY\x03\x00"), "version"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_member_that_is_no_array_of_its_size_is_refused(tmp_path, name):
    content, message = DAMAGED[name]
    write_zip(tmp_path / "a.npz", a=content)
    with pytest.raises(ValueError, match=rf"a\.npz is not a whole \.npz file .*{message}"):
        load_arrays(tmp_path / "a.npz")


def test_an_error_without_words_is_named_by_its_kind():
    with pytest.raises(ValueError, match=r"^file is bad: MemoryError$"), named("file", "is bad"):
        raise MemoryError


def test_what_a_file_says_cannot_steer_the_terminal():
    with pytest.raises(ValueError, match="bad") as error, named("file", "is bad"):
        raise RuntimeError("\x1b]0;owned\x07 äöü" + 5000 * "x")
    assert str(error.value).startswith("file is bad: \\x1b]0;owned\\x07 äöü")
    assert len(str(error.value)) < 1100


def test_arrays_and_meta_that_do_not_belong_together_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    save_with_meta(path, {"a": np.arange(3), "b": np.arange(3) + 1}, {"format": 7})
    arrays, meta = load_with_meta(path, 7)
    assert arrays.keys() == {"a", "b"}
    assert meta == {"format": 7}
    kept = load_arrays(path)
    for change in ({"a": kept["b"], "b": kept["a"]}, {"c": kept["a"]}, {"a": kept["a"] + 1}):
        save_arrays(path, kept | change)
        with pytest.raises(ValueError, match=r"a\.npz is not a whole file of vqnp"):
            load_with_meta(path, 7)
    save_arrays(path, {"meta": np.array("[" * 100_000)})
    with pytest.raises(ValueError, match=r"a\.npz is not a whole file of vqnp"):
        load_with_meta(path, 7)


WRITER = """
import sys, time
from pathlib import Path
from vqnp.files import whole
with whole(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    print("writing", flush=True)
    time.sleep(100)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kills as a Unix does")
def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(files, "LEFT_SECONDS", 0)
    command = [sys.executable, "-c", WRITER, str(tmp_path / "file")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout.readline() == "writing\n"
        time.sleep(0.05)  # its file is older than the limit: only the lock protects it
        writable_directory(tmp_path)
        (part,) = tmp_path.iterdir()
        writer.kill()
    assert part.read_bytes() == b"half"
    writable_directory(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_young_file_without_a_lock_is_left_alone(tmp_path):
    """Its writer may be between two lines: about to lock it, or about to give it its name."""
    (tmp_path / ".file.x.part").touch()
    writable_directory(tmp_path)
    assert (tmp_path / ".file.x.part").exists()


def test_a_full_disk_is_named_with_the_file(tmp_path):
    with (
        pytest.raises(OSError, match=r"No space left on device: '.*file'$"),
        whole(tmp_path / "file"),
    ):
        raise OSError(28, "No space left on device")
    assert not list(tmp_path.iterdir())
