"""tiny.py does what the package does: from the same weights and batches it takes the same steps."""

import inspect
import runpy
import sys
import types

import numpy as np
import pytest

import vqnp
from vqnp import tiny
from vqnp.quantize import kmeans
from vqnp.training import TrainSettings, ae_then_vq, train

SEED, STEPS = 3, 10
# The package adds the same numbers in another order. A sum of 256 terms then differs by some units
# of 2e-16, and ten steps by 2e-15 as measured. The bound leaves room for another BLAS.
CLOSE = {"rtol": 1e-12, "atol": 1e-13}


@pytest.fixture(scope="module")
def x():
    """Return ten batches of points, in float64, where rounding cannot change the nearest token."""
    points = vqnp.clusters(2, rng=SEED).points.astype(np.float64)
    return points[np.random.default_rng(0).permutation(len(points))[: STEPS * tiny.BATCH]]


@pytest.fixture(scope="module", params=[(1, 1), (0, 1)], ids=["AE-then-VQ", "baseline"])
def package(request, x):
    """Run the package: the model, its history, and where it began."""
    model = vqnp.mlp_vqvae(vqnp.MLPSettings(2, 1), vqnp.EMA(tiny.K), rng=SEED, dtype=np.float64)
    begin = [p.copy() for p in model.params.values()]
    history = train(model, x, ae_then_vq(*request.param), TrainSettings(tiny.BATCH), rng=SEED)
    return request.param, model, history, begin


def differences(module, package, x):
    """Return the names of what differs between ``module``, tiny.py or a mutant, and the package."""
    epochs, model, history, begin = package
    weights = iter([[p.copy() for p in begin[:6]], [p.copy() for p in begin[6:]]])
    losses, step = [], module.step
    module.network = lambda rng, *sizes: next(weights)

    def recorded(*args):
        answer = step(*args)
        losses.append([float(loss) for loss in answer[0]])
        return answer

    module.step = recorded
    encoder, decoder, (tokens, L, M), _ = module.train(x, *epochs, SEED)
    pairs = {
        "weights": zip(encoder + decoder, model.params.values(), strict=True),
        "tokens": [(tokens, model.tokens)],
        "L": [(L, model.quantizer.codebook.counts)],
        "M": [(M, model.quantizer.codebook.sums)],
        "losses": zip(
            np.reshape(losses, (-1, STEPS, 2)).mean(axis=1),
            ([r.reconstruction, r.losses.get("commitment", 0)] for r in history),
            strict=True,
        ),
    }
    return [name for name, both in pairs.items() if not all(np.allclose(*p, **CLOSE) for p in both)]


def changed(old, new):
    """Return tiny.py with one piece of its text changed."""
    source = inspect.getsource(tiny)
    assert source.count(old) == 1
    module = types.ModuleType("mutant")
    exec(source.replace(old, new), vars(module))
    return module


def test_ten_steps_are_those_of_the_package(package, x):
    assert differences(changed('"""A whole', '"""The whole'), package, x) == []


MUTANTS = {
    "eq. 1, the farthest": (".argmin(axis=1)", ".argmax(axis=1)"),
    "eq. 2, one step": ("in range(100)", "in range(1)"),
    "eq. 3, decay swapped": ("M[:] = decay * M + (1 - decay)", "M[:] = (1 - decay) * M + decay"),
    "eq. 4, decay swapped": ("L[:] = decay * L + (1 - decay)", "L[:] = (1 - decay) * L + decay"),
    "eq. 5, of the batch alone": ("= M[hits > 0] / L[hits > 0", "= sums[hits > 0] / hits[hits > 0"),
    "start of L": ("* (BATCH / len(z))", "* 1"),
    "start of M": ("M[:] = L[:, None] * tokens", "M[:] = 0"),
    "nothing straight through": ("dz = dv +", "dz = 0 * dv +"),
    "no commitment": ("dz = dv + BETA *", "dz = dv + 0 *"),
    "commitment twice": ("+ BETA * 2 *", "+ BETA * 4 *"),
    "reconstruction": ("2 * (y - x) / x.size", "2 * (y - x) / len(x)"),
    "first rectifier open": ("* (h1 > 0)", ""),
    "second rectifier open": ("* (h2 > 0)", ""),
    "bias without sum": ("dh2.sum(0)", "dh2.mean(0)"),
    "decay of weights": ("p *= 1 - RATE * SHRINK", "p *= 1"),
    "Adam, no correction": ("(m / (1 - 0.9**t))", "m"),
    "Adam, squares": ("0.001 * g**2", "0.001 * abs(g)"),
    "Adam, averages from 1": ("(np.zeros_like(p), np.zeros_like(p))", "(p**0, p**0)"),
    "order of batches": ("(seed, 2))", "(seed, 1))"),
}


@pytest.mark.parametrize("name", MUTANTS)
@pytest.mark.parametrize("package", [(1, 1)], indirect=True, ids=["AE-then-VQ"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_comparison_sees_every_equation(name, package, x):
    assert differences(changed(*MUTANTS[name]), package, x)


@pytest.mark.parametrize("seed", [0, 5])
def test_clusters_and_weights_are_drawn_as_in_the_package(seed):
    np.testing.assert_array_equal(tiny.clusters(seed), vqnp.clusters(2, rng=seed).points)
    rng = np.random.default_rng(seed)
    drawn = tiny.network(rng, 2, 32, 32, 1) + tiny.network(rng, 1, 32, 32, 2)
    model = vqnp.mlp_vqvae(vqnp.MLPSettings(2, 1), rng=seed)
    for ours, theirs in zip(drawn, model.params.values(), strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("dim", [1, 2])
def test_kmeans_places_the_tokens_of_the_package(dim):
    z = vqnp.clusters(dim, rng=1).points[::16].astype(np.float64)
    tokens, L, M = tiny.kmeans(z, np.random.default_rng(7))
    found = kmeans(z, tiny.K, rng=7)
    np.testing.assert_allclose(tokens, found.tokens, rtol=0, atol=1e-13)
    np.testing.assert_allclose(L, found.counts * tiny.BATCH / len(z), rtol=1e-15)
    np.testing.assert_allclose(M, L[:, None] * found.tokens, rtol=0, atol=1e-12)


def test_it_imports_nothing_but_numpy_and_is_short():
    lines = inspect.getsource(tiny).splitlines()
    assert [line for line in lines if "import" in line] == ["import numpy as np"]
    assert len(lines) <= 125


def test_it_prints_that_the_baseline_collapses(capsys):
    sys.modules.pop("vqnp.tiny", None)
    runpy.run_module("vqnp.tiny", run_name="__main__")
    _, *rows = capsys.readouterr().out.splitlines()
    (*_, before, _, few, _), (*_, after, _, many, _) = (row.split() for row in rows)
    assert rows[0].startswith("baseline")
    assert float(before) < 1 < 5 < float(after)
    assert 1.5 * float(few) < float(many)
