import builtins
import os
import pickle
import struct
import time
from contextlib import suppress

import numpy as np
import pytest

from vqnp.data.untrusted import byte_array, read_pickle

ARRAY = np.arange(6, dtype=np.uint8).reshape(2, 3)
RAW = ARRAY.tobytes()
DTYPE = (
    b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
)


def python2_array(
    rows=2, columns=3, fortran=b"\x89", dtype=DTYPE, raw=RAW, name=b"numpy.core.multiarray"
):
    """The opcodes by which Python 2 and NumPy 1 pickle a uint8 array."""
    shape = b"K" + bytes([rows]) + b"K" + bytes([columns]) + b"\x86"
    build = b"(K\x01" + shape + dtype + fortran + b"T" + struct.pack("<i", len(raw)) + raw + b"tb"
    return b"c" + name + b"\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R" + build


def dictionary(value):
    return b"\x80\x02}U\x04data" + value + b"s."


class Calls:
    """Pickles into a call of ``function``."""

    def __init__(self, function, *arguments):
        self.reduced = (function, arguments)

    def __reduce__(self):
        return self.reduced


def test_python2_array_is_read():
    stream = dictionary(python2_array())
    np.testing.assert_array_equal(
        pickle.loads(stream, encoding="bytes")[b"data"], ARRAY
    )  # the stream is a true one
    np.testing.assert_array_equal(
        byte_array(read_pickle(stream, "f")["data"], (2, 3), "data"), ARRAY
    )


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("key", ["data", b"data"])
def test_array_written_by_this_python_is_read(protocol, key):
    stream = pickle.dumps({key: ARRAY, "text": "truck", b"bytes": b"ship"}, protocol=protocol)
    found = read_pickle(stream, "f")
    np.testing.assert_array_equal(byte_array(found["data"], (2, 3), "data"), ARRAY)
    assert (found["text"], found["bytes"]) == ("truck", b"ship")


def test_payload_of_a_hostile_pickle_does_not_run(tmp_path):
    marker = tmp_path / "ran"
    stream = pickle.dumps({"data": Calls(os.mkdir, str(marker))}, protocol=2)
    pickle.loads(stream)
    assert marker.exists()  # it is hostile indeed,
    marker.rmdir()
    with pytest.raises(ValueError, match=r"some file is refused: .*(posix|nt)\.mkdir"):
        read_pickle(stream, "some file")
    assert not marker.exists()  # and tame here


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (Calls(os.system, "true"), r"\.system"),
        (Calls(builtins.eval, "1"), r"\.eval"),
        (Calls(builtins.getattr, 1, "real"), r"\.getattr"),
        (Calls(np.load, "x"), "load"),
    ],
)
@pytest.mark.parametrize("protocol", [2, 4])
def test_other_names_are_refused_by_name(call, name, protocol):
    with pytest.raises(ValueError, match=r"bad.pkl is refused: .* as opcode .* is not admitted"):
        read_pickle(pickle.dumps({"data": call}, protocol=0), "bad.pkl")
    with pytest.raises(ValueError, match=f"bad.pkl is refused: .*{name}, which is not admitted"):
        read_pickle(pickle.dumps({"data": call}, protocol=protocol), "bad.pkl")


@pytest.mark.parametrize("module", ["numpy.core.multiarray.x", "numpy.core", "_codecs", "numpy"])
def test_admitted_name_of_another_module_is_refused(module):
    with pytest.raises(ValueError, match="not admitted"):
        read_pickle(dictionary(python2_array(name=module.encode())), "f")


@pytest.mark.parametrize(
    "value",
    [
        # ndarray(2**40), which would set aside a terabyte
        b"cnumpy\nndarray\n(\x8a\x06\x00\x00\x00\x00\x00\x01tR",
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
        b"\x8a\x06\x00\x00\x00\x00\x00\x01\x85U\x01b\x87R",
        b"cnumpy\ndtype\nU\x01O\x85R",  # a dtype of objects
        b"cnumpy\nndarray\n",  # a name, never called
        b"K\x05",
        b"]",
        b"N",
    ],
)
def test_admitted_names_in_wrong_use_are_no_array(value):
    with pytest.raises(ValueError, match="data in f must be a C-ordered uint8 array"):
        byte_array(read_pickle(dictionary(value), "f")["data"], (2, 3), "data in f")


@pytest.mark.parametrize(
    "change",
    [
        {"rows": 3},
        {"rows": 3, "columns": 2},
        {"raw": b"12345"},
        {"raw": b"1234567"},
        {"fortran": b"\x88"},
        {"dtype": DTYPE.replace(b"u1", b"i1")},
        {"dtype": b"N"},
    ],
)
def test_another_shape_order_or_dtype_is_refused(change):
    with pytest.raises(ValueError, match=r"data must be a C-ordered uint8 array of shape \(2, 3\)"):
        byte_array(read_pickle(dictionary(python2_array(**change)), "f")["data"], (2, 3), "data")


