import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqnp.layers.conv import (
    Conv2d,
    conv2d_backward,
    conv2d_backward_loop,
    conv2d_backward_numpy,
    conv2d_forward,
    conv2d_forward_loop,
    conv2d_forward_numpy,
)
from vqnp.layers.conv_transpose import (
    ConvTranspose2d,
    conv_transpose2d_backward,
    conv_transpose2d_backward_loop,
    conv_transpose2d_backward_numpy,
    conv_transpose2d_forward,
    conv_transpose2d_forward_loop,
    conv_transpose2d_forward_numpy,
)
from vqnp.threads import limit

GEOMETRIES = [  # kernel, stride, padding
    ((3, 3), 1, 1),
    ((4, 4), 2, 1),
    ((1, 1), 1, 0),
    ((3, 2), (1, 2), (0, 2)),
    ((2, 3), (3, 5), 0),  # a stride larger than the kernel: some pixels are never seen
    ((1, 2), (2, 1), (1, 2)),  # a margin as wide as the kernel: some windows see zeros alone
]

CONV = conv2d_forward, conv2d_backward
TRANSPOSED = conv_transpose2d_forward, conv_transpose2d_backward
LAYERS = pytest.mark.parametrize("transposed", [False, True], ids=["conv2d", "conv_transpose2d"])
GEOMETRY = pytest.mark.parametrize(("kernel", "stride", "padding"), GEOMETRIES)

# No sum here has 300 terms, of some size one. A sum of n rounded terms is off by at most n·2⁻⁵³ of
# the sum of their sizes.
ROUND_OFF = 300 * 300 * 2.0**-53


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    # Numba's numpy.dot calls it. It must be loaded, or the limit cannot hold it.
    import scipy.linalg.cython_blas  # noqa: F401

    with limit(1):  # waking a second thread costs more than these small arrays
        yield


def operands(kernel, transposed, seed=0, dtype=np.float64):
    """A batch that is not square, a weight and a bias: 2 channels to 3."""
    rng = np.random.default_rng(seed)
    channels = (3, 2) if transposed else (2, 3)
    shapes = (3, 6, 9, 2) if not transposed else (3, 3, 4, 2), (*kernel, *channels), (3,)
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


def run(functions, x, weight, bias, stride, padding, seed=1):
    """Return output and gradients for a random upstream gradient, and that gradient."""
    forward, backward = functions
    out, cache = forward(x, weight, bias, stride, padding)
    dout = np.random.default_rng(seed).normal(size=out.shape).astype(out.dtype)
    return [out, *backward(dout, cache)], dout


def assert_all_close(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=0, atol=ROUND_OFF)


PLAIN = {  # the loop and NumPy
    False: [
        (conv2d_forward_loop, conv2d_backward_loop),
        (conv2d_forward_numpy, conv2d_backward_numpy),
    ],
    True: [
        (conv_transpose2d_forward_loop, conv_transpose2d_backward_loop),
        (conv_transpose2d_forward_numpy, conv_transpose2d_backward_numpy),
    ],
}


@pytest.mark.parametrize("functions", [*PLAIN[True], TRANSPOSED], ids=["loop", "numpy", "fast"])
def test_two_pixels_stamp_the_kernel_by_hand(functions):
    """Stride 1: the pixels 1 and 2 stamp (1, 10) as 1 10 · and · 2 20, and 5 is the bias."""
    forward, backward = functions
    x, weight = np.array([1.0, 2.0]).reshape(1, 1, 2, 1), np.array([1.0, 10]).reshape(1, 2, 1, 1)
    out, cache = forward(x, weight, np.array([5.0]))
    assert out.ravel().tolist() == [6, 17, 25]
    dx, dweight, dbias = backward(np.array([1.0, 2, 3]).reshape(1, 1, 3, 1), cache)
    assert dx.ravel().tolist() == [1 + 20, 2 + 30]
    assert dweight.ravel().tolist() == [1 * 1 + 2 * 2, 2 * 1 + 3 * 2]
    assert dbias.tolist() == [6]


