"""What the table of quantizers runs: which rows, on which data, at how many bits, for how long."""

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

from vqnp.data import Source
from vqnp.experiments.methods import METHODS, NAMES, Method, Size
from vqnp.experiments.plans import TRAINED_STEPS, ImagesPlan, PointsPlan, conv_sizes
from vqnp.experiments.spec import MethodRun
from vqnp.networks import MLPSettings
from vqnp.training import TrainSettings


class Case(NamedTuple):
    """Data that every row is trained on; ``token_dim`` is the width of a token, unless it has one.

    ``data_dim`` is None for images.
    """

    key: str
    name: str
    data: Source
    bits: int
    token_dim: int
    data_dim: int | None = None


@dataclass(frozen=True)
class TablePlan:
    """The table on clusters and images; the defaults are the scale ``quick``.

    ``points`` and ``images`` name data, seeds, batches and the settings of training. ``methods``
    are keys of rows. The codes have ``bits_points`` and ``bits_images``. Rows for which large
    codebooks matter are run at ``bits_large`` too, with the first seed. ``epochs`` are those of a
    run in all: half of them pretraining, or none. ``curve`` has the bits of the codes of raw
    patches that are drawn.
    """

    points: PointsPlan
    images: ImagesPlan
    methods: tuple[str, ...] = tuple(NAMES)
    bits_points: int = 7
    bits_images: int = 6
    bits_large: tuple[int, ...] = ()
    epochs_points: int = 20
    epochs_images: int = 6
    width: int = 16
    token_dim: int = 32
    curve: tuple[int, ...] = (2, 3, 4, 5, 6, 7, 8)

    def __post_init__(self) -> None:
        for key in self.methods:
            if key not in NAMES:
                raise ValueError(f"methods must be among {', '.join(NAMES)}; got {key!r}")

    @classmethod
    def at_scale(
        cls, scale: str, points: PointsPlan, images: ImagesPlan, methods: tuple[str, ...] = ()
    ) -> "TablePlan":
        """Return the plan of a scale, with all methods unless some are named.

        At ``laptop`` a run on images has 6,252 steps of 50,000 images and codes of 9 bits, and one
        on points has the paper's epochs. The scale ``paper`` has the paper's width.
        """
        plan = cls(points, images, methods or tuple(NAMES))
        if scale == "quick":
            return plan
        laptop = replace(
            plan,
            bits_images=9,
            bits_large=(12, 14),
            epochs_points=points.epochs,
            epochs_images=4,
            width=32,
            curve=tuple(range(4, 15)),
        )
        return laptop if scale == "laptop" else replace(laptop, epochs_images=8, width=128)

    @property
    def rows(self) -> list[Method]:
        """The methods in the order of the table."""
        return [method for method in METHODS if method.key in self.methods]

    @property
    def cases(self) -> tuple[Case, ...]:
        """The data, images first."""
        clusters = self.points.clusters
        return (
            Case("images", "images", self.images.data, self.bits_images, self.token_dim),
            Case("8-4", "clusters, 8 → 4", clusters(8), self.bits_points, 4, 8),
            Case("2-1", "clusters, 2 → 1", clusters(2), self.bits_points, 1, 2),
        )

    def seeds(self, case: Case) -> tuple[int, ...]:
        """Return the seeds of a case."""
        return self.images.seeds if case.data_dim is None else self.points.seeds

    def training(self, case: Case) -> tuple[int, int]:
        """Return the epochs of a run and the steps of an epoch."""
        if case.data_dim is None:
            return self.epochs_images, math.ceil(self.images.data.train / self.images.batch_size)
        examples = 10 * self.points.per_class
        return self.epochs_points, math.ceil(examples / TrainSettings().batch_size)

    def run(
        self, method: Method, case: Case, bits: int, seed: int, *, pretrained: bool
    ) -> MethodRun | None:
        """Return a run of ``method``, or None where it does not exist."""
        epochs, an_epoch = self.training(case)
        pretrain = (epochs if method.after_pretraining else epochs // 2) if pretrained else 0
        images, on_images = self.images, case.data_dim is None
        finetune = epochs - pretrain
        decay = images.decay if on_images else 0.9
        size = Size(bits, case.token_dim, max(1, finetune * an_epoch), decay)
        if not method.exists(size):
            return None
        dim = method.dim(size)
        return MethodRun(
            case.data,
            conv_sizes(dim, encoder=self.width, decoder=self.width)
            if case.data_dim is None
            else MLPSettings(case.data_dim, dim),
            method.make(size),
            pretrain=pretrain,
            finetune=finetune,
            sample=images.sample if on_images else None,
            seed=seed,
            train=TrainSettings(images.batch_size, images.learning_rate, "amsgrad")
            if on_images
            else TrainSettings(),
        )

    def describe(self, data: str) -> str:
        """Name the ``data``, and say how much is run."""
        steps = [math.prod(self.training(case)) for case in self.cases]
        short = f"Undertrained: below {TRAINED_STEPS:,} steps. " if steps[0] < TRAINED_STEPS else ""
        large = " and ".join(map(str, self.bits_large))
        return (
            f"{short}Images: {data}; {steps[0]:,} steps a run, {self.width} channels, batches of "
            f"{self.images.batch_size}, codes of {self.bits_images} bits"
            + (f", and some of {large} with one seed" if large else "; the scale laptop has 9")
            + f". Clusters: {steps[1]:,} steps a run, codes of {self.bits_points} bits. "
            "Half of the steps are pretraining where there is any."
        )
