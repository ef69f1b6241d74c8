"""The rows of the table of quantizers: their settings at a size, and what is said about each.

Every row has the encoder, decoder, data and order of batches of all others. A method whose latent
has a width of its own is given it by the encoder's last layer, because a projection inside would
hide what the method cannot do. Where a method cannot exist at a width, it has no row.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

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
    LatentKMeans,
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

LOW_DIM = 8  # of the rows with few dimensions; published runs have 8 or 32
# Powers of two, so that rows have one K. Channels have at least 4 levels.
LEVELS = {4: (4, 4), 5: (8, 4), 6: (8, 8), 7: (8, 4, 4), 8: (8, 8, 4), 9: (8, 8, 8),
          12: (8, 8, 8, 8), 14: (8, 8, 8, 8, 4)}  # fmt: skip


class Size(NamedTuple):
    """What a row is built for: ``bits`` of a code, ``dim`` of a token, and ``steps`` with VQ.

    ``decay`` is that of moving averages.
    """

    bits: int
    dim: int
    steps: int
    decay: float

    @property
    def n_tokens(self) -> int:
        """K = 2^bits."""
        return 1 << self.bits

    @property
    def parts(self) -> int:
        """Into how many codes a joint code is split: 3 where that divides 9 bits or so, else 2."""
        return 3 if self.bits % 3 == 0 and self.bits < 12 else 2

    @property
    def part_tokens(self) -> int:
        """The tokens of each part, so that the joint code has ``bits``, as nearly as can be."""
        return int(round(2 ** (self.bits / self.parts), 6))

    @property
    def levels(self) -> tuple[int, ...]:
        """The values of each channel of a grid of K tokens."""
        return (self.n_tokens,) if self.dim == 1 else LEVELS[self.bits]

    @property
    def split_dim(self) -> int:
        """The least width from ``dim`` on that the parts divide."""
        return -(-self.dim // self.parts) * self.parts


def same(size: Size) -> int:
    """Return the width of the embeddings where a method leaves it as it is."""
    return size.dim


@dataclass(frozen=True)
class Method:
    """A row: ``make`` gives its quantizer, ``dim`` the width of its tokens, at a size.

    ``about`` names its paragraph in ``ABOUT``. A row with a ``start`` on embeddings is run with and
    without pretraining. One that stops ``after_pretraining`` is pretrained for all epochs. Below
    ``least_dim`` dimensions the row does not exist. ``large`` rows are run at more bits, too.
    """

    key: str
    name: str
    about: str
    make: Callable[[Size], Quantizer]
    start: bool = True
    dim: Callable[[Size], int] = same
    least_dim: int = 1
    large: bool = False
    after_pretraining: bool = False

    @property
    def arms(self) -> tuple[bool, ...]:
        """Whether the row is pretrained, in each of its runs."""
        if self.after_pretraining:
            return (True,)
        return (False, True) if self.start else (False,)

    def exists(self, size: Size) -> bool:
        """Tell whether there is such a row at this size."""
        return size.dim >= self.least_dim


def averages(**settings: str) -> Callable[[Size], Quantizer]:
    """Return a maker of codebooks by moving averages with these settings."""
    return lambda size: EMA(size.n_tokens, size.decay, **settings)  # type: ignore[arg-type]


def gradient(**settings: object) -> Callable[[Size], Quantizer]:
    """Return a maker of codebooks learnt by gradient with these settings."""
    return lambda size: GradientCodebook(size.n_tokens, **settings)  # type: ignore[arg-type]


def part(size: Size) -> EMA:
    """Return the codebook of a part of a joint code."""
    return EMA(size.part_tokens, size.decay)


def warmup(size: Size) -> int:
    """Return the steps in which a divergence gains its weight: published are 5,000 of 150,000."""
    return max(1, size.steps // 30)


def split_dim(size: Size) -> int:
    """Return a width that the heads divide."""
    return size.split_dim


def bits_dim(size: Size) -> int:
    """Return a coordinate for each bit."""
    return size.bits


def levels_dim(size: Size) -> int:
    """Return a coordinate for each channel."""
    return len(size.levels)


METHODS = [
    Method("ema", "moving averages", "ema", averages(), large=True),
    Method("counts-one", "dialect counts-one", "ema", averages(dialect="counts-one")),
    Method("smoothed-state", "dialect smoothed-state", "ema", averages(dialect="smoothed-state")),
    Method("debiased", "dialect debiased", "ema", averages(dialect="debiased")),
    Method("normal", "start N(0, 1)", "starts", averages(start="normal"), start=False),
    Method("uniform", "start ±1/K", "starts", averages(start="uniform"), start=False),
    Method("gradient", "learnt by gradient", "gradient", gradient(), large=True),
    Method("revive", "revival, relative", "revive", averages(revival="relative"), large=True),
    Method("soundstream", "revival, SoundStream", "revive", averages(revival="soundstream")),
    Method("jukebox", "revival, Jukebox", "revive", averages(revival="jukebox")),
    Method("split", "revival, split most used", "revive", averages(revival="split"), large=True),
    Method("cvq", "CVQ", "cvq", lambda s: CVQ(s.n_tokens), large=True),
    Method(
        "low-dim", f"{LOW_DIM} dimensions", "few",
        averages(), dim=lambda _: LOW_DIM, least_dim=LOW_DIM + 1, large=True,
    ),
    Method(
        "projected", f"projected to {LOW_DIM}", "few",
        lambda s: Projected(EMA(s.n_tokens, s.decay), dim=LOW_DIM), least_dim=LOW_DIM + 1,
    ),
    Method(
        "cosine", "cosine codes", "few",
        lambda s: Cosine(GradientCodebook(s.n_tokens)), least_dim=2, large=True,
    ),
    Method("orthogonal", "orthogonal penalty", "orthogonal", gradient(orthogonal=10.0)),
    Method(
        "product", "product", "product",
        lambda s: Product(part(s), s.parts), dim=split_dim, least_dim=2, large=True,
    ),
    Method(
        "shared", "product, one codebook", "product",
        lambda s: Product(part(s), s.parts, shared=True), dim=split_dim, least_dim=2,
    ),
    Method(
        "dpq", "DPQ", "lookups",
        lambda s: DPQ(s.part_tokens, s.parts), start=False, dim=split_dim, least_dim=2,
    ),
    Method(
        "memcodes", "memcodes", "lookups",
        lambda s: Memcodes(s.part_tokens, s.parts), start=False, dim=split_dim, least_dim=2,
    ),
    Method(
        "residual", "residual", "residual", lambda s: Residual(part(s), s.parts), large=True,
    ),
    Method(
        "dropout", "residual, dropout", "residual",
        lambda s: Residual(part(s), s.parts, dropout=True),
    ),
    Method(
        "qinco", "QINCo", "qinco",
        lambda s: QINCo(s.part_tokens, s.parts), large=True,
    ),
    Method("fsq", "FSQ", "fsq", lambda s: FSQ(s.levels), dim=levels_dim, large=True),
    Method(
        "lfq", "LFQ", "signs",
        lambda s: LFQ(s.n_tokens), start=False, dim=bits_dim, large=True,
    ),
    Method(
        "lfq-plain", "LFQ without entropy", "signs",
        lambda s: LFQ(s.n_tokens, entropy_weight=0.0), start=False, dim=bits_dim,
    ),
    Method(
        "bsq", "BSQ", "signs",
        lambda s: BSQ(s.n_tokens), start=False, dim=bits_dim, large=True,
    ),
    Method("entropy", "entropy-regularized", "entropy", lambda s: EntropyVQ(s.n_tokens)),
    Method(
        "latent", "latent quantization", "latent",
        lambda s: LatentQuantizer(s.levels), start=False, dim=levels_dim,
    ),
    Method(
        "latent-k-means", "latent quantization, k-means", "latent",
        lambda s: LatentQuantizer(s.levels, start="k-means"), dim=levels_dim,
    ),
    Method("soft", "soft convex", "soft", lambda s: SoftConvex(s.n_tokens)),
    Method("hull", "soft convex, exact", "soft", lambda s: SoftConvex(s.n_tokens, exact=True)),
    Method("hyperbolic", "HyperVQ", "hyperbolic", lambda s: HyperVQ(s.n_tokens)),
    Method(
        "dvae", "dVAE", "choice",
        lambda s: DVAE(s.n_tokens, s.dim, warmup=warmup(s), anneal=s.steps), start=False,
    ),
    Method(
        "dvae-limit", "dVAE with limit", "choice",
        lambda s: DVAE(s.n_tokens, s.dim, warmup=warmup(s), anneal=s.steps, limit=20.0),
        start=False,
    ),
    Method(
        "edvae-plain", "EdVAE without KL", "choice",
        lambda s: EdVAE(s.n_tokens, s.dim, 0.0, warmup=warmup(s), anneal=s.steps), start=False,
    ),
    Method(
        "edvae", "EdVAE", "choice",
        lambda s: EdVAE(s.n_tokens, s.dim, warmup=warmup(s), anneal=s.steps), start=False,
    ),
    Method(
        "latent-pull", "latent k-means, pulled", "kmeans",
        lambda s: LatentKMeans(EMA(s.n_tokens, s.decay)),
    ),
    Method(
        "latent-after", "latent k-means, after all", "kmeans",
        averages(), start=False, after_pretraining=True,
    ),
    Method("simvq", "SimVQ", "simvq", lambda s: SimVQ(s.n_tokens), start=False, large=True),
    Method("simvq-k-means", "SimVQ, k-means cloud", "simvq",
           lambda s: SimVQ(s.n_tokens, cloud="k-means")),
    Method("rotation", "rotation trick", "rotation", averages(estimator="rotation"), large=True),
    Method("wasserstein", "Wasserstein", "wasserstein", lambda s: WassersteinVQ(s.n_tokens),
           large=True),
]  # fmt: skip
NAMES = {method.key: method for method in METHODS}