@LAYERS
@GEOMETRY
def test_loop_numpy_and_fast_agree(transposed, kernel, stride, padding):
    arguments = (*operands(kernel, transposed), stride, padding)
    fast, _ = run(TRANSPOSED if transposed else CONV, *arguments)
    for plain in PLAIN[transposed]:
        found, _ = run(plain, *arguments)
        assert_all_close(found, fast)


@LAYERS
@GEOMETRY
def test_forward_and_gradients_are_those_of_pytorch(transposed, kernel, stride, padding):
    torch = pytest.importorskip(
        "torch", reason="PyTorch is the independent implementation compared with"
    )
    arrays = operands(kernel, transposed)
    found, dout = run(TRANSPOSED if transposed else CONV, *arrays, stride, padding)

    x, weight, bias = (torch.from_numpy(array).requires_grad_() for array in arrays)
    function = torch.nn.functional.conv_transpose2d if transposed else torch.nn.functional.conv2d
    images, kernels = x.permute(0, 3, 1, 2), weight.permute(3, 2, 0, 1)  # to PyTorch's order
    out = function(images, kernels, bias, stride=stride, padding=padding).permute(0, 2, 3, 1)
    gradients = torch.autograd.grad(out, (x, weight, bias), torch.from_numpy(dout))
    assert_all_close(found, [tensor.detach().numpy() for tensor in (out, *gradients)])


@LAYERS
@GEOMETRY
def test_gradients_are_central_differences(transposed, kernel, stride, padding):
    forward, backward = TRANSPOSED if transposed else CONV
    arrays = operands(kernel, transposed)
    out, cache = forward(*arrays, stride, padding)
    dout = np.random.default_rng(1).normal(size=out.shape)

    # The output is linear in each array, so no step is too long, and a long one loses no digits.
    step = 0.5
    for array, gradient in zip(arrays, backward(dout, cache), strict=True):
        for index in np.ndindex(array.shape):
            sides = []
            for shift in (step, -step):
                array[index] += shift
                sides.append(np.vdot(forward(*arrays, stride, padding)[0], dout))
                array[index] -= shift
            assert gradient[index] == pytest.approx(
                (sides[0] - sides[1]) / (2 * step), rel=0, abs=ROUND_OFF
            )


