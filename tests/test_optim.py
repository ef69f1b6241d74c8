import numpy as np
import pytest

from vqnp.optim import Adam, AdamW, adam_update, adam_update_loop, adam_update_numpy

torch = pytest.importorskip(
    "torch", reason="PyTorch is the independent implementation that the optimizers are held against"
)

SHAPES = {"weight": (3, 4), "bias": (4,), "scalar": (1,)}
CASES = {
    "adam": (lambda p: Adam(p, 3e-2), lambda p: torch.optim.Adam(p, 3e-2)),
    "adam, own betas": (
        lambda p: Adam(p, 3e-2, betas=(0.5, 0.9), epsilon=1e-3),
        lambda p: torch.optim.Adam(p, 3e-2, betas=(0.5, 0.9), eps=1e-3),
    ),
    "amsgrad": (
        lambda p: Adam(p, 3e-2, amsgrad=True),
        lambda p: torch.optim.Adam(p, 3e-2, amsgrad=True),
    ),
    "adamw": (lambda p: AdamW(p, 3e-2), lambda p: torch.optim.AdamW(p, 3e-2)),
    "adamw, strong decay, amsgrad": (
        lambda p: AdamW(p, 3e-2, weight_decay=0.3, amsgrad=True),
        lambda p: torch.optim.AdamW(p, 3e-2, weight_decay=0.3, amsgrad=True),
    ),
}


def gradients_of_15_steps():
    """Gradients that shrink a hundredfold, so that AMSGrad's largest v is not its latest."""
    rng = np.random.default_rng(0)
    return [
        {name: 0.7**t * rng.normal(size=shape) for name, shape in SHAPES.items()} for t in range(15)
    ]


@pytest.mark.parametrize("case", CASES)
def test_15_steps_agree_with_pytorch(case):
    make, make_torch = CASES[case]
    rng = np.random.default_rng(1)
    params = {name: rng.normal(size=shape) for name, shape in SHAPES.items()}
    theirs = {name: torch.tensor(value, requires_grad=True) for name, value in params.items()}
    optimizer, reference = make(params), make_torch(list(theirs.values()))
    for gradients in gradients_of_15_steps():
        for name, gradient in gradients.items():
            theirs[name].grad = torch.tensor(gradient)
        reference.step()
        optimizer.step(gradients)
        for name, value in params.items():  # a dozen operations a step, each rounded to 1e-16
            np.testing.assert_allclose(value, theirs[name].detach().numpy(), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("amsgrad", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_loop_numpy_and_compiled_agree_to_the_last_bit(amsgrad, dtype):
    factors = np.array([0.9, 0.1, 0.99, 0.01, 0.999, 0.01, 0.2, 1e-8], dtype)
    results = []
    for update in (adam_update_loop, adam_update_numpy, adam_update):
        rng = np.random.default_rng(0)
        parameter, m, v, largest = (np.abs(rng.normal(size=37)).astype(dtype) for _ in range(4))
        for _ in range(10):
            update(parameter, rng.normal(size=37).astype(dtype), m, v, largest, amsgrad, factors)
        results.append((parameter, m, v, largest))
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


def test_decay_is_decoupled():
    """Without a gradient AdamW shrinks a parameter by 1 - ηλ.

    Decay added to the gradient would pass through m and v.
    """
    params = {"p": np.array([2.0])}
    AdamW(params, 0.1, weight_decay=0.5).step({"p": np.zeros(1)})
    assert params["p"] == 2 * (1 - 0.1 * 0.5)


def test_first_step_is_the_learning_rate_in_the_direction_of_the_gradient():
    params = {"p": np.zeros(3, np.float32)}
    Adam(params, 1e-2).step({"p": np.array([5, -0.01, 0], np.float32)})
    np.testing.assert_allclose(
        params["p"], [-1e-2, 1e-2, 0], rtol=1e-5
    )  # ε / |g| = 1e-6 at the second


def test_a_missing_gradient_and_one_of_another_shape_are_refused():
    optimizer = Adam({"p": np.zeros((2, 3))})
    with pytest.raises(KeyError, match="p"):
        optimizer.step({})
    with pytest.raises(
        ValueError, match=r"the gradient of p must have shape \(2, 3\), got \(3, 2\)"
    ):
        optimizer.step({"p": np.zeros((3, 2))})


@pytest.mark.parametrize(
    "wrong",
    [{"learning_rate": -1}, {"weight_decay": -1}, {"betas": (0.9, 1)}, {"betas": (-0.1, 0.9)}],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=r"(learning_rate|weight_decay|betas|epsilon) must"):
        Adam({"p": np.zeros(1)}, **wrong)


def test_a_parameter_that_cannot_be_changed_in_place_is_refused():
    with pytest.raises(ValueError, match="parameter weight must be C-contiguous"):
        Adam({"weight": np.ones((2, 3)).T})


def test_extending_begins_new_averages_and_keeps_the_others():
    """A parameter that comes later is moved as by a step whose m and v were zero until then."""
    old, new = np.array([1.0]), np.array([1.0])
    optimizer = Adam({"old": old}, 0.1)
    optimizer.step({"old": np.ones(1)})
    kept = optimizer.state["old"]["m"]
    optimizer.extend({"old": old, "new": new})
    assert optimizer.state["old"]["m"] is kept
    assert kept == pytest.approx(0.1)
    optimizer.step({"old": np.ones(1), "new": np.ones(1)})
    assert optimizer.steps == 2
    m, v = 0.1 / (1 - 0.9**2), 0.001 / (1 - 0.999**2)
    assert new == pytest.approx(1 - 0.1 * m / v**0.5)
    assert old == pytest.approx(0.8)


def test_spared_parameters_do_not_decay():
    """A codebook would shrink by (1 − 1e-5)^8000 = 0.92 in the paper's run, for no reason."""
    params = {"quantizer.tokens": np.ones(2), "encoder.weight": np.ones(2)}
    optimizer = AdamW(params, 0.1, weight_decay=0.5, spared=("quantizer.",))
    optimizer.step({name: np.zeros(2) for name in params})
    assert params["quantizer.tokens"].tolist() == [1, 1]
    assert params["encoder.weight"].tolist() == [0.95, 0.95]
