"""Is my codebook collapsing? All the numbers at once, for the embeddings and the tokens of anyone's model."""

import json
import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from vqnp.diagnostics import reading
from vqnp.diagnostics.assignment import Assignment, assign, relative_error
from vqnp.diagnostics.classes import class_divergence, class_spread_ratio
from vqnp.diagnostics.distances import share_outside
from vqnp.diagnostics.energy import energy_distance
from vqnp.diagnostics.modes import count_modes
from vqnp.diagnostics.spread import dimension_of, principal_variances, rank_of, ratio
from vqnp.diagnostics.usage import perplexity_of_counts
from vqnp.validation import Array, require_labels, require_points


@dataclass(frozen=True)
class Diagnosis:
    """None where the labels or data a number needs were not given, or where it is infinite (all embeddings coincide)."""

    n_embeddings: int
    n_tokens: int
    dimension: int  # D of both
    n_classes: int | None
    codes_used: int  # [1, K]
    perplexity: float  # [1, K]
    quantization_error: float | None  # of the embeddings' variance; 0 is best
    spread_ratio: float | None  # tokens over embeddings
    tokens_outside: float  # share of the tokens; chance is 0.01
    class_divergence: float | None  # bits, [0, 1]; 0 is best
    token_dimension: int  # principal components to 99 % of the variance, [0, D]
    token_rank: float  # effective rank, [0, D]
    embedding_dimension: int
    embedding_rank: float
    embedding_modes: int  # peaks
    data_modes: int | None
    reconstruction_outside: float | None  # share of the reconstructions; chance is 0.01
    class_spread_ratio: (
        float | None
    )  # reconstruction over data, within a class; 1 is kept, 0 collapsed
    energy_distance: float | None  # reconstruction to data, in the data's unit; 0 is best

    def to_json(self) -> str:
        """Return the numbers by name as a JSON object; what was not measured is null."""
        return json.dumps(asdict(self), indent=2, allow_nan=False)

    def __str__(self) -> str:
        """The verdict, and a table of each number with its reading."""
        return f"{reading.verdict(self)}\n\n{reading.table(self)}"


def diagnose(
    embeddings: Array,
    tokens: Array,
    labels: Array | None = None,
    *,
    data: Array | None = None,
    reconstruction: Array | None = None,
    assignment: Assignment | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Diagnosis:
    """Measure the ``embeddings`` ``(N, D)`` and the codebook ``tokens`` ``(K, D)`` that quantizes them.

    ``labels`` ``(N,)``, any integers, say how the tokens are shared among classes. ``data`` ``(M, I)`` and its
    ``reconstruction`` ``(M, I)`` say what became of it; with M = N the labels are theirs as well. ``embeddings`` may be a
    memory-mapped array larger than memory: they are read in blocks, and the numbers that compare pairs of points use a
    sample drawn with ``seed``. ``assignment`` spares the search where ``assign(embeddings, tokens)`` was already called;
    ``progress`` shows a bar for it.
    Raises ``TypeError`` or ``ValueError`` for arrays that are not finite float arrays of these shapes.
    """
    tokens = require_points(tokens, "tokens")
    embeddings = require_points(embeddings, "embeddings", dim=tokens.shape[1])
    labels = None if labels is None else require_labels(labels, "labels", len(embeddings))
    outcome = _outcome(labels, data, reconstruction, len(embeddings), seed)
    assignment = assignment or assign(embeddings, tokens, progress=progress)
    of_tokens, of_embeddings = principal_variances(tokens), principal_variances(embeddings)
    spread = math.sqrt(ratio(of_tokens.sum(), of_embeddings.sum(), if_both_zero=1.0))
    return Diagnosis(
        n_embeddings=len(embeddings),
        n_tokens=len(tokens),
        dimension=tokens.shape[1],
        n_classes=None if labels is None else len(np.unique(labels)),
        codes_used=int(np.count_nonzero(assignment.counts)),
        perplexity=perplexity_of_counts(assignment.counts),
        quantization_error=_finite(relative_error(assignment, of_embeddings.sum())),
        spread_ratio=_finite(spread),
        tokens_outside=share_outside(tokens, embeddings, seed=seed),
        class_divergence=None
        if labels is None
        else class_divergence(tokens, embeddings, labels, seed=seed),
        token_dimension=dimension_of(of_tokens),
        token_rank=rank_of(of_tokens),
        embedding_dimension=dimension_of(of_embeddings),
        embedding_rank=rank_of(of_embeddings),
        embedding_modes=count_modes(embeddings, seed=seed),
        **outcome,
    )


def _outcome(
    labels: Array | None,
    data: Array | None,
    reconstruction: Array | None,
    n_embeddings: int,
    seed: int,
) -> dict[str, Any]:
    """Measure what needs the data, or the data and the reconstruction."""
    names = ["data_modes", "reconstruction_outside", "class_spread_ratio", "energy_distance"]
    outcome: dict[str, Any] = dict.fromkeys(names)
    if data is not None:
        outcome["data_modes"] = count_modes(require_points(data, "data"), seed=seed)
    if reconstruction is None:
        return outcome
    reconstruction = require_points(reconstruction, "reconstruction")
    if data is None or reconstruction.shape != data.shape:
        given = "no data" if data is None else f"data of shape {data.shape}"
        raise ValueError(
            f"reconstruction of shape {reconstruction.shape} needs data of that shape, got {given}"
        )
    outcome["reconstruction_outside"] = share_outside(reconstruction, data, seed=seed)
    outcome["energy_distance"] = energy_distance(reconstruction, data, seed=seed)
    if labels is not None and len(data) == n_embeddings:
        outcome["class_spread_ratio"] = _finite(class_spread_ratio(reconstruction, data, labels))
    return outcome


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
