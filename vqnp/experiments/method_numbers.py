"""The numbers of a row of the table of quantizers, of points and of images alike.

Every error is that of the reconstruction from the codes alone. A diagnosis looks at what the
quantizer's own ``view`` gives, with the codes that the quantizer chose.
"""

import time
from contextlib import suppress
from typing import Any

import numpy as np

from vqnp.data import Dataset, Images
from vqnp.diagnostics import diagnose
from vqnp.diagnostics.assignment import Assignment
from vqnp.diagnostics.diagnosis import Diagnosis
from vqnp.experiments.measure import IMAGES_A_BATCH, POINTS_A_BATCH, seen_by
from vqnp.experiments.spec import RunSpec
from vqnp.models import VQVAE, as_rows, like_rows
from vqnp.quantize import DVAE, EdVAE, LatentKMeans, SoftConvex
from vqnp.quantize.quantizer import View
from vqnp.quantize.search import nearest
from vqnp.training import FineTune, Pretrain, as_floats, train
from vqnp.validation import Array

STEPS_TIMED = 12
KEPT = ("perplexity", "codes_used", "quantization_error", "spread_ratio", "token_rank",
        "embedding_rank", "class_divergence")  # fmt: skip
SOFT = (SoftConvex, DVAE, EdVAE, LatentKMeans)  # whose decoder is not trained on tokens
STORED = ("tokens", "cloud")  # buffers that a decoder needs; others are the state of training


def evaluate_method(model: VQVAE, data: Dataset | Images) -> dict[str, Any]:
    """Return the numbers of a trained model on all points, or on the test images.

    ``mse`` is the error of the reconstructions from codes. ``mse_soft`` is the error with the
    vectors that training decodes without noise, where these are no tokens. ``bits`` name a code,
    and ``entropy_bits`` are its entropy over the whole set. ``kmeans_spread`` is the spread ratio
    over that of k-means on the same embeddings. ``disagreement`` is the share of embeddings whose
    code is not that of the nearest token.
    """
    if isinstance(data, Dataset):
        examples, labels, size = data.points, data.labels, POINTS_A_BATCH
    else:
        examples, labels, size = data.test, None, IMAGES_A_BATCH
    squared = np.zeros(2)
    views, embeddings_an_example = [], 0
    for start in range(0, len(examples), size):
        x = as_floats(examples[start : start + size])
        z = model.encode(x)
        rows = as_rows(z)
        quantized = model.quantizer.forward(rows)[0]
        vectors = model.quantizer.decode(quantized.codes)
        squared[0] += squared_error(model, vectors, z, x)
        if isinstance(model.quantizer, SOFT):
            trained = model.quantizer.forward(rows, training=True)[0].vectors
            squared[1] += squared_error(model, trained, z, x)
        views.append(seen_by(model.quantizer, rows, quantized))
        embeddings_an_example = len(rows) // len(x)
    mse, soft = squared / examples.size
    seen = View(
        np.concatenate([view.embeddings for view in views]),
        views[0].tokens,
        np.concatenate([view.codes for view in views]),
    )
    found = diagnosed(seen, labels)
    bits = float(np.log2(model.quantizer.n_tokens))
    return {
        "mse": float(mse),
        "mse_soft": float(soft) if isinstance(model.quantizer, SOFT) else None,
        "tokens": model.quantizer.n_tokens,
        "token_dim": vectors.shape[1],
        "bits": bits,
        "entropy_bits": found.entropy_bits,
        "embeddings_an_example": embeddings_an_example,
        **{name: found.numbers[name] for name in KEPT},
        "perplexity_share": found.perplexity / min(len(seen.tokens), len(seen.embeddings)),
        "kmeans_spread": beside_kmeans(found, "spread_ratio", found.spread_ratio),
        "disagreement": disagreement(seen),
        "parameters": stored_numbers(model),
    }


def squared_error(model: VQVAE, vectors: Array, z: Array, x: Array) -> float:
    """Return the sum of the squared errors of the reconstruction from ``vectors``."""
    reconstruction = model.decode(like_rows(vectors, z))
    return float(np.square(reconstruction - x).sum(dtype=np.float64))


def diagnosed(seen: View, labels: Array | None) -> Diagnosis:
    """Return the diagnosis with the codes of ``seen``, and never with those of a search."""
    counts = np.bincount(seen.codes, minlength=len(seen.tokens))
    apart = np.square(seen.embeddings - seen.tokens[seen.codes])
    assignment = Assignment(counts, float(apart.sum(dtype=np.float64)) / len(seen.codes))
    return diagnose(seen.embeddings, seen.tokens, labels, assignment=assignment)


def beside_kmeans(found: Diagnosis, name: str, value: float | None) -> float | None:
    """Return ``value`` over the number of that name that k-means has, where there are both."""
    theirs = found.reference.kmeans[name] if found.reference else None
    return value / theirs if value is not None and theirs else None


def disagreement(seen: View) -> float:
    """Return the share of embeddings whose token is not the nearest; equals count as one."""
    dtype = np.result_type(seen.embeddings, seen.tokens)
    codes, _ = nearest(seen.embeddings.astype(dtype), seen.tokens.astype(dtype))
    return float((seen.tokens[codes] != seen.tokens[seen.codes]).any(axis=1).mean())


def stored_numbers(model: VQVAE) -> int:
    """Count the numbers that encoding and decoding need: parameters, and kept tokens."""
    buffers = model.quantizer.buffers.items()
    kept = sum(array.size for name, array in buffers if name.endswith(STORED))
    return kept + sum(array.size for array in model.params.values())


def seconds_a_step(model: VQVAE, examples: Array, spec: RunSpec) -> float:
    """Return the median time of a training step; the ``model`` is trained on for a while."""
    stamps: list[float] = []
    phase = FineTune(1) if spec.finetune else Pretrain(1)
    few = examples[: STEPS_TIMED * spec.train.batch_size]
    with suppress(FloatingPointError):  # a fresh optimizer takes longer steps than the run did
        train(
            model,
            few,
            [phase],
            spec.train,
            rng=spec.seed,
            on_step=lambda _: stamps.append(time.perf_counter()),
        )
    return float(np.median(np.diff(stamps))) if len(stamps) > 1 else 0.0
