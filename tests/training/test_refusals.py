"""Data and settings that training refuses, and training that diverges."""

import numpy as np
import pytest
from runs import small_train

from vqnp import TrainSettings, ae_then_vq
from vqnp.training import FineTune, InitializeCodebook, Pretrain


@pytest.mark.parametrize("rate", [1e3, 1e10, 1e20, 1e38])
@pytest.mark.parametrize("schedule", [ae_then_vq(50, 0), ae_then_vq(0, 50), ae_then_vq(1, 1)])
def test_diverging_training_says_so(rate, schedule):
    """The loss overflows, or the embeddings do before a loss, or on the way into k-means."""
    with pytest.raises(
        FloatingPointError, match=r"training diverged: .*; try a smaller learning rate"
    ):
        small_train(schedule=schedule, settings=TrainSettings(16, learning_rate=rate))


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (
            np.zeros(5, np.float32),
            ValueError,
            r"data must have shape \(N, ...\) and not be empty, got \(5,\)",
        ),
        (np.zeros((0, 2), np.float32), ValueError, r"not be empty, got \(0, 2\)"),
        (np.zeros((5, 2), int), TypeError, "data must be float32 or float64, got int64"),
        ([[0.0, 0.0], [1.0]], ValueError, "data must be a rectangular array, got list"),
        (
            np.array([[0, 0], [np.nan, 0]]),
            ValueError,
            r"data holds NaN or infinity, first at index \(1, 0\)",
        ),
        (
            np.array([[0, 0], [0, -np.inf]]),
            ValueError,
            r"data holds NaN or infinity, first at index \(1, 1\)",
        ),
        (np.zeros((5, 3), np.float32), ValueError, r"takes x of shape \(N, 2\), got \(5, 3\)"),
    ],
)
def test_bad_data_are_refused(data, error, message):
    with pytest.raises(error, match=message):
        small_train(data=data)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Pretrain(-1), ValueError, "epochs must be at least 0, got -1"),
        (lambda: FineTune(-2), ValueError, "epochs must be at least 0, got -2"),
        (lambda: FineTune(1.5), TypeError, "epochs must be an integer, got 1.5"),
        (lambda: InitializeCodebook(0), ValueError, "sample must be at least 1, got 0"),
        (lambda: TrainSettings(0), ValueError, "batch_size must be at least 1, got 0"),
        (
            lambda: TrainSettings(learning_rate=0),
            ValueError,
            "learning_rate must be positive and finite, got 0",
        ),
        (
            lambda: TrainSettings(learning_rate=float("nan")),
            ValueError,
            "learning_rate must be positive and finite, got nan",
        ),
        (
            lambda: TrainSettings(optimizer="sgd"),
            ValueError,
            "optimizer must be one of adam, amsgrad, adamw, got 'sgd'",
        ),
        (lambda: small_train(rng=-1), ValueError, "rng must be at least 0, got -1"),
        (lambda: small_train(rng=0.5), TypeError, "rng must be an integer, got 0.5"),
        (
            lambda: small_train(schedule=(1, 2)),
            TypeError,
            "schedule must hold Pretrain, .* phases, got 1",
        ),
        (
            lambda: small_train(schedule=(FineTune(1),)),
            RuntimeError,
            "there is no codebook yet",
        ),
    ],
)
def test_bad_settings_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()
