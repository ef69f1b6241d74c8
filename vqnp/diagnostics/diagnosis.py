"""Is my codebook collapsing? All numbers at once, for the embeddings and tokens of anyone's model.

A number is one field of :class:`Diagnosis`. It carries its format, its measure and its sentence.
The measure takes the arrays that :func:`diagnose` was given, and values computed from them once.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import Field, asdict, dataclass, fields
from html import escape
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np

from vqnp.diagnostics.assignment import Assignment, assign
from vqnp.diagnostics.classes import chance_divergence, class_divergence, class_spread_ratio
from vqnp.diagnostics.distances import energy_distance, share_outside
from vqnp.diagnostics.modes import count_modes
from vqnp.diagnostics.reading import answer, number, table_of
from vqnp.diagnostics.reference import fit, kmeans_reference
from vqnp.diagnostics.remedies import Remedy, remedies
from vqnp.diagnostics.spread import (
    dimension_of,
    expected_spread,
    principal_variances,
    rank_of,
    ratio,
)
from vqnp.diagnostics.usage import counts_of, perplexity_of_counts
from vqnp.diagnostics.verdict import FEW, judge, remarks
from vqnp.validation import (
    Array,
    CodesLike,
    CountsLike,
    PointsLike,
    Rng,
    TokensLike,
    as_array,
    as_labels,
    as_latents,
    as_points,
    as_seed,
    require_one_of,
    row_blocks,
)

Metric = Literal["euclidean", "cosine"]


@dataclass(frozen=True)
class Reference:
    """A codebook beside that of k-means, both measured on ``n_embeddings`` of the embeddings.

    ``yours`` and ``kmeans`` are numbers by the names of a :class:`Diagnosis`. The perplexity counts
    near duplicates as one token.
    """

    n_embeddings: int
    yours: dict[str, Any]
    kmeans: dict[str, Any]


@dataclass(frozen=True)
class Diagnosis:
    """The numbers of a diagnosis; ``print`` shows the verdict and a table with a sentence each.

    A number is None where the labels or data that it needs were not given. It is None as well where
    it is infinite, because all embeddings coincide.

    Attributes
    ----------
    verdict : str
        "healthy", "collapsed", "bad fit" or "cannot tell".
    signs : dict of str to list of str
        The signs of each kind of trouble. A healthy codebook has none.
    remarks : list of str
        What else there is to know.
    reference : Reference or None
        The same numbers of k-means, which the verdict is drawn from.
    dead_tokens : tuple of int
        The tokens that no embedding chooses.
    duplicate_tokens, near_duplicate_tokens : tuple of tuples of int
        Groups of tokens that are equal, and of those that do the work of one.

    Examples
    --------
    >>> diagnose([[0], [2], [10], [12]], [[1], [11]]).perplexity
    2.0
    """

    n_embeddings: int = number(
        "d",
        lambda given: int(given.counts.sum()),
        lambda d: (
            f"{d.n_embeddings} embeddings"
            + (f" in {d.dimension} dimensions." if d.dimension else ".")
        ),
        needs="counts",
    )
    n_tokens: int = number(
        "d",
        lambda given: len(given.counts),
        lambda d: f"{d.n_tokens} tokens" + (f"; {d.n_classes} classes." if d.n_classes else "."),
        needs="counts",
    )
    dimension: int = number("d", lambda given: given.tokens.shape[1])
    n_classes: int | None = number("d", lambda given: len(np.unique(given.labels)), needs="labels")
    codes_used: int = number(  # [1, K]
        "d",
        lambda given: int(np.count_nonzero(given.counts)),
        lambda d: (
            f"{d.codes_used} of {d.n_tokens} tokens are ever chosen: "
            f"{1 - d.codes_used / d.n_tokens:.0%} of the codebook is dead."
            if d.codes_used < d.n_tokens
            else "Every token is chosen at least once."
        ),
        needs="counts",
        compared=True,
    )
    perplexity: float = number(  # [1, K]
        ".1f",
        lambda given: perplexity_of_counts(given.counts),
        lambda d: (
            f"As even as {d.perplexity:.1f} equally used tokens, "
            f"{d.perplexity / possible(d):.0%} of the {possible(d)} there could be; "
            f"{d.entropy_bits:.1f} bits an embedding."
        ),
        needs="counts",
        compared=True,
    )
    quantization_error: float | None = number(  # of the embeddings' variance; 0 is best
        ".4f",
        lambda given: ratio(
            given.assignment.squared_error, given.embedding_variances.sum(), if_both_zero=0.0
        ),
        "Quantization loses {quantization_error:.1%} of the embeddings' variance.",
        compared=True,
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
        compared=True,
    )
    tokens_outside: float = number(  # share of the tokens; chance is 0.01
        ".3f",
        lambda given: share_outside(given.tokens, given.embeddings, rng=given.seed),
        "{tokens_outside:.1%} of the tokens lie outside the embeddings; chance is 1%.",
        compared=True,
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
        compared=True,
    )
    token_dimension: int = number(  # components to 99 % of the variance, [0, D]
        "d",
        lambda given: dimension_of(given.token_variances),
        lambda d: _directions("tokens", d.token_dimension, d.dimension),
        compared=True,
    )
    token_rank: float = number(  # effective rank, [0, D]
        ".2f",
        lambda given: rank_of(given.token_variances),
        "The tokens fill {token_rank:.1f} of {dimension} directions.",
        compared=True,
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

    dead_tokens: tuple[int, ...] = ()
    duplicate_tokens: tuple[tuple[int, ...], ...] = ()
    near_duplicate_tokens: tuple[tuple[int, ...], ...] = ()
    directions: bool = False  # tokens of length 1, embeddings of any
    metric: Metric = "euclidean"
    reference: Reference | None = None

    @property
    def verdict(self) -> str:
        """One of "healthy", "collapsed", "bad fit" and "cannot tell"."""
        return judge(self)[0]

    @property
    def signs(self) -> dict[str, list[str]]:
        """The signs of each kind of trouble; a kind without a sign has no entry."""
        return judge(self)[1]

    @property
    def remarks(self) -> list[str]:
        """What else there is to know: it changes no verdict."""
        return remarks(self)

    @property
    def remedies(self) -> list[Remedy]:
        """What to do next, the first to try first."""
        return remedies(self)

    @property
    def entropy_bits(self) -> float:
        """The entropy of the codes, log2 of the perplexity: bits an embedding."""
        return math.log2(self.perplexity)

    @property
    def numbers(self) -> dict[str, Any]:
        """The numbers by name; one not measured is None."""
        return {spec.name: getattr(self, spec.name) for spec in fields(self) if spec.metadata}

    def to_json(self) -> str:
        """Return the verdict, its signs, the numbers and the reference as a JSON object."""
        said = {
            "verdict": self.verdict,
            "signs": self.signs,
            "remarks": self.remarks,
            "remedies": [remedy._asdict() for remedy in self.remedies],
            "entropy_bits": self.entropy_bits,
        }
        return json.dumps(said | asdict(self), indent=2, allow_nan=False)

    def __str__(self) -> str:
        said = [answer(self), *self.remarks, "", table_of(self, "simple")]
        next_steps = [f"- {step.name}. {step.sentence} ({step.where})" for step in self.remedies]
        return "\n".join([*said, *(["", "What to do next:", *next_steps] if next_steps else [])])

    def _repr_html_(self) -> str:
        return f"<p><strong>{escape(answer(self))}</strong></p>\n{table_of(self, 'html')}"


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
    metric: Metric = "euclidean",
    reference: bool = True,
    rng: Rng = 0,
    progress: bool = False,
) -> Diagnosis:
    """Measure embeddings and the codebook that quantizes them, and judge it beside k-means.

    Parameters
    ----------
    embeddings : array-like (..., D)
        The outputs of the encoder, N of them. A memory-mapped array may be larger than memory,
        because it is read in blocks. Numbers that compare pairs of points use a sample. Integers
        of 8 or 16 bits are taken for quantized latents and become float32.
    tokens : array-like (K, D)
        The codebook.
    labels : array-like (N,) of integers, optional
        The class of each embedding.
    data, reconstruction : array-like (..., I), optional
        The inputs of the model, M of them, and its outputs. With M = N the labels are theirs too.
    assignment : Assignment, optional
        The result of ``assign(embeddings, tokens)``, if you have it.
    metric : {"euclidean", "cosine"}
        With "cosine" embeddings and tokens are first scaled to length 1, in memory.
    reference : bool
        False saves the time of k-means, about that of ten searches in a sample. The verdict is then
        "cannot tell".
    rng : int or numpy.random.Generator
        The seed or generator of the samples. K-means has a fixed seed of its own.
    progress : bool
        Show a bar for the search.

    Returns
    -------
    Diagnosis
        The numbers. ``print`` it for a table, or leave it at the end of a notebook's cell.

    Raises
    ------
    TypeError
        For points that are neither floats nor latents, labels that are no integers, and masked
        arrays.
    ValueError
        For arrays of shapes that do not fit together, and for NaN or infinity. The message names
        the argument.

    Examples
    --------
    >>> from vqnp.data import clusters
    >>> points = clusters(2, rng=0).points
    >>> diagnosis = diagnose(points, points[:1000:10])  # all tokens in the first of ten clusters
    >>> diagnosis.verdict, list(diagnosis.signs)
    ('collapsed', ['Tokens collapse'])
    """
    require_one_of(metric, Metric, "metric")
    shape = as_array(tokens, "tokens").shape
    if len(shape) == 3 and shape[0] > 1:
        raise ValueError(f"tokens have shape {shape}: diagnose_levels takes several codebooks")
    tokens = as_latents(tokens, "tokens")
    embeddings = as_latents(embeddings, "embeddings", dim=tokens.shape[1])
    labels = None if labels is None else as_labels(labels, "labels", len(embeddings))
    data = None if data is None else as_points(data, "data")
    if reconstruction is not None:
        reconstruction = as_points(reconstruction, "reconstruction")
        if data is None or reconstruction.shape != data.shape:
            got = "no data" if data is None else f"data of shape {data.shape}"
            shape = reconstruction.shape
            raise ValueError(f"reconstruction of shape {shape} needs data of that shape, got {got}")
    paired = reconstruction is not None and len(reconstruction) == len(embeddings)
    directions = metric == "euclidean" and of_length_one(tokens) and not of_length_one(embeddings)
    if metric == "cosine":
        embeddings, tokens = with_length_one(embeddings), with_length_one(tokens)
    assignment = assignment or assign(embeddings, tokens, progress=progress)
    given = SimpleNamespace(
        embeddings=embeddings,
        tokens=tokens,
        labels=labels,
        data=data,
        reconstruction=reconstruction,
        labels_of_data=labels if paired else None,
        assignment=assignment,
        counts=assignment.counts,
        embedding_variances=principal_variances(embeddings),
        token_variances=principal_variances(tokens),
        seed=as_seed(rng),
    )
    numbers = measured(given, fields(Diagnosis))
    enough = len(embeddings) >= FEW.value * len(tokens) and given.embedding_variances.size
    beside, groups = compare(given) if reference and enough else (None, None)
    same = np.unique(tokens, axis=0, return_inverse=True)[1]
    return Diagnosis(
        **numbers,
        dead_tokens=tuple(np.flatnonzero(assignment.counts == 0).tolist()),
        duplicate_tokens=several(same.reshape(-1)),
        near_duplicate_tokens=() if groups is None else several(groups),
        directions=directions,
        metric=metric,
        reference=beside,
    )


def diagnose_usage(
    codes: CodesLike | None = None,
    n_tokens: int | None = None,
    *,
    counts: CountsLike | None = None,
) -> Diagnosis:
    """Measure how codes are used, without embeddings and tokens.

    The verdict is "cannot tell", unless one token serves every embedding: only embeddings say
    whether an even usage would be better.

    Parameters
    ----------
    codes : array-like of integers
        The codes of any shape, in [0, K).
    n_tokens : int, optional
        K. By default one more than the highest code, so that tokens beyond it are not seen.
    counts : array-like (K,) of integers
        A histogram, in the place of ``codes``.

    Returns
    -------
    Diagnosis
        Usage and perplexity; the other numbers are None.

    Raises
    ------
    TypeError, ValueError
        For codes outside [0, K), for negative counts, for none, and for both.

    Examples
    --------
    >>> found = diagnose_usage([0, 0, 1, 1], n_tokens=8)
    >>> found.codes_used, found.perplexity, found.entropy_bits
    (2, 2.0, 1.0)
    """
    if (codes is None) == (counts is None):
        raise ValueError("give codes or counts, and not both")
    if codes is not None:
        flat = as_array(codes, "codes").reshape(-1)
        counts = counts_of(flat, n_tokens or max(1, int(flat.max(initial=0)) + 1))
    counts = as_array(counts, "counts")
    perplexity_of_counts(counts)  # raises for what is no histogram
    specs = [spec for spec in fields(Diagnosis) if spec.metadata.get("needs") == "counts"]
    dead = tuple(np.flatnonzero(counts == 0).tolist())
    return Diagnosis(**measured(SimpleNamespace(counts=counts), specs), dead_tokens=dead)


def measured(given: SimpleNamespace, specs: Iterable[Field]) -> dict[str, Any]:
    """Return the finite numbers, by name, whose arrays are among those ``given``."""
    numbers = {
        spec.name: spec.metadata["measure"](given)
        for spec in specs
        if spec.metadata and getattr(given, spec.metadata["needs"]) is not None
    }
    return {name: value for name, value in numbers.items() if math.isfinite(value)}


def compare(given: SimpleNamespace) -> tuple[Reference, Array]:
    """Return the reference, and for each token the first that does the work of one with it."""
    rows, found = kmeans_reference(given.embeddings, len(given.tokens))
    sample, centers = given.embeddings[rows], found.tokens
    yours, kmeans = fit(sample, given.tokens), fit(sample, centers, found.codes)
    theirs = SimpleNamespace(
        embeddings=sample,
        tokens=centers,
        labels=None if given.labels is None else given.labels[rows],
        assignment=Assignment(kmeans.counts, kmeans.squared_error),
        counts=kmeans.counts,
        embedding_variances=principal_variances(sample),
        token_variances=principal_variances(centers),
        seed=given.seed,
    )
    compared = [spec for spec in fields(Diagnosis) if spec.metadata.get("compared")]
    variance = theirs.embedding_variances.sum()
    pair = {
        "perplexity": yours.perplexity,
        "quantization_error": ratio(yours.squared_error, variance, if_both_zero=0.0),
    }
    numbers = {spec.name: None for spec in compared} | measured(theirs, compared)
    return Reference(len(sample), pair, numbers | {"perplexity": kmeans.perplexity}), yours.groups


def several(groups: Array) -> tuple[tuple[int, ...], ...]:
    """Return the members of each group of two or more, in order."""
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order])) + 1
    return tuple(sorted(tuple(each.tolist()) for each in np.split(order, starts) if len(each) > 1))


def of_length_one(points: Array) -> bool:
    """Tell whether all points have length 1, up to the rounding of float16."""
    return all(
        np.allclose(np.linalg.norm(points[rows], axis=1), 1, atol=1e-3)
        for rows in row_blocks(points)
    )


def with_length_one(points: Array) -> Array:
    """Return the points divided by their length; a point at the origin stays there."""
    length = np.linalg.norm(points, axis=1, keepdims=True)
    return points / np.where(length > 0, length, 1)