def test_encode_is_admitted_for_latin1_alone():
    assert (
        read_pickle(
            dictionary(b"c_codecs\nencode\nX\x02\x00\x00\x00\xc3\xbfU\x06latin1\x86R"), "f"
        )["data"]
        == b"\xff"
    )
    for arguments in (
        b"U\x01aU\x06latin1\x86",
        b"X\x01\x00\x00\x00aX\x05\x00\x00\x00utf16\x86",
        b"K\x05\x85",
    ):
        with pytest.raises(ValueError, match="f is refused"):
            read_pickle(dictionary(b"c_codecs\nencode\n" + arguments + b"R"), "f")


@pytest.mark.parametrize("target", [b"c_codecs\nencode\n", b"cnumpy\ndtype\n"])
def test_a_file_leaves_nothing_behind_for_the_next(target):
    """BUILD with a pair of dictionaries sets attributes on whatever it is given."""
    with suppress(ValueError):
        read_pickle(dictionary(target + b"N}U\x09argumentsK\x05s\x86b"), "f")
    np.testing.assert_array_equal(
        byte_array(read_pickle(dictionary(python2_array()), "f")["data"], (2, 3), "data"), ARRAY
    )


LEVELS = b"".join(b"h%ch%c\x86q%c" % (i, i, i + 1) for i in range(60))
ONE_HASH = b"".join(
    b"\x8a\x0a%bN" % (i * (2**61 - 1)).to_bytes(10, "little") for i in range(60_000)
)
HOSTILE = {
    "a key of shared pairs": (b"\x80\x02})q\x00" + LEVELS + b"Ns.", "a key at opcode 245 is"),
    "the same by DUP": (b"\x80\x02})" + 60 * b"2\x86" + b"Ns.", "DUP as opcode 3 is not admitted"),
    "a place of a high number": (b"\x80\x02}r" + struct.pack("<I", 10**9) + b".", "sets aside"),
    "a number never given": (b"\x80\x02}h\x05Ns.", "a key at opcode 4 is"),
    "integers of one hash": (b"\x80\x02}(" + ONE_HASH + b"u.", "a key at opcode .* is no text"),
    "tuples": (pickle.dumps({(i,): 0 for i in range(60_000)}, 2), "a key at opcode .* is no text"),
    "too many opcodes": (b"\x80\x02}" + 300_000 * b"N0" + b".", "as opcode .* is not admitted"),
    "only admitted opcodes, too many": (b"\x80\x02}(" + 1_100_000 * b"N" + b"u.", "1,000,001 is n"),
    "a byte array cut short": (b"\x80\x05}\x96" + struct.pack("<Q", 99) + b"x", "bytearray8"),
    "a set": (pickle.dumps({1: {2}}, 4), "EMPTY_SET as opcode"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_pickle_that_would_never_end_or_fill_the_memory_is_refused(name):
    """Before it is loaded: the first four in C, where Ctrl-C waits."""
    stream, message = HOSTILE[name]
    begun = time.process_time()
    with pytest.raises(ValueError, match=f"^f is refused: .*{message}"):
        read_pickle(stream, "f")
    assert time.process_time() - begun < 5


def test_text_may_be_used_twice():
    """As Python 3 does with equal keys of two dictionaries."""
    assert read_pickle(pickle.dumps({"a": "word", "b": ["word", "a"]}, 4), "f") == {
        "a": "word", "b": ["word", "a"]
    }  # fmt: skip
    text = "".join(["wo", "rd"])
    assert read_pickle(pickle.dumps({text: [text, text]}, 2), "f") == {"word": ["word", "word"]}


def test_a_name_in_a_pickle_cannot_steer_the_terminal():
    stream = b"\x80\x02}U\x01ac\x1b]0;owned\x07\nsystem\ns."
    with pytest.raises(ValueError, match="not admitted") as error:
        read_pickle(stream, "f")
    assert str(error.value).isprintable()


def test_every_truncation_is_refused():
    stream = dictionary(python2_array())
    for length in range(len(stream)):
        with pytest.raises(ValueError, match="cut short is refused"):
            read_pickle(stream[:length], "cut short")


def test_damage_is_never_answered_with_another_error():
    stream = dictionary(python2_array())
    for position in range(len(stream)):
        damaged = bytearray(stream)
        damaged[position] ^= 0x15
        with suppress(ValueError):  # harmless damage is read
            byte_array(read_pickle(bytes(damaged), "f").get("data"), (2, 3), "data")


def test_anything_but_a_dictionary_is_refused():
    with pytest.raises(ValueError, match="f must hold a pickled dictionary, got list"):
        read_pickle(pickle.dumps([1]), "f")
