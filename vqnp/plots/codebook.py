"""A codebook at a glance: where its tokens lie among the embeddings, how often each is chosen, in how many directions they vary."""

from typing import Any

import numpy as np

from vqnp.diagnostics.blocks import sample_rows
from vqnp.diagnostics.spread import principal_variances
from vqnp.plots import style
from vqnp.validation import Array

SHOWN = 4000  # embeddings, and tokens, drawn at most


@style.styled
def draw(embeddings: Array, tokens: Array, counts: Array, verdict: str, seed: int = 0) -> Any:
    """Draw embeddings ``(N, D)``, tokens ``(K, D)`` and the ``counts`` ``(K,)`` of embeddings that chose them; above it the verdict."""
    figure, (axes,) = style.new_figure(1, 3, 14, 4.4)
    figure.suptitle(verdict)
    place, usage, spectrum = axes
    shown = embeddings[sample_rows(len(embeddings), SHOWN, seed)]
    kept = sample_rows(len(tokens), SHOWN, seed)
    positions(place, shown, tokens[kept], counts[kept] > 0)
    rank_and_use(usage, counts)
    spread(spectrum, embeddings, tokens)
    return figure


def positions(axes: Any, embeddings: Array, tokens: Array, used: Array) -> None:
    """Draw embeddings and tokens: as densities in one dimension, above it in the plane of the embeddings' first two components."""
    if tokens.shape[1] == 1:
        style.along_a_line(axes, embeddings, tokens)
        axes.set_title("where the tokens lie (strokes: tokens)")
        return
    center = embeddings.mean(axis=0, dtype=np.float64)
    _, scales, directions = np.linalg.svd(embeddings - center, full_matrices=False)
    plane = directions[:2].T  # (D, 2)
    explained = (scales[:2] ** 2).sum() / max((scales**2).sum(), np.finfo(float).tiny)
    style.cloud(axes, (embeddings - center) @ plane, style.EMBEDDING, "embeddings", alpha=0.35)
    at = (tokens - center) @ plane
    style.cloud(
        axes,
        at[~used],
        style.TOKEN,
        "tokens never chosen",
        s=18,
        alpha=0.9,
        marker="x",
        linewidths=0.8,
    )
    style.cloud(axes, at[used], style.TOKEN, "tokens in use", s=12, alpha=0.9)
    axes.set(
        title=f"where the tokens lie: a plane that holds {explained:.0%} of the variance",
        xlabel="first principal component of the embeddings",
        ylabel="second",
    )
    axes.legend(fontsize=7)


def rank_and_use(axes: Any, counts: Array) -> None:
    """Draw each token's share of the embeddings, most chosen first, beside the even share."""
    share = np.sort(counts)[::-1] / counts.sum()
    used = int((counts > 0).sum())
    axes.plot(np.arange(1, used + 1), share[:used], color=style.TOKEN, label="tokens in use")
    axes.axhline(
        1 / len(counts), color="#333333", linewidth=0.8, linestyle=":", label="an even share"
    )
    axes.set(
        title=f"how often each is chosen: {used} of {len(counts)} at all",
        xlabel="token, most chosen first",
        ylabel="share of the embeddings",
        xlim=(1, max(2, len(counts))),
        yscale="log",
    )
    axes.legend(fontsize=7)


def spread(axes: Any, embeddings: Array, tokens: Array) -> None:
    """Draw the standard deviation along each principal component, of the embeddings and of the tokens."""
    for points, color, label, marker in (
        (embeddings, style.EMBEDDING, "embeddings", "o"),
        (tokens, style.TOKEN, "tokens", "s"),
    ):
        deviations = np.sqrt(principal_variances(points, label))
        axes.plot(
            np.arange(1, len(deviations) + 1),
            deviations,
            marker,
            linestyle="-",
            color=color,
            markersize=4,
            label=label,
        )
    axes.set(
        title="how far either reaches, direction by direction",
        xlabel="principal component",
        ylabel="standard deviation",
        ylim=(0, None),
    )
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(fontsize=7)
