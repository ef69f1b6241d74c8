"""Is my codebook collapsing? All numbers at once, for the embeddings and tokens of anyone's model.

A number is one field of :class:`Diagnosis`. It carries its format, its measure and its sentence.
The measure takes the arrays that :func:`diagnose` was given, and values computed from them once.
"""

import json
import math
from dataclasses import asdict, dataclass, fields
from types import SimpleNamespace

import numpy as np

from vqnp.diagnostics.assignment import Assignment, assign
from vqnp.diagnostics.classes import chance_divergence, class_divergence, class_spread_ratio
from vqnp.diagnostics.distances import energy_distance, share_outside
from vqnp.diagnostics.modes import count_modes
from vqnp.diagnostics.reading import Reading, number
from vqnp.diagnostics.spread import (
    dimension_of,
    expected_spread,
    principal_variances,
    rank_of,
    ratio,
)
from vqnp.diagnostics.usage import perplexity_of_counts
from vqnp.validation import CodesLike, PointsLike, Rng, TokensLike, as_labels, as_points, as_seed

# The limits of the verdict are conventions. They are so wide that chance does not cross them.
LOW_SHARE = 0.5  # of the perplexity, the spread or the modes that are possible
HIGH_OUTSIDE = 0.1  # share outside; chance is 0.01
HIGH_DIVERGENCE = 0.1  # bits above chance


