"""One setting of an experiment: which data, which model, which schedule, which seed; and what is kept of its run.

A setting is a frozen dataclass: it prints, compares and goes to JSON, and its ``slug`` names the files of its run.
"""

from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from vqnp.data import Dataset, clusters, digits, load_points
from vqnp.models import VQVAE
from vqnp.networks import MLPSettings, mlp_vqvae
from vqnp.quantize import EMA, Quantizer
from vqnp.training import TrainSettings
from vqnp.training.schedule import FineTune, InitializeCodebook, Phase, Pretrain


@dataclass(frozen=True)
class Clusters:
    """The ten Gaussian clusters in ``dim`` dimensions; each seed lays them out anew."""

    dim: int
    per_class: int = 1000

    def load(self, seed: int) -> Dataset:
        """Return the data for ``seed``."""
        return clusters(self.dim, seed, per_class=self.per_class)


@dataclass(frozen=True)
class Digits:
    """The handwritten digits; the same for every seed."""

    def load(self, seed: int) -> Dataset:
        """Return the data, whatever the ``seed``."""
        return digits()


@dataclass(frozen=True)
class Own:
    """A user's points, and perhaps labels, in ``.npy`` files; the same for every seed."""

    points: str
    labels: str | None = None

    def load(self, seed: int) -> Dataset:
        """Return the data, whatever the ``seed``; raises as ``load_points`` does."""
        return load_points(Path(self.points), self.labels)


Source = Clusters | Digits | Own


@dataclass(frozen=True)
class Setting:
    """One run: the paper's settings for synthetic data (section 5.2) unless given otherwise."""

    data: Source
    token_dim: int
    pretrain: int
    finetune: int
    seed: int = 0
    encoder_hidden: int = 32
    decoder_hidden: int = 32
    extra: int | None = None
    quantizer: Quantizer = field(default_factory=EMA)
    train: TrainSettings = field(default_factory=TrainSettings)

    @property
    def schedule(self) -> tuple[Phase, ...]:
        """Pretrain without VQ, initialize the codebook on all embeddings, fine-tune with VQ."""
        return Pretrain(self.pretrain), InitializeCodebook(), FineTune(self.finetune)

    @property
    def pretrained(self) -> bool:
        """Whether the autoencoder is trained before it is quantized."""
        return self.pretrain > 0

    def build(self, data_dim: int) -> VQVAE:
        """Return the untrained model; arms that differ in their schedule alone start from the same weights."""
        sizes = MLPSettings(
            data_dim, self.token_dim, self.encoder_hidden, self.decoder_hidden, self.extra
        )
        return mlp_vqvae(sizes, replace(self.quantizer), rng=self.seed)

    def to_json(self) -> dict[str, Any]:
        """Return the setting as JSON values; the kind of data is the name of its class."""
        return {
            **asdict(self),
            "quantizer": self.quantizer.to_json(),
            "data": {"kind": type(self.data).__name__, **asdict(self.data)},
        }

    @property
    def slug(self) -> str:
        """A file name: what a person looks for first, then a digest of everything."""
        arm = "pretrained" if self.pretrained else "baseline"
        digest = sha256(repr(self).encode()).hexdigest()[:8]
        kind = (
            f"clusters{self.data.dim}"
            if isinstance(self.data, Clusters)
            else type(self.data).__name__.lower()
        )
        return (
            f"{kind}-to-{self.token_dim}-hidden{self.encoder_hidden}-{arm}-seed{self.seed}-{digest}"
        )
