"""The check of any gradient names a wrong one by its argument and its mistake."""

import numpy as np
import pytest

from vqnp.layers.linear import linear_backward, linear_forward
from vqnp.testing import CheckFailed, check_grads
from vqnp.testing.grads import COTANGENTS

RNG = np.random.default_rng(0)
X, WEIGHT, BIAS = RNG.normal(size=(2, 3, 5, 4)), RNG.normal(size=(4, 3)), RNG.normal(size=3)


def forward(x, weight, bias):
    return x @ weight + bias


def vjp(x, weight, bias, dout):
    return dout @ weight.T, np.tensordot(x, dout, ((0, 1, 2), (0, 1, 2))), dout.sum(axis=(0, 1, 2))


def test_right_gradients_pass():
    result = check_grads(forward, vjp, (X, WEIGHT, BIAS))
    assert [comparison.where[:10] for comparison in result.comparisons] == [
        "argument 0",
        "argument 1",
        "argument 2",
    ]


def test_our_layer_passes():
    def layer_vjp(x, weight, bias, dout):
        return linear_backward(dout, linear_forward(x, weight, bias)[1])

    assert check_grads(
        lambda *args: linear_forward(*args)[0], layer_vjp, (X[0, 0], WEIGHT, BIAS)
    ).passed


@pytest.mark.parametrize(
    ("name", "says", "change"), COTANGENTS, ids=[name for name, _, _ in COTANGENTS]
)
def test_every_mistake_is_caught_and_diagnosed_as_itself(name, says, change):
    with pytest.raises(CheckFailed, match=name) as caught:
        check_grads(forward, lambda x, w, b, dout: vjp(x, w, b, change(dout)), (X, WEIGHT, BIAS))
    expected = (
        ["half", "batch-mean"] if name in ("half", "batch-mean") else [name]
    )  # the batch is of two
    assert [mistake.name for mistake in caught.value.result.suspects] == expected


def test_one_wrong_argument_is_the_one_that_is_named():
    def wrong(x, weight, bias, dout):
        dx, dweight, dbias = vjp(x, weight, bias, dout)
        return dx, dweight, 2 * dbias

    result = check_grads(forward, wrong, (X, WEIGHT, BIAS), raises=False)
    assert [comparison.where[:10] for comparison in result.failed] == ["argument 2"]
    assert [mistake.name for mistake in result.suspects] == ["twice"]


def test_integers_have_no_gradient_and_one_argument_needs_no_tuple():
    codes = np.array([2, 0, 2])
    lookup = lambda tokens, codes: tokens[codes]  # noqa: E731

    def lookup_vjp(tokens, codes, dout):
        dtokens = np.zeros_like(tokens)
        np.add.at(dtokens, codes, dout)
        return dtokens, None

    assert check_grads(lookup, lookup_vjp, (WEIGHT, codes)).passed
    assert check_grads(np.sin, lambda x, dout: dout * np.cos(x), (X,)).passed


@pytest.mark.parametrize(("wrong", "message"), [
    (lambda x, w, b, dout: (dout,), "a gradient for each of 3 arguments, got 1"),
])  # fmt: skip
def test_too_few_gradients_are_refused(wrong, message):
    with pytest.raises(TypeError, match=message):
        check_grads(forward, wrong, (X, WEIGHT, BIAS))


def test_a_gradient_of_another_shape_or_none_fails():
    for gradient in X[0], None:
        result = check_grads(np.sin, lambda x, dout, g=gradient: (g,), (X,), raises=False)
        assert not result.passed
        assert "expected shape (2, 3, 5, 4)" in str(result)


def test_float32_is_refused():
    with pytest.raises(TypeError, match="f must compute in float64"):
        check_grads(lambda x: x.astype(np.float32), vjp, (X,))
