import gzip
import io
import tarfile
import time
import zlib

import numpy as np
import pytest

from vqnp.data.untrusted import CHUNK_BYTES, read_members

GOOD = {"folder/a": b"first", "folder/b": b"second"}


def member(name, content=b"", **fields):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def archive(path, *extra, format=tarfile.PAX_FORMAT):
    """Write a .tar.gz of the good members and then ``extra`` ones."""
    with tarfile.open(path, "w:gz", format=format) as tar:
        for info, content in [*(member(name, content) for name, content in GOOD.items()), *extra]:
            tar.addfile(info, io.BytesIO(content) if content else None)
    return path


def test_wanted_members_are_read_and_no_others(tmp_path):
    path = archive(
        tmp_path / "good.tar.gz",
        member("folder", type=tarfile.DIRTYPE),
        member("./folder/c", b"third"),
    )
    assert read_members(path, {"folder/b", "folder/c", "folder/absent"}) == {
        "folder/b": b"second",
        "folder/c": b"third",
    }
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (member("../outside", b"x"), "'../outside' lies outside"),
        (member("folder/../../outside", b"x"), "'folder/../../outside' lies outside"),
        (member("..", type=tarfile.DIRTYPE), "'..' lies outside"),
        (member("/tmp/outside", b"x"), "'/tmp/outside' lies outside"),
        (
            member("folder/link", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
            "'folder/link' is a link or a device",
        ),
        (
            member("folder/link", type=tarfile.SYMTYPE, linkname="a"),
            "'folder/link' is a link or a device",
        ),
        (
            member("folder/hard", type=tarfile.LNKTYPE, linkname="folder/a"),
            "'folder/hard' is a link or a device",
        ),
        (member("folder/device", type=tarfile.CHRTYPE), "'folder/device' is a link or a device"),
        (member("folder/disk", type=tarfile.BLKTYPE), "'folder/disk' is a link or a device"),
        (member("folder/pipe", type=tarfile.FIFOTYPE), "'folder/pipe' is a link or a device"),
        (member("folder/a", b"again"), "folder/a twice"),
    ],
)
@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_unsafe_member_condemns_the_archive(tmp_path, extra, message, format):
    inside = tmp_path / "inside"
    inside.mkdir()
    path = archive(inside / "bad.tar.gz", extra, format=format)
    with pytest.raises(ValueError, match=rf"bad\.tar\.gz is refused: .*{message}"):
        read_members(path, set(GOOD))
    assert list(inside.iterdir()) == [path]
    assert list(tmp_path.iterdir()) == [inside]


def declaring(path, size):
    """Write an archive whose only member says it has ``size`` bytes, and which ends there."""
    info = member("folder/a", size=size)[0]
    path.write_bytes(gzip.compress(info.tobuf(tarfile.GNU_FORMAT)))
    return path


@pytest.mark.parametrize("size", [64 * 2**20 + 1, 2**40, 2**62])
def test_huge_declared_size_is_refused_before_anything_is_read(tmp_path, size):
    with pytest.raises(
        ValueError, match=rf"big\.tar\.gz is refused: .*'folder/a' declares {size:,} bytes"
    ):
        read_members(declaring(tmp_path / "big.tar.gz", size), set(GOOD))


def test_size_of_a_member_is_limited_wanted_or_not(tmp_path):
    path = archive(tmp_path / "large.tar.gz", member("folder/other", bytes(101)))
    assert read_members(path, set(GOOD), member_bytes=101) == GOOD
    with pytest.raises(ValueError, match="'folder/other' declares 101 bytes, expected at most 100"):
        read_members(path, set(GOOD), member_bytes=100)


def test_total_is_limited_as_it_is_decompressed(tmp_path):
    path = archive(
        tmp_path / "bomb.tar.gz", *(member(f"folder/{i}", bytes(5000)) for i in range(200))
    )
    assert path.stat().st_size < 20_000
    with pytest.raises(ValueError, match=r"bomb\.tar\.gz is refused: .*more than 100,000 bytes"):
        read_members(path, set(GOOD), total_bytes=100_000)


def test_bomb_in_a_header_is_cut_off(tmp_path):
    """A long name is itself a member, of a name that says so."""
    path = archive(
        tmp_path / "name.tar.gz", member("n" * 1_000_000, b"x"), format=tarfile.GNU_FORMAT
    )
    with pytest.raises(ValueError, match=r"name\.tar\.gz is refused: .*declares 1,000,001 bytes"):
        read_members(path, set(GOOD))