@dataclass(frozen=True)
class Diagnosis(Reading):
    """The numbers of a diagnosis; ``print`` shows the verdict and a table with a sentence each.

    A number is None where the labels or data that it needs were not given. It is None as well where
    it is infinite, because all embeddings coincide.

    Examples
    --------
    >>> diagnose([[0], [2], [10], [12]], [[1], [11]]).perplexity
    2.0
    """

    n_embeddings: int = number(
        "d",
        lambda given: len(given.embeddings),
        "{n_embeddings} embeddings in {dimension} dimensions.",
    )
    n_tokens: int = number(
        "d",
        lambda given: len(given.tokens),
        lambda d: f"{d.n_tokens} tokens" + (f"; {d.n_classes} classes." if d.n_classes else "."),
    )
    dimension: int = number("d", lambda given: given.tokens.shape[1])
    n_classes: int | None = number("d", lambda given: len(np.unique(given.labels)), needs="labels")
    codes_used: int = number(  # [1, K]
        "d",
        lambda given: int(np.count_nonzero(given.assignment.counts)),
        lambda d: (
            f"{d.codes_used} of {d.n_tokens} tokens are ever chosen: "
            f"{1 - d.codes_used / d.n_tokens:.0%} of the codebook is dead."
            if d.codes_used < d.n_tokens
            else "Every token is chosen at least once."
        ),
    )
    perplexity: float = number(  # [1, K]
        ".1f",
        lambda given: perplexity_of_counts(given.assignment.counts),
        lambda d: (
            f"As even as {d.perplexity:.1f} equally used tokens, "
            f"{d.perplexity / possible(d):.0%} of the {possible(d)} there could be."
        ),
    )
    quantization_error: float | None = number(  # of the embeddings' variance; 0 is best
        ".4f",
        lambda given: ratio(
            given.assignment.squared_error, given.embedding_variances.sum(), if_both_zero=0.0
        ),
        "Quantization loses {quantization_error:.1%} of the embeddings' variance.",
    )
    spread_ratio: float | None = number(  # tokens over embeddings
        ".3f",
        lambda given: math.sqrt(
            ratio(given.token_variances.sum(), given.embedding_variances.sum(), if_both_zero=1.0)
        ),
        lambda d: (
            f"Tokens spread {d.spread_ratio:.2f} times as far as embeddings; a good codebook "
            f"of this size about {expected_spread(d.n_tokens, d.embedding_rank):.2f} or more."
        ),
    )
    tokens_outside: float = number(  # share of the tokens; chance is 0.01
        ".3f",
        lambda given: share_outside(given.tokens, given.embeddings, rng=given.seed),
        "{tokens_outside:.1%} of the tokens lie outside the embeddings; chance is 1%.",
    )
    class_divergence: float | None = number(  # bits, [0, 1]; 0 is best
        ".3f",
        lambda given: class_divergence(
            given.tokens, given.embeddings, given.labels, rng=given.seed
        ),
        lambda d: (
            f"{d.class_divergence:.3f} bits between the classes' shares of tokens and of "
            f"embeddings; chance is {chance_divergence(d.n_tokens, d.n_classes or 1):.3f}."
        ),
        needs="labels",
    )
    token_dimension: int = number(  # components to 99 % of the variance, [0, D]
        "d",
        lambda given: dimension_of(given.token_variances),
        lambda d: _directions("tokens", d.token_dimension, d.dimension),
    )
    token_rank: float = number(  # effective rank, [0, D]
        ".2f",
        lambda given: rank_of(given.token_variances),
        "The tokens fill {token_rank:.1f} of {dimension} directions.",
    )
    embedding_dimension: int = number(
        "d",
        lambda given: dimension_of(given.embedding_variances),
        lambda d: _directions("embeddings", d.embedding_dimension, d.dimension),
    )
    embedding_rank: float = number(
        ".2f",
        lambda given: rank_of(given.embedding_variances),
        "The embeddings fill {embedding_rank:.1f} of {dimension} directions.",
    )
    embedding_modes: int = number(  # peaks
        "d",
        lambda given: count_modes(given.embeddings, rng=given.seed),
        lambda d: _peaks("embeddings", d.embedding_modes),
    )
    data_modes: int | None = number(
        "d",
        lambda given: count_modes(given.data, rng=given.seed),
        lambda d: _peaks("data", d.data_modes),
        needs="data",
    )
    reconstruction_outside: float | None = number(  # share; chance is 0.01
        ".3f",
        lambda given: share_outside(given.reconstruction, given.data, rng=given.seed),
        "{reconstruction_outside:.1%} of the reconstructions lie outside the data; chance is 1%.",
        needs="reconstruction",
    )
    class_spread_ratio: float | None = number(  # 1 is kept, 0 is collapsed
        ".3f",
        lambda given: class_spread_ratio(given.reconstruction, given.data, given.labels),
        "Within a class the reconstruction has {class_spread_ratio:.0%} of the data's spread.",
        needs="labels_of_data",
    )
    energy_distance: float | None = number(  # in the data's unit; 0 is best
        ".4f",
        lambda given: energy_distance(given.reconstruction, given.data, rng=given.seed),
        "From reconstruction to data, in the data's unit; 0 would be the same distribution.",
        needs="reconstruction",
    )

    def to_json(self) -> str:
        """Return the numbers by name as a JSON object; a number not measured is null."""
        return json.dumps(asdict(self), indent=2, allow_nan=False)

    def signs(self) -> dict[str, list[str]]:
        """Return the signs of each kind of trouble; a kind without a sign has no entry.

        *Tokens collapse*: perplexity below half of min(K, N); token spread below half of
        ``expected_spread``; class shares more than 0.1 bit further apart than random tokens' would
        be. *Embeddings collapse*: all embeddings coincide; fewer than half as many modes as the
        data. *Outside*: more than a tenth of the tokens outside the embeddings, or of the
        reconstructions outside the data. Dead tokens can cause this, and so can embeddings that
        have collapsed away from them.
        """
        bits, chance = self.class_divergence, chance_divergence(self.n_tokens, self.n_classes or 1)
        strayed = self.reconstruction_outside or 0
        kinds = {
            "Tokens collapse": {
                f"perplexity is {self.perplexity:.1f} of {possible(self)}": self.perplexity
                < LOW_SHARE * possible(self),
                "tokens crowd": self.spread_ratio is not None
                and self.spread_ratio
                < LOW_SHARE * expected_spread(self.n_tokens, self.embedding_rank),
                "classes go short of tokens": bits is not None and bits > chance + HIGH_DIVERGENCE,
            },
            "Embeddings collapse": {
                "all embeddings coincide": self.embedding_dimension == 0,
                "modes have merged": self.embedding_modes < LOW_SHARE * (self.data_modes or 0),
            },
            "Outside": {
                f"{self.tokens_outside:.0%} of the tokens": self.tokens_outside > HIGH_OUTSIDE,
                f"{strayed:.0%} of the reconstructions": strayed > HIGH_OUTSIDE,
            },
        }
        found = {kind: [sign for sign in signs if signs[sign]] for kind, signs in kinds.items()}
        return {kind: signs for kind, signs in found.items() if signs}


