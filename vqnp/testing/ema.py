"""Checks of the moving averages (eqs. 3 to 5), in each dialect (EMA variant).

``state`` is a dictionary: tokens ``(K, D)``, L ``counts`` ``(K,)``, M ``sums`` ``(K, D)`` and
``steps``, the number of steps taken. The dialects are those of ``vqnp/quantize/ema.py``. To differ
from one dialect is a difference and no mistake: the answer of another dialect is recognized.
"""

from functools import partial
from typing import Any

import numpy as np

from vqnp.quantize.codebook import DIALECTS, Codebook, Dialect
from vqnp.quantize.ema import ema_update_numpy
from vqnp.quantize.search import nearest_numpy
from vqnp.testing.adapter import Arrays, Functions, Precision
from vqnp.testing.check import Adapter, Answers, Function, KnownMistake, Tolerance, check
from vqnp.testing.golden import Array, Case, Cases, draw, from_seed

State = dict[str, Any]
ARRAYS = ("tokens", "counts", "sums")
STEPS = 10
ROUNDED = Tolerance(
    64,
    "ten steps add some sixteen embeddings of up to 4 each and divide them by small counts",
    scale=4.0,
)


@from_seed
def draw_cases(rng: np.random.Generator) -> Cases:
    """Two cases a dialect: from its start, and from a state small enough for ε to show."""
    tokens, counts = draw(rng, 8, 3), rng.integers(1, 9, 8) / 2
    inputs = draw_batches(rng, tokens)
    faint = weighted(tokens, counts / 1024) | {"steps": 5}
    for dialect in DIALECTS:
        start = begin(dialect, tokens, counts, rng)
        yield case_of(dialect, start, inputs, dialect=dialect)
        yield case_of(f"{dialect}, later", start | faint, inputs, dialect=dialect)


def case_of(name: str, state: State, inputs: dict[str, Array], **settings: Any) -> Case:
    """Return a case of all batches of ``inputs``, from ``state``."""
    settings |= {"decay": 0.9, "steps": len(inputs["codes"]), "steps_before": state["steps"]}
    return Case(name, {array: state[array] for array in ARRAYS} | inputs, settings=settings)


def weighted(tokens: Array, counts: Array) -> State:
    """Return the state in which M = L · token."""
    return {"tokens": tokens, "counts": counts, "sums": counts[..., None] * tokens}


def begin(dialect: Any, tokens: Array, counts: Array, rng: np.random.Generator) -> State:
    """Start a codebook, with noise that float32 holds where there is noise."""
    state = vars(Codebook.start(tokens, counts, dialect, rng=rng))
    if dialect == "smoothed-state":
        state["sums"] = draw(rng, *tokens.shape)
    return state


def draw_batches(rng: np.random.Generator, tokens: Array) -> dict[str, Array]:
    """Ten batches; the last two codes get no hits at all, and codes 4 and 5 only in some steps."""
    embeddings = draw(rng, STEPS, 16, tokens.shape[1])
    codes = np.stack([nearest_numpy(z, tokens[:-2])[0] for z in embeddings])
    codes[::3][codes[::3] > 3] = 0
    return {"embeddings": embeddings, "codes": codes}


def moved(
    state: State,
    embeddings: Array,
    codes: Array,
    decay: float,
    mask: Any = ...,
    *,
    dialect: Dialect = "paper",
) -> State:
    """Take one step of ``dialect`` with the embeddings that the mask leaves."""
    book = Codebook(**{name: state[name].copy() for name in ARRAYS}, steps=state["steps"])
    ema_update_numpy(book, embeddings[mask], codes[mask], decay, dialect)
    return vars(book)


def right(case: Case) -> Functions:
    """Return the step of the case's dialect."""
    return (partial(moved, dialect=case.settings["dialect"]),)


def read_by(
    state: State, embeddings: Array, codes: Array, decay: float, *, read: Function
) -> State:
    """Take a step of `paper` that reads its tokens from the state and the hits ``(K,)``."""
    after = moved(state, embeddings, codes, decay)
    return after | {"tokens": read(after, np.bincount(codes, minlength=len(after["tokens"])))}


def zeroed(state: State, hits: Array) -> Array:
    """Zero for codes without hits."""
    return np.where(hits[:, None] > 0, state["tokens"], 0)


def of_means(state: State, z: Array, codes: Array, decay: float, *, dialect: Dialect) -> State:
    """M averages the means of the codes: each embedding is divided by the hits of its code."""
    hits = np.bincount(codes).astype(z.dtype)
    return moved(state, z / hits[codes][:, None], codes, decay, dialect=dialect)


def of_shares(state: State, z: Array, codes: Array, decay: float, *, dialect: Dialect) -> State:
    """L averages l / N: the old L is changed so that eq. 4 ends there, in float64."""
    hits = np.bincount(codes, minlength=len(state["counts"]))
    exact = {name: state[name].astype(np.float64) for name in ARRAYS} | {"steps": state["steps"]}
    exact["counts"] += (1 - decay) / decay * (hits / len(codes) - hits)
    return moved(exact, z, codes, decay, dialect=dialect)


SAYS: dict[Dialect, str] = {
    "paper": "M / L where there were hits, the old token elsewhere",
    "counts-one": "the tokens are read by smoothed counts: codes without hits slide to the origin",
    "smoothed-state": "the smoothed counts are stored back",
    "debiased": "averages are divided by 1 − γ^t: the initial codebook is thrown away",
}


