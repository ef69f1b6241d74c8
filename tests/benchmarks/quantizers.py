"""A training step of every quantizer: forward, backward, its own optimizer, and its update.

Each takes turns with the plain EMA of the same K and D. Where ``vector-quantize-pytorch`` has the
method, it takes part with PyTorch's autograd and Adam. All learn from the same embeddings again and
again. ``tests/testing/published.py`` compares their answers. Here the gradients must be finite and
as large as the embeddings.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch

from benchmarks.report import PLAIN
from benchmarks.timing import OURS, Case, Work
from vqnp.optim import Adam
from vqnp.quantize import (
    BSQ,
    CVQ,
    DPQ,
    DVAE,
    EMA,
    FSQ,
    LFQ,
    Cosine,
    EdVAE,
    EntropyVQ,
    GradientCodebook,
    HyperVQ,
    LatentQuantizer,
    Memcodes,
    Product,
    Projected,
    QINCo,
    Quantizer,
    Residual,
    SimVQ,
    SoftConvex,
    WassersteinVQ,
)
from vqnp.validation import Array

RATE = 1e-3
HEADS = STAGES = 4
PACKAGE = "vector-quantize-pytorch"
SIZES = ((256, 128, 4), (16_384, 512, 32))  # as for the paper's points, and for images
TINY = (64, 16, 4)
LEVELS = {16: (4, 4), 128: (8, 4, 4), 512: (8, 8, 8)}  # of which the product is K

Make = Callable[[Any], torch.nn.Module]  # of the package


@dataclass(frozen=True)
class Method:
    """A row: a name, our quantizer, the dimensions it takes, and how the package makes its own."""

    name: str
    quantizer: Quantizer
    dim: int
    make: Make | None = None


def methods(k: int, dim: int) -> Iterator[Method]:
    """Yield every method at K = ``k``; those with a width of their own ignore ``dim``."""
    ema = EMA(k, start="normal")
    levels, bits = LEVELS[k], k.bit_length() - 1

    def vq(**settings: Any) -> Make:
        settings = {"decay": ema.decay, "rotation_trick": False} | settings
        return lambda package: package.VectorQuantize(dim, k, **settings)

    yield Method("EMA", ema, dim, vq())
    yield Method("rotation", replace(ema, estimator="rotation"), dim, vq(rotation_trick=True))
    revived = replace(ema, revival="soundstream")
    yield Method("revival", revived, dim, vq(threshold_ema_dead_code=2))
    learnt = {"learnable_codebook": True, "ema_update": False}
    gradient = GradientCodebook(k, start="normal")
    yield Method("gradient", gradient, dim, vq(**learnt))
    orthogonal = replace(gradient, orthogonal=10.0)
    yield Method("orthogonal", orthogonal, dim, vq(**learnt, orthogonal_reg_weight=10.0))
    yield Method("CVQ", CVQ(k, start="normal"), dim)
    yield Method("cosine", Cosine(ema), dim, vq(use_cosine_sim=True))
    yield Method("projected", Projected(ema, dim=dim // 2), dim, vq(codebook_dim=dim // 2))
    heads = {"heads": HEADS, "codebook_dim": dim // HEADS, "separate_codebook_per_head": True}
    yield Method("product", Product(ema, heads=HEADS), dim, vq(**heads))
    stages = {"dim": dim, "num_quantizers": STAGES, "codebook_size": k, "decay": ema.decay}
    residual = partial(make, "ResidualVQ", **stages, rotation_trick=False)
    yield Method("residual", Residual(ema, stages=STAGES), dim, residual)
    neural = partial(make, "ResidualVQ", **stages, implicit_neural_codebook=True)
    yield Method("QINCo", QINCo(k, stages=STAGES), dim, neural)
    yield Method("SimVQ", SimVQ(k), dim, partial(make, "SimVQ", dim=dim, codebook_size=k))
    yield Method("FSQ", FSQ(levels), len(levels), partial(make, "FSQ", levels=list(levels)))
    yield Method("latent", LatentQuantizer(levels), len(levels), partial(latent, list(levels)))
    signs = {"codebook_size": k, "dim": bits, "commitment_loss_weight": 0.25}
    yield Method("LFQ", LFQ(k), bits, partial(make, "LFQ", **signs))
    yield Method("BSQ", BSQ(k), bits, partial(make, "LFQ", **signs, spherical=True))
    yield Method("entropy", EntropyVQ(k), dim)
    yield Method("Wasserstein", WassersteinVQ(k), dim)
    yield Method("DPQ", DPQ(k), dim)
    yield Method("memcodes", Memcodes(k, heads=HEADS), dim)
    yield Method("soft convex", SoftConvex(k, hard=True), dim)
    yield Method("hyperbolic", HyperVQ(k), dim)
    yield Method("dVAE", DVAE(k, token_dim=dim), k)
    yield Method("EdVAE", EdVAE(k, token_dim=dim), k)


def make(name: str, package: Any, **settings: Any) -> torch.nn.Module:
    """Return the package's quantizer of that name."""
    return getattr(package, name)(**settings)


