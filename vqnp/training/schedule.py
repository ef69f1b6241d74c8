"""The paper's remedy as a schedule: pretrain without VQ, initialize the codebook, fine-tune with VQ.

    ae_then_vq(pretrain=100, finetune=100) == (Pretrain(100), InitializeCodebook(), FineTune(100))

The baseline is the same with ``pretrain=0``: its codebook is initialized from the untrained encoder.
"""

from dataclasses import dataclass

from vqnp.validation import require_integer


@dataclass(frozen=True)
class Pretrain:
    """Train the autoencoder, without quantization, for ``epochs`` epochs."""

    epochs: int

    def __post_init__(self) -> None:
        require_integer(self.epochs, "epochs", least=0)


@dataclass(frozen=True)
class InitializeCodebook:
    """Place the tokens by k-means on the embeddings of ``sample`` training examples drawn at random; ``None``: of all."""

    sample: int | None = None

    def __post_init__(self) -> None:
        if self.sample is not None:
            require_integer(self.sample, "sample", least=1)


@dataclass(frozen=True)
class FineTune:
    """Train the VQ-VAE for ``epochs`` epochs."""

    epochs: int

    def __post_init__(self) -> None:
        require_integer(self.epochs, "epochs", least=0)


Phase = Pretrain | InitializeCodebook | FineTune


def ae_then_vq(pretrain: int, finetune: int, sample: int | None = None) -> tuple[Phase, ...]:
    """Return the paper's schedule; with ``pretrain=0`` it is the paper's baseline."""
    return Pretrain(pretrain), InitializeCodebook(sample), FineTune(finetune)
