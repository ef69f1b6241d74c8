"""What the figures on synthetic data have in common: the paper's settings (section 5.2), and the arms that are compared.

Every figure names its arms through ``arm``, so that two figures that show the same run share it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from vqnp.experiments.run import Result
from vqnp.experiments.spec import Clusters, Own, Setting, Source
from vqnp.quantize import EMA
from vqnp.validation import require_integer

Results = Mapping[Setting, Result]


@dataclass(frozen=True)
class Plan:
    """How much is run: the seeds, the epochs in all (half of them pretraining, or none), points a cluster, tokens, widths.

    The defaults are the paper's. ``own`` adds a user's data to Figure 3, quantized to ``own_token_dim``.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    epochs: int = 200
    per_class: int = 1000
    tokens: int = 128
    widths: tuple[int, ...] = (2, 4, 8, 16, 32)
    own: Own | None = None
    own_token_dim: int | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "per_class", "tokens"):
            require_integer(getattr(self, name), name, least=2)
        if not self.seeds:
            raise ValueError("seeds must name at least one seed")

    def clusters(self, dim: int) -> Clusters:
        """Return the ten clusters in ``dim`` dimensions at this plan's size."""
        return Clusters(dim, self.per_class)


def arm(
    plan: Plan,
    data: Source,
    token_dim: int,
    seed: int,
    *,
    pretrained: bool,
    encoder_hidden: int = 32,
    extra: int | None = None,
) -> Setting:
    """Return one arm of a comparison; with and without pretraining the epochs are the same in all."""
    pretrain = plan.epochs // 2 if pretrained else 0
    return Setting(
        data,
        token_dim,
        pretrain,
        plan.epochs - pretrain,
        seed,
        encoder_hidden,
        extra=extra,
        quantizer=EMA(plan.tokens, decay=0.9),
    )
