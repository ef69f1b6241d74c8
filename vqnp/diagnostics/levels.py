"""Several codebooks of one quantizer: a diagnosis for each level, and the usage of all together.

In a residual quantizer each level quantizes what the levels before it left over. In a product
quantizer each level has its own part of the coordinates. Either way an embedding has Q codes.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from html import escape
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from vqnp.diagnostics.diagnosis import Diagnosis, diagnose
from vqnp.diagnostics.reading import Comparison, side_by_side
from vqnp.diagnostics.usage import perplexity_of_counts
from vqnp.diagnostics.verdict import VERDICTS_BY_WEIGHT
from vqnp.quantize.search import nearest
from vqnp.validation import as_array, as_latents

WideLike = Float[Any, "N W"]  # W is D, or Q · D
BooksLike = Float[Any, "Q K D"]


@dataclass(frozen=True)
class Levels:
    """The diagnoses of several codebooks; ``print`` shows a table with a column for each.

    Attributes
    ----------
    kind : str
        "residual" or "product".
    levels : tuple of Diagnosis
        One for each codebook, in order.
    joint_codes : int
        The number of different rows of Q codes.
    joint_perplexity : float
        The perplexity of the rows of codes, at most N.
    quantization_error : float
        What all levels together lose of the embeddings' variance.
    """

    kind: str
    levels: tuple[Diagnosis, ...]
    joint_codes: int
    joint_perplexity: float
    quantization_error: float

    @property
    def verdict(self) -> str:
        """The gravest verdict of a level."""
        return min((level.verdict for level in self.levels), key=VERDICTS_BY_WEIGHT.index)

    @property
    def signs(self) -> dict[str, dict[str, list[str]]]:
        """The signs of each level; a level without a sign has no entry."""
        return {name: level.signs for name, level in self._named() if level.signs}

    def to_json(self) -> str:
        """Return the verdict, the signs, the joint usage and every level as a JSON object."""
        said = {"verdict": self.verdict, "signs": self.signs}
        whole = asdict(self) | {"levels": [json.loads(level.to_json()) for level in self.levels]}
        return json.dumps(said | whole, indent=2, allow_nan=False)

    def __str__(self) -> str:
        return f"{self.answer}\n\n{self._table()}"

    def _repr_html_(self) -> str:
        return f"<p><strong>{escape(self.answer)}</strong></p>\n{self._table()._repr_html_()}"

    def _named(self) -> Iterator[tuple[str, Diagnosis]]:
        return ((f"level {i}", level) for i, level in enumerate(self.levels))

    def _table(self) -> Comparison:
        return side_by_side(dict(self._named()))

    @property
    def answer(self) -> str:
        """The verdict and the joint usage in a sentence."""
        return (
            f"{self.verdict.capitalize()}. {len(self.levels)} {self.kind} codebooks are used in "
            f"{self.joint_codes:,} combinations, as even as {self.joint_perplexity:,.1f}; "
            f"together they lose {self.quantization_error:.1%} of the variance."
        )


def diagnose_levels(embeddings: WideLike, tokens: BooksLike, **options: Any) -> Levels:
    """Diagnose the codebooks of a residual or a product quantizer.

    Parameters
    ----------
    embeddings : array-like (..., D) or (..., Q · D)
        The outputs of the encoder. With D coordinates the codebooks are residual, with Q · D they
        are a product.
    tokens : array-like (Q, K, D)
        The codebooks, in order.
    **options
        As :func:`diagnose` takes them, for every level.

    Returns
    -------
    Levels
        ``print`` it, or leave it at the end of a notebook's cell.

    Raises
    ------
    TypeError, ValueError
        For codebooks of another shape, and as :func:`diagnose` does.

    Examples
    --------
    >>> found = diagnose_levels([[0.0], [1.0], [10.0], [11.0]], [[[0.0], [10.0]], [[0.0], [1.0]]])
    >>> found.kind, found.joint_codes, found.quantization_error
    ('residual', 4, 0.0)
    """
    books = as_array(tokens, "tokens")
    if books.ndim != 3:
        raise ValueError(f"tokens must have shape (Q, K, D), got {books.shape}")
    rest = as_latents(embeddings, "embeddings")
    kind = kind_of(rest.shape[1], *books.shape)
    dtype = np.result_type(rest, as_latents(books, "tokens"))
    rest = rest.astype(dtype)  # a copy: it becomes the residual
    before = rest.var(axis=0, dtype=np.float64).sum()
    levels, joint = [], np.zeros(len(rest), np.int64)
    for level, book in enumerate(books.astype(dtype)):
        start = level * book.shape[1] if kind == "product" else 0
        part = rest[:, start : start + book.shape[1]]
        levels.append(diagnose(part, book, **options))
        codes = nearest(part, book)[0]
        joint = np.unique(joint * len(book) + codes, return_inverse=True)[1]
        part -= book[codes]
    counts = np.bincount(joint)
    lost = float(np.square(rest, dtype=np.float64).sum() / len(rest) / before)
    return Levels(kind, tuple(levels), len(counts), perplexity_of_counts(counts), lost)


def kind_of(width: int, levels: int, n_tokens: int, dim: int) -> Literal["residual", "product"]:
    """Return the kind of quantizer whose embeddings have ``width`` coordinates."""
    if width == dim:
        return "residual"
    if width == levels * dim:
        return "product"
    raise ValueError(
        f"embeddings for codebooks of shape {(levels, n_tokens, dim)} must have {dim} coordinates "
        f"(residual) or {levels * dim} (product), got {width}"
    )
