import numpy as np
import pytest

from vqnp.layers.conv import conv2d_forward_loop
from vqnp.layers.residual import ResidualBlock
from vqnp.layers.sequential import Sequential
from vqnp.threads import limit


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    # Numba's numpy.dot calls it. It must be loaded, or the limit cannot hold it.
    import scipy.linalg.cython_blas  # noqa: F401

    with limit(1):  # waking a second thread costs more than these small arrays
        yield


def a_block(channels=3, hidden=2, seed=0):
    return ResidualBlock(channels, hidden, rng=seed, dtype=np.float64)


def images(seed=1):
    return np.random.default_rng(seed).normal(size=(2, 4, 5, 3))


def test_a_block_is_its_equation():
    block, x = a_block(), images()
    hidden, _ = conv2d_forward_loop(
        np.maximum(x, 0), block.params["1.weight"], block.params["1.bias"], 1, 1
    )
    branch, _ = conv2d_forward_loop(
        np.maximum(hidden, 0), block.params["3.weight"], block.params["3.bias"]
    )
    out, _ = block.forward(x)
    np.testing.assert_allclose(
        out, x + branch, rtol=0, atol=1e-13
    )  # sums of under 30 terms of size one


def test_the_parameters_have_the_shapes_of_the_equation():
    shapes = {name: value.shape for name, value in ResidualBlock(5, 2, rng=0).params.items()}
    assert shapes == {
        "1.weight": (3, 3, 5, 2),
        "1.bias": (2,),
        "3.weight": (1, 1, 2, 5),
        "3.bias": (5,),
    }


def test_the_skip_carries_x_itself_and_not_its_positive_part():
    block, x = a_block(), images()
    block.params["3.weight"][:] = 0
    block.params["3.bias"][:] = 0
    given = x.copy()
    out, cache = block.forward(x)
    np.testing.assert_array_equal(out, given)
    assert (out < 0).any()
    dout = images(seed=2)
    dx, _ = block.backward(dout, cache)
    np.testing.assert_array_equal(dx, dout)


def test_neither_pass_changes_what_it_is_given():
    block, x, dout = a_block(), images(), images(seed=2)
    given, upstream = x.copy(), dout.copy()
    _, cache = block.forward(x)
    block.backward(dout, cache)
    np.testing.assert_array_equal(x, given)
    np.testing.assert_array_equal(dout, upstream)


def test_gradients_are_central_differences():
    block, x = a_block(), images()
    _, cache = block.forward(x)
    dout = images(seed=2)
    dx, gradients = block.backward(dout, cache)
    assert gradients.keys() == block.params.keys()

    # Piecewise quadratic: rounding costs about 1e-16·50/step, and a step rarely meets a kink.
    step = 1e-6
    for array, gradient in [
        (x, dx),
        *((block.params[name], gradients[name]) for name in block.params),
    ]:
        for index in np.ndindex(array.shape):
            sides = []
            for shift in (step, -step):
                kept = array[index]
                array[index] += shift
                sides.append(np.vdot(block.forward(x)[0], dout))
                array[index] = kept
            assert gradient[index] == pytest.approx(
                (sides[0] - sides[1]) / (2 * step), rel=0, abs=1e-7
            )


def test_forward_and_gradients_are_those_of_pytorch():
    torch = pytest.importorskip(
        "torch", reason="PyTorch is the independent implementation compared with"
    )
    block, dout = a_block(), images(seed=2)
    out, cache = block.forward(images())
    dx, gradients = block.backward(dout, cache)

    x = torch.from_numpy(images()).requires_grad_()
    names = list(block.params)
    tensors = [torch.from_numpy(block.params[name]).requires_grad_() for name in names]
    weight, bias, weight1, bias1 = tensors
    conv2d, relu = torch.nn.functional.conv2d, torch.nn.functional.relu
    hidden = conv2d(relu(x.permute(0, 3, 1, 2)), weight.permute(3, 2, 0, 1), bias, padding=1)
    expected = x + conv2d(relu(hidden), weight1.permute(3, 2, 0, 1), bias1).permute(0, 2, 3, 1)
    derivatives = torch.autograd.grad(expected, (x, *tensors), torch.from_numpy(dout))
    found = [out, dx, *(gradients[name] for name in names)]
    for one, other in zip(found, (expected, *derivatives), strict=True):
        np.testing.assert_allclose(
            one, other.detach().numpy(), rtol=0, atol=1e-12
        )  # sums of under 100 terms


def test_two_blocks_of_one_generator_have_weights_of_their_own():
    rng = np.random.default_rng(0)
    first, second = ResidualBlock(3, 2, rng=rng), ResidualBlock(3, 2, rng=rng)
    chain = Sequential(first, second)
    assert len(chain.params) == 8
    for name, value in first.params.items():
        assert not np.shares_memory(value, second.params[name])
        assert not np.array_equal(value, second.params[name])
        assert np.shares_memory(value, chain.params[f"0.{name}"])
        assert np.shares_memory(second.params[name], chain.params[f"1.{name}"])


def test_two_blocks_in_a_chain_have_gradients_of_their_own():
    rng = np.random.default_rng(0)
    chain = Sequential(*(ResidualBlock(3, 2, rng=rng, dtype=np.float64) for _ in range(2)))
    _, cache = chain.forward(images())
    _, gradients = chain.backward(images(seed=2), cache)
    assert gradients.keys() == chain.params.keys()
    for name in ("1.weight", "1.bias", "3.weight", "3.bias"):
        assert not np.allclose(gradients[f"0.{name}"], gradients[f"1.{name}"])


def test_float32_stays_float32():
    block = ResidualBlock(3, 2, rng=0)
    out, cache = block.forward(images().astype(np.float32))
    dx, gradients = block.backward(out, cache)
    assert {array.dtype for array in (out, dx, *gradients.values())} == {np.dtype(np.float32)}


def test_images_of_other_channels_are_refused():
    with pytest.raises(ValueError, match=r"weight must have shape .* with C_in = 2 as in x"):
        a_block().forward(images()[..., :2])
