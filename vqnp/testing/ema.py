"""Checks of the moving-average update (eqs. 3 to 5): ``step(state, embeddings, codes, decay) -> state``.

``state`` is a dictionary: tokens ``(K, D)``, L ``counts`` ``(K,)``, M ``sums`` ``(K, D)`` and ``steps`` taken so far, an integer.
The first is what the dialect starts with; after that the function is given back what it returned, whatever else it keeps there.
Compared are tokens after every step, and counts and sums where they are returned: `debiased` keeps them raw. The dialects are
those of ``vqnp/quantize/ema.py``; to differ from one is a difference, and a match with another says which one it is.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from vqnp.quantize.ema import DIALECTS, Codebook, Dialect, ema_update, require_dialect, smoothed
from vqnp.quantize.search import nearest_numpy
from vqnp.testing.adapter import Arrays, Port, Precision, to_numpy
from vqnp.testing.check import Check, Functions, judge
from vqnp.testing.golden import Case, cases, draw
from vqnp.testing.result import Mutant, Result, Tolerance
from vqnp.validation import Array

State = dict[str, Any]
STEPS = 10
ROUNDED = Tolerance(
    64,
    "ten steps add some sixteen embeddings of up to 4 each and divide them by small counts",
    scale=4.0,
)
FROZEN = Tolerance(0, "without hits M / L does not change: the token stays exactly where it is")


def check_ema(
    step: Callable[..., Any],
    *,
    dialect: Dialect = "paper",
    arrays: Arrays = "numpy",
    dtype: Precision = "float64",
    raises: bool = True,
) -> Result:
    """Check ten steps in ``dialect``, with codes that get no hits."""
    require_dialect(dialect)
    chosen = tuple(case for case in cases("ema") if case.settings["dialect"] == dialect)
    check = Check(f"check_ema, dialect {dialect}", chosen, _steps, mutants(dialect), ROUNDED)
    return judge(check, (step,), Port(arrays, dtype), raises=raises)


def check_ema_mask(
    step: Callable[..., Any],
    *,
    dialect: Dialect = "paper",
    arrays: Arrays = "numpy",
    dtype: Precision = "float64",
    raises: bool = True,
) -> Result:
    """Check ``step(state, embeddings, codes, decay, mask)``: where the mask is False, there is only padding."""
    require_dialect(dialect)
    chosen = tuple(case for case in cases("ema_mask") if case.settings["dialect"] == dialect)
    check = Check(
        f"check_ema_mask, dialect {dialect}", chosen, _steps, mask_mutants(dialect), ROUNDED
    )
    return judge(check, (step,), Port(arrays, dtype), raises=raises)


def check_ema_unused(
    step: Callable[..., Any],
    *,
    arrays: Arrays = "numpy",
    dtype: Precision = "float64",
    raises: bool = True,
) -> Result:
    """Check (dialect `paper`) that a code keeps its token to the bit when L and M have faded to almost nothing."""
    check = Check("check_ema_unused", cases("ema_unused"), _last_step, UNUSED_MUTANTS, FROZEN)
    return judge(check, (step,), Port(arrays, dtype), raises=raises)


def start_of(case: Case) -> State:
    """Return the state that a case starts with."""
    return {name: case.inputs[name] for name in ("tokens", "counts", "sums")} | {
        "steps": case.settings.get("steps_before", 0)
    }


def _run(case: Case, functions: Functions, port: Port) -> list[dict[str, Array]]:
    given = {
        name: port.give(case.inputs[name])
        for name in ("embeddings", "codes", "mask")
        if name in case.inputs
    }
    state, seen = port.give(start_of(case)), []
    for t in range(case.settings["steps"]):
        batch = [array[t] for array in given.values()]
        state = functions[0](state, *batch[:2], case.settings["decay"], *batch[2:])
        if not isinstance(state, dict) or "tokens" not in state:
            raise TypeError(
                f"step must return the state as a dictionary with tokens in it, got {type(state).__name__}"
            )
        seen.append(
            {name: to_numpy(state[name]) for name in ("tokens", "counts", "sums") if name in state}
        )
    return seen


def _steps(case: Case, functions: Functions, port: Port) -> dict[str, Array]:
    seen = _run(case, functions, port)
    return {name: np.stack([state[name] for state in seen]) for name in seen[-1]}


def _last_step(case: Case, functions: Functions, port: Port) -> dict[str, Array]:
    return {"tokens without hits": _run(case, functions, port)[-1]["tokens"][1:]}


# Written once more, and plainly, for the mutants: how the batch is averaged, and how the tokens are read.


def total(embeddings: Array, codes: Array, k: int) -> tuple[Array, Array]:
    """Return l and m of the batch."""
    chosen = codes[:, None] == np.arange(k)  # (N, K)
    return chosen.sum(axis=0).astype(embeddings.dtype), chosen.T.astype(
        embeddings.dtype
    ) @ embeddings


def mean(embeddings: Array, codes: Array, k: int) -> tuple[Array, Array]:
    """The mean of a code's embeddings where their sum belongs."""
    hits, sums = total(embeddings, codes, k)
    return hits, sums / np.maximum(hits, 1)[:, None]


