"""Files of other programs: read as they are, and refused by name where they are not whole."""

import json
import os
import pickle
import struct
import time
import tracemalloc
import zipfile

import numpy as np
import pytest

from vqnp.data import load_any

RNG = np.random.default_rng(0)
TOKENS = RNG.standard_normal((5, 3)).astype(np.float32)


def save_safetensors(path, **arrays):
    """The published format: a length, a JSON header, the bytes."""
    names = {"f4": "F32", "f8": "F64", "f2": "F16", "i8": "I64", "u2": "BF16"}
    header, raw = {"__metadata__": {"format": "np"}}, b""
    for name, array in arrays.items():
        header[name] = {
            "dtype": names[array.dtype.str[1:]],
            "shape": array.shape,
            "data_offsets": [len(raw), len(raw) + array.nbytes],
        }
        raw += array.tobytes()
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + raw)
    return path


def test_safetensors(tmp_path):
    file = save_safetensors(tmp_path / "m.safetensors", embed=TOKENS, other=TOKENS.astype("f2"))
    np.testing.assert_array_equal(load_any(f"{file}:embed"), TOKENS)
    assert load_any(f"{file}:other").dtype == np.float16
    bits = (TOKENS.view(np.uint32) >> 16).astype(np.uint16)
    half = load_any(save_safetensors(tmp_path / "half.safetensors", embed=bits))
    np.testing.assert_allclose(half, TOKENS, rtol=2**-7)
    assert half.dtype == np.float32


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz(tmp_path, save):
    file = tmp_path / "m.npz"
    save(file, embed=TOKENS, turned=np.asfortranarray(TOKENS))
    np.testing.assert_array_equal(load_any(f"{file}:embed"), TOKENS)
    np.testing.assert_array_equal(load_any(f"{file}:turned"), TOKENS)
    save(file, only=TOKENS)
    np.testing.assert_array_equal(load_any(file), TOKENS)


def test_state_dicts_of_pytorch(tmp_path):
    torch = pytest.importorskip("torch", reason="writes .pt files")
    file, tokens = tmp_path / "model.pt", torch.from_numpy(TOKENS)
    module = torch.nn.Module()
    module.embed = torch.nn.Parameter(tokens)
    module.register_buffer("turned", tokens.t())
    module.register_buffer("part", tokens[1:3, 1:])
    module.register_buffer("small", tokens.bfloat16())
    torch.save({"epoch": 3, "state_dict": module.state_dict()}, file)
    np.testing.assert_array_equal(load_any(f"{file}:state_dict.embed"), TOKENS)
    np.testing.assert_array_equal(load_any(f"{file}:state_dict.turned"), TOKENS.T)
    np.testing.assert_array_equal(load_any(f"{file}:state_dict.part"), TOKENS[1:3, 1:])
    np.testing.assert_allclose(load_any(f"{file}:state_dict.small"), TOKENS, rtol=2**-7)
    torch.save(module.embed, file)  # a parameter alone
    np.testing.assert_array_equal(load_any(file), TOKENS)
    torch.save(tokens, file, _use_new_zipfile_serialization=False)
    with pytest.raises(ValueError, match=r"model\.pt cannot be read: it is no \.pt file"):
        load_any(file)
    torch.save(module, file)  # the whole module names its class
    with pytest.raises(ValueError, match=r"it names torch\.nn.*save the state dict alone"):
        load_any(file)


class Payload:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def test_a_payload_is_named_and_not_run(tmp_path):
    marker, file = tmp_path / "ran", tmp_path / "model.pt"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("model/data.pkl", pickle.dumps({"embed": Payload(marker)}, protocol=2))
    with pytest.raises(ValueError, match=r"model\.pt cannot be read: it names .*mkdir"):
        load_any(f"{file}:embed")
    np.savez(tmp_path / "m.npz", embed=np.array([Payload(marker)], object))
    with pytest.raises(ValueError, match=r"m\.npz cannot be read: it holds Python objects"):
        load_any(tmp_path / "m.npz")
    assert not marker.exists()


