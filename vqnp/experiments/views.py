"""What Figure 3 shows of a row: every cloud in at most three coordinates.

Up to three dimensions are shown as they are. Above, t-SNE (scikit-learn) lays points out in the plane so that neighbors stay
neighbors: data and both arms' reconstructions together, so that one map serves both arms; embeddings and tokens together.
Only distinct reconstructions are placed: there are no more of them than tokens.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vqnp import threads
from vqnp.experiments.run import load_result
from vqnp.experiments.spec import Setting
from vqnp.files import load_arrays, save_arrays
from vqnp.plots.style import SHOWN, distinct, tsne
from vqnp.validation import Array

PLACED = 700  # points of a cloud that t-SNE is given


@dataclass(frozen=True)
class ArmView:
    """One arm: distinct ``reconstruction`` with the share of the data at each, ``embeddings``, ``tokens`` and their share of use."""

    reconstruction: Array
    reconstruction_share: Array
    embeddings: Array
    tokens: Array
    token_share: Array


@dataclass(frozen=True)
class RowView:
    """One row: the ``data`` and its two arms; ``mapped`` and ``latent_mapped`` tell whether t-SNE was used for either space."""

    data: Array
    baseline: ArmView
    pretrained: ArmView
    mapped: bool
    latent_mapped: bool


def prepare_view(baseline: Setting, pretrained: Setting, directory: Path) -> None:
    """Work out the view of a row from its finished runs and write it beside them."""
    points = baseline.data.load(baseline.seed).points
    rng = np.random.default_rng(baseline.seed)
    mapped = points.shape[1] > 3
    shown = points[rng.permutation(len(points))[: PLACED if mapped else SHOWN]]
    results = [load_result(directory / f"{setting.slug}.npz") for setting in (baseline, pretrained)]
    decoded = [distinct(result.reconstruction) for result in results]
    clouds = [shown, *(rows for rows, _ in decoded)]
    with threads.limit():
        placed = tsne(clouds, baseline.seed) if mapped else clouds
        arrays = {"data": placed[0]}
        for name, result, place, (_, share) in zip(
            ("baseline", "pretrained"), results, placed[1:], decoded, strict=True
        ):
            latent_mapped = result.tokens.shape[1] > 3
            chosen = rng.permutation(len(result.embeddings))[
                : PLACED if latent_mapped else len(points)
            ]
            latents = [result.embeddings[chosen], result.tokens]
            embeddings, tokens = tsne(latents, baseline.seed) if latent_mapped else latents
            used = np.bincount(result.codes, minlength=len(tokens)) / len(result.codes)
            for kind, array in zip(
                ArmView.__annotations__, (place, share, embeddings, tokens, used), strict=True
            ):
                arrays[f"{name}.{kind}"] = array
    arrays |= {"mapped": np.array(mapped), "latent_mapped": np.array(latent_mapped)}
    save_arrays(view_path(baseline, directory), arrays)


def load_view(baseline: Setting, directory: Path) -> RowView:
    """Read the view of a row; raises ``ValueError`` naming the file when it is not a whole one."""
    arrays = load_arrays(view_path(baseline, directory))
    baseline_arm, pretrained_arm = (
        ArmView(*(arrays[f"{name}.{kind}"] for kind in ArmView.__annotations__))
        for name in ("baseline", "pretrained")
    )
    return RowView(
        arrays["data"],
        baseline_arm,
        pretrained_arm,
        bool(arrays["mapped"]),
        bool(arrays["latent_mapped"]),
    )


def view_path(baseline: Setting, directory: Path) -> Path:
    """Return where the view of the row with this baseline is kept."""
    return directory / f"{baseline.slug}.view.npz"
