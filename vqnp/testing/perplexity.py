"""Check of the perplexity, exp(−Σ p ln p) over a whole data set."""

from typing import Any

import numpy as np

from vqnp.diagnostics.usage import perplexity
from vqnp.testing.check import Adapter, Answers, Function, KnownMistake, Tolerance, check
from vqnp.testing.golden import Array, Case, Cases, from_seed

BATCH = 16


@from_seed
def draw_cases(rng: np.random.Generator) -> Cases:
    """One code of nine, nine alike, and a slope with codes that nobody chooses."""
    slope = np.minimum(rng.geometric(0.25, 80) + 1, 11)
    made = {
        "one code": (np.full(48, 4), 9),
        "all alike": (np.arange(144) % 9, 9),
        "a slope": (slope, 16),
    }
    return (
        Case(name, {"codes": codes}, settings={"tokens": k}) for name, (codes, k) in made.items()
    )


def entropy(codes: Array, k: int, log: Function = np.log, fudge: float = 0.0) -> Any:
    """Return −Σ p log(p + fudge), over the p that are not 0 when there is no fudge."""
    p = np.bincount(codes, minlength=k) / len(codes)
    p = p if fudge else p[p > 0]
    return -(p * log(p + fudge)).sum()


MISTAKES = (
    KnownMistake(
        "fudge-1e-10",
        "ln(p + 1e-10): leave the fudge out and take 0 · ln 0 as 0",
        (lambda codes, k: np.exp(entropy(codes, k, fudge=1e-10)),),
    ),
    KnownMistake(
        "fudge-1e-5",
        "ln(p + 1e-5): leave the fudge out and take 0 · ln 0 as 0",
        (lambda codes, k: np.exp(entropy(codes, k, fudge=1e-5)),),
    ),
    KnownMistake(
        "mean-over-batches",
        f"the mean over batches, here of {BATCH}: count the codes of the whole set first",
        (
            lambda codes, k: np.mean(
                [perplexity(codes[i : i + BATCH], k) for i in range(0, len(codes), BATCH)]
            ),
        ),
    ),
    KnownMistake(
        "bits",
        "an entropy in bits, but e raised to it",
        (lambda codes, k: np.exp(entropy(codes, k, np.log2)),),
    ),
    KnownMistake(
        "nats",
        "an entropy in nats, but 2 raised to it",
        (lambda codes, k: 2 ** entropy(codes, k),),
    ),
    KnownMistake("entropy", "the entropy, not its exponential", (entropy,)),
    KnownMistake(
        "share-of-codes",
        "divided by the number of tokens",
        (lambda codes, k: np.exp(entropy(codes, k)) / k,),
    ),
    KnownMistake(
        "codes-used",
        "the number of codes used, not how evenly",
        (lambda codes, k: float(len(np.unique(codes))),),
    ),
)


@check(
    {"perplexity": draw_cases},
    Tolerance(64, "one logarithm a code and one exponential"),
    MISTAKES,
    right=(perplexity,),
)
def check_perplexity(case: Case, adapter: Adapter, perplexity: Function) -> Answers:
    """Check the perplexity of one code, of all codes alike, and of codes that are not all used.

    It catches a number added inside the logarithm, another base, and means over batches.

    Parameters
    ----------
    perplexity : function
        ``perplexity(codes, n_tokens) -> number``: codes ``(N,)`` of a whole data set, n_tokens an
        int. Return exp(−Σ p ln p), in which p is a token's share of the codes and 0 · ln 0 is 0.

    Example
    -------
    >>> import numpy as np
    >>> def perplexity(codes, n_tokens):
    ...     p = np.bincount(codes) / len(codes)
    ...     p = p[p > 0]
    ...     return np.exp(-(p * np.log(p)).sum())
    >>> print(check_perplexity(perplexity))
    check_perplexity: all 3 comparisons pass
    """
    return {"perplexity": perplexity(adapter.give(case.inputs["codes"]), case.settings["tokens"])}