def dialects_beside(dialect: Dialect, step: Function) -> tuple[KnownMistake, ...]:
    """Return the other dialects, as ``step`` makes them."""
    return tuple(
        KnownMistake(other, SAYS[other], (step(other),), dialect=True)
        for other in DIALECTS
        if other != dialect
    )


def mistakes_of(dialect: Dialect) -> tuple[KnownMistake, ...]:
    """Return the other dialects, and what goes wrong in any of them."""
    step = partial(moved, dialect=dialect)
    return (
        *dialects_beside(dialect, lambda other: partial(moved, dialect=other)),
        KnownMistake(
            "decay-swapped",
            "γ weighs the new batch and 1 − γ the past",
            (lambda state, z, codes, decay: step(state, z, codes, 1 - decay),),
        ),
        KnownMistake(
            "batch-mean",
            "M averages the mean of a code's embeddings; it is their sum",
            (partial(of_means, dialect=dialect),),
        ),
        KnownMistake(
            "batch-share",
            "L averages shares of the batch; it is the number of hits",
            (partial(of_shares, dialect=dialect),),
        ),
        KnownMistake(
            "codes-reversed",
            "codes and embeddings are not in the same order",
            (lambda state, z, codes, decay: step(state, z, codes[::-1], decay),),
        ),
        KnownMistake(
            "zeros-without-hits", "codes without hits become 0", (partial(read_by, read=zeroed),)
        ),
        KnownMistake(
            "no-average",
            "the tokens become the means of this batch; nothing is remembered",
            (lambda state, z, codes, decay: step(state, z, codes, 0.0),),
        ),
    )


def start_of(case: Case) -> State:
    """Return the state that a case starts with."""
    return {name: case.inputs[name] for name in ARRAYS} | {
        "steps": case.settings.get("steps_before", 0)
    }


def run_steps(case: Case, adapter: Adapter, step: Function) -> Answers:
    embeddings, codes, *mask = (
        adapter.give(array) for name, array in case.inputs.items() if name not in ARRAYS
    )
    state, seen = adapter.give(start_of(case)), []
    for t in range(case.settings["steps"]):
        state = step(
            state,
            embeddings[t],
            codes[t],
            case.settings["decay"],
            *(rows[t] for rows in mask),  # none, or the mask of this batch
        )
        if not isinstance(state, dict) or "tokens" not in state:
            raise TypeError(
                "step must return the state as a dictionary with tokens in it, "
                f"got {type(state).__name__}"
            )
        seen.append({name: adapter.take(state[name]) for name in ARRAYS if name in state})
    return {name: np.stack([state[name] for state in seen]) for name in seen[-1]}


@check({"ema": draw_cases}, ROUNDED, mistakes_of, right=right)
def check_ema(
    case: Case, adapter: Adapter, step: Function, *, dialect: Dialect = "paper"
) -> Answers:
    """Check ten steps of the moving averages (eqs. 3 to 5), with codes that get no hits.

    It catches a swapped decay, means or shares in place of sums, and tokens lost without hits. It
    recognizes the other dialects.

    Parameters
    ----------
    step : function
        ``step(state, embeddings, codes, decay) -> state``: embeddings ``(N, D)``, codes ``(N,)``,
        decay a float. The state is a dictionary of tokens ``(K, D)``, counts L ``(K,)``, sums M
        ``(K, D)`` and steps, an int. Return the state after the batch; at the next step your
        function is given back what it returned, with whatever else it keeps there. Tokens are
        compared after every step, counts and sums only where you return them.
    dialect : "paper", "counts-one", "smoothed-state" or "debiased"
        The variant of the averages, see ``vqnp/quantize/ema.py``. ``which_dialect`` finds it.

    Example
    -------
    >>> import numpy as np
    >>> def step(state, embeddings, codes, decay):
    ...     chosen = codes[:, None] == np.arange(len(state["tokens"]))  # (N, K)
    ...     counts = decay * state["counts"] + (1 - decay) * chosen.sum(axis=0)  # eq. 4
    ...     sums = decay * state["sums"] + (1 - decay) * chosen.T @ embeddings  # eq. 3
    ...     hit = chosen.any(axis=0)[:, None]
    ...     tokens = np.where(hit, sums / counts[:, None], state["tokens"])  # eq. 5
    ...     return {"tokens": tokens, "counts": counts, "sums": sums}
    >>> print(check_ema(step))
    check_ema, dialect paper: all 6 comparisons pass
    """
    return run_steps(case, adapter, step)


def which_dialect(
    step: Function, *, arrays: Arrays = "numpy", dtype: Precision = "float64"
) -> Dialect | None:
    """Return the dialect (EMA variant) of a step of the moving averages, or None.

    Parameters
    ----------
    step : function
        ``step(state, embeddings, codes, decay) -> state``, the contract of ``check_ema``:
        tokens and sums ``(K, D)``, counts ``(K,)``, embeddings ``(N, D)``, codes ``(N,)``.
    arrays, dtype
        As for every check.

    Returns
    -------
    "paper", "counts-one", "smoothed-state", "debiased" or None
        None when the step passes ``check_ema`` in none of them.

    Example
    -------
    >>> which_dialect(partial(moved, dialect="counts-one"))
    'counts-one'
    """
    asked = partial(check_ema, step, arrays=arrays, dtype=dtype, raises=False)
    return next((dialect for dialect in DIALECTS if asked(dialect=dialect).passed), None)
