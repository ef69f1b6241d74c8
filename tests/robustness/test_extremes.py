"""Very large and very small data: every measure answers with a number, or refuses them by name."""

import math

import numpy as np
import pytest

import vqnp
from vqnp import diagnostics

FLOAT32 = [1e-30, 1e-19, 1e-15, 1e-3, 1e15, 1e19, 1e30]
FLOAT64 = [1e-300, 1e-160, 1e-145, 1e-3, 1e150, 1e160, 1e300]
LABELS = np.arange(60) % 3
MEASURES = {
    "nearest": lambda z, t: float(vqnp.nearest(z, t)[1].sum(dtype=np.float64)),
    "kmeans": lambda z, t: vqnp.kmeans(z, 4, rng=0).inertia,
    "quantization_error": diagnostics.quantization_error,
    "spread_ratio": lambda z, t: diagnostics.spread_ratio(t, z),
    "effective_rank": lambda z, t: diagnostics.effective_rank(z),
    "effective_dimension": lambda z, t: diagnostics.effective_dimension(z),
    "energy_distance": lambda z, t: diagnostics.energy_distance(z, t),
    "count_modes": lambda z, t: diagnostics.count_modes(z),
    "share_outside": lambda z, t: diagnostics.share_outside(t, z),
    "class_divergence": lambda z, t: diagnostics.class_divergence(t, z, LABELS),
    "class_spread_ratio": lambda z, t: diagnostics.class_spread_ratio(z, z, LABELS),
    "diagnose": lambda z, t: vqnp.diagnose(z, t, LABELS).spread_ratio,
}


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize(
    ("dtype", "scale"),
    [(np.float32, s) for s in FLOAT32] + [(np.float64, s) for s in FLOAT64],
)
def test_a_measure_answers_or_refuses(name, dtype, scale):
    rng = np.random.default_rng(0)
    z, t = ((rng.standard_normal((n, 3)) * scale).astype(dtype) for n in (60, 4))
    middle = 1e-16 < scale < 1e16 or (dtype is np.float64 and 1e-146 < scale < 1e152)
    if not middle:
        with pytest.raises(ValueError, match=r"^\w+ must have squares that float\d\d can hold"):
            MEASURES[name](z, t)
    else:
        assert math.isfinite(MEASURES[name](z, t))


@pytest.mark.parametrize("exponent", [-400, -100, 100, 480])
@pytest.mark.parametrize("name", ["spread_ratio", "effective_rank", "share_outside", "count_modes"])
def test_the_unit_of_the_data_does_not_matter(name, exponent):
    """Powers of two change no digit, so the answers are equal to the bit."""
    rng = np.random.default_rng(0)
    z, t = rng.standard_normal((60, 3)), rng.standard_normal((4, 3))
    measure = MEASURES[name]
    assert measure(np.ldexp(z, exponent), np.ldexp(t, exponent)) == measure(z, t)


def test_zeros_have_no_magnitude_to_refuse():
    codes, distances = vqnp.nearest(np.zeros((2, 3)), np.zeros((1, 3)))
    assert codes.tolist() == [0, 0]
    assert distances.tolist() == [0, 0]
