"""Reading chosen members of a ``.tar.gz`` into memory. Nothing is ever written to disk.

An archive is refused as a whole when any member, wanted or not, points out of its folder, is a link or a device, or is too large.
The limit on the total counts what comes out of the decompressor, so a bomb is cut off wherever it is hidden.
"""

import gzip
import tarfile
import zlib
from collections.abc import Collection
from pathlib import Path, PurePosixPath

MEMBER_LIMIT = 64 << 20  # bytes
TOTAL_LIMIT = 256 << 20  # bytes, decompressed
CHUNK = 1 << 20


class LimitedReader:
    """A stream that raises ``ValueError`` once more than ``limit`` bytes have come out of it."""

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
    member_limit: int = MEMBER_LIMIT,
    total_limit: int = TOTAL_LIMIT,
) -> dict[str, bytes]:
    """Return the content of those ``wanted`` members that a ``.tar.gz`` holds, by name.

    Raises ``ValueError`` naming the archive (and the member) when the archive is damaged, unsafe or too large.
    """
    try:
        with gzip.open(archive) as stream:
            return _read(LimitedReader(stream, total_limit), wanted, member_limit)
    except (ValueError, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise ValueError(
            f"{archive} is refused: not a .tar.gz that can be read safely ({error!s:.300})"
        ) from error


def _read(stream: LimitedReader, wanted: Collection[str], member_limit: int) -> dict[str, bytes]:
    members: dict[str, bytes] = {}
    with tarfile.open(fileobj=stream, mode="r|", bufsize=CHUNK) as tar:  # type: ignore[call-overload]
        for member in tar:
            name = checked_name(member, member_limit)
            if member.isfile() and name in wanted:
                if name in members:
                    raise ValueError(f"it holds {name} twice")
                members[name] = tar.extractfile(member).read()
    while stream.read(CHUNK):  # the checksum of the whole stands at its end
        pass
    return members


def checked_name(member: tarfile.TarInfo, limit: int) -> str:
    """Return a member's name without ``./``; raises ``ValueError`` naming one that is unsafe or larger than ``limit`` bytes."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"member {member.name!r:.200} lies outside the archive's folder")
    if not (member.isfile() or member.isdir()):
        raise ValueError(
            f"member {member.name!r} is a link or a device, expected files and folders only"
        )
    if not 0 <= member.size <= limit:
        raise ValueError(
            f"member {member.name!r} declares {member.size:,} bytes, expected at most {limit:,}"
        )
    return str(path)
