"""Small training runs for the tests of training and checkpoints."""

import numba
import numpy as np

from vqnp import EMA, MLPSettings, TrainSettings, ae_then_vq, mlp_vqvae, train

INTERPRETED = bool(numba.config.DISABLE_JIT)
SCHEDULE = ae_then_vq(2, 2)
SETTINGS = TrainSettings(batch_size=16)
STEPS = 12  # 40 points in batches of 16, 16 and 8, for 2 + 2 epochs


def small_model(seed=0, dtype=np.float32, **quantizer):
    return mlp_vqvae(
        MLPSettings(2, 1, 6, 5),
        EMA(**{"n_tokens": 4} | quantizer),
        rng=seed,
        dtype=dtype,
    )


def small_data(dtype=np.float32, n=40):
    return np.random.default_rng(7).normal(size=(n, 2)).astype(dtype)


def small_train(model=None, data=None, schedule=SCHEDULE, settings=SETTINGS, **options):
    """Train and return the run, which its callbacks see and ``train`` does not return."""
    runs = []
    train(
        small_model() if model is None else model,
        small_data() if data is None else data,
        schedule,
        settings,
        on_phase=runs.append,
        **options,
    )
    return runs[-1]


def state(run):
    """Everything that a run is: copies of its arrays, and its records."""
    arrays = {f"params.{name}": value for name, value in run.model.params.items()}
    for name, averages in run.optimizer.state.items():
        arrays |= {f"{kind} of {name}": value for kind, value in averages.items()}
    if run.model.quantizer.initialized:
        arrays |= run.model.quantizer.buffers
    arrays["steps"] = run.optimizer.steps
    return {name: np.array(value) for name, value in arrays.items()}, list(run.history)


def assert_same_bits(run, other):
    (arrays, history), (others, other_history) = state(run), state(other)
    assert history == other_history
    assert arrays.keys() == others.keys()
    for name, array in arrays.items():
        assert array.dtype == others[name].dtype
        np.testing.assert_array_equal(array, others[name], err_msg=name)
