"""One setting of an experiment on images: the counterpart of setting.py, with the paper's settings for CIFAR-10 (section 5.2)."""

from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from typing import Any

from vqnp.data import Images, load_cifar10, load_patches
from vqnp.data.fetch import data_folder
from vqnp.models import VQVAE
from vqnp.networks import ConvSettings, conv_vqvae
from vqnp.quantize import EMA, Quantizer
from vqnp.training import TrainSettings
from vqnp.training.schedule import FineTune, InitializeCodebook, Phase, Pretrain


@dataclass(frozen=True)
class Patches:
    """Patches of two photographs that need no download."""

    train: int = 1_000
    test: int = 500

    def load(self) -> Images:
        """Return the images, the same for every seed of a run."""
        return load_patches(self.train, self.test)


@dataclass(frozen=True)
class Cifar10:
    """The first images of CIFAR-10 in ``directory``; where that is says nothing about the data, so it is left out of their record.

    ``name`` is what to call a copy that is not the published archive.
    """

    train: int = 10_000
    test: int = 2_000
    name: str | None = None
    directory: str | None = field(default=None, compare=False, repr=False)

    def load(self) -> Images:
        """Return the images; raises ``FileNotFoundError`` where there are none, and otherwise as ``load_cifar10`` does."""
        return load_cifar10(data_folder(self.directory)).first(self.train, self.test, self.name)


ImageSource = Patches | Cifar10


def source_json(source: ImageSource) -> dict[str, Any]:
    """Return which images are meant as JSON values: the kind, and every field that enters a comparison."""
    values = {
        name: getattr(source, name)
        for name, spec in source.__dataclass_fields__.items()
        if spec.compare
    }
    return {"kind": type(source).__name__, **values}


@dataclass(frozen=True)
class Pretraining:
    """The autoencoder's training, the same for every codebook it will be given: run once, and shared by all of them."""

    data: ImageSource
    sizes: ConvSettings
    epochs: int
    seed: int
    train: TrainSettings

    @property
    def schedule(self) -> tuple[Phase, ...]:
        """The first phase of an image setting's schedule."""
        return (Pretrain(self.epochs),)

    def to_json(self) -> dict[str, Any]:
        """Return the setting as JSON values."""
        return {**asdict(self), "data": source_json(self.data)}

    @property
    def slug(self) -> str:
        """The name of its files."""
        digest = sha256(repr(self).encode()).hexdigest()[:8]
        return f"pretraining-encoder{self.sizes.encoder_width}-seed{self.seed}-{digest}"


@dataclass(frozen=True)
class ImageSetting:
    """One run on images. ``sample`` is how many of them k-means sees: by default as many as a batch holds."""

    data: ImageSource
    sizes: ConvSettings
    pretrain: int
    finetune: int
    seed: int = 0
    sample: int = 256
    quantizer: Quantizer = field(default_factory=lambda: EMA(512, decay=0.99))
    train: TrainSettings = field(default_factory=lambda: TrainSettings(256, 3e-4, "amsgrad"))

    @property
    def schedule(self) -> tuple[Phase, ...]:
        """Pretrain without VQ, initialize the codebook on a sample, fine-tune with VQ."""
        return Pretrain(self.pretrain), InitializeCodebook(self.sample), FineTune(self.finetune)

    @property
    def pretrained(self) -> bool:
        """Whether the autoencoder is trained before it is quantized."""
        return self.pretrain > 0

    @property
    def pretraining(self) -> Pretraining | None:
        """The first phase of the schedule as a run of its own, or ``None`` where there is none."""
        return (
            Pretraining(self.data, self.sizes, self.pretrain, self.seed, self.train)
            if self.pretrained
            else None
        )

    def build(self, variance: float) -> VQVAE:
        """Return the untrained model; arms that differ in their schedule alone start from the same weights."""
        return conv_vqvae(self.sizes, replace(self.quantizer), variance=variance, rng=self.seed)

    def to_json(self) -> dict[str, Any]:
        """Return the setting as JSON values."""
        return {
            **asdict(self),
            "quantizer": self.quantizer.to_json(),
            "data": source_json(self.data),
        }

    @property
    def slug(self) -> str:
        """A file name: what a person looks for first, then a digest of everything."""
        arm = "pretrained" if self.pretrained else "baseline"
        digest = sha256(repr(self).encode()).hexdigest()[:8]
        width, tokens = self.sizes.encoder_width, self.quantizer.n_tokens
        return f"{type(self.data).__name__.lower()}-tokens{tokens}-encoder{width}-{arm}-seed{self.seed}-{digest}"
