"""Every loader, given damaged files: it reads them, or names them in a documented error.

``python tests/robustness/fuzz.py --inputs 60000`` mutates valid files and reads them. A file may
be refused with ``ValueError``, ``TypeError`` or ``OSError`` that name it. Any other exception, a
read of more than 5 seconds and memory above 1 GB count as failures, and are shown with the number
of the input: ``--only LOADER --first NUMBER --inputs 1`` repeats it.
"""

import argparse
import collections
import copy
import faulthandler
import gzip
import io
import json
import pickle
import random
import sys
import tarfile
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path += [str(Path(__file__).parents[1] / folder) for folder in (".", "quantize")]
from family import FAMILY
from runs import SCHEDULE, SETTINGS, small_data, small_model, small_train

from vqnp import VQVAE, MLPSettings, mlp_vqvae, train
from vqnp.data import load_any, load_array, load_cifar10, load_points
from vqnp.data.cifar10 import (
    CLASSES,
    LAYOUTS,
    read_binary_batch,
    read_python_batch,
    read_python_names,
)
from vqnp.data.untrusted import read_members, read_pickle
from vqnp.files import load_arrays, load_with_meta, save_arrays, save_with_meta
from vqnp.training import checkpoints
from vqnp.training.state import TrainState

SLOW_SECONDS = 5  # of the processor
HANG_SECONDS = 600  # on the wall; the process ends then, and says where it was
MOST_MEGABYTES = 1024
IMAGES = 3  # in a file of the small CIFAR-10

# Mutations of bytes


