"""The paper's remedy as a value: pretrain without VQ, initialize the codebook, fine-tune with VQ.

    ae_then_vq(pretrain=100, finetune=100) == (Pretrain(100), InitializeCodebook(), FineTune(100))

With ``pretrain=0`` this is the baseline: its codebook is initialized on the untrained encoder.
"""

from dataclasses import dataclass
from typing import ClassVar

from vqnp.validation import require_integer


@dataclass(frozen=True)
class _Epochs:
    """A phase that lasts a number of epochs."""

    name: ClassVar[str]
    epochs: int

    def __post_init__(self) -> None:
        require_integer(self.epochs, "epochs", least=0)


class Pretrain(_Epochs):
    """Train the autoencoder, without quantization.

    Parameters
    ----------
    epochs : int
        How long, at least 0.

    Example
    -------
    >>> Pretrain(100)
    Pretrain(epochs=100)
    """

    name = "pretrain"


@dataclass(frozen=True)
class InitializeCodebook:
    """Initialize the quantizer on embeddings of training examples.

    Parameters
    ----------
    sample : int, optional
        How many examples, drawn at random; all unless given.

    Example
    -------
    >>> InitializeCodebook(sample=256)
    InitializeCodebook(sample=256)
    """

    name: ClassVar[str] = "initialize"
    epochs: ClassVar[int] = 0
    sample: int | None = None

    def __post_init__(self) -> None:
        if self.sample is not None:
            require_integer(self.sample, "sample", least=1)


class FineTune(_Epochs):
    """Train the VQ-VAE: encoder, decoder and quantizer together.

    Parameters
    ----------
    epochs : int
        At least 0.

    Example
    -------
    >>> FineTune(epochs=100).name
    'fine-tune'
    """

    name = "fine-tune"


Phase = Pretrain | InitializeCodebook | FineTune


def ae_then_vq(pretrain: int, finetune: int, sample: int | None = None) -> tuple[Phase, ...]:
    """Return the paper's schedule, AE-then-VQ.

    Parameters
    ----------
    pretrain : int
        Epochs without quantization; 0 for the paper's baseline.
    finetune : int
        Epochs with quantization.
    sample : int, optional
        Training examples that the codebook is initialized on; all unless given.

    Returns
    -------
    tuple of Phase
        ``Pretrain``, ``InitializeCodebook``, ``FineTune``.

    Raises
    ------
    TypeError, ValueError
        For epochs that are no integer of at least 0, or a sample below 1.

    Example
    -------
    >>> ae_then_vq(pretrain=100, finetune=100)[0]
    Pretrain(epochs=100)
    """
    require_integer(pretrain, "pretrain", least=0)
    require_integer(finetune, "finetune", least=0)
    return Pretrain(pretrain), InitializeCodebook(sample), FineTune(finetune)
