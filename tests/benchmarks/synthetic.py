"""One whole Figure 3 setting, against eager PyTorch.

It has 8,000 steps of batch 256, with k-means and moving averages.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
import torch_transcription

from benchmarks.timing import OURS, Case
from vqnp import MLPSettings, ae_then_vq, clusters, mlp_vqvae, train

SETTINGS = {
    "2 → 1, baseline": (2, 1, 0, 200),
    "2 → 1, pretrained": (2, 1, 100, 100),
    "8 → 4, pretrained": (8, 4, 100, 100),
}


def cases(*, tiny: bool = False) -> Iterator[Case]:
    """Yield the three settings; ``tiny`` is one of two epochs for a test.

    A contestant returns the last epoch's error.
    """
    for name, (dim, token_dim, *epochs) in (
        {"tiny": (2, 1, 1, 1)}.items() if tiny else SETTINGS.items()
    ):
        work = {OURS: partial(ours, dim, token_dim), "PyTorch": partial(theirs, dim, token_dim)}
        runs, warm = (
            {who: partial(run, *e) for who, run in work.items()} for e in (epochs, (1, 1))
        )
        yield Case(name, runs, agree, warm_up=warm)


def ours(dim: int, token_dim: int, pretrain: int, finetune: int) -> float:
    """Train as the library does."""
    model = mlp_vqvae(MLPSettings(dim, token_dim))
    return train(model, clusters(dim).points, ae_then_vq(pretrain, finetune))[-1].reconstruction


def theirs(dim: int, token_dim: int, pretrain: int, finetune: int) -> float:
    """Train the transcription in eager PyTorch."""
    torch.manual_seed(0)
    points = torch.from_numpy(clusters(dim).points)
    return torch_transcription.two_phases(points, token_dim, pretrain, finetune)[2][-1]


def agree(errors: dict[str, Any]) -> None:
    """Raise ``AssertionError`` unless both have learnt.

    They draw different weights. An untrained model has an error of 1 on standardized data.
    """
    assert all(error < 1 for error in errors.values()), errors