def possible(diagnosis: Diagnosis) -> int:
    """Return min(K, N), the most codes that can be used and the highest perplexity."""
    return min(diagnosis.n_tokens, diagnosis.n_embeddings)


def _directions(cloud: str, count: int, dimension: int) -> str:
    said = f"99% of the variance of the {cloud} lies in {count} of {dimension} directions."
    return said if count else f"All {cloud} coincide."


def _peaks(cloud: str, count: int | None) -> str:
    return f"The density of the {cloud} has {count} peak{'s' * (count != 1)}."


def diagnose(
    embeddings: PointsLike,
    tokens: TokensLike,
    labels: CodesLike | None = None,
    *,
    data: PointsLike | None = None,
    reconstruction: PointsLike | None = None,
    assignment: Assignment | None = None,
    rng: Rng = 0,
    progress: bool = False,
) -> Diagnosis:
    """Measure embeddings and the codebook that quantizes them.

    Parameters
    ----------
    embeddings : array-like (..., D)
        The outputs of the encoder, N of them. A memory-mapped array may be larger than memory,
        because it is read in blocks. Numbers that compare pairs of points use a sample.
    tokens : array-like (K, D)
        The codebook.
    labels : array-like (N,) of integers, optional
        The class of each embedding.
    data, reconstruction : array-like (..., I), optional
        The inputs of the model, M of them, and its outputs. With M = N the labels are theirs too.
    assignment : Assignment, optional
        The result of ``assign(embeddings, tokens)``, if you have it.
    rng : int or numpy.random.Generator
        The seed or generator of the samples.
    progress : bool
        Show a bar for the search.

    Returns
    -------
    Diagnosis
        The numbers. ``print`` it for a table, or leave it at the end of a notebook's cell.

    Raises
    ------
    TypeError
        For points that are no floats, for labels that are no integers, and for masked arrays.
    ValueError
        For arrays of shapes that do not fit together, and for NaN or infinity. The message names
        the argument.

    Examples
    --------
    >>> from vqnp.data import clusters
    >>> points = clusters(2, rng=0).points
    >>> diagnosis = diagnose(points, points[:1000:10])  # all tokens in the first of ten clusters
    >>> print(str(diagnosis).splitlines()[0])
    Yes. Tokens collapse: perplexity is 11.4 of 100, tokens crowd.
    """
    tokens = as_points(tokens, "tokens")
    embeddings = as_points(embeddings, "embeddings", dim=tokens.shape[1])
    labels = None if labels is None else as_labels(labels, "labels", len(embeddings))
    data = None if data is None else as_points(data, "data")
    if reconstruction is not None:
        reconstruction = as_points(reconstruction, "reconstruction")
        if data is None or reconstruction.shape != data.shape:
            got = "no data" if data is None else f"data of shape {data.shape}"
            shape = reconstruction.shape
            raise ValueError(f"reconstruction of shape {shape} needs data of that shape, got {got}")
    paired = reconstruction is not None and len(reconstruction) == len(embeddings)
    given = SimpleNamespace(
        embeddings=embeddings,
        tokens=tokens,
        labels=labels,
        data=data,
        reconstruction=reconstruction,
        labels_of_data=labels if paired else None,
        assignment=assignment or assign(embeddings, tokens, progress=progress),
        embedding_variances=principal_variances(embeddings),
        token_variances=principal_variances(tokens),
        seed=as_seed(rng),
    )
    numbers = {
        spec.name: spec.metadata["measure"](given)
        for spec in fields(Diagnosis)
        if getattr(given, spec.metadata["needs"]) is not None
    }
    return Diagnosis(**{name: value for name, value in numbers.items() if math.isfinite(value)})
