import json

import numpy as np
import pytest

from vqnp.layers import (
    Conv2d,
    ConvTranspose2d,
    Linear,
    ReLU,
    ResidualBlock,
    Sequential,
    layer_from_json,
)

SHOWN = {
    "Linear(2, 32)": Linear(2, 32),
    "ReLU()": ReLU(),
    "Conv2d(3, 64, 4, stride=2, padding=1)": Conv2d(3, 64, 4, stride=2, padding=1),
    "Conv2d(3, 4, (3, 2), padding=(0, 1))": Conv2d(3, 4, (3, 2), padding=(0, 1)),
    "ConvTranspose2d(8, 3, 4, stride=2)": ConvTranspose2d(8, 3, 4, stride=2),
    "ResidualBlock(8, 4)": ResidualBlock(8, 4),
    "Sequential()": Sequential(),
}
NESTED = Sequential(Linear(2, 3), Sequential(ReLU(), Linear(3, 1)))


@pytest.mark.parametrize("text", SHOWN)
def test_a_layer_prints_its_configuration(text):
    assert repr(SHOWN[text]) == text


def test_a_chain_prints_as_pytorchs_does():
    assert repr(NESTED) == (
        "Sequential(\n"
        "  (0): Linear(2, 3)\n"
        "  (1): Sequential(\n"
        "    (0): ReLU()\n"
        "    (1): Linear(3, 1)\n"
        "  )\n"
        ")"
    )


@pytest.mark.parametrize("layer", [*SHOWN.values(), NESTED], ids=repr)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_layer_comes_back_from_json(layer, dtype):
    found = layer_from_json(json.loads(json.dumps(layer.to_json())), dtype=dtype)
    assert type(found) is type(layer)
    assert repr(found) == repr(layer)
    shapes = {name: (value.shape, np.dtype(dtype)) for name, value in layer.params.items()}
    assert {name: (value.shape, value.dtype) for name, value in found.params.items()} == shapes


def test_an_unknown_kind_is_named():
    with pytest.raises(ValueError, match=r"kind must be one of Conv2d, .*, got 'Dropout'"):
        layer_from_json({"kind": "Dropout"})


def test_a_seed_and_a_generator_of_it_draw_the_same():
    one, other = Linear(3, 2, rng=5), Linear(3, 2, rng=np.random.default_rng(5))
    np.testing.assert_array_equal(one.params["weight"], other.params["weight"])
    assert (one.params["weight"] != Linear(3, 2).params["weight"]).any()