def latent(levels: list[int], package: Any) -> torch.nn.Module:
    """Return the package's latent quantizer, which takes channels first."""
    made = package.LatentQuantize(levels=levels, dim=len(levels))
    made.register_forward_pre_hook(lambda _, given: (given[0].mT,))
    made.register_forward_hook(lambda _, given, found: (found[0].mT, *found[1:]))
    return made


def cases(*, tiny: bool = False) -> Iterator[Case]:
    """Yield every method at every size."""
    for n, k, dim in (TINY,) if tiny else SIZES:
        for method in methods(k, dim):
            yield case(method, n, k)


def case(method: Method, n: int, k: int) -> Case:
    """Return one row; a contestant returns the gradient of the embeddings ``(N, D)``."""
    z = np.random.default_rng(0).standard_normal((n, method.dim), np.float32)
    steps = {
        OURS: our_step(method.quantizer, z),
        PLAIN: our_step(EMA(k, start="normal"), z),
    }
    if method.make and find_spec(PACKAGE.replace("-", "_")):
        import vector_quantize_pytorch

        steps[f"{PACKAGE} {version(PACKAGE)}"] = their_step(method.make(vector_quantize_pytorch), z)

    def agree(gradients: dict[str, Array]) -> None:
        for name, dz in gradients.items():
            assert dz.shape == z.shape, f"{name} gave a gradient {dz.shape} for {z.shape}"
            assert np.isfinite(dz).all(), f"{name} gave a gradient that is not finite"

    return Case(f"{method.name}, N = {n:,}, K = {k:,}, D = {method.dim}", steps, agree)


def our_step(quantizer: Quantizer, z: Array) -> Work:
    """Return a step of a copy of ``quantizer``, which starts from ``z`` or at random."""
    made, rng = replace(quantizer), np.random.default_rng(1)
    made.initialize(z, batch=len(z), rng=rng)
    optimizer = Adam(made.params, RATE) if made.params else None
    vectors = made.forward(z, training=True, rng=rng)[0].vectors
    upstream = rng.standard_normal(vectors.shape, np.float32)

    def step() -> Array:
        quantized, cache = made.forward(z, training=True, rng=rng)
        dz, gradients = made.backward(upstream, cache)
        if optimizer:
            optimizer.step(gradients)
        made.update(z, quantized, rng=rng)
        return dz

    return step


def their_step(module: torch.nn.Module, z: Array) -> Work:
    """Return a step of the package's ``module``; what it returns besides floats are codes."""
    leaf = torch.from_numpy(z)[None].requires_grad_()
    upstream = torch.randn(leaf.shape, generator=torch.Generator().manual_seed(1))
    parameters = [each for each in module.parameters() if each.requires_grad]
    optimizer = torch.optim.Adam(parameters, RATE) if parameters else None

    def step() -> Array:
        leaf.grad = None
        vectors, *rest = module(leaf)
        losses = [part for part in rest if part.requires_grad]
        torch.autograd.backward([vectors, *losses], [upstream, *map(torch.ones_like, losses)])
        if optimizer:
            optimizer.step()
            optimizer.zero_grad()
        return leaf.grad[0].numpy()

    return step