def torch_like(path, shape, strides, start=0, numbers=15):
    """A .pt file that declares whatever it likes."""

    def whole(*values):
        return b"".join(b"\x8a\x08" + value.to_bytes(8, "little", signed=True) for value in values)

    storage = b"(U\x07storagectorch\nFloatStorage\nU\x010U\x03cpu" + whole(numbers) + b"tQ"
    lies = whole(start) + b"(" + whole(*shape) + b"t(" + whole(*strides) + b"t"
    made = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + lies + b"\x89NtR."
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/data.pkl", b"\x80\x02" + made)
        archive.writestr("m/data/0", TOKENS.tobytes())
    return path


def test_a_tensor_must_lie_in_its_storage(tmp_path):
    file = tmp_path / "m.pt"
    np.testing.assert_array_equal(load_any(torch_like(file, (5, 3), (3, 1))), TOKENS)
    for shape, strides, start in (
        ((5, 4), (3, 1), 0),
        ((5, 3), (3, 1), 1),
        ((5, 3), (3, 1), -1),
        ((5, 3), (-3, 1), 14),
        ((1 << 40, 3), (0, 1), 0),  # fifteen numbers, read as often as you like
    ):
        with pytest.raises(ValueError, match=r"m\.pt cannot be read: .*too short for shape"):
            load_any(torch_like(file, shape, strides, start))


def test_a_checkpoint_with_its_optimizer_is_read(tmp_path):
    """Its parameter groups share a tuple, and its state has numbers as keys."""
    torch = pytest.importorskip("torch", reason="writes .pt files")
    parts = [torch.nn.Linear(3, 2), torch.nn.Linear(2, 3)]
    optimizer = torch.optim.Adam([{"params": part.parameters()} for part in parts])
    sum(part.weight.sum() for part in parts).backward()
    optimizer.step()
    model = torch.nn.Sequential(*parts).state_dict()
    file, last = tmp_path / "last.ckpt", optimizer.state_dict()
    torch.save({"loss": [0.5] * 5000, "model": model, "best": model, "optimizer": last}, file)
    for key in ("model.0.weight", "best.0.weight"):
        np.testing.assert_array_equal(load_any(f"{file}:{key}"), model["0.weight"])
    moved = load_any(f"{file}:optimizer.state.0.exp_avg")
    np.testing.assert_array_equal(moved, last["state"][0]["exp_avg"])


