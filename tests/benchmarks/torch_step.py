"""PyTorch's half of the training steps: eager, channels-last, with the fastest of several searches.

Adam is the fused one. This needs only PyTorch, so its memory can be measured where vqnp was never
loaded.
"""

import time
from collections.abc import Callable
from typing import Any

import torch
import torch_conv

Search = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
HELD = 1 << 24  # distances that a search by rows holds at once: 64 MB


def torch_step(
    model: torch_conv.ConvVQVAE,
    codebook: list[torch.Tensor],
    images: torch.Tensor,
    *,
    rate: float,
    **options: float,
) -> Callable[[], float]:
    """Return a function that makes one step on ``images`` (B, H, W, 3).

    It returns the reconstruction error before the step. ``codebook`` holds tokens, L and M, or
    nothing for the autoencoder. ``options`` are the variance and, with VQ, beta and decay.
    """
    model = model.to(memory_format=torch.channels_last)
    optimizer: Any = torch.optim.Adam(model.parameters(), rate, amsgrad=True, fused=True)
    if not codebook:
        return lambda: torch_conv.autoencoder_step(model, optimizer, images, **options)
    search = fastest_search(len(images) * images.shape[1] * images.shape[2] // 16, codebook[0])
    return lambda: torch_conv.vq_step(model, codebook, optimizer, images, search=search, **options)[
        0
    ]


def whole(points: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """All distances at once."""
    return torch.cdist(points, tokens).argmin(dim=1)


def by_rows(points: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """The same for a few points at a time."""
    rows = max(1, HELD // len(tokens))
    return torch.cat([whole(part, tokens) for part in points.split(rows)])


def expanded(points: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """|t|²/2 − z·t, which is least where the distance is."""
    return torch.addmm(tokens.square().sum(dim=1) / 2, points, tokens.T, alpha=-1).argmin(dim=1)


def expanded_by_rows(points: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """The same for a thousand points at a time."""
    return torch.cat([expanded(part, tokens) for part in points.split(1024)])


def fastest_search(n: int, tokens: torch.Tensor) -> Search:
    """Return the one that is fastest for ``n`` points."""
    points = tokens[torch.randint(len(tokens), (n,))] + 1e-3

    def seconds(search: Search) -> float:
        least = float("inf")
        for _ in range(3):
            begun = time.perf_counter()
            search(points, tokens)
            least = min(least, time.perf_counter() - begun)
        return least

    return min((whole, by_rows, expanded, expanded_by_rows), key=seconds)
