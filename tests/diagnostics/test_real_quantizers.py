"""Codebooks of vector-quantize-pytorch, trained in a small autoencoder of PyTorch."""

import warnings

import numpy as np
import pytest
from codebooks import digits, patches

from vqnp.diagnostics import diagnose, diagnose_levels

pytestmark = pytest.mark.jit  # k-means takes minutes when it is interpreted

torch = pytest.importorskip("torch", reason="trains with PyTorch")
peers = pytest.importorskip("vector_quantize_pytorch", reason="trains a published quantizer")
STEPS, BATCH = 400, 256  # as in a first look: seconds


def trained(points, latent, make):
    """Train encoder, quantizer and decoder; return the embeddings ``(N, D)`` and the quantizer."""
    torch.manual_seed(0)
    width = points.shape[1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantizer = make()
        encoder, decoder = (
            torch.nn.Sequential(torch.nn.Linear(a, 64), torch.nn.ReLU(), torch.nn.Linear(64, b))
            for a, b in ((width, latent), (latent, width))
        )
        data = torch.from_numpy(points)
        parts = [*encoder.parameters(), *decoder.parameters(), *quantizer.parameters()]
        optimizer = torch.optim.Adam(parts, 2e-3)
        for _ in range(STEPS):
            batch = data[torch.randint(len(data), (BATCH,))]
            vectors, _, losses = quantizer(encoder(batch)[None])
            loss = ((decoder(vectors[0]) - batch) ** 2).mean() + losses.sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        return encoder(data), quantizer


@pytest.mark.parametrize(
    ("options", "verdict"),
    [
        ({}, "collapsed"),
        ({"kmeans_init": True}, "collapsed"),  # from one batch of fewer embeddings than tokens
        ({"use_cosine_sim": True}, "collapsed"),
        ({"rotation_trick": False}, "collapsed"),
        ({"threshold_ema_dead_code": 2}, "healthy"),
    ],
)
def test_512_tokens_on_patches(options, verdict):
    embeddings, quantizer = trained(
        patches(), 16, lambda: peers.VectorQuantize(dim=16, codebook_size=512, **options)
    )
    diagnosis = diagnose(embeddings, quantizer.codebook)
    assert diagnosis.verdict == verdict, str(diagnosis)


@pytest.mark.parametrize("options", [{}, {"kmeans_init": True}])
def test_64_tokens_on_digits(options):
    embeddings, quantizer = trained(
        digits(), 8, lambda: peers.VectorQuantize(dim=8, codebook_size=64, **options)
    )
    assert diagnose(embeddings, quantizer.codebook).verdict == "healthy"


def test_four_levels_of_a_residual_quantizer():
    options = {"kmeans_init": True, "threshold_ema_dead_code": 2}
    embeddings, quantizer = trained(
        patches(),
        16,
        lambda: peers.ResidualVQ(dim=16, num_quantizers=4, codebook_size=256, **options),
    )
    books = np.stack([level.codebook.detach().numpy() for level in quantizer.layers])
    found = diagnose_levels(embeddings, books)
    assert [level.verdict for level in found.levels] == ["healthy"] * 4, str(found)