def share(embeddings: Array, codes: Array, k: int) -> tuple[Array, Array]:
    """The share of the batch where the number of hits belongs."""
    hits, sums = total(embeddings, codes, k)
    return hits / len(codes), sums


def read_paper(
    counts: Array, sums: Array, tokens: Array, hits: Array, bias: float
) -> tuple[Array, Array]:
    """M / L for codes with hits."""
    return np.where(hits[:, None] > 0, sums / counts[:, None], tokens), counts


def read_divided(
    counts: Array, sums: Array, tokens: Array, hits: Array, bias: float
) -> tuple[Array, Array]:
    """M / L for all codes, hits or not."""
    return sums / counts[:, None], counts


def read_counts_one(
    counts: Array, sums: Array, tokens: Array, hits: Array, bias: float
) -> tuple[Array, Array]:
    """M / S, L kept raw."""
    return sums / smoothed(counts).astype(sums.dtype)[:, None], counts


def read_smoothed_state(
    counts: Array, sums: Array, tokens: Array, hits: Array, bias: float
) -> tuple[Array, Array]:
    """M / S, and S kept."""
    kept = smoothed(counts).astype(sums.dtype)
    return sums / kept[:, None], kept


def read_debiased(
    counts: Array, sums: Array, tokens: Array, hits: Array, bias: float
) -> tuple[Array, Array]:
    """Both averages divided by 1 − γ^t, then M / S."""
    return sums / bias / smoothed(counts / bias).astype(sums.dtype)[:, None], counts


def read_zeros(
    counts: Array, sums: Array, tokens: Array, hits: Array, bias: float
) -> tuple[Array, Array]:
    """Zero for codes without hits."""
    return np.where(hits[:, None] > 0, sums / counts[:, None], 0), counts


def ema(
    read: Callable[..., Any], batch: Callable[..., Any] = total, *, swapped: bool = False
) -> Callable[..., State]:
    """Return a step that averages ``batch`` and ``read``s the tokens; ``swapped``: γ weighs the batch."""

    def step(
        state: State, embeddings: Array, codes: Array, decay: float, mask: Array | None = None
    ) -> State:
        hits, sums = batch(embeddings, codes, len(state["tokens"]))
        old, new = (1 - decay, decay) if swapped else (decay, 1 - decay)
        counts, sums = old * state["counts"] + new * hits, old * state["sums"] + new * sums
        steps = state["steps"] + 1
        tokens, counts = read(counts, sums, state["tokens"], hits, 1 - decay**steps)
        return {"tokens": tokens, "counts": counts, "sums": sums, "steps": steps}

    return step


READ: dict[Dialect, Callable[..., Any]] = {
    "paper": read_paper, "counts-one": read_counts_one, "smoothed-state": read_smoothed_state, "debiased": read_debiased,
}  # fmt: skip
SAYS: dict[Dialect, str] = {
    "paper": "M / L where there were hits, the old token elsewhere",
    "counts-one": "smoothed counts when the tokens are read: codes without hits slide to the origin",
    "smoothed-state": "the smoothed counts are stored back",
    "debiased": "averages are divided by 1 − γ^t: the initial codebook is thrown away",
}


def mutants(dialect: Dialect) -> tuple[Mutant, ...]:
    """Return the other dialects, and what goes wrong in any of them."""
    read = READ[dialect]
    others = (
        Mutant(f"dialect-{other}", SAYS[other], (ema(READ[other]),))
        for other in DIALECTS
        if other != dialect
    )
    return (
        *others,
        Mutant("decay-swapped", "γ weighs the new batch and 1 − γ the past", (ema(read, swapped=True),)),
        Mutant("batch-mean", "M averages the mean of a code's embeddings; it is their sum", (ema(read, mean),)),
        Mutant("batch-share", "L averages shares of the batch; it is the number of hits", (ema(read, share),)),
        Mutant("codes-reversed", "codes and embeddings are not in the same order",
               (lambda state, z, codes, decay: ema(read)(state, z, codes[::-1], decay),)),
        Mutant("zeros-without-hits", "codes without hits become 0", (ema(read_zeros),)),
        Mutant("no-average", "the tokens become the means of this batch; nothing is remembered",
               (lambda state, z, codes, decay: ema(read)(state, z, codes, 0.0),)),
    )  # fmt: skip