# Sixty levels, each made of the one below, twice
PAIRS = b")q\0" + b"".join(b"h%c\x86q%c" % (i, i + 1) for i in range(60))
DICTS = b"}q\0" + b"".join(b"}q%c(U\1ah%cU\1bh%cu" % (i + 1, i, i) for i in range(60))
FLOATS, MEMBER, FLAT = b"U\3<f4", b"U\0010", b"K\0K\1\x85K\1\x85"
TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n((U\7storage%s%sU\3cpuK\0tQ%stR"
HOSTILE = {
    "a key of pairs of pairs": (b"}" + PAIRS + b"Ns", "a key at opcode"),
    "a key in an argument": (
        b"ccollections\nOrderedDict\n]" + PAIRS + b"N\x86a\x85R", "takes 0 positional arguments"
    ),
    "dictionaries twice in dictionaries": (DICTS, "more than 4,000,000 characters"),
    "a dictionary in itself": (b"}q\0U\1ah\0s", "more than 4,000,000 characters"),
    "ten bytes for all the memory": (b"}r\xff\xff\xff\x7f", "sets aside 2,147,483,647"),
    "a shape of pairs of pairs": (TENSOR % (FLOATS, MEMBER, b"K\0" + PAIRS + b")"), "no known dty"),
    "a member of pairs of pairs": (TENSOR % (FLOATS, PAIRS, FLAT), "no known dtype or shape"),
    "very many axes": (
        TENSOR % (FLOATS, MEMBER, b"K\0(" + 300_000 * b"J\xff\xff\xff\x7f" + b"t)"), "no known dty"
    ),
    "objects": (TENSOR % (b"U\1O", MEMBER, FLAT), "no known dtype"),
    "objects, said later": (TENSOR % (FLOATS, MEMBER, FLAT) + b"}U\5dtypeU\1Osb", "no known dtype"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_pickle_that_would_never_end_or_fill_the_memory_is_refused(tmp_path, name):
    stream, message = HOSTILE[name]
    with zipfile.ZipFile(tmp_path / "m.pt", "w") as archive:
        archive.writestr("m/data.pkl", b"\x80\x02" + stream + b".")
        archive.writestr("m/data/0", TOKENS.tobytes())
    begun = time.process_time()
    with pytest.raises(ValueError, match=rf"m\.pt cannot be read: .*{message}"):
        load_any(tmp_path / "m.pt")
    assert time.process_time() - begun < 10


def test_the_tensor_of_the_hostile_files_would_be_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.pt", "w") as archive:
        archive.writestr("m/data.pkl", b"\x80\x02" + TENSOR % (FLOATS, MEMBER, FLAT) + b".")
        archive.writestr("m/data/0", TOKENS.tobytes())
    assert load_any(tmp_path / "m.pt").tolist() == [TOKENS[0, 0]]


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.safetensors", "a.pt", "a.txt"])
@pytest.mark.parametrize(
    "content", [b"", b"not an array", b"\xff" * 64, b"PK\x03\x04" + b"\0" * 60]
)
def test_files_of_another_kind_are_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=name.replace(".", r"\.")):
        load_any(tmp_path / name)


@pytest.mark.parametrize("keep", [0, 4, 20, 100, -70, -1])
@pytest.mark.parametrize("kind", ["npy", "npz", "safetensors", "pt"])
def test_truncated_files_are_named(tmp_path, kind, keep):
    file = tmp_path / f"m.{kind}"
    {
        "npy": lambda: np.save(file, TOKENS),
        "npz": lambda: np.savez(file, embed=TOKENS),
        "safetensors": lambda: save_safetensors(file, embed=TOKENS),
        "pt": lambda: torch_like(file, (5, 3), (3, 1)),
    }[kind]()
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(ValueError, match=rf"m\.{kind}"):
        load_any(file)


def test_keys_that_are_not_there_are_answered_with_those_that_are(tmp_path):
    file = tmp_path / "m.npz"
    np.savez(file, first=TOKENS, second=TOKENS)
    with pytest.raises(ValueError, match=r"m\.npz cannot be read: say which.*first, second"):
        load_any(file)
    with pytest.raises(ValueError, match="it has no third: first, second"):
        load_any(f"{file}:third")
    with pytest.raises(FileNotFoundError, match=r"absent\.npz"):
        load_any(tmp_path / "absent.npz")


def test_a_header_of_very_many_axes_is_refused(tmp_path):
    many = {"embed": {"dtype": "F32", "shape": [2**31 - 1] * 300_000, "data_offsets": [0, 4]}}
    text = json.dumps(many).encode()
    (tmp_path / "m.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    with pytest.raises(
        ValueError, match=r"m\.safetensors cannot be read: .*no known dtype or shape"
    ):
        load_any(tmp_path / "m.safetensors")


def test_a_header_that_declares_too_much_is_refused_before_memory_is_set_aside(tmp_path):
    (tmp_path / "m.safetensors").write_bytes(struct.pack("<Q", 1 << 60) + b"{}")
    header = {"embed": {"dtype": "F32", "shape": [1 << 40, 3], "data_offsets": [0, 12 << 40]}}
    text = json.dumps(header).encode()
    (tmp_path / "n.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    with (
        zipfile.ZipFile(tmp_path / "m.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("embed.npy", "w") as member,
    ):
        declared = {"descr": "<f4", "fortran_order": False, "shape": (1 << 40, 3)}
        np.lib.format.write_array_header_1_0(member, declared)
    tracemalloc.start()
    try:
        for name in ("m.safetensors", "n.safetensors", "m.npz"):
            with pytest.raises(ValueError, match=f"{name} cannot be read"):
                load_any(tmp_path / name)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", ["npy", "npz", "safetensors", "pt"])
def test_large_arrays_stay_on_disk(tmp_path, kind):
    large, file = np.zeros((1 << 20, 4), np.float32), tmp_path / f"m.{kind}"
    if kind == "pt":
        torch = pytest.importorskip("torch", reason="writes .pt files")
        torch.save(torch.from_numpy(large), file)
    elif kind == "safetensors":
        save_safetensors(file, embed=large)
    else:
        (np.save if kind == "npy" else np.savez)(file, large)
    tracemalloc.start()
    try:
        assert load_any(file).shape == (1 << 20, 4)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
