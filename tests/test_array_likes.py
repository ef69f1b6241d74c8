"""What public functions take for an array: each form of the same points is accepted or refused."""

import inspect

import numpy as np
import pytest

from vqnp import diagnostics, layers, validation
from vqnp.validation import (
    NotFiniteError,
    as_array,
    as_floats,
    as_labels,
    as_latents,
    as_points,
)

POINTS = np.arange(24.0).reshape(2, 3, 4)  # two pictures' rows of three latents, D = 4
FLAT = POINTS.reshape(6, 4)


def torch_tensor(array):
    return pytest.importorskip("torch", reason="takes PyTorch's tensors").from_numpy(
        np.array(array)
    )


def bfloat16_tensor(array):
    return torch_tensor(array).bfloat16()


def jax_bfloat16(array):
    return pytest.importorskip("jax.numpy").asarray(array, "bfloat16")


def with_gradient(array):
    return torch_tensor(array).requires_grad_()


def jax_array(array):
    return pytest.importorskip("jax.numpy").asarray(array, np.float32)


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


class Capsule:
    """Stands for a tensor of a library that speaks DLPack and nothing else."""

    def __init__(self, values):
        self.values = values

    def __dlpack__(self, **options):
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.values.__dlpack_device__()


class Table:
    """Stands for any other library's array, a data frame say."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return self.values


FORMS = {
    "float64": (np.array, np.float64),
    "float32": (np.float32, np.float32),
    "float16": (np.float16, np.float32),
    "big-endian float64": (lambda a: a.astype(">f8"), np.float64),
    "big-endian float32": (lambda a: a.astype(">f4"), np.float32),
    "big-endian float16": (lambda a: a.astype(">f2"), np.float32),
    "read-only": (read_only, np.float64),
    "Fortran order": (np.asfortranarray, np.float64),
    "every second column": (lambda a: a.repeat(2, axis=-1)[..., ::2], np.float64),
    "reversed twice": (lambda a: a[::-1].copy()[::-1], np.float64),
    "lists": (np.ndarray.tolist, np.float64),
    "lists of whole numbers": (lambda a: a.astype(int).tolist(), np.float64),
    "a tuple of arrays": (tuple, np.float64),
    "a matrix's class": (lambda a: a.view(type("Sub", (np.ndarray,), {})), np.float64),
    "__array__": (Table, np.float64),
    "DLPack": (Capsule, np.float64),
    "tensor": (torch_tensor, np.float64),
    "float16 tensor": (lambda a: torch_tensor(a).half(), np.float32),
    "bfloat16 tensor": (bfloat16_tensor, np.float32),
    "bfloat16 tensor with gradient": (lambda a: bfloat16_tensor(a).requires_grad_(), np.float32),
    "strided tensor": (
        lambda a: torch_tensor(np.moveaxis(a, -1, 0).copy()).movedim(0, -1),
        np.float64,
    ),
    "tensor with gradient": (with_gradient, np.float64),
    "computed tensor": (lambda a: with_gradient(a) * 1, np.float64),
    "JAX": (jax_array, np.float32),
    "JAX, bfloat16": (jax_bfloat16, np.float32),
}


@pytest.mark.parametrize("source", [POINTS, FLAT, POINTS[None, :, None]], ids=["3D", "2D", "5D"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_points_is_the_same_points(form, source):
    make, dtype = FORMS[form]
    points = as_points(make(source))
    np.testing.assert_array_equal(points, FLAT)
    assert type(points) is np.ndarray
    assert points.dtype == dtype
    assert points.dtype.isnative
    assert points.flags.c_contiguous


def test_good_points_are_not_copied():
    assert np.shares_memory(as_points(FLAT), FLAT)
    assert np.shares_memory(as_points(POINTS), POINTS)
    tensor = torch_tensor(FLAT)
    assert np.shares_memory(as_points(tensor), tensor.numpy())


def test_a_file_larger_than_memory_stays_on_disk(tmp_path):
    np.save(tmp_path / "z.npy", FLAT)
    opened = np.load(tmp_path / "z.npy", mmap_mode="r")
    assert np.shares_memory(as_points(opened), opened)


def test_dtype_asks_for_a_precision():
    assert as_points(FLAT, dtype=np.float32).dtype == np.float32
    assert as_points(FLAT.astype(np.float32), dtype=np.float64).dtype == np.float64
    with pytest.raises(NotFiniteError, match=r"z holds NaN or infinity, first at index \(0, 0\)"):
        as_points([[1e300]], "z", dtype=np.float32)  # too large for float32


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (FLAT.astype(int), TypeError, "z must be float32 or float64, got int64"),
        (FLAT > 3, TypeError, "z must be float32 or float64, got bool"),
        ([[True]], TypeError, "z must be float32 or float64, got bool"),
        (FLAT.astype(np.longdouble), TypeError, "z must be float32 or float64, got"),
        (FLAT * 1j, TypeError, "z must be an array of real numbers, got complex128"),
        ([["a", "b"]], TypeError, "z must be an array of real numbers, got <U1"),
        (FLAT.astype("M8[s]"), TypeError, "z must be an array of real numbers, got datetime64"),
        (np.zeros(3, "f8,f8"), TypeError, "z must be an array of real numbers, got "),
        (None, TypeError, "z must be an array of real numbers, got NoneType"),
        ({"a": FLAT}, TypeError, "z must be an array of real numbers, got dict"),
        (FLAT.astype(object), TypeError, "z must be an array of real numbers, got ndarray"),
        (np.ma.masked_less(FLAT, 3), TypeError, "z must have no mask, got a masked array"),
        (np.ma.array(FLAT), TypeError, "z must have no mask, got a masked array"),
        ([[1.0, 2], [3]], ValueError, "z must be a rectangular array, got list"),
        (1.0, ValueError, r"z must have shape \(N, 4\), got \(\)"),
        ([1.0, 2], ValueError, r"z must have shape \(N, 4\), got \(2,\)"),
        ([[]], ValueError, r"z is empty: shape \(1, 0\)"),
        (np.zeros((0, 5, 4)), ValueError, r"z is empty: shape \(0, 4\)"),
        (np.zeros((2, 5, 0)), ValueError, r"z is empty: shape \(10, 0\)"),
        (np.zeros((2, 3, 5)), ValueError, r"z must have shape \(N, 4\), got \(6, 5\)"),
        ([[0, 1, 2, np.nan]], NotFiniteError, r"z holds NaN or infinity, first at index \(0, 3\)"),
    ],
)
def test_anything_else_is_refused(value, error, message):
    with pytest.raises(error, match=message):
        as_points(value, "z", dim=4)


@pytest.mark.parametrize("dtype", ["i1", "u1", "<i2", ">i2", "u2"])
def test_quantized_latents_are_points(dtype):
    whole = FLAT.astype(dtype)
    for given in (whole, whole.reshape(POINTS.shape)):
        points = as_latents(given, "z", dim=4)
        assert points.dtype == np.float32
        np.testing.assert_array_equal(points, FLAT)
    np.testing.assert_array_equal(as_latents(whole.tolist(), "z"), FLAT)
    assert np.shares_memory(as_latents(FLAT, "z"), FLAT)


def test_the_widest_latents_are_exact():
    ends = np.array([[-(1 << 15), (1 << 15) - 1]], np.int16)
    np.testing.assert_array_equal(as_latents(ends, "z"), ends)
    np.testing.assert_array_equal(as_latents(ends.view(np.uint16), "z"), ends.view(np.uint16))


@pytest.mark.parametrize(
    "codes",
    [
        np.zeros((8, 4), np.int64),
        np.zeros((8, 4), np.int32),
        np.zeros(8, np.uint8),
        np.zeros((2, 8, 8), np.uint8),
    ],
    ids=lambda codes: f"{codes.dtype} {codes.shape}",
)
@pytest.mark.parametrize("make", [np.array, torch_tensor])
def test_codes_in_the_place_of_embeddings_are_told_where_to_go(codes, make):
    with pytest.raises(TypeError, match=r"embeddings must be .* got .*: give codes to diagnose_us"):
        diagnostics.diagnose(make(codes), FLAT)


def test_the_search_for_nan_can_be_left_to_the_caller():
    assert np.isnan(as_points([[np.nan]], finite=False)).all()


def test_tensors_that_numpy_does_not_know_are_refused_by_name():
    torch = pytest.importorskip("torch", reason="takes PyTorch's tensors")
    with pytest.raises(TypeError, match="z must be an array of real numbers, got Tensor"):
        as_points(torch_tensor(FLAT).to_sparse(), "z")
    with pytest.raises(TypeError, match="z must be an array of real numbers, got Tensor"):
        as_points(torch_tensor(FLAT).to(torch.float8_e4m3fn), "z")
    with pytest.raises(TypeError, match="z must be float32 or float64, got int64"):
        as_points(torch_tensor(FLAT).long(), "z")


def test_as_array_keeps_the_shape_and_the_kind():
    assert as_array(3).shape == ()
    assert as_array([[1, 2]]).dtype.kind == "i"
    assert as_array(torch_tensor(FLAT > 3)).dtype == bool
    assert as_array(POINTS) is POINTS


@pytest.mark.parametrize("make", [list, tuple, np.array, torch_tensor])
def test_labels_come_in_any_shape(make):
    np.testing.assert_array_equal(as_labels(make([[0, 1], [1, 2]]), "y", 4), [0, 1, 1, 2])


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        ([0, 1, 2], ValueError, r"y must have shape \(4,\), got \(3,\)"),
        ([0.0, 1, 2, 3], TypeError, "y must be a NumPy array of integers, got float64"),
        (["a"] * 4, TypeError, "y must be an array of real numbers, got <U1"),
        (np.ma.masked_equal([0, 1, 2, 3], 1), TypeError, "y must have no mask"),
    ],
)
def test_labels_must_be_integers_one_each(labels, error, message):
    with pytest.raises(error, match=message):
        as_labels(labels, "y", 4)


RNG = np.random.default_rng(0)
EMBEDDINGS = RNG.integers(-40, 40, (3, 10, 4)) / 8  # exact in float16
TOKENS = EMBEDDINGS.reshape(30, 4)[::5] + 0.125
LABELS = np.arange(30) % 3
MEASURES = {
    "class_divergence": (TOKENS, EMBEDDINGS, LABELS),
    "class_spread_ratio": (EMBEDDINGS / 2, EMBEDDINGS, LABELS),
    "codes_used": (LABELS, 5),
    "count_modes": (EMBEDDINGS,),
    "diagnose": (EMBEDDINGS, TOKENS, LABELS),
    "diagnose_levels": (EMBEDDINGS, np.stack([TOKENS, TOKENS / 4])),
    "diagnose_usage": (LABELS, 5),
    "effective_dimension": (EMBEDDINGS,),
    "effective_rank": (EMBEDDINGS,),
    "energy_distance": (EMBEDDINGS, TOKENS),
    "outside": (TOKENS, EMBEDDINGS),
    "perplexity": (LABELS, 5),
    "perplexity_of_counts": (LABELS,),
    "quantization_error": (EMBEDDINGS, TOKENS),
    "share_outside": (TOKENS, EMBEDDINGS),
    "spread_ratio": (TOKENS, EMBEDDINGS),
}
OF_A_DIAGNOSIS = {"Comparison", "Diagnosis", "Levels", "Reference", "answer", "readings"}
OF_A_DIAGNOSIS |= {"side_by_side"}


def flat(value):
    """Embeddings as points; codebooks of two levels stay as they are."""
    return value.reshape(-1, value.shape[-1]) if np.shape(value)[:-1] == (3, 10) else value


def test_every_measure_is_here():
    assert set(MEASURES) | OF_A_DIAGNOSIS == set(diagnostics.__all__)


@pytest.mark.parametrize("form", ["lists", "tensor", "read-only", "DLPack", "Fortran order"])
@pytest.mark.parametrize("name", MEASURES)
def test_every_measure_takes_every_form(name, form):
    measure, arguments = getattr(diagnostics, name), MEASURES[name]
    expected = measure(*map(flat, arguments))
    made = [FORMS[form][0](x) if isinstance(x, np.ndarray) else x for x in arguments]
    np.testing.assert_equal(measure(*made), expected)


@pytest.mark.parametrize("form", ["float16", "big-endian float32", "tensor with gradient"])
@pytest.mark.parametrize("name", MEASURES)
def test_every_measure_takes_points_of_every_precision(name, form):
    """The values are exact in each of them, and the statistics are computed in float64."""
    measure, arguments = getattr(diagnostics, name), MEASURES[name]
    make = [x.dtype.kind == "f" if isinstance(x, np.ndarray) else False for x in arguments]
    made = [FORMS[form][0](x) if of else x for x, of in zip(arguments, make, strict=True)]
    expected, measured = measure(*map(flat, arguments)), measure(*made)
    if name == "diagnose_levels":
        expected, measured = expected.levels[1], measured.levels[1]
    if name.startswith("diagnose"):
        expected, measured = (list(one.numbers.values()) for one in (expected, measured))
    for a, b in zip(np.atleast_1d(measured), np.atleast_1d(expected), strict=True):
        assert a == b or a == pytest.approx(b, rel=1e-6)


@pytest.mark.parametrize("name", ["diagnose", "diagnose_levels"])
def test_a_diagnosis_takes_quantized_latents(name):
    """Eight times the embeddings are whole numbers, so that nothing is lost."""
    embeddings, tokens = (8 * x for x in MEASURES[name][:2])
    assert (embeddings % 1 == 0).all()
    tokens = np.round(tokens)
    found = getattr(diagnostics, name)(embeddings.astype(np.int8), tokens.astype(np.int16))
    assert found == getattr(diagnostics, name)(
        flat(embeddings).astype(np.float32), tokens.astype(np.float32)
    )


@pytest.mark.parametrize("name", MEASURES)
def test_no_measure_takes_masked_or_complex_arrays(name):
    for spoil, given in ((np.ma.array, "masked array"), (np.complex128, "complex128")):
        for i, argument in enumerate(MEASURES[name]):
            if isinstance(argument, np.ndarray):
                arguments = [*MEASURES[name]]
                arguments[i] = spoil(argument)
                with pytest.raises(TypeError, match=given):
                    getattr(diagnostics, name)(*arguments)


@pytest.mark.parametrize("source", [POINTS, FLAT[0]], ids=["3D", "1D"])
@pytest.mark.parametrize("form", FORMS)
def test_floats_keep_their_shape_in_every_form(form, source):
    make, dtype = FORMS[form]
    floats = as_floats(make(source), "x")
    np.testing.assert_array_equal(floats, source)
    assert type(floats) is np.ndarray
    assert floats.dtype == dtype
    assert floats.dtype.isnative


def test_lists_have_no_precision_of_their_own():
    assert as_floats([[1, 2.5]], "x", of_lists=np.float32).dtype == np.float32
    assert as_floats([np.ones(2)], "x", of_lists=np.float32).dtype == np.float32
    assert as_floats(FLAT, "x", of_lists=np.float32) is FLAT
    assert as_floats([np.float32(1)], "x").dtype == np.float32


IMAGES = np.arange(-36.0, 36).reshape(2, 3, 4, 3)
KERNEL = np.arange(-18.0, 18).reshape(2, 2, 3, 3)
BIAS = np.array([1.0, -2, 3])
ROWS, WEIGHT = IMAGES.reshape(24, 3), KERNEL[0, 0]
OF_ARRAYS = {
    "col2im": (np.ones((12, 12)), (2, 3, 4, 3), 2),
    "conv2d_forward": (IMAGES, KERNEL, BIAS),
    "conv_transpose2d_forward": (IMAGES, KERNEL, BIAS),
    "im2col": (IMAGES, 2),
    "linear_forward": (ROWS, WEIGHT, BIAS),
    "relu_forward": (IMAGES,),
}
BACKWARD = {name: name.replace("forward", "backward") for name in OF_ARRAYS if "forward" in name}
LAYERS = [
    (lambda: layers.Conv2d(3, 3, 2), IMAGES),
    (lambda: layers.ConvTranspose2d(3, 3, 2), IMAGES),
    (lambda: layers.Linear(3, 3), ROWS),
    (lambda: layers.ReLU(), IMAGES),
    (lambda: layers.ResidualBlock(3, 2), IMAGES),
    (lambda: layers.Sequential(layers.Linear(3, 3), layers.ReLU()), ROWS),
]
SOME_FORMS = ["lists of whole numbers", "float16", "big-endian float32", "read-only"]
SOME_FORMS += ["every second column", "__array__", "tensor with gradient"]


def made_of(form, arguments):
    """The arguments in that form, and as the plain arrays that they should become."""
    make, dtype = FORMS[form]
    is_array = [isinstance(x, np.ndarray) for x in arguments]
    made = [make(x) if yes else x for x, yes in zip(arguments, is_array, strict=True)]
    plain = [x.astype(dtype) if yes else x for x, yes in zip(arguments, is_array, strict=True)]
    return made, plain


def test_every_function_of_the_layers_is_here():
    functions = {name for name in layers.__all__ if name.islower()} - {"layer_from_json"}
    assert functions == OF_ARRAYS.keys() | BACKWARD.values()


@pytest.mark.parametrize("form", SOME_FORMS)
@pytest.mark.parametrize("name", OF_ARRAYS)
def test_every_function_of_the_layers_takes_array_likes(name, form):
    made, plain = made_of(form, OF_ARRAYS[name])
    function = getattr(layers, name)
    if name not in BACKWARD:
        np.testing.assert_array_equal(function(*made), function(*plain))
        return
    (out, cache), (expected, plain_cache) = function(*made), function(*plain)
    np.testing.assert_array_equal(out, expected)
    assert out.dtype == expected.dtype
    backward = getattr(layers, BACKWARD[name])
    (dout,), (plain_dout,) = made_of(form, (np.resize([1.0, -2, 3], out.shape),))
    gradients, plain_gradients = backward(dout, cache), backward(plain_dout, plain_cache)
    for one, other in zip(gradients, plain_gradients, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("form", ["lists", "float16", "big-endian float32", "float16 tensor"])
@pytest.mark.parametrize(("made", "x"), LAYERS)
def test_every_layer_takes_array_likes_and_lists_become_of_its_precision(made, x, form):
    make, _ = FORMS[form]
    layer = made()
    (out, cache), (expected, plain) = layer.forward(make(x)), layer.forward(x.astype(np.float32))
    np.testing.assert_array_equal(out, expected)
    assert out.dtype == (np.float32 if layer.params or form != "lists" else np.float64)
    found, gradients = layer.backward(np.ones(out.shape, out.dtype.newbyteorder()), cache)
    same, expected = layer.backward(np.ones(out.shape, np.float32), plain)
    np.testing.assert_array_equal(found, same)
    for name, gradient in gradients.items():
        np.testing.assert_array_equal(gradient, expected[name])


@pytest.mark.parametrize(("made", "x"), LAYERS)
def test_no_layer_takes_what_is_no_floats_of_its_precision(made, x):
    layer = made()
    for spoil, given in ((np.ma.array, "x must have no mask"), (np.int64, "x must be float32 or")):
        with pytest.raises(TypeError, match=given):
            layer.forward(spoil(x))
    if layer.params:
        message = "float32 parameters takes x of that dtype, got float64"
        with pytest.raises(TypeError, match=message):
            layer.forward(x)


@pytest.mark.parametrize("name", OF_ARRAYS)
def test_no_function_of_the_layers_takes_masked_arrays_or_integers(name):
    function, arguments = getattr(layers, name), OF_ARRAYS[name]
    parameters = inspect.signature(function).parameters
    for i, (argument, value) in enumerate(zip(parameters, arguments, strict=False)):
        if isinstance(value, np.ndarray):
            for spoil, given in ((np.ma.array, "no mask"), (np.int64, "float32 or float64")):
                spoiled = [*arguments]
                spoiled[i] = spoil(value)
                with pytest.raises(TypeError, match=f"{argument} must (be|have) {given}"):
                    function(*spoiled)


@pytest.mark.parametrize("shape", [(3_000_001, 1), (5, 700_000), (3, 5_000_000), (7, 0), (0, 3)])
def test_blocks_of_rows_cover_all_and_are_no_larger_than_said(shape):
    array = np.broadcast_to(np.float32(0), shape)
    blocks = list(validation.row_blocks(array))
    covered = [row for rows in blocks for row in (rows.start, rows.stop)]
    assert covered[::2] == [0, *covered[1:-1:2]][: len(blocks)]
    assert (covered or [0])[-1] == len(array)
    assert all(len(array[rows]) == 1 or array[rows].size <= 2**20 for rows in blocks)
