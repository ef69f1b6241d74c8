"""Clouds of embeddings, and codebooks that are good or bad by construction."""

from functools import cache

import numpy as np
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.datasets import load_digits, load_sample_images
from sklearn.decomposition import PCA


@cache
def patches(count=8_000):
    """Patches of 8 × 8 pixels of scikit-learn's two photographs, in 32 dimensions of unit scale."""
    rng = np.random.default_rng(0)
    cut = []
    for image in load_sample_images().images:
        rows = rng.integers(0, image.shape[0] - 8, count // 2)
        columns = rng.integers(0, image.shape[1] - 8, count // 2)
        cut += [image[y : y + 8, x : x + 8].reshape(-1) for y, x in zip(rows, columns, strict=True)]
    points = PCA(32, random_state=0).fit_transform(np.array(cut, float))
    return (points / points.std()).astype(np.float32)


def digits():
    return (load_digits().data / 16).astype(np.float32)


@cache
def zipf_clusters():
    """200 clusters whose sizes follow Zipf's law."""
    rng = np.random.default_rng(0)
    sizes = (20_000 / np.arange(1, 201) ** 1.2 / 4).astype(int) + 3
    points = np.repeat(rng.normal(size=(200, 16)), sizes, axis=0)
    return (points + 0.05 * rng.normal(size=points.shape)).astype(np.float32)


def on_the_sphere(points):
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def fitted(points, n_tokens, seed=0, maker=KMeans):
    """The tokens of scikit-learn's k-means."""
    found = maker(n_tokens, n_init=1, random_state=seed).fit(points)
    return found.cluster_centers_.astype(np.float32)


def cloud(kind, count, dim, rng):
    """Points ``(count, dim)`` of one of six kinds."""
    points = rng.standard_normal((count, dim))
    if kind == "stretched":
        points /= np.arange(1, dim + 1)
    elif kind == "clustered":
        centers = 4 * rng.normal(size=(rng.integers(3, 30), dim))
        points = centers[rng.integers(len(centers), size=count)] + 0.3 * points
    elif kind == "heavy-tailed":
        points = rng.standard_t(3, (count, dim))
    elif kind == "uniform":
        points = rng.uniform(-1, 1, (count, dim))
    elif kind == "folded":
        points = np.abs(points @ rng.normal(size=(dim, dim)))
    return points.astype(np.float32)


KINDS = ("round", "stretched", "clustered", "heavy-tailed", "uniform", "folded")


def healthy(points, n_tokens, how, rng):
    """A good codebook by construction."""
    seed = int(rng.integers(1000))
    if how == "k-means":
        return fitted(points, n_tokens, seed)
    if how == "mini-batch":
        return fitted(points, n_tokens, seed, MiniBatchKMeans)
    if how == "of half":
        return fitted(points[rng.permutation(len(points))[: len(points) // 2]], n_tokens, seed)
    found = KMeans(n_tokens, n_init=1, random_state=seed).fit(points)  # "shaken"
    error = np.sqrt(found.inertia_ / points.size)  # in one coordinate
    noise = 0.3 * error * rng.standard_normal(found.cluster_centers_.shape)
    return (found.cluster_centers_ + noise).astype(np.float32)


HEALTHY = ("k-means", "mini-batch", "of half", "shaken")


def collapsed(points, n_tokens, how, rng):
    """A codebook in which a fifth of the tokens, or fewer, do the work."""
    alive = max(1, int(n_tokens * rng.uniform(0.02, 0.2)))
    tokens = fitted(points, alive, int(rng.integers(1000)))
    rest = (n_tokens - alive, points.shape[1])
    dead = {
        "far away": lambda: 1e3 * points.std() * (1 + rng.random(rest)),
        "copies": lambda: tokens[rng.integers(alive, size=rest[0])],
        "near copies": lambda: (
            tokens[rng.integers(alive, size=rest[0])]
            + 1e-4 * points.std() * rng.standard_normal(rest)
        ),
        "at one place": lambda: np.full(rest, 50 * points.std()),
    }[how]()
    return rng.permutation(np.concatenate([tokens, dead])).astype(np.float32)


COLLAPSED = ("far away", "copies", "near copies", "at one place")
