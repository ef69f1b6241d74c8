"""One run, as a value: its data, sizes, quantizer, schedule and seed.

It prints, compares and goes to JSON, and its ``slug`` names the files of its run.
"""

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from vqnp.data import Source
from vqnp.files import as_json
from vqnp.models import VQVAE
from vqnp.networks import ConvSettings, MLPSettings, conv_vqvae, mlp_vqvae
from vqnp.quantize import Identity, Quantizer
from vqnp.training import FineTune, InitializeCodebook, Phase, Pretrain, TrainSettings


@dataclass(frozen=True)
class RunSpec:
    """One run, on points or on images.

    ``pretrain`` and ``finetune`` are epochs. The quantizer is initialized on ``sample`` training
    examples, or on all of them where that is None.
    """

    data: Source
    sizes: MLPSettings | ConvSettings
    quantizer: Quantizer
    pretrain: int
    finetune: int
    sample: int | None = None
    seed: int = 0
    train: TrainSettings = TrainSettings()  # noqa: RUF009 (it is frozen)

    @property
    def schedule(self) -> tuple[Phase, ...]:
        """Pretrain without VQ, initialize the codebook, fine-tune with VQ."""
        return Pretrain(self.pretrain), InitializeCodebook(self.sample), FineTune(self.finetune)

    @property
    def pretrained(self) -> bool:
        """Whether the autoencoder is trained before it is quantized."""
        return self.pretrain > 0

    @property
    def pretraining(self) -> "RunSpec | None":
        """The autoencoder's part as a run of its own; runs that differ only later share it."""
        if not self.pretrained:
            return None
        return replace(self, quantizer=Identity(), finetune=0, sample=None)

    def build(self, variance: float = 1.0) -> VQVAE:
        """Return the untrained model; specs that differ in their schedule give equal weights."""
        quantizer = replace(self.quantizer)  # a new one, with buffers of its own
        if isinstance(self.sizes, MLPSettings):
            return mlp_vqvae(self.sizes, quantizer, rng=self.seed)
        return conv_vqvae(self.sizes, quantizer, variance=variance, rng=self.seed)

    def to_json(self) -> Any:
        """Return every setting as JSON values."""
        return as_json(self)

    @property
    def slug(self) -> str:
        """A file name: the settings you look for first, then a digest of all."""
        sizes, arm = self.sizes, "pretrained" if self.pretrained else "baseline"
        width = f"encoder{sizes.encoder_width}" if isinstance(sizes, ConvSettings) else (
            f"{sizes.data_dim}to{sizes.token_dim}-encoder{sizes.encoder_hidden}"
        )  # fmt: skip
        autoencoder = isinstance(self.quantizer, Identity)
        quantized = "autoencoder" if autoencoder else f"tokens{self.quantizer.n_tokens}-{arm}"
        digest = sha256(repr(self).encode()).hexdigest()[:8]
        return f"{type(self.data).__name__.lower()}-{width}-{quantized}-seed{self.seed}-{digest}"


@dataclass(frozen=True)
class MethodRun(RunSpec):
    """A run of the table of quantizers: more is measured of it, from its codes alone."""
