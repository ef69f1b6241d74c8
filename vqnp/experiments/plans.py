"""How much is run: one plan for the figures on points, one for those on images.

Every figure makes its specs with ``plan.run``, so two figures that show the same run share it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from vqnp.data import Cifar10, Clusters, OwnPoints, Patches, Source
from vqnp.experiments.spec import RunSpec
from vqnp.networks import ConvSettings, MLPSettings
from vqnp.quantize import EMA
from vqnp.quantize.codebook import Dialect
from vqnp.training import TrainSettings
from vqnp.validation import require_integers

SIZES = {"quick": (1_000, 500), "laptop": (50_000, 10_000), "paper": (50_000, 10_000)}
"""The training and test images of each scale."""
EMBEDDINGS_AN_IMAGE = 64  # of 32 × 32 pixels
# A public notebook trains a close relative for so long, and prints 0.056 of the variance as error.
TRAINED_STEPS = 10_000


@dataclass(frozen=True)
class PointsPlan:
    """The runs on points; the defaults are the paper's (section 5.2).

    ``epochs`` are those of a run in all: half of them pretraining, or none. ``widths`` are the
    encoders of Figure 5. ``user_points`` add a row to Figure 3, with tokens of ``user_token_dim``.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    epochs: int = 200
    per_class: int = 1000
    n_tokens: int = 128
    widths: tuple[int, ...] = (2, 4, 8, 16, 32)
    user_points: OwnPoints | None = None
    user_token_dim: int | None = None

    def __post_init__(self) -> None:
        require_integers(self, "epochs", "per_class", "n_tokens", least=2)
        require_seeds(self, "seeds")

    def clusters(self, dim: int) -> Clusters:
        """Return the ten clusters in ``dim`` dimensions at this plan's size."""
        return Clusters(dim, self.per_class)

    def run(
        self,
        data: Source,
        dims: tuple[int, int],
        seed: int,
        *,
        pretrained: bool,
        encoder_hidden: int = 32,
        extra: int | None = None,
    ) -> RunSpec:
        """Return a run with ``dims`` of a data point and of a token."""
        pretrain = self.epochs // 2 if pretrained else 0
        return RunSpec(
            data,
            MLPSettings(*dims, encoder_hidden=encoder_hidden, extra=extra),
            EMA(self.n_tokens, decay=0.9),
            pretrain=pretrain,
            finetune=self.epochs - pretrain,
            seed=seed,
        )


