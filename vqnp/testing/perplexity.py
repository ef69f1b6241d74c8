"""Check of the perplexity, exp(−Σ p ln p) over a whole data set: ``perplexity(codes, n_tokens) -> number``."""

from collections.abc import Callable
from typing import Any

import numpy as np

from vqnp.diagnostics.usage import perplexity
from vqnp.testing.adapter import Arrays, Port, Precision
from vqnp.testing.check import Check, Functions, judge
from vqnp.testing.golden import Case, cases
from vqnp.testing.result import Mutant, Result, Tolerance
from vqnp.validation import Array

ROUNDED = Tolerance(64, "one logarithm a code and one exponential")
BATCH = 16


def check_perplexity(
    function: Callable[..., Any],
    *,
    arrays: Arrays = "numpy",
    dtype: Precision = "float64",
    raises: bool = True,
) -> Result:
    """Check the perplexity of one code, of all alike, and of codes that are not all used."""
    check = Check("check_perplexity", cases("perplexity"), _run, MUTANTS, ROUNDED)
    return judge(check, (function,), Port(arrays, dtype), raises=raises)


def _run(case: Case, functions: Functions, port: Port) -> dict[str, Any]:
    return {"perplexity": functions[0](port.give(case.inputs["codes"]), case.settings["tokens"])}


def shares(codes: Array, k: int) -> Array:
    """Return p ``(K,)``."""
    return np.bincount(codes, minlength=k) / len(codes)


def entropy(p: Array, log: Callable[..., Any] = np.log, fudge: float = 0.0) -> Any:
    """Return −Σ p log(p + fudge), over the p that are not 0 when there is no fudge."""
    p = p if fudge else p[p > 0]
    return -(p * log(p + fudge)).sum()


def by_batches(codes: Array, k: int) -> Any:
    """The mean of the perplexities of batches."""
    return np.mean([perplexity(codes[i : i + BATCH], k) for i in range(0, len(codes), BATCH)])


MUTANTS = (
    Mutant("fudge-1e-10", "ln(p + 1e-10): leave the fudge out and take 0 · ln 0 as 0",
           (lambda codes, k: np.exp(entropy(shares(codes, k), fudge=1e-10)),)),
    Mutant("fudge-1e-5", "ln(p + 1e-5): leave the fudge out and take 0 · ln 0 as 0",
           (lambda codes, k: np.exp(entropy(shares(codes, k), fudge=1e-5)),)),
    Mutant("mean-over-batches", f"the mean over batches, here of {BATCH}: count the codes of the whole set first", (by_batches,)),
    Mutant("bits", "an entropy in bits, but e raised to it", (lambda codes, k: np.exp(entropy(shares(codes, k), np.log2)),)),
    Mutant("entropy", "the entropy, not its exponential", (lambda codes, k: entropy(shares(codes, k)),)),
    Mutant("share-of-codes", "divided by the number of tokens", (lambda codes, k: np.exp(entropy(shares(codes, k))) / k,)),
    Mutant("codes-used", "the number of codes used, not how evenly", (lambda codes, k: float(len(np.unique(codes))),)),
)  # fmt: skip


def make_cases() -> tuple[Case, ...]:
    """One code of nine, nine alike, and a slope with codes that nobody chooses."""
    rng = np.random.default_rng(9)
    slope = np.minimum(rng.geometric(0.25, 80) + 1, 11)
    made = {
        "one code": (np.full(48, 4), 9),
        "all alike": (np.arange(144) % 9, 9),
        "a slope": (slope, 16),
    }
    return tuple(
        Case(name, {"codes": codes}, {"perplexity": np.array(perplexity(codes, k))}, {"tokens": k})
        for name, (codes, k) in made.items()
    )


MAKE = {"perplexity": make_cases}
