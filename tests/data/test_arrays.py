"""Files of other programs: read as they are, and refused by name where they are not whole."""

import json
import os
import pickle
import struct
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
    reader = "ctorch._utils\n_rebuild_tensor_v2\n"
    storage = (
        "(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu"
    )
    text = f"{reader}({storage}I{numbers}\ntQI{start}\n(" + "".join(f"I{n}\n" for n in shape)
    text += "t(" + "".join(f"I{n}\n" for n in strides) + "tI00\nNtR."
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/data.pkl", b"\x80\x02" + text.encode())
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
