"""The clouds of Figure 3, each in at most three coordinates.

Up to three dimensions are shown as they are. Above, t-SNE places points in the plane so that
neighbors stay neighbors: the data with both arms' reconstructions, and embeddings with tokens. Only
distinct reconstructions are placed, because there are no more of them than tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vqnp.experiments.run import Result
from vqnp.plots import style
from vqnp.validation import Array

PLACED = 700  # points of a cloud that t-SNE is given


@dataclass(frozen=True)
class ArmView:
    """One arm as it is drawn.

    ``reconstruction_share`` is the share of the data at each distinct reconstruction,
    ``token_share`` the share of the embeddings at each token.
    """

    name: str
    reconstruction: Array
    reconstruction_share: Array
    embeddings: Array
    tokens: Array
    token_share: Array


@dataclass(frozen=True)
class CaseView:
    """One case as it is drawn; two booleans tell whether t-SNE placed either space."""

    data: Array
    arms: Sequence[ArmView]
    mapped: bool
    latent_mapped: bool


def view(points: Array, results: Sequence[Result], seed: int) -> CaseView:
    """Return the view of ``points`` ``(N, I)`` and two ``results``, the baseline's first."""
    rng = np.random.default_rng(seed)
    mapped, latent_mapped = points.shape[1] > 3, results[0]["tokens"].shape[1] > 3
    shown = points[rng.permutation(len(points))[: PLACED if mapped else style.SHOWN]]
    decoded, shares = zip(*(style.distinct(r["reconstruction"]) for r in results), strict=True)
    # One map for all three, so that it serves both arms.
    placed = style.tsne([shown, *decoded], seed) if mapped else [shown, *decoded]
    made = []
    for arm, result, cloud, share in zip(style.ARMS, results, placed[1:], shares, strict=True):
        chosen = rng.permutation(len(points))[: PLACED if latent_mapped else None]
        latents = [result["embeddings"][chosen], result["tokens"]]
        embeddings, tokens = style.tsne(latents, seed) if latent_mapped else latents
        made.append(
            ArmView(
                name=arm[-1],
                reconstruction=cloud,
                reconstruction_share=share,
                embeddings=embeddings,
                tokens=tokens,
                token_share=np.bincount(result["codes"], minlength=len(tokens))
                / len(result["codes"]),
            )
        )
    return CaseView(placed[0], made, mapped, latent_mapped)