@dataclass(frozen=True)
class ImagesPlan:
    """The runs on images; the defaults are the scale ``quick``.

    All figures take ``data``, ``width`` (the paper's: 128 channels), the settings of training, and
    ``sample``, the images that k-means sees. ``epochs`` are those of a run in all: half of them
    pretraining, or none.

    Figure 4 runs each of ``n_tokens`` with the first of ``seeds``, and the three sizes in
    ``n_tokens_all_seeds`` with all of them. It shows the course of ``n_tokens_course``, and trains
    ``n_tokens_long`` for ``epochs_long``, unless that is None. Figure 4b runs the sizes in
    ``n_tokens_fig4b`` with ``seeds_fig4b``, and shows k-means ``sample_fig4b`` images in one of its
    arms. Figure 6 narrows the encoder through ``channels``, the first and the last with all
    ``seeds_fig6``. The runs of ``known`` have a model of ``width_known`` channels and
    ``n_tokens_known``.
    """

    data: Patches | Cifar10 = field(default_factory=Patches)
    seeds: tuple[int, ...] = (0, 1, 2)
    width: int = 32
    epochs: int = 10
    batch_size: int = 32
    learning_rate: float = 1e-3
    decay: float = 0.99
    sample: int = 32
    n_tokens: tuple[int, ...] = (16, 64, 256, 1024)
    n_tokens_all_seeds: tuple[int, int, int] = (16, 256, 1024)
    n_tokens_course: tuple[int, ...] = (64, 256, 1024)
    n_tokens_long: int | None = None
    epochs_long: int = 32
    n_tokens_fig4b: tuple[int, ...] = (1024,)
    seeds_fig4b: tuple[int, ...] = (0, 1, 2)
    sample_fig4b: int = 256
    channels: tuple[int, ...] = (32, 16, 8, 4, 2)
    seeds_fig6: tuple[int, ...] = (0, 1, 2)
    epochs_fig6: int = 10
    n_tokens_fig6: int = 64
    width_known: int = 32
    epochs_known: int = 6
    n_tokens_known: int = 256

    def __post_init__(self) -> None:
        require_integers(self, "epochs", "epochs_fig6", "epochs_known", least=2)
        require_seeds(self, "seeds", "seeds_fig4b", "seeds_fig6")
        if not set(self.n_tokens_all_seeds) <= set(self.n_tokens):
            raise ValueError(
                f"n_tokens_all_seeds must be among n_tokens {self.n_tokens}, "
                f"got {self.n_tokens_all_seeds}"
            )

    @classmethod
    def at_scale(cls, scale: str, data: Patches | Cifar10, seeds: tuple[int, ...]) -> "ImagesPlan":
        """Return the plan of a scale: ``quick``, ``laptop`` or ``paper``, the paper's own numbers.

        At ``laptop`` the model is half as wide, and every other codebook is left out. A batch has
        32 images, so that 8 epochs are 12,504 steps. The sweep ends within a day.
        """
        if scale == "quick":
            return cls(data, seeds, seeds_fig4b=seeds, seeds_fig6=seeds)
        laptop = cls(
            data,
            seeds,
            width=64,
            epochs=8,
            batch_size=32,
            learning_rate=3e-4,
            sample=256,
            n_tokens=tuple(2**i for i in range(4, 17, 2)),
            n_tokens_all_seeds=(2**6, 2**12, 2**14),
            n_tokens_course=(2**9, 2**12, 2**14),
            n_tokens_long=2**12,
            n_tokens_fig4b=(2**14,),
            seeds_fig4b=seeds[:1],
            sample_fig4b=2560,
            channels=(64, 32, 16, 8, 4, 2),
            seeds_fig6=seeds[:1],
            epochs_fig6=8,
            n_tokens_fig6=512,
            width_known=128,
            n_tokens_known=512,
        )
        if scale == "laptop":
            return laptop
        every = tuple(2**i for i in range(4, 17))
        paper = replace(laptop, width=128, batch_size=256, epochs=300, epochs_fig6=300)
        return replace(paper, n_tokens=every, n_tokens_long=None)

    def run(
        self,
        n_tokens: int,
        seed: int,
        *,
        pretrained: bool,
        sample: int | None = None,
        dialect: Dialect = "paper",
    ) -> RunSpec:
        """Return a run of Figure 4 or 4b."""
        pretrain = self.epochs // 2 if pretrained else 0
        sizes = conv_sizes(32, encoder=self.width, decoder=self.width)
        return RunSpec(
            self.data,
            sizes,
            EMA(n_tokens, self.decay, dialect),
            pretrain=pretrain,
            finetune=self.epochs - pretrain,
            sample=sample or self.sample,
            seed=seed,
            train=TrainSettings(self.batch_size, self.learning_rate, "amsgrad"),
        )

    def long_run(self, seed: int, *, pretrained: bool) -> RunSpec:
        """Return the long run; its first epochs are those of Figure 4."""
        assert self.n_tokens_long is not None
        spec = self.run(self.n_tokens_long, seed, pretrained=pretrained)
        return replace(spec, finetune=self.epochs_long - spec.pretrain)

    def encoder_run(self, channels: int, seed: int) -> RunSpec:
        """Return a run of Figure 6: the baseline with an encoder of ``channels``."""
        return replace(
            self.run(self.n_tokens_fig6, seed, pretrained=False),
            sizes=conv_sizes(64, encoder=channels, decoder=self.width),
            finetune=self.epochs_fig6,
        )

    def training(self, epochs: int, n_tokens: Sequence[int], *, pretrained: bool = True) -> str:
        """Say how long the runs of a figure are trained, and on how many vectors a token."""
        steps = epochs * math.ceil(self.data.train / self.batch_size)
        vectors, half = self.batch_size * EMBEDDINGS_AN_IMAGE, epochs // 2
        arms = f" without pretraining, {half} + {epochs - half} with it" if pretrained else ""
        few = " and ".join(
            f"{readable(vectors / k)} for each of {k:,} tokens" for k in dict.fromkeys(n_tokens)
        )
        short = f"Undertrained: below {TRAINED_STEPS:,} steps. " if steps < TRAINED_STEPS else ""
        return (
            f"{short}{steps:,} steps a run: {epochs} epochs{arms}. A batch has {self.batch_size} "
            f"images or {vectors:,} vectors: {few}."
        )

    def describe(self, data: str) -> str:
        """Name the ``data``, and say in which settings the runs are smaller than the paper's."""
        half = self.epochs // 2
        return (
            f"Data: {data}. Model: {self.width} channels (the paper's: 128), batches of "
            f"{self.batch_size}, learning rate {self.learning_rate:g} (the paper's: 0.0003), "
            f"k-means on {self.sample} images. Epochs: {half} + {self.epochs - half} against "
            f"{self.epochs} (the paper's: 150 + 150 against 300), and {self.epochs_fig6} for "
            "the encoders of Figure 6 (the paper's: 300). The runs of `known` have "
            f"{self.width_known} channels and {self.epochs_known} epochs. Figure 4: "
            + self.training(self.epochs, (self.n_tokens[0], self.n_tokens[-1]))
        )


def baseline_and_pretrained(plan: PointsPlan | ImagesPlan, *of_run: Any) -> tuple[RunSpec, RunSpec]:
    """Return the two arms of a comparison: without and with pretraining, the epochs equal."""
    return plan.run(*of_run, pretrained=False), plan.run(*of_run, pretrained=True)


def readable(number: float) -> str:
    """Return a number without an exponent: whole from ten on, and two digits of it below."""
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"


def conv_sizes(token_dim: int, *, encoder: int, decoder: int) -> ConvSettings:
    """Return sizes for widths of encoder and decoder; a residual block has half of them inside."""
    return ConvSettings(token_dim, encoder, decoder, max(1, encoder // 2), max(1, decoder // 2))


def require_seeds(plan: PointsPlan | ImagesPlan, *names: str) -> None:
    """Raise ``ValueError`` for a plan without seeds."""
    for name in names:
        if not getattr(plan, name):
            raise ValueError(f"{name} must hold at least one seed, got none")