@pytest.mark.parametrize("key", ["size", "comment"])
def test_headers_about_the_next_member_are_not_parsed(tmp_path, key):
    """60,000 digits as a size took the parser of Python 3.11.7 for ever (CVE-2024-6232)."""
    header = f"{key}={'0' * 60_000}7\n"
    header = f"{len(header) + 6} {header}".encode()
    first = member("pax", header, type=tarfile.XHDTYPE)
    path = archive(tmp_path / "pax.tar.gz", first, member("folder/c", b"third"))
    found = read_members(path, {"folder/c", "pax"})
    assert found == {"folder/c": b"third"}


def test_dates_with_fractions_are_read_past(tmp_path):
    """tarfile writes a header about each member that has one."""
    path = archive(tmp_path / "dates.tar.gz", member("folder/c", b"third", mtime=1.5))
    assert b"mtime=1.5" in gzip.decompress(path.read_bytes())
    assert read_members(path, {"folder/c"}) == {"folder/c": b"third"}


@pytest.mark.parametrize("key", ["x", "g", "L", "K"])
def test_large_headers_are_refused(tmp_path, key):
    path = archive(tmp_path / "large.tar.gz", member("n", bytes(65_537), type=key.encode()))
    with pytest.raises(ValueError, match=r"'n' declares 65,537 bytes, expected at most 65,536"):
        read_members(path, set(GOOD))


def test_members_are_counted(tmp_path):
    folders = [member(f"folder/{i}", type=tarfile.DIRTYPE) for i in range(999)]
    path = archive(tmp_path / "many.tar.gz", *folders[:-2])
    assert read_members(path, set(GOOD)) == GOOD
    path = archive(tmp_path / "many.tar.gz", *folders)
    with pytest.raises(ValueError, match=r"many\.tar\.gz is refused: .*more than 1,000 members"):
        read_members(path, set(GOOD))


def test_a_name_of_many_megabytes_in_the_header_of_gzip_is_passed_over_at_once(tmp_path):
    raw = archive(tmp_path / "a.tar.gz").read_bytes()
    assert raw[3] == 8  # its flags: it has a name, from byte 10 on
    path = tmp_path / "named.tar.gz"
    path.write_bytes(raw[:10] + b"n" * 30_000_000 + raw[10:])
    begun = time.perf_counter()
    assert read_members(path, set(GOOD)) == GOOD
    assert time.perf_counter() - begun < 2


def test_every_truncation_is_refused(tmp_path):
    whole = archive(tmp_path / "whole.tar.gz").read_bytes()
    path = tmp_path / "cut.tar.gz"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"cut\.tar\.gz is refused"):
            read_members(path, set(GOOD))


def test_every_damaged_byte_is_refused_or_harmless(tmp_path):
    whole = archive(tmp_path / "whole.tar.gz").read_bytes()
    path = tmp_path / "damaged.tar.gz"
    refusals = 0
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0xFF]) + whole[position + 1 :])
        try:
            assert read_members(path, set(GOOD)) == GOOD
        except ValueError:
            refusals += 1
    assert refusals > 0.8 * len(whole)  # only gzip's own header, with its name and date, may differ


def test_one_wrong_bit_of_incompressible_content_is_refused(tmp_path):
    """Only the checksum at the end shows it. The tar ends with a chunk, so reading must go on."""
    size = (
        (5 << 20) - 5 * 512 - 1024
    )  # what two small members, this one's header and the end leave of five chunks
    noise = np.random.default_rng(0).bytes(size)
    path = archive(tmp_path / "flipped.tar.gz", member("folder/noise", noise))
    assert len(gzip.decompress(path.read_bytes())) == 5 * CHUNK_BYTES
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=r"flipped\.tar\.gz is refused"):
        read_members(path, set(GOOD))


def test_damage_that_the_decompressor_notices_is_refused(tmp_path):
    path = archive(tmp_path / "damaged.tar.gz", member("folder/large", bytes(3 * CHUNK_BYTES)))
    deflate = zlib.compressobj(wbits=31)
    start = deflate.compress(
        gzip.decompress(path.read_bytes())[: 2 * CHUNK_BYTES + 5]
    ) + deflate.flush(zlib.Z_FULL_FLUSH)
    path.write_bytes(
        start + b"\xff" * 100
    )  # a block of a type that does not exist, inside a member
    with pytest.raises(ValueError, match=r"damaged\.tar\.gz is refused.*invalid block type"):
        read_members(path, {"folder/large"})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not an archive",
        gzip.compress(b"not a tar", mtime=0),
        gzip.compress(b"x" * 2000, mtime=0),
    ],
    ids=["nothing", "text", "short", "long"],
)
def test_another_kind_of_file_is_refused(tmp_path, content):
    path = tmp_path / "other.tar.gz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"other\.tar\.gz is refused"):
        read_members(path, set(GOOD))