@st.composite
def walks(draw):
    """A small image's shape, and a kernel, stride and padding.

    The kernel's last stop ends at the padded image's edge.
    """
    pairs = st.tuples(st.integers(1, 4), st.integers(1, 4))
    kernel, stride = draw(pairs), draw(pairs)
    padding = draw(st.tuples(*(st.integers(0, (k - 1) // 2) for k in kernel)))
    stops = draw(pairs)
    size = [
        (n - 1) * s + k - 2 * p for n, s, k, p in zip(stops, stride, kernel, padding, strict=True)
    ]
    return (draw(st.integers(1, 3)), *size, draw(st.integers(1, 3))), kernel, stride, padding


@settings(deadline=None)
@given(walks(), st.integers(1, 3), st.integers(0, 2**32))
def test_conv_transpose2d_is_the_adjoint_of_conv2d_with_the_same_weight(walk, channels_out, seed):
    shape, kernel, stride, padding = walk
    rng = np.random.default_rng(seed)
    # Sums of whole numbers are exact.
    whole_numbers = lambda *shape: rng.integers(-9, 10, shape).astype(np.float64)  # noqa: E731
    x, weight = whole_numbers(*shape), whole_numbers(*kernel, shape[3], channels_out)
    out, _ = conv2d_forward(x, weight, np.zeros(channels_out), stride, padding)
    y = whole_numbers(*out.shape)
    back, _ = conv_transpose2d_forward(y, weight, np.zeros(shape[3]), stride, padding)
    assert back.shape == x.shape
    assert np.vdot(out, y) == np.vdot(x, back)


def test_every_image_row_and_column_keeps_its_place():
    rng = np.random.default_rng(0)
    x, identity, zero = rng.normal(size=(3, 5, 7, 2)), np.eye(2).reshape(1, 1, 2, 2), np.zeros(2)
    out, cache = conv2d_forward(x, identity, zero, (2, 3))
    np.testing.assert_array_equal(out, x[:, ::2, ::3])
    dout = rng.normal(size=out.shape)
    dx, _, _ = conv2d_backward(dout, cache)
    np.testing.assert_array_equal(dx[:, ::2, ::3], dout)
    assert np.count_nonzero(dx) == dout.size
    larger, _ = conv_transpose2d_forward(out, identity, zero, (2, 3))
    np.testing.assert_array_equal(larger[:, ::2, ::3], out)
    assert np.count_nonzero(larger) == out.size


def test_the_kernel_is_not_flipped():
    x = np.arange(12.0).reshape(1, 3, 4, 1)
    weight = np.array([[1.0, 10], [100, 1000]]).reshape(2, 2, 1, 1)
    out, _ = conv2d_forward(x, weight, np.zeros(1))
    assert out[0, 1, 2, 0] == 6 * 1 + 7 * 10 + 10 * 100 + 11 * 1000


@LAYERS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_passes_through(transposed, dtype):
    arrays, _ = run(
        TRANSPOSED if transposed else CONV, *operands((3, 2), transposed, dtype=dtype), 2, 1
    )
    assert {array.dtype for array in arrays} == {np.dtype(dtype)}


@LAYERS
def test_an_empty_batch_gives_an_empty_output_and_no_gradient(transposed):
    x, weight, bias = operands((3, 3), transposed)
    (out, dx, dweight, dbias), _ = run(
        TRANSPOSED if transposed else CONV, x[:0], weight, bias, 1, 1
    )
    assert out.shape == (0, *x.shape[1:3], 3)
    assert dx.shape == x[:0].shape
    assert not dweight.any()
    assert not dbias.any()


@LAYERS
def test_arrays_of_any_memory_order_work(transposed):
    functions = forward, backward = TRANSPOSED if transposed else CONV
    x, weight, bias = operands((3, 2), transposed)
    expected, dout = run(functions, x, weight, bias, 2, 1)
    scattered = [np.asfortranarray(x), np.repeat(weight, 2, axis=0)[::2], np.repeat(bias, 2)[::2]]
    out, cache = forward(*scattered, 2, 1)
    assert_all_close([out, *backward(np.asfortranarray(dout), cache)], expected)


@LAYERS
def test_what_is_given_is_not_changed_and_only_references_are_kept(transposed):
    arrays = operands((3, 3), transposed)
    copies = [array.copy() for array in arrays]
    forward, backward = TRANSPOSED if transposed else CONV
    out, cache = forward(*arrays, 1, 1)
    dout = np.ones_like(out)
    backward(dout, cache)
    assert cache[0] is arrays[0]
    assert cache[1] is arrays[1]
    assert (dout == 1).all()
    assert_all_close(arrays, copies)


X, WEIGHT, BIAS = np.ones((2, 4, 5, 3)), np.ones((3, 3, 3, 3)), np.ones(3)


@LAYERS
@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"x": X[0]}, ValueError, r"x must have shape \(B, H, W, C\), got \(4, 5, 3\)"),
        ({"x": X.astype(int)}, TypeError, "x must be float32 or float64, got int64"),
        (
            {"x": X[..., :2]},
            ValueError,
            r"weight must have shape .* with C_in = 2 .* got \(3, 3, 3, 3\)",
        ),
        (
            {"weight": WEIGHT[0]},
            ValueError,
            r"weight must have shape \(kh, kw, C_.* got \(3, 3, 3\)",
        ),
        (
            {"weight": WEIGHT.astype(np.float32)},
            TypeError,
            "weight must be float64, got float32",
        ),
        ({"bias": BIAS[:2]}, ValueError, r"bias must have shape \(3,\), got \(2,\)"),
        ({"bias": BIAS.astype(np.float32)}, TypeError, "bias must be float64, got float32"),
        ({"stride": 0}, ValueError, "stride must be at least 1, got 0"),
        ({"padding": (0, -1)}, ValueError, "padding must be at least 0, got -1"),
    ],
)
def test_bad_input_is_named(transposed, changed, error, message):
    forward = conv_transpose2d_forward if transposed else conv2d_forward
    with pytest.raises(error, match=message):
        forward(**({"x": X, "weight": WEIGHT, "bias": BIAS, "stride": 1, "padding": 0} | changed))


