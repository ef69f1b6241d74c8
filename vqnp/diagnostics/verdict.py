"""The verdict on a codebook, drawn from its numbers beside those of k-means.

- *cannot tell*: too few embeddings a token, or no reference.
- *collapsed*: fewer tokens do the work than k-means has at work, and the loss is higher for it.
  Embeddings have collapsed when all coincide, or when their modes have merged.
- *bad fit*: the tokens are used, but they lie in the wrong places.
- *healthy*: none of these.

A limit has its reason beside it, and a report shows both. The limits were chosen on codebooks
fitted to Gaussian, stretched, clustered, heavy-tailed, uniform and rectified clouds of 1 to 64
dimensions. ``tests/diagnostics/test_limits.py`` measures them again. A good codebook had at least
0.76 times the perplexity of k-means. One with 30 % of its tokens at work had at most 0.47 times
the perplexity, and at least 1.06 times the loss.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from vqnp.diagnostics.classes import chance_divergence

MOST_LISTED = 10  # in a remark; the JSON lists all
VERDICTS_BY_WEIGHT = ("collapsed", "bad fit", "cannot tell", "healthy")


class Limit(NamedTuple):
    """A number of the verdict, the rule that it stands in, and the reason for its size."""

    value: float
    rule: str
    reason: str


FEW = Limit(
    10,
    "embeddings a token at least; with fewer the verdict is 'cannot tell'",
    "A mean of ten embeddings still moves by a third of their deviation when others are drawn.",
)
LOW_SHARE = Limit(
    0.5,
    "of the perplexity of k-means; below it, and above the loss of k-means, tokens collapse",
    "Another start or sample of k-means moves its perplexity by less than a quarter.",
)
HIGHER_LOSS = Limit(
    1.02,
    "times the loss of k-means at least, for a collapse",
    "A codebook that loses no more than k-means is as good, however unevenly it is used.",
)
FAR_LOSS = Limit(
    4,
    "times the loss of k-means; above it, the codebook is a bad fit",
    "An embedding is then twice as far from its token. Good codebooks that lost 1 % or more stayed "
    "below 1.4.",
)
SEEN_LOSS = Limit(
    0.01,
    "of the variance; a loss below it is no bad fit",
    "A loss this small is rarely noticed after decoding, whatever k-means reaches.",
)
LOW_KEPT = Limit(
    1 / 3,
    "of the variance that k-means keeps; below it, the codebook is a bad fit",
    "In many dimensions k-means itself loses most, so that no codebook loses four times as much.",
)
MERGED = Limit(
    0.5,
    "of the data's modes; with fewer, embeddings collapse",
    "Counting errs by one mode in ten.",
)
STRAYED = Limit(
    0.1,
    "more of the tokens outside the embeddings than of k-means' are a sign, in a poor codebook",
    "Chance is 0.01, and the outermost tokens of a good codebook can lie outside.",
)
SHORT_CLASSES = Limit(
    0.1,
    "bits more between the classes' shares than with k-means are a sign, in a poor codebook",
    "Chance is given beside the number, and it is smaller.",
)
LIMITS = [value for value in globals().values() if isinstance(value, Limit)]


def judge(diagnosis: Any) -> tuple[str, dict[str, list[str]]]:
    """Return the verdict, one of ``VERDICTS_BY_WEIGHT``, and its signs by their kind."""
    there, needed = diagnosis.n_embeddings, int(FEW.value * diagnosis.n_tokens)
    kinds = {
        "Embeddings collapse": collapse_of_embeddings(diagnosis),
        "Tokens collapse": collapse_of_tokens(diagnosis) if there >= needed else [],
    }
    found = {kind: signs for kind, signs in kinds.items() if signs}
    if found:
        return "collapsed", found
    if there < needed:
        missing = f"{there:,} embeddings; {diagnosis.n_tokens:,} tokens need {needed:,}"
        return "cannot tell", {"Cannot tell": [missing]}
    if diagnosis.reference is None:
        missing = "there is no reference, and uneven data need an uneven usage"
        return "cannot tell", {"Cannot tell": [missing]}
    bad = misfit(diagnosis)
    return ("bad fit", {"Bad fit": bad}) if bad else ("healthy", {})


def collapse_of_embeddings(diagnosis: Any) -> list[str]:
    """Return the signs that the embeddings have collapsed."""
    signs = {
        "all embeddings coincide": diagnosis.embedding_dimension == 0,
        "modes have merged": (diagnosis.embedding_modes or 0)
        < MERGED.value * (diagnosis.data_modes or 0),
    }
    return [sign for sign, there in signs.items() if there]


def collapse_of_tokens(diagnosis: Any) -> list[str]:
    """Return the signs that too few tokens do the work; none where the rule does not hold."""
    if diagnosis.reference is None:
        return (
            ["one token serves every embedding"]
            if diagnosis.codes_used == 1 < diagnosis.n_tokens
            else []
        )
    ours, theirs = diagnosis.reference.yours, diagnosis.reference.kmeans
    low = ours["perplexity"] < LOW_SHARE.value * theirs["perplexity"]
    if not (low and ours["quantization_error"] > HIGHER_LOSS.value * theirs["quantization_error"]):
        return []
    repeated = sum(len(group) - 1 for group in diagnosis.near_duplicate_tokens)
    dead, crowd = len(diagnosis.dead_tokens), diagnosis.spread_ratio
    signs = {
        f"perplexity is {ours['perplexity']:.1f}, of k-means {theirs['perplexity']:.1f}": True,
        _loss(ours, theirs): True,
        f"{dead} of {diagnosis.n_tokens} tokens are dead": dead,
        f"{repeated} tokens repeat another": repeated,
        "tokens crowd": crowd is not None
        and crowd < LOW_SHARE.value * (theirs["spread_ratio"] or 0),
    }
    return [sign for sign, there in signs.items() if there] + company(diagnosis)


def misfit(diagnosis: Any) -> list[str]:
    """Return the signs that the tokens lie in the wrong places."""
    ours, theirs = diagnosis.reference.yours, diagnosis.reference.kmeans
    loss, least = ours["quantization_error"], theirs["quantization_error"]
    if loss <= HIGHER_LOSS.value * least:
        return []
    worse = loss > FAR_LOSS.value * least or 1 - loss < LOW_KEPT.value * (1 - least)
    signs = {
        f"the loss is {loss:.0%} of the variance: one token at the mean loses 100%": loss > 1,
        _loss(ours, theirs): loss > SEEN_LOSS.value and worse,
    }
    found = [sign for sign, there in signs.items() if there]
    return found + company(diagnosis) if found else []


def company(diagnosis: Any) -> list[str]:
    """Return signs that say little alone: tokens outside, and classes without tokens."""
    theirs, bits = diagnosis.reference.kmeans, diagnosis.class_divergence
    found = []
    if diagnosis.tokens_outside > theirs["tokens_outside"] + STRAYED.value:
        found.append(f"{diagnosis.tokens_outside:.0%} of the tokens lie outside the embeddings")
    if bits is not None and bits > SHORT_CLASSES.value + max(
        theirs["class_divergence"], chance_divergence(diagnosis.n_tokens, diagnosis.n_classes)
    ):
        found.append("classes go short of tokens")
    return found


def remarks(diagnosis: Any) -> list[str]:
    """Return what else there is to know: it changes no verdict."""
    strayed = diagnosis.reconstruction_outside or 0
    equal, near = diagnosis.duplicate_tokens, diagnosis.near_duplicate_tokens
    said = {
        f"There are more tokens ({diagnosis.n_tokens:,}) than embeddings "
        f"({diagnosis.n_embeddings:,}): have the two been swapped?": diagnosis.n_tokens
        > diagnosis.n_embeddings,
        "All tokens have length 1, but the embeddings have not: if your model compares directions, "
        "measure with the metric 'cosine'.": diagnosis.directions,
        f"{strayed:.0%} of the reconstructions lie outside the data; chance is 1%.": strayed
        > STRAYED.value,
    }
    lists = {
        "Dead tokens": diagnosis.dead_tokens,
        "Equal tokens": equal,
        "Tokens that do the work of one": () if near == equal else near,
    }
    return [remark for remark, holds in said.items() if holds] + [
        f"{name}: {listed(tokens)}." for name, tokens in lists.items() if tokens
    ]


def listed(tokens: Sequence[Any]) -> str:
    """Return the first tokens, or groups of equal ones, and how many more there are."""
    groups = [np.atleast_1d(each)[:MOST_LISTED] for each in tokens[:MOST_LISTED]]
    said = ", ".join(" = ".join(map(str, group)) for group in groups)
    more = len(tokens) - MOST_LISTED
    return f"{said} and {more:,} more" if more > 0 else said


def _loss(ours: dict[str, float], theirs: dict[str, float]) -> str:
    loss, least = ours["quantization_error"], theirs["quantization_error"]
    return f"{loss:.2%} of the variance is lost, by k-means {least:.2%}"
