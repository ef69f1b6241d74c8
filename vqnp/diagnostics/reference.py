"""The reference: what k-means makes of the same embeddings with the same number of tokens.

A codebook that minimizes the error on uneven data does not use its tokens evenly. So its numbers
say little alone. They are judged beside those of the package's own k-means. Both codebooks are
measured on one sample of the embeddings, on which k-means was fitted.

The cost is bounded. The sample has ``EMBEDDINGS_A_TOKEN`` for each token, and Lloyd's steps stop
at a budget. The seed is fixed, so that the same embeddings have the same reference.
"""

import warnings
from dataclasses import dataclass

import numpy as np

from vqnp.diagnostics.distances import nearest_rows
from vqnp.diagnostics.sample import sample_rows
from vqnp.diagnostics.usage import perplexity_of_counts
from vqnp.quantize.lloyd import Clustering, kmeans
from vqnp.quantize.search import nearest
from vqnp.validation import Array, row_blocks

SEED = 0
EMBEDDINGS_A_TOKEN = 10  # as many as a verdict needs; more cost a search of all for each step
LEAST_SAMPLE = 32_768  # for few tokens this costs nothing, and chance moves the loss by 1 %
BUDGET_PRODUCTS = 1 << 38  # of coordinates, in all steps: about half a minute on two cores
LEAST_STEPS, MOST_STEPS = 3, 30  # after 3 steps the loss is within 5 % of its end, after 30 at it
PLUS_PLUS_TOKENS = 4096  # up to here; then its draws would take longer than the steps

# Two tokens this near, in the typical distance of their embeddings, do the work of one: a second
# token at distance s lowers a squared error of e² by s² / 4 at most, here 0.25 %.
NEAR = 0.1


@dataclass(frozen=True)
class Fit:
    """A codebook measured on the sample.

    Parameters
    ----------
    counts : array (K,), int64
        The embeddings of each token.
    squared_error : float
        The mean of ‖z − t‖².
    groups : array (K,), int64
        For each token, the first of those that do the work of one with it; most often itself.
    """

    counts: Array
    squared_error: float
    groups: Array

    @property
    def perplexity(self) -> float:
        """The perplexity of the groups: near duplicates count as one token."""
        return perplexity_of_counts(np.bincount(self.groups, weights=self.counts))


def fit(embeddings: Array, tokens: Array, codes: Array | None = None) -> Fit:
    """Measure ``tokens`` ``(K, D)`` on ``embeddings`` ``(N, D)`` that fit in memory.

    ``codes`` ``(N,)`` save the search for the nearest tokens.
    """
    if codes is None:
        dtype = np.result_type(embeddings, tokens)
        codes, _ = nearest(embeddings.astype(dtype, copy=False), tokens.astype(dtype, copy=False))
    counts, errors = np.bincount(codes, minlength=len(tokens)), np.zeros(len(tokens))
    for rows in row_blocks(embeddings):
        apart = np.subtract(embeddings[rows], tokens[codes[rows]], dtype=np.float64)
        np.add.at(errors, codes[rows], np.square(apart).sum(axis=1))
    return Fit(counts, float(errors.sum() / len(codes)), near_duplicates(tokens, counts, errors))


def kmeans_reference(embeddings: Array, n_tokens: int) -> tuple[Array, Clustering]:
    """Return the rows of the sample, and what k-means finds in it."""
    size = max(LEAST_SAMPLE, EMBEDDINGS_A_TOKEN * n_tokens)
    rows = sample_rows(len(embeddings), size, SEED)
    sample = np.ascontiguousarray(embeddings[rows])
    steps = BUDGET_PRODUCTS // (sample.size * n_tokens)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # fewer different embeddings than tokens
        found = kmeans(
            sample,
            n_tokens,
            rng=SEED,
            start="k-means++" if n_tokens <= PLUS_PLUS_TOKENS else "random",
            iterations=min(max(steps, LEAST_STEPS), MOST_STEPS),
        )
    return rows, found


def near_duplicates(tokens: Array, counts: Array, errors: Array) -> Array:
    """Return for each token the first of those that do the work of one with it.

    ``errors`` ``(K,)`` are the sums of the squared distances to the ``counts`` embeddings. Each
    round joins tokens with their nearest and goes on with one for each group, until none is near.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    groups, kept = np.arange(len(tokens)), np.arange(len(tokens))
    while len(kept) > 1:
        counts, errors = (np.bincount(groups, x, len(tokens)) for x in (counts, errors))
        places = tokens[kept].astype(np.float64)
        others = nearest_rows(places)
        typical = np.sqrt(errors[kept] / np.maximum(counts[kept], 1))
        apart = np.linalg.norm(places - places[others], axis=1)
        near = np.flatnonzero(apart <= NEAR * np.maximum(typical, typical[others]))
        if not len(near):
            break
        links = coo_array((np.ones(len(near)), (near, others[near])), shape=(len(kept),) * 2)
        labels = connected_components(links, directed=False)[1]
        first = np.unique(labels, return_index=True)[1]  # kept ascends: the first token is lowest
        position = np.searchsorted(kept, groups)
        groups, kept = kept[first[labels[position]]], kept[np.sort(first)]
    return groups
