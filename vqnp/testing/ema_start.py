"""Checks of where the moving averages start, and restart: token, L and M belong together.

``check_ema_start``: ``start(tokens, counts) -> state`` right after k-means, ``counts`` ``(K,)`` being a batch's expected hits.
``check_revival``: ``revive(state, codes, tokens, counts) -> state`` puts some codes at new tokens with new weights.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from vqnp.quantize.ema import DIALECTS, Codebook, Dialect, require_dialect
from vqnp.testing.adapter import Arrays, Port, Precision
from vqnp.testing.check import Check, Functions, judge
from vqnp.testing.golden import Case, cases, draw
from vqnp.testing.result import Mutant, Result, Tolerance
from vqnp.validation import Array

ONE_PRODUCT = Tolerance(2, "M is one product, L · token")


def check_ema_start(
    start: Callable[..., Any],
    *,
    dialect: Dialect = "paper",
    arrays: Arrays = "numpy",
    dtype: Precision = "float64",
    raises: bool = True,
) -> Result:
    """Check the state that ``dialect`` starts with; the M of `smoothed-state` is noise and not compared."""
    require_dialect(dialect)
    chosen = tuple(case for case in cases("ema_start") if case.name == dialect)
    check = Check(
        f"check_ema_start, dialect {dialect}", chosen, _started, mutants(dialect), ONE_PRODUCT
    )
    return judge(check, (start,), Port(arrays, dtype), raises=raises)


def check_revival(
    revive: Callable[..., Any],
    *,
    arrays: Arrays = "numpy",
    dtype: Precision = "float64",
    raises: bool = True,
) -> Result:
    """Check that a revived code's L and M move with its token; else its first hit pulls it back to where it died."""
    check = Check("check_revival", cases("revival"), _revived, REVIVAL_MUTANTS, ONE_PRODUCT)
    return judge(check, (revive,), Port(arrays, dtype), raises=raises)


def _started(case: Case, functions: Functions, port: Port) -> dict[str, Any]:
    state = functions[0](port.give(case.inputs["tokens"]), port.give(case.inputs["counts"]))
    return {name: state[name] for name in case.outputs}


def _revived(case: Case, functions: Functions, port: Port) -> dict[str, Any]:
    given = {name: port.give(array) for name, array in case.inputs.items()}
    state = {name: given[name] for name in ("tokens", "counts", "sums")} | {"steps": 5}
    state = functions[0](state, given["codes"], given["new_tokens"], given["new_counts"])
    return {name: state[name] for name in case.outputs}


def state_of(tokens: Array, counts: Array, sums: Array) -> dict[str, Any]:
    """Return a state."""
    return {"tokens": tokens, "counts": counts, "sums": sums, "steps": 0}


STARTS = (
    Mutant("sums-not-weighted", "M is the token alone; it is L · token, else codes jump at the first step",
           (lambda tokens, counts: state_of(tokens, counts, tokens),)),
    Mutant("counts-zero", "L starts at 0 but M does not: codes without hits fly away",
           (lambda tokens, counts: state_of(tokens, 0 * counts, counts[:, None] * tokens),)),
    Mutant("counts-one", "the start of dialect counts-one: L = 1, M = token",
           (lambda tokens, counts: state_of(tokens, np.ones_like(counts), tokens),)),
    Mutant("all-zero", "the start of dialect debiased: L and M are 0, the first step throws the tokens away",
           (lambda tokens, counts: state_of(tokens, 0 * counts, 0 * tokens),)),
    Mutant("counts-normalised", "L is a share of the batch; it is the number of hits expected of a batch",
           (lambda tokens, counts: state_of(tokens, counts / counts.sum(), counts[:, None] / counts.sum() * tokens),)),
)  # fmt: skip
OF_COUNTS_ONE = Mutant(
    "counts-zero",
    "L starts at 0 but M does not: codes without hits fly away",
    (lambda t, n: state_of(t, 0 * n, t),),
)
FROM_KMEANS = Mutant(
    "from-k-means",
    "the start of dialect paper: L = hits, M = L · token",
    (lambda t, n: state_of(t, n, n[:, None] * t),),
)


def mutants(dialect: Dialect) -> tuple[Mutant, ...]:
    """Return the wrong starts that are not the start of ``dialect`` itself, and can be told apart there."""
    by_name = {mutant.name: mutant for mutant in STARTS}
    if dialect == "paper":
        return STARTS
    if dialect == "smoothed-state":  # its M is not compared
        return by_name["counts-one"], FROM_KMEANS
    if dialect == "counts-one":
        return OF_COUNTS_ONE, FROM_KMEANS, by_name["sums-not-weighted"], by_name["all-zero"]
    return OF_COUNTS_ONE, FROM_KMEANS, by_name["counts-one"]


def revival(*moved: str) -> Callable[..., dict[str, Any]]:
    """Return a revival that moves only what is named."""

    def revive(state: dict[str, Any], codes: Array, tokens: Array, counts: Array) -> dict[str, Any]:
        new = {"tokens": tokens, "counts": counts, "sums": counts[:, None] * tokens}
        for name in moved:
            state[name][codes] = new[name]
        return state

    return revive


REVIVAL_MUTANTS = (
    Mutant("token-only", "the token moves without L and M: its first hit pulls it back", (revival("tokens"),)),
    Mutant("sums-forgotten", "M is still that of the dead code", (revival("tokens", "counts"),)),
    Mutant("counts-forgotten", "L is still that of the dead code", (revival("tokens", "sums"),)),
)  # fmt: skip


def make_cases() -> tuple[Case, ...]:
    """One start a dialect, from the same clusters; one of them is empty."""
    rng = np.random.default_rng(5)
    tokens, counts = draw(rng, 6, 3), np.array([3.0, 0.5, 0, 7, 1.25, 4])
    made = []
    for dialect in DIALECTS:
        state = Codebook.start(tokens, counts, dialect, rng=rng)
        outputs = {"tokens": state.tokens, "counts": state.counts, "sums": state.sums}
        if dialect == "smoothed-state":
            del outputs["sums"]
        made.append(Case(dialect, {"tokens": tokens, "counts": counts}, outputs))
    return tuple(made)


def make_revival_cases() -> tuple[Case, ...]:
    """Two of six codes are revived."""
    rng = np.random.default_rng(6)
    state = Codebook.start(draw(rng, 6, 3), rng.integers(1, 9, 6) / 2, rng=rng)
    inputs = {name: getattr(state, name).copy() for name in ("tokens", "counts", "sums")}
    codes, tokens, counts = np.array([4, 1]), draw(rng, 2, 3), np.array([1.5, 2.25])
    state.set_tokens(codes, tokens, counts)
    inputs |= {"codes": codes, "new_tokens": tokens, "new_counts": counts}
    return (
        Case(
            "two codes",
            inputs,
            {name: getattr(state, name) for name in ("tokens", "counts", "sums")},
        ),
    )


MAKE = {"ema_start": make_cases, "revival": make_revival_cases}