def mutated(raw: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """Return ``raw`` after one to four changes."""
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        raw = rng.choice(CHANGES)(bytearray(raw or b"\0"), others, rng)
    return bytes(raw)


def flip(raw, others, rng):
    raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
    return raw


def overwrite(raw, others, rng):
    at, size = rng.randrange(len(raw)), rng.choice([1, 2, 8, 40])
    raw[at : at + size] = rng.choice([b"\0", b"\xff", rng.randbytes(1)]) * size
    return raw


def field(raw, others, rng):
    """Put a number where a size may stand."""
    size = rng.choice([2, 4, 8])
    number = rng.choice([0, 1, 2**15, 2**31 - 1, 2**31, 2**40, 2**63, 10**9, len(raw)])
    at = rng.randrange(len(raw))
    raw[at : at + size] = (number % 256**size).to_bytes(size, rng.choice(["little", "big"]))
    return raw


def digits(raw, others, rng):
    """Change a digit of a text, or put several for one."""
    places = [i for i, byte in enumerate(raw[:4000]) if 48 <= byte < 58]
    if places:
        at = rng.choice(places)
        raw[at : at + 1] = rng.choice([b"0", b"9", b"-1", b"999999999999", b"1e9", b"True", b"("])
    return raw


def cut(raw, others, rng):
    return raw[: rng.randrange(len(raw))]


def remove(raw, others, rng):
    at = rng.randrange(len(raw))
    del raw[at : at + rng.choice([1, 2, 8, 100])]
    return raw


def insert(raw, others, rng):
    at = rng.randrange(len(raw))
    raw[at:at] = rng.randbytes(rng.choice([1, 2, 8, 100]))
    return raw


def repeat(raw, others, rng):
    at = rng.randrange(len(raw))
    piece = raw[at : at + rng.choice([1, 4, 30])]
    raw[at:at] = piece * rng.choice([1, 10, 1000])
    return raw


def splice(raw, others, rng):
    other = rng.choice(others)
    at = rng.randrange(len(other) or 1)
    raw[rng.randrange(len(raw)) :] = other[at:]
    return raw


CHANGES = [flip, overwrite, field, digits, cut, remove, insert, repeat, splice]


def inside_zip(raw: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """Change one member of an archive, whose checksums are then right again."""
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(list(members))
    contents = list(members.values())
    match rng.randrange(8):
        case 0:
            members[name] = rng.choice(contents)
        case 1:
            del members[name]
        case 2:
            members[rng.choice(["new.npy", "meta", "../x.npy"])] = members[name]
        case _:
            members[name] = mutated(members[name], contents, rng)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", rng.choice([0, 0, 8])) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return packed.getvalue()


def inside_tar(raw: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """Change what a ``.tar.gz`` holds; half the time the headers' checksums are right again."""
    tar = bytearray(
        mutated(gzip.decompress(raw), [gzip.decompress(other) for other in others], rng)
    )
    if rng.random() < 0.5:
        for at in range(0, len(tar) - 511, 512):
            if tar[at + 257 : at + 262] == b"ustar":
                tar[at + 148 : at + 156] = b" " * 8
                tar[at + 148 : at + 156] = b"%06o\0 " % sum(tar[at : at + 512])
    return gzip.compress(bytes(tar), 1, mtime=0)


# Mutations of what a file says, with a right sha256

STRANGE = [
    None, True, -1, 0, 1, 3, 10**6, 10**30, 0.5, float("nan"), float("inf"), "", "text", [], {},
    [1], [[]], {"kind": "EMA"}, [2, 0, 1], [99, 0, 0],
]  # fmt: skip


def rewritten(load: Callable, save: Callable) -> Callable:
    """Return a mutation that exchanges arrays, or entries of the JSON beside them."""

    def change(raw: bytes, others: list[bytes], rng: random.Random) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "file.npz"
            path.write_bytes(raw)
            arrays, meta = load(path)
            for _ in range(rng.choice([1, 1, 2])):
                if rng.random() < 0.5:
                    exchange(arrays, rng)
                else:
                    change_leaf(meta, rng)
            save(path, arrays, meta)
            return path.read_bytes()

    return change


def exchange(arrays: dict[str, np.ndarray], rng: random.Random) -> None:
    name = rng.choice(list(arrays) or ["none"])
    array = arrays.get(name, np.zeros(3))
    flat = array.reshape(-1)
    match rng.randrange(12):
        case 0:
            arrays[name] = flat[:1]
        case 1:
            arrays[name] = array[:1] if array.ndim else flat
        case 2:
            arrays[name] = array.astype(rng.choice(["f8", "f4", "f2", "i8", ">f4", "U5", "?"]))
        case 3:
            arrays[name] = np.full_like(array, rng.choice([1, -1]))
        case 4:
            arrays[name] = np.full(array.shape, rng.choice([np.nan, np.inf, 1e38]), array.dtype)
        case 5:
            arrays.pop(name, None)
        case 6:
            arrays[rng.choice(["new", "buffers.x", "params.quantizer.x", "tally.hits"])] = array
        case 7:
            arrays[name] = arrays[rng.choice(list(arrays) or [name])] if arrays else array
        case 8:
            arrays[name] = np.concatenate([flat, flat])
        case 9:
            arrays[name] = np.zeros((0, *array.shape[1:]), array.dtype)
        case 10:
            arrays[name] = array[None]
        case _:
            arrays[name] = array.T


def change_leaf(value: Any, rng: random.Random) -> None:
    """Exchange something anywhere in a tree of dictionaries and lists."""
    places = [(value, key) for key in list(value)] if isinstance(value, dict) else []
    for at, key in places:
        inner = at[key]
        if isinstance(inner, dict):
            places += [(inner, k) for k in inner]
        elif isinstance(inner, list):
            places += [(inner, i) for i in range(len(inner))]
    if not places:
        return
    at, key = rng.choice(places)
    if rng.random() < 0.2:
        del at[key]
    elif rng.random() < 0.5:
        at[key] = rng.choice(STRANGE)
    else:
        other, k = rng.choice(places)
        if isinstance(other, dict) or k < len(other):
            at[key] = copy.deepcopy(other.get(k) if isinstance(other, dict) else other[k])


# Loaders


@dataclass(frozen=True)
class Loader:
    """Valid files, how to read one at a path, and the mutations to draw from."""

    valid: list[bytes]
    read: Callable[[Path], Any]
    changes: tuple[Callable, ...] = (mutated,)


def fresh_state() -> TrainState:
    model = small_model()
    optimizer = SETTINGS.make_optimizer(model.autoencoder.params)
    return TrainState(model, small_data(), SCHEDULE, SETTINGS, 0, optimizer)


def resumed(path: Path) -> None:
    """Take up a checkpoint; one in eight goes on to the end of its run."""
    checkpoints.restore(path, fresh_state())
    if zlib.crc32(path.read_bytes()) % 8 == 0:
        try:
            train(
                small_model(),
                small_data(),
                SCHEDULE,
                SETTINGS,
                checkpoint=path,
                checkpoint_seconds=1e9,
                resume=True,
            )
        except FloatingPointError as error:
            raise ValueError(f"{path} was taken up, and {error}") from error


def used(path: Path) -> None:
    """Load a model and use it."""
    model = VQVAE.load(path)
    try:
        model.quantizer.tokens  # noqa: B018
    except RuntimeError:
        return
    try:
        model.reconstruct(small_data())
    except (ValueError, TypeError) as error:  # of a model that is another, but a model
        raise ValueError(f"{path} is loaded, and {error}") from error


def make_loaders(folder: Path) -> dict[str, Loader]:
    """Return every loader of the package with small valid files."""
    rng = np.random.default_rng(0)

    def saved(array: np.ndarray) -> bytes:
        with io.BytesIO() as file:
            np.save(file, array)
            return file.getvalue()

    points = [
        saved(array)
        for array in (
            rng.standard_normal((6, 3)), rng.standard_normal((6, 3)).astype(np.float32),
            np.asfortranarray(rng.standard_normal((6, 2))), np.arange(12).reshape(6, 2),
        )
    ]  # fmt: skip
    labels = [saved(np.arange(6)), saved(np.arange(6, dtype=np.uint8))]
    fixed = folder / "points.npy"
    fixed.write_bytes(points[0])

    runs = [folder / "tally.npz", folder / "end.npz"]

    def keep(run: Any) -> None:
        if len(run.history) == 3:
            raise ZeroDivisionError

    with suppress(ZeroDivisionError):
        small_train(checkpoint=runs[0], checkpoint_seconds=0, on_epoch=keep)
    model = small_train(checkpoint=runs[1], checkpoint_seconds=0).model
    model.save(folder / "model.npz")
    small_model().save(folder / "untrained.npz")
    models = [(folder / name).read_bytes() for name in ("model.npz", "untrained.npz")]
    families = [family_model(kind, folder / "family.npz") for kind in FAMILY]
    runs = [path.read_bytes() for path in runs]
    save_arrays(folder / "arrays.npz", {"a": np.arange(6.0), "b": np.array("text")})
    arrays = [(folder / "arrays.npz").read_bytes(), *models]

    pixels = rng.integers(0, 256, (IMAGES, 3072), dtype=np.uint8)
    batches, names = pickled_batches(pixels), pickled_names()
    binary = [bytes(b"".join(bytes([i]) + row.tobytes() for i, row in enumerate(pixels)))]
    archives = [small_cifar(batches[0], names[0])]
    of_run = (mutated, inside_zip, rewritten_meta(checkpoints.FORMAT))
    of_model = (mutated, inside_zip, rewritten_meta(2))
    whole = {f"cifar-10-batches-py/data_batch_{i}" for i in range(1, 6)}
    return states_of_pytorch(folder) | {
        "safetensors": Loader(
            [safetensors(dtype) for dtype in ("F32", "BF16")],
            lambda path: load_any(ending(path, ".safetensors")),
        ),
        "any npz": Loader(
            arrays[:1], lambda path: load_any(f"{ending(path, '.npz')}:a"), (mutated, inside_zip)
        ),
        "load_points": Loader(points, load_points),
        "labels": Loader(labels, lambda path: load_points(fixed, path)),
        "load_array mmap": Loader(points, lambda path: load_array(path, mmap=True)),
        "load_arrays": Loader(arrays, load_arrays, (mutated, inside_zip)),
        "checkpoint": Loader(runs, resumed, of_run),
        "model": Loader(models, used, of_model),
        "family": Loader(families, used, of_model[-1:]),
        "read_pickle": Loader(
            batches + names, lambda path: read_pickle(path.read_bytes(), str(path))
        ),
        "python batch": Loader(
            batches, lambda path: read_python_batch(path.read_bytes(), str(path), IMAGES)
        ),
        "python names": Loader(
            names, lambda path: read_python_names(path.read_bytes(), str(path))
        ),
        "binary batch": Loader(
            binary, lambda path: read_binary_batch(path.read_bytes(), str(path), IMAGES)
        ),
        "binary names": Loader(
            ["\n".join(CLASSES).encode()],
            lambda path: LAYOUTS[0].read_names(path.read_bytes(), str(path)),
        ),
        "read_members": Loader(
            archives, lambda path: read_members(path, whole), (mutated, inside_tar)
        ),
        "load_cifar10": Loader(
            archives, lambda path: load_cifar10(path, batch_size=IMAGES), (mutated, inside_tar)
        ),
    }  # fmt: skip


def ending(path: Path, suffix: str) -> Path:
    """Give the file an ending, which says how it is read."""
    return path.rename(path.with_suffix(suffix))


def safetensors(dtype: str) -> bytes:
    """Return a file of one array, 2 × 3: a length, a JSON header, the bytes."""
    raw = bytes(range(24 if dtype == "F32" else 12))
    header = {"embed": {"dtype": dtype, "shape": [2, 3], "data_offsets": [0, len(raw)]}}
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + raw


def states_of_pytorch(folder: Path) -> dict[str, Loader]:
    """Return the loader of ``.pt`` files, where there is a PyTorch to write one."""
    try:
        import torch
    except ImportError:
        return {}
    tokens = torch.arange(6.0).reshape(2, 3)
    torch.save({"epoch": 3, "state": {"embed": tokens, "turned": tokens.t()}}, folder / "a.pt")
    valid = [(folder / "a.pt").read_bytes()]
    read = lambda path: load_any(f"{ending(path, '.pt')}:state.turned")  # noqa: E731
    return {"any pt": Loader(valid, read, (mutated, inside_zip))}


def family_model(kind: Any, path: Path) -> bytes:
    """Return a saved model with a quantizer of this kind."""
    model = mlp_vqvae(MLPSettings(2, 4, 6, 5), replace(kind))
    model.quantizer.initialize(model.autoencoder.encode(small_data()), batch=40)
    model.save(path)
    return path.read_bytes()


def rewritten_meta(format: int) -> Callable:
    return rewritten(lambda path: load_with_meta(path, format), save_with_meta)


def pickled_batches(pixels: np.ndarray) -> list[bytes]:
    batch = {"batch_label": "one", "labels": [3, 1, 4], "data": pixels, "filenames": ["a", "b"]}
    keys = {name.encode(): value for name, value in batch.items()}
    return [pickle.dumps(content, protocol) for content in (batch, keys) for protocol in (2, 3, 4)]


def pickled_names() -> list[bytes]:
    return [pickle.dumps({"label_names": list(CLASSES), "num": 3}, protocol) for protocol in (2, 4)]


def small_cifar(batch: bytes, names: bytes) -> bytes:
    packed = io.BytesIO()
    files = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in [*((name, batch) for name in files), ("batches.meta", names)]:
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size, member.mtime = len(content), 1.5
            tar.addfile(member, io.BytesIO(content))
    return gzip.compress(packed.getvalue(), 1, mtime=0)


# The driver


def outcome(loader: Loader, path: Path) -> str:
    """Read the file and return ``accepted``, ``clean``, or what went wrong."""
    begun = time.process_time()
    try:
        loader.read(path)
        found = "accepted"
    except (ValueError, TypeError, OSError) as error:
        found = "clean" if str(path) in str(error) else f"unnamed: {type(error).__name__}: {error}"
    except Exception as error:
        found = f"other: {type(error).__name__}: {error}"
    seconds = time.process_time() - begun
    return found if seconds < SLOW_SECONDS else f"slow: {seconds:.1f} s, {found}"


def fuzz(
    inputs: int, seed: int = 0, only: str | None = None, first: int = 0, folder: Path | None = None
) -> tuple[dict[str, collections.Counter], list[str]]:
    """Read ``inputs`` mutated files for each loader; return counts by loader, and the failures."""
    counts, failures = {}, []
    with tempfile.TemporaryDirectory(dir=folder) as directory:
        loaders = make_loaders(Path(directory))
        for name, loader in loaders.items():
            if only is not None and name != only:
                continue
            counts[name] = collections.Counter()
            path = Path(directory) / "mutant"
            for number in range(first, first + inputs):
                rng = random.Random(f"{seed} {name} {number}")
                change = rng.choice(loader.changes)
                path.write_bytes(change(rng.choice(loader.valid), loader.valid, rng))
                faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)
                found = outcome(loader, path)
                faulthandler.cancel_dump_traceback_later()
                kind = found.split(":")[0]
                counts[name][kind] += 1
                if kind not in ("accepted", "clean"):
                    failures.append(f"{name} {number}: {found[:300]}")
    return counts, failures


def main() -> None:
    """Run the driver and print its table as JSON."""
    import resource

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=1000, help="for each loader")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the number of the first input")
    parser.add_argument("--only", help="the name of one loader")
    given = parser.parse_args()
    counts, failures = fuzz(given.inputs, given.seed, given.only, given.first)
    print(json.dumps(counts, indent=1))
    print(*failures[:200], sep="\n")
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    total = sum(sum(kinds.values()) for kinds in counts.values())
    print(f"{total:,} inputs, {len(failures)} failures, {megabytes} MB at most")
    sys.exit(bool(failures) or megabytes > MOST_MEGABYTES)


if __name__ == "__main__":
    main()
