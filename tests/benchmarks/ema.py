"""One EMA update: counts, sums and tokens of a codebook from the codes of a batch (eqs. 3 to 5).

Every contestant does all of it in place: the batch's hits and sums, both averages, and the tokens
of the codes with hits.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from benchmarks.nearest import grid
from benchmarks.timing import OURS, Case, Work
from vqnp.quantize.ema import Codebook, ema_update
from vqnp.validation import Array

DECAY = 0.99


def cases(*, tiny: bool = False) -> Iterator[Case]:
    """Yield every cell of the grid of the search."""
    for n, k, d in grid(tiny=tiny):
        yield case(n, k, d)


def case(n: int, k: int, d: int) -> Case:
    """Return one cell; the codes are drawn evenly, every contestant keeps a codebook of its own."""
    rng = np.random.default_rng(0)
    points, tokens = (rng.standard_normal((rows, d), np.float32) for rows in (n, k))
    codes = rng.integers(k, size=n)

    def contestants() -> tuple[list[Codebook], dict[str, Work]]:
        books = [Codebook.start(tokens, np.full(k, n / k), rng=rng) for _ in range(3)]
        state = [
            torch.from_numpy(array) for array in (books[1].tokens, books[1].counts, books[1].sums)
        ]
        batch = torch.from_numpy(points), torch.from_numpy(codes)
        return books, {
            OURS: lambda: ema_update(books[0], points, codes, DECAY),
            "PyTorch": lambda: update_torch(*state, *batch),
            "NumPy": lambda: update_numpy(books[2], points, codes),
        }

    def agree(_: Any) -> None:
        books, once = contestants()
        for update, book in zip(once.values(), books, strict=True):
            update()
            np.testing.assert_allclose(book.tokens, books[0].tokens, rtol=1e-4, atol=1e-4)

    return Case(f"N = {n:,}, K = {k:,}, D = {d}", contestants()[1], agree)


def update_torch(
    tokens: torch.Tensor,
    counts: torch.Tensor,
    sums: torch.Tensor,
    points: torch.Tensor,
    codes: torch.Tensor,
) -> None:
    """The update as one writes it in PyTorch."""
    hits = torch.bincount(codes, minlength=len(tokens)).to(tokens.dtype)
    batch_sums = torch.zeros_like(sums).index_add_(0, codes, points)
    counts.mul_(DECAY).add_(hits, alpha=1 - DECAY)
    sums.mul_(DECAY).add_(batch_sums, alpha=1 - DECAY)
    torch.where((hits > 0)[:, None], sums / counts[:, None], tokens, out=tokens)


def update_numpy(book: Codebook, points: Array, codes: Array) -> None:
    """The update as one writes it in NumPy."""
    hits = np.bincount(codes, minlength=len(book.tokens)).astype(points.dtype)
    batch_sums = np.zeros_like(book.sums)
    np.add.at(batch_sums, codes, points)
    book.counts *= DECAY
    book.counts += (1 - DECAY) * hits
    book.sums *= DECAY
    book.sums += (1 - DECAY) * batch_sums
    np.divide(book.sums, book.counts[:, None], out=book.tokens, where=(hits > 0)[:, None])
