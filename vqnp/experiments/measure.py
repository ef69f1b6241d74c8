"""The numbers and arrays that are kept of a trained model: of all points, or of the test images."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from vqnp.data import Dataset, pixels_to_float
from vqnp.diagnostics import diagnose
from vqnp.diagnostics.assignment import Assignment
from vqnp.diagnostics.usage import perplexity_of_counts
from vqnp.layers import Layer, ReLU, ResidualBlock, Sequential
from vqnp.models import VQVAE, as_rows, like_rows
from vqnp.quantize import Quantized, Quantizer
from vqnp.quantize.joint import places
from vqnp.quantize.quantizer import View
from vqnp.training import encode_in_batches
from vqnp.validation import Array

POINTS_A_BATCH = 8192
IMAGES_A_BATCH = 256
IMAGES_SHOWN = 18  # test images that are kept with their reconstructions


def evaluate_points(model: VQVAE, data: Dataset) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return MSE and diagnosis over all points, and embeddings, tokens, codes, reconstruction."""
    embeddings = encode_in_batches(model, data.points, POINTS_A_BATCH)
    codes = model.quantizer.forward(embeddings)[0].codes
    # Each token is decoded once: equal codes get equal rows, which a product of many rows may not.
    reconstruction = model.decode(model.tokens)[codes]
    diagnosis = diagnose(
        embeddings,
        model.tokens,
        data.labels,
        data=data.points,
        reconstruction=reconstruction,
        reference=False,
    )
    mse = float(((reconstruction - data.points) ** 2).mean())
    return {"mse": mse, **diagnosis.numbers}, {
        "embeddings": embeddings,
        "tokens": model.tokens,
        "codes": codes,
        "reconstruction": reconstruction,
    }


def evaluate_images(model: VQVAE, test: Array) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return MSE and diagnosis over images ``test`` ``(M, H, W, 3)`` uint8, and the arrays kept.

    ``counts`` ``(K,)`` are the embeddings of each token. ``originals`` and ``reconstructions`` are
    the first images, uint8. Codes are counted over all images before a perplexity is taken,
    because a batch cannot show more than it has embeddings.
    """
    counts = np.zeros(model.quantizer.n_tokens, np.int64)
    squared_error = quantization = 0.0
    clouds, shown = [], []
    for start, (x, points, quantized, reconstruction) in quantized_batches(model, test):
        seen = seen_by(model.quantizer, points, quantized)
        counts += np.bincount(seen.codes, minlength=len(counts))
        squared_error += float(np.square(reconstruction - x).sum(dtype=np.float64))
        apart = seen.embeddings - seen.tokens[seen.codes]
        quantization += float(np.square(apart).sum(dtype=np.float64))
        clouds.append(seen.embeddings)
        shown.append(as_pixels(reconstruction[: max(0, IMAGES_SHOWN - start)]))
    embeddings = np.concatenate(clouds)
    assignment = Assignment(counts, quantization / len(embeddings))
    diagnosis = diagnose(embeddings, seen.tokens, assignment=assignment, reference=False)
    numbers = {"mse": squared_error / test.size, **diagnosis.numbers, **silent_units(model, test)}
    return numbers, {
        "originals": test[:IMAGES_SHOWN],
        "reconstructions": np.concatenate(shown),
        "counts": counts,
    }


def silent_units(model: VQVAE, test: Array) -> dict[str, int]:
    """Count the rectified units of the encoder, and those that are 0 for every test image."""
    fires: list[Array] = []
    for start in range(0, len(test), IMAGES_A_BATCH):
        now: list[Array] = []
        through(model.encoder, pixels_to_float(test[start : start + IMAGES_A_BATCH]), now)
        fires = [a | b for a, b in zip(fires, now, strict=True)] if fires else now
    units = np.concatenate([np.empty(0, bool), *fires])  # an encoder may have no rectifier
    return {"encoder_units": len(units), "dead_units": int((~units).sum())}


def through(layer: Layer, x: Array, fires: list[Array]) -> Array:
    """Return the layer's output for ``x``; add to ``fires`` which units of each rectifier do."""
    if isinstance(layer, Sequential):
        for part in layer:
            x = through(part, x, fires)
        return x
    if isinstance(layer, ResidualBlock):
        return x + through(layer.branch, x, fires)
    out = layer.forward(x)[0]
    if isinstance(layer, ReLU):
        fires.append(np.any(out > 0, axis=(0, 1, 2)))  # (channels,)
    return out


def course_point(model: VQVAE, test: Array) -> dict[str, Any]:
    """Return MSE, perplexity and codes used over a few images: a point in the course of a run."""
    counts = np.zeros(model.quantizer.n_tokens, np.int64)
    squared_error = 0.0
    for _, (x, _, quantized, reconstruction) in quantized_batches(model, test):
        counts += np.bincount(single_codes(quantized.codes, model), minlength=len(counts))
        squared_error += float(np.square(reconstruction - x).sum(dtype=np.float64))
    return {
        "mse": squared_error / test.size,
        "perplexity": perplexity_of_counts(counts),
        "codes_used": int((counts > 0).sum()),
    }


def quantized_batches(
    model: VQVAE, test: Array
) -> Iterator[tuple[int, tuple[Array, Array, Quantized, Array]]]:
    """Yield the first index of each batch, and its images, embeddings, codes, reconstructions.

    The reconstructions are made from the codes alone, also where training decodes mixtures.
    """
    for start in range(0, len(test), IMAGES_A_BATCH):
        x = pixels_to_float(test[start : start + IMAGES_A_BATCH])
        z = model.encode(x)
        points = as_rows(z)  # (B·H/4·W/4, D)
        quantized = model.quantizer.forward(points)[0]
        vectors = model.quantizer.decode(quantized.codes)
        yield start, (x, points, quantized, model.decode(like_rows(vectors, z)))


def seen_by(quantizer: Quantizer, points: Array, quantized: Quantized) -> View:
    """Return the quantizer's view of ``points``, without a search where forward has made it."""
    if type(quantizer).view is Quantizer.view:
        return View(points, quantizer.tokens, quantized.codes)
    return quantizer.view(points)


def single_codes(codes: Array, model: VQVAE) -> Array:
    """Return one number for each code: ``(N,)``, also of joint codes ``(N, H)``."""
    if codes.ndim == 1:
        return codes
    quantizer: Any = model.quantizer  # of several parts
    return codes @ places(quantizer.levels)


def as_pixels(images: Array) -> Array:
    """Return images in [-0.5, 0.5] as the nearest bytes; what lies outside is cut off."""
    return np.rint(255 * (np.clip(images, -0.5, 0.5) + 0.5)).astype(np.uint8)
