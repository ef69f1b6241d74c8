"""What the figures on images have in common: how much is run at each scale, and the arms that are compared.

Every figure names its arms through ``arm``, so that two figures that show the same run share it.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from vqnp.experiments.image_run import ImageResult
from vqnp.experiments.image_setting import ImageSetting, ImageSource, Patches, source_json
from vqnp.networks import ConvSettings
from vqnp.quantize import EMA
from vqnp.quantize.ema import Dialect
from vqnp.training import TrainSettings
from vqnp.validation import require_integer

ImageResults = Mapping[ImageSetting, ImageResult]
SIZES = {
    "quick": (1_000, 500),
    "laptop": (10_000, 2_000),
    "paper": (50_000, 10_000),
}  # training and test images


@dataclass(frozen=True)
class ImagePlan:
    """How much is run on images; the defaults are the scale ``quick``.

    ``width`` is that of the model (the paper's: 128), ``epochs`` the epochs of a run of Figure 4 in all, half of them pretraining or
    none, ``sample`` the images that k-means sees. Figure 4 sweeps ``tokens`` with the first seed, and its small, middle and large
    codebook, ``ends``, with all seeds. Figure 4b separates the causes at the sizes ``confounds`` with ``confound_seeds``, and gives
    k-means ``many`` images in place of ``sample``. Figure 6 sweeps the encoder's ``channels`` for ``encoder_epochs``, the first and
    the last with ``encoder_seeds``.
    """

    data: ImageSource = field(default_factory=Patches)
    seeds: tuple[int, ...] = (0, 1, 2)
    width: int = 32
    epochs: int = 10
    batch_size: int = 32
    learning_rate: float = 1e-3
    decay: float = 0.99
    sample: int = 32
    tokens: tuple[int, ...] = (16, 64, 256, 1024)
    ends: tuple[int, int, int] = (16, 256, 1024)
    confounds: tuple[int, ...] = (1024,)
    confound_seeds: tuple[int, ...] = (0, 1, 2)
    many: int = 256
    channels: tuple[int, ...] = (32, 16, 8, 4, 2)
    encoder_seeds: tuple[int, ...] = (0, 1, 2)
    encoder_epochs: int = 10
    encoder_tokens: int = 64

    def __post_init__(self) -> None:
        for name in ("epochs", "encoder_epochs"):
            require_integer(getattr(self, name), name, least=2)
        if not self.seeds or not self.confound_seeds or not self.encoder_seeds:
            raise ValueError("seeds, confound_seeds and encoder_seeds must name at least one seed")
        if not set(self.ends) <= set(self.tokens):
            raise ValueError(f"ends must be among tokens {self.tokens}, got {self.ends}")

    @classmethod
    def at_scale(cls, scale: str, data: ImageSource, seeds: tuple[int, ...]) -> "ImagePlan":
        """Return the plan of a scale by its name: ``quick``, ``laptop`` or ``paper``, the last with the paper's own numbers.

        ``laptop`` has a model of half the paper's width and every other codebook, so that the whole sweep ends within hours.
        """
        if scale == "quick":
            return cls(data, seeds, confound_seeds=seeds, encoder_seeds=seeds)
        laptop = cls(
            data, seeds, width=64, epochs=20, batch_size=256, learning_rate=3e-4, sample=256,
            tokens=tuple(2**i for i in range(4, 17, 2)), ends=(2**6, 2**12, 2**14), confounds=(2**14,),
            confound_seeds=seeds[:1], many=2560, channels=(64, 32, 16, 8, 4, 2), encoder_seeds=seeds[:1],
            encoder_epochs=20, encoder_tokens=512,
        )  # fmt: skip
        if scale == "laptop":
            return laptop
        return replace(
            laptop,
            width=128,
            epochs=300,
            encoder_epochs=300,
            tokens=tuple(2**i for i in range(4, 17)),
        )

    def seeds_of(self, tokens: int) -> tuple[int, ...]:
        """Return the seeds that a codebook of ``tokens`` is run with in Figure 4."""
        return self.seeds if tokens in self.ends else self.seeds[:1]

    def seeds_at(self, channels: int) -> tuple[int, ...]:
        """Return the seeds that an encoder of ``channels`` is run with in Figure 6."""
        return (
            self.encoder_seeds
            if channels in (self.channels[0], self.channels[-1])
            else self.encoder_seeds[:1]
        )

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        return {**asdict(self), "data": source_json(self.data)}

    def describe(self, data: str) -> str:
        """Say beside a figure which ``data`` it shows and in what its runs are smaller than the paper's."""
        half = self.epochs // 2
        return (
            f"Data: {data}. Model: {self.width} channels (the paper's: 128), batches of {self.batch_size}, learning rate "
            f"{self.learning_rate:g} (the paper's: 0.0003), k-means on {self.sample} images. Epochs: {half} + "
            f"{self.epochs - half} against {self.epochs} (the paper's: 150 + 150 against 300), and {self.encoder_epochs} for "
            "the encoders of Figure 6 (the paper's: 300)."
        )


def arm(
    plan: ImagePlan,
    tokens: int,
    seed: int,
    *,
    pretrained: bool,
    sample: int | None = None,
    dialect: Dialect = "paper",
) -> ImageSetting:
    """Return one arm of Figure 4 or 4b; with and without pretraining the epochs are the same in all."""
    pretrain = plan.epochs // 2 if pretrained else 0
    sizes = ConvSettings(
        32, plan.width, plan.width, max(1, plan.width // 2), max(1, plan.width // 2)
    )
    return image_setting(
        plan, sizes, pretrain, plan.epochs, tokens, seed, sample or plan.sample, dialect
    )


def encoder(plan: ImagePlan, channels: int, seed: int) -> ImageSetting:
    """Return the baseline of Figure 6 with an encoder of ``channels``, and half of them in its residual blocks; tokens of 64."""
    sizes = ConvSettings(64, channels, plan.width, max(1, channels // 2), max(1, plan.width // 2))
    return image_setting(
        plan, sizes, 0, plan.encoder_epochs, plan.encoder_tokens, seed, plan.sample, "paper"
    )


def image_setting(
    plan: ImagePlan,
    sizes: ConvSettings,
    pretrain: int,
    epochs: int,
    tokens: int,
    seed: int,
    sample: int,
    dialect: Dialect,
) -> ImageSetting:
    """Return a setting with what all runs of ``plan`` share."""
    return ImageSetting(
        plan.data,
        sizes,
        pretrain,
        epochs - pretrain,
        seed,
        sample,
        quantizer=EMA(tokens, plan.decay, dialect),
        train=TrainSettings(plan.batch_size, plan.learning_rate, "amsgrad"),
    )


def row_of(setting: ImageSetting, results: ImageResults) -> dict[str, Any]:
    """Return what the figures' tables say of a run: its codebook, seed and arm, and its numbers on the test set."""
    quantizer = setting.quantizer
    arm_ = {"tokens": quantizer.n_tokens, "seed": setting.seed, "pretrained": setting.pretrained}
    return arm_ | results[setting].numbers