def mask_mutants(dialect: Dialect) -> tuple[Mutant, ...]:
    """Return what goes wrong with padding."""
    plain = ema(READ[dialect])
    return (
        Mutant("padding-counted", "padded embeddings are counted: leave out what the mask leaves out", (plain,)),
        Mutant("mask-inverted", "the mask is read the other way round: True marks embeddings, False padding",
               (lambda state, z, codes, decay, mask: plain(state, z[~mask], codes[~mask], decay),)),
        Mutant("padding-zeroed", "padded embeddings are set to zero, but still counted in L",
               (lambda state, z, codes, decay, mask: plain(state, z * mask[:, None], codes, decay),)),
    )  # fmt: skip


UNUSED_MUTANTS = (
    Mutant("unused-divided", "M / L is computed without hits, too, and both fade into denormal numbers: keep the old token",
           (ema(read_divided),)),
    Mutant("unused-slides", "smoothed counts let codes without hits slide to the origin", (ema(read_counts_one),)),
    Mutant("unused-zeroed", "codes without hits become 0", (ema(read_zeros),)),
)  # fmt: skip


def _case(
    name: str, dialect: Dialect, state: Codebook, inputs: dict[str, Array], decay: float = 0.9
) -> Case:
    start = {
        "tokens": state.tokens.copy(),
        "counts": state.counts.copy(),
        "sums": state.sums.copy(),
    }
    settings = {
        "dialect": dialect,
        "decay": decay,
        "steps": len(inputs["codes"]),
        "steps_before": state.steps,
    }
    seen = []
    masks = inputs.get("mask", np.ones(inputs["codes"].shape, np.bool_))
    for z, codes, mask in zip(inputs["embeddings"], inputs["codes"], masks, strict=True):
        ema_update(state, z[mask], codes[mask], decay, dialect)
        seen.append((state.tokens.copy(), state.counts.copy(), state.sums.copy()))
    outputs = dict(
        zip(("tokens", "counts", "sums"), map(np.stack, zip(*seen, strict=True)), strict=True)
    )
    return Case(name, start | inputs, outputs, settings)


def _start(dialect: Dialect, tokens: Array, counts: Array, rng: np.random.Generator) -> Codebook:
    """Start a codebook, with noise that float32 holds where there is noise."""
    state = Codebook.start(tokens, counts, dialect, rng=rng)
    if dialect == "smoothed-state":
        state.sums[:] = draw(rng, *tokens.shape)
    return state


def _batches(rng: np.random.Generator, tokens: Array) -> dict[str, Array]:
    """Ten batches; the last two codes get no hits at all, and codes 4 and 5 only in some steps."""
    embeddings = draw(rng, STEPS, 16, tokens.shape[1])
    codes = np.stack([nearest_numpy(z, tokens[:-2])[0] for z in embeddings])
    codes[::3][codes[::3] > 3] = 0
    return {"embeddings": embeddings, "codes": codes}


def make_cases() -> tuple[Case, ...]:
    """Two cases a dialect: from its start, and from a later state, in which the smoothing weighs more than float32 rounds."""
    rng = np.random.default_rng(2)
    tokens, counts = draw(rng, 8, 3), rng.integers(1, 9, 8) / 2
    inputs, made = _batches(rng, tokens), []
    for dialect in DIALECTS:
        start = _start(dialect, tokens, counts, rng)
        later = Codebook(tokens.copy(), counts / 1024, counts[:, None] / 1024 * tokens, steps=5)
        made += [
            _case(dialect, dialect, start, inputs),
            _case(f"{dialect}, later", dialect, later, inputs),
        ]
    return tuple(made)


def make_mask_cases() -> tuple[Case, ...]:
    """One case a dialect, with a third of each batch padded by something far away."""
    rng = np.random.default_rng(3)
    tokens = draw(rng, 6, 2)
    inputs = _batches(rng, tokens)
    inputs["mask"] = np.stack([rng.permutation(16) >= 5 for _ in range(STEPS)])
    inputs["embeddings"][~inputs["mask"]] += 8
    made = []
    for dialect in DIALECTS:
        state = _start(dialect, tokens, np.full(6, 2.0), rng)
        made.append(_case(dialect, dialect, state, inputs))
    return tuple(made)


def make_unused_cases() -> tuple[Case, ...]:
    """L starts at the smallest normal number of a precision, so that forty steps show what thousands would."""
    rng = np.random.default_rng(4)
    made = []
    for dtype in np.float32, np.float64:
        tokens, steps = draw(rng, 3, 2), 40
        state = Codebook.start(tokens, np.array([2.0, *[float(np.finfo(dtype).tiny)] * 2]), rng=rng)
        inputs = {
            "embeddings": np.tile(tokens[0], (steps, 4, 1)),
            "codes": np.zeros((steps, 4), np.int64),
        }
        case = _case(dtype.__name__, "paper", state, inputs)
        made.append(
            Case(
                case.name,
                case.inputs,
                {"tokens without hits": tokens[1:]},
                case.settings | {"dtype": case.name},
            )
        )
    return tuple(made)


MAKE = {"ema": make_cases, "ema_mask": make_mask_cases, "ema_unused": make_unused_cases}