def test_a_kernel_that_does_not_fit_is_refused():
    with pytest.raises(
        ValueError, match=r"a kernel of size \(3, 3\) is larger than the padded images \(2, 5\)"
    ):
        conv2d_forward(X[:, :2], WEIGHT, BIAS)


def test_a_padding_that_leaves_nothing_is_refused():
    with pytest.raises(
        ValueError, match=r"padding \(3, 3\) leaves an output of \(0, 1\) pixels of x of shape"
    ):
        conv_transpose2d_forward(X, WEIGHT, BIAS, padding=3)


@LAYERS
def test_an_upstream_gradient_of_another_shape_or_dtype_is_refused(transposed):
    forward, backward = TRANSPOSED if transposed else CONV
    out, cache = forward(X, WEIGHT, BIAS, 1, 1)
    with pytest.raises(
        ValueError, match=r"dout must have shape \(2, 4, 5, 3\), got \(2, 5, 4, 3\)"
    ):
        backward(out.transpose(0, 2, 1, 3), cache)
    with pytest.raises(TypeError, match="dout must be float64, got float32"):
        backward(out.astype(np.float32), cache)


@pytest.mark.parametrize("layer_type", [Conv2d, ConvTranspose2d])
def test_a_layer_calls_the_functions_with_its_own_parameters(layer_type):
    layer = layer_type(2, 3, (3, 2), rng=0, stride=(2, 1), padding=(0, 1), dtype=np.float64)
    x = np.random.default_rng(1).normal(size=(2, 5, 4, 2))
    functions = CONV if layer_type is Conv2d else TRANSPOSED
    expected, dout = run(functions, x, layer.params["weight"], layer.params["bias"], (2, 1), (0, 1))
    out, cache = layer.forward(x)
    dx, gradients = layer.backward(dout, cache)
    assert gradients.keys() == layer.params.keys()
    assert_all_close([out, dx, gradients["weight"], gradients["bias"]], expected)


@pytest.mark.parametrize("layer_type", [Conv2d, ConvTranspose2d])
def test_parameters_start_uniform_in_the_range_pytorch_takes(layer_type):
    torch = pytest.importorskip("torch", reason="PyTorch's default is the range compared with")
    ours = layer_type(24, 60, (4, 3), rng=0).params
    theirs = getattr(torch.nn, layer_type.__name__)(24, 60, (4, 3))
    bound = ((24 if layer_type is Conv2d else 60) * 4 * 3) ** -0.5
    for array, tensor in ((ours["weight"], theirs.weight), (ours["bias"], theirs.bias)):
        assert array.dtype == np.float32
        assert array.size == tensor.numel()
        for values in (
            array,
            tensor.detach().numpy(),
        ):  # the largest of 60 falls below 0.8·bound once in 10⁶ draws
            assert 0.8 * bound < values.max() <= bound * (1 + 1e-6)
            assert -0.8 * bound > values.min() >= -bound * (1 + 1e-6)
    assert (
        0.48 * bound < abs(ours["weight"]).mean() < 0.52 * bound
    )  # half the bound, for a uniform distribution


@pytest.mark.parametrize("layer_type", [Conv2d, ConvTranspose2d])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 3, 3), "in_channels must be at least 1, got 0"),
        ((3, 0, 3), "out_channels must be at least 1, got 0"),
        ((3, 3, 0), "kernel_size must be at least 1, got 0"),
    ],
)
def test_a_layer_without_size_is_refused(layer_type, arguments, message):
    with pytest.raises(ValueError, match=message):
        layer_type(*arguments)
