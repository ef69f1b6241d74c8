"""What students handed in: a folder, or the zip that Gradescope or Canvas lets you download.

Nothing in it is trusted. Files are read up to a size, names become harmless, nothing is unpacked.
"""

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath

import yaml

LARGEST = 20_000_000  # bytes of one file; a notebook with its pictures has fewer
GRADESCOPE = re.compile(r"(?:.*/)?(submission_\d+)/(.+)")
# The name, LATE, the user's id, the submission's id, and the name of the file
CANVAS = re.compile(r"(?:.*/)?([^/_]+)_(?:LATE_)?(\d+)_(\d+)_([^/]+)")
AGAIN = re.compile(r"-\d+(?=\.\w+$)")  # Canvas numbers what is handed in again


@dataclass(frozen=True)
class Submission:
    """One student's file: ``key`` names the student, ``problem`` says why there is none."""

    key: str
    email: str
    suffix: str
    content: bytes
    problem: str = ""

    @property
    def digest(self) -> str:
        """The checksum of the file."""
        return sha256(self.suffix.encode() + self.content).hexdigest()


def collect(path: Path, name: str) -> list[Submission]:
    """Return one submission a student, sorted; raises ``ValueError`` when there is none."""
    files = dict(_in_zip(path) if path.is_file() else _in_folder(path))
    emails = _emails(files)
    found: dict[str, dict[str, bytes]] = {}
    for inside, content in files.items():
        key, file = _owner(inside)
        if key and PurePosixPath(file).suffix in (".ipynb", ".py"):
            found.setdefault(key, {})[AGAIN.sub("", PurePosixPath(file).name)] = content
    if not found:
        raise ValueError(f"{path} holds no notebooks and no modules")
    return [_chosen(key, emails.get(key, ""), found[key], name) for key in sorted(found)]


def _in_zip(path: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if not member.is_dir() and "__MACOSX" not in member.filename:
                with archive.open(member) as file:  # not its declared size: that may be a lie
                    yield member.filename, file.read(LARGEST + 1)


def _in_folder(path: Path) -> Iterator[tuple[str, bytes]]:
    for each in sorted(path.rglob("*")):
        if each.is_file() and not each.is_symlink():
            with each.open("rb") as file:
                yield each.relative_to(path).as_posix(), file.read(LARGEST + 1)


def _owner(inside: str) -> tuple[str, str]:
    """Return the key of a student and the name of the file."""
    if found := GRADESCOPE.fullmatch(inside):
        return found[1], found[2]
    if found := CANVAS.fullmatch(inside):
        return f"{_harmless(found[1])}_{found[2]}", found[4]
    folder, _, file = inside.rpartition("/")
    return _harmless(folder.partition("/")[0] or PurePosixPath(file).stem), file


def _harmless(name: str) -> str:
    return re.sub(r"[^\w.@+-]", "_", name)[:80].lstrip(".") or "_"


def _emails(files: dict[str, bytes]) -> dict[str, str]:
    """Return the e-mail of each of Gradescope's submissions."""
    for inside, content in files.items():
        if PurePosixPath(inside).name == "submission_metadata.yml":
            told = yaml.safe_load(content) or {}
            people = {key: (entry.get(":submitters") or [{}])[0] for key, entry in told.items()}
            return {key: str(person.get(":email", "")) for key, person in people.items()}
    return {}


def _chosen(key: str, email: str, files: dict[str, bytes], name: str) -> Submission:
    """Choose the file to grade: that of the hand-out's name, else the only notebook or module."""
    for suffix in (".ipynb", ".py"):
        given = files.get(f"{name}{suffix}")
        own = [content for file, content in files.items() if file.endswith(suffix)]
        if given is None and len(own) == 1:
            (given,) = own
        if given is not None:
            if len(given) > LARGEST:
                return Submission(key, email, suffix, b"", f"the file exceeds {LARGEST:,} bytes")
            return Submission(key, email, suffix, given)
    return Submission(key, email, "", b"", f"no file is called {name}.ipynb or {name}.py")
