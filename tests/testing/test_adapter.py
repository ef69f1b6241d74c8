"""Arrays on their way in and out, for frameworks that are there and one that is only imitated."""

import subprocess
import sys

import numpy as np
import pytest

from vqnp.testing import check_nearest, to_numpy
from vqnp.testing.adapter import Adapter


class Foreign:
    """An array with a gradient, on a device of its own, that only speaks ``__array__``."""

    def __init__(self, values, on_device=True, tracked=True):
        self.values, self.on_device, self.tracked = values, on_device, tracked

    def detach(self):
        return Foreign(self.values, self.on_device, False)

    def cpu(self):
        return Foreign(self.values, False, self.tracked)

    def __array__(self, dtype=None, copy=None):
        assert not self.on_device
        assert not self.tracked
        return np.asarray(self.values, dtype)


class Capsule:
    """An array that only speaks DLPack."""

    def __init__(self, values):
        self.values = values

    def __dlpack__(self, **options):
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.values.__dlpack_device__()


@pytest.mark.parametrize(
    "wrap", [np.asarray, Foreign, Capsule, list], ids=["numpy", "__array__", "dlpack", "list"]
)
def test_arrays_come_in(wrap):
    values = np.array([1.5, 2.5])
    got = to_numpy(wrap(values))
    np.testing.assert_array_equal(got, values)
    got[0] = 7
    assert values[0] == 1.5


def test_what_is_no_array_is_refused():
    with pytest.raises(TypeError, match="the answer must be an array of real numbers, got <U6"):
        to_numpy("tokens")


def test_a_converter_makes_the_arrays_of_any_kind():
    seen = []

    def search(points, tokens):
        seen.append((type(points), type(tokens)))
        return Foreign(np.square(points.values[:, None] - tokens.values).sum(axis=2).argmin(axis=1))

    assert check_nearest(search, arrays=Foreign).passed
    assert set(seen) == {(Foreign, Foreign)}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_floats_go_out_in_the_precision_asked_for_and_as_copies(dtype):
    array = np.arange(3.0)
    given = Adapter(dtype=dtype).give({"a": array, "codes": np.arange(3), "steps": 4})
    assert given["a"].dtype == dtype
    assert given["codes"].dtype == np.int64
    assert given["steps"] == 4
    assert not np.shares_memory(given["a"], array)


def test_torch_tensors_go_out_and_come_in():
    torch = pytest.importorskip("torch", reason="the arrays are PyTorch's")
    given = Adapter("torch", "float32").give(np.arange(3.0))
    assert given.dtype == torch.float32
    for tensor in (
        given,
        given.clone().requires_grad_() * 1,
        given[::2],
        torch.arange(3),
        given.to(torch.bfloat16).float(),
    ):
        np.testing.assert_array_equal(to_numpy(tensor), tensor.detach().tolist())


def test_jax_arrays_go_out_and_come_in():
    jax = pytest.importorskip("jax", reason="the arrays are JAX's")
    np.testing.assert_array_equal(
        to_numpy(Adapter("jax", "float32").give(np.arange(3.0))), np.arange(3.0)
    )
    if not jax.config.read("jax_enable_x64"):
        with pytest.raises(ValueError, match="jax_enable_x64"):
            Adapter("jax").give(np.arange(3.0))


@pytest.mark.parametrize(("options", "message"), [
    ({"arrays": "cupy"}, 'arrays must be "numpy", "torch", "jax" or a function'),
    ({"dtype": "float16"}, "dtype must be one of float64, float32, got 'float16'"),
    ({"layout": "CHWN"}, "layout must be one of NHWC, NCHW, got 'CHWN'"),
])  # fmt: skip
def test_unknown_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Adapter(**options)


def test_importing_needs_neither_torch_nor_jax():
    code = """
import sys
sys.modules.update(torch=None, jax=None)
import vqnp.testing
print("pytest" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
