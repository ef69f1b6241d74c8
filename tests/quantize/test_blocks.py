"""Soft assignments of many embeddings to many tokens never stand in memory at once."""

import tracemalloc

import numpy as np
import pytest

from vqnp.quantize import LFQ, EntropyVQ, HyperVQ, SimVQ, SoftConvex, WassersteinVQ, softmax

K, N = 1 << 13, 512  # all assignments in float32: 17 MB


def step(kind, z):
    quantized, cache = kind.forward(z, training=True)
    kind.backward(np.ones_like(z), cache)
    kind.update(z, quantized)


@pytest.mark.jit
@pytest.mark.parametrize(
    "kind",
    [LFQ(K), EntropyVQ(K), SimVQ(K), SoftConvex(K), HyperVQ(K), WassersteinVQ(K)],
    ids=lambda kind: type(kind).__name__,
)
def test_a_step_fits_in_half_of_it(monkeypatch, kind):
    monkeypatch.setattr(softmax, "LOGITS_A_BLOCK", 1 << 16)
    rng = np.random.default_rng(0)
    dim = 13 if isinstance(kind, LFQ) else 4
    z, tokens = (rng.normal(size=(n, dim)).astype(np.float32) for n in (N, K))
    if isinstance(kind, SimVQ):
        kind.initialize(z, batch=N)
    elif isinstance(kind, HyperVQ):
        norms = np.linalg.norm(tokens, axis=1)
        kind.params.update(scale=norms, direction=tokens, offset=norms)
    elif not isinstance(kind, LFQ):
        kind.params["tokens"] = tokens  # k-means of 512 embeddings has no use for so many
    step(kind, z[:2])  # kernels are compiled
    tracemalloc.start()
    step(kind, z)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * N * K / 2
