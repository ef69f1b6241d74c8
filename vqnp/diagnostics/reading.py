"""What the numbers of a diagnosis say, in plain sentences, and whether they amount to a collapse."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from vqnp.diagnostics.classes import chance_divergence

if TYPE_CHECKING:
    from vqnp.diagnostics.diagnosis import Diagnosis

# The limits of the verdict are conventions: wide enough that chance does not cross them, and stated with the verdict.
LOW_SHARE = 0.5  # of the perplexity, the spread or the modes there could be
HIGH_OUTSIDE = 0.1  # share outside; chance is 0.01
HIGH_DIVERGENCE = 0.1  # bits above chance

FORMATS = {
    "n_embeddings": "d",
    "n_tokens": "d",
    "codes_used": "d",
    "perplexity": ".1f",
    "quantization_error": ".4f",
    "spread_ratio": ".3f",
    "tokens_outside": ".3f",
    "class_divergence": ".3f",
    "token_dimension": "d",
    "token_rank": ".2f",
    "embedding_dimension": "d",
    "embedding_rank": ".2f",
    "embedding_modes": "d",
    "data_modes": "d",
    "reconstruction_outside": ".3f",
    "class_spread_ratio": ".3f",
    "energy_distance": ".4f",
}


def verdict(diagnosis: Diagnosis) -> str:
    """Answer "is my codebook collapsing?": yes when there is a sign of it, and which; perhaps when points only stray."""
    found = signs(diagnosis)
    if not found:
        return "No sign of collapse."
    answer = "Perhaps." if list(found) == ["Outside"] else "Yes."
    return " ".join(
        [answer, *(f"{kind}: {', '.join(reasons)}." for kind, reasons in found.items())]
    )


def signs(diagnosis: Diagnosis) -> dict[str, list[str]]:
    """Return the signs of each kind of trouble; a kind without a sign has no entry.

    *Tokens collapse*: perplexity below half of min(K, N); token spread below half of what the tokens could reach
    (``expected_spread``); class shares more than 0.1 bit further apart than random tokens would be.
    *Embeddings collapse*: all embeddings coincide; fewer than half as many modes as the data.
    *Outside*: more than a tenth of the tokens outside the embeddings, or of the reconstructions outside the data. Dead
    tokens can cause it, and so can embeddings that have collapsed away from them.
    """
    d = diagnosis
    of_tokens = {
        f"perplexity is {d.perplexity:.1f} of {possible(d)}": d.perplexity
        < LOW_SHARE * possible(d),
        "tokens crowd": d.spread_ratio is not None
        and d.spread_ratio < LOW_SHARE * expected_spread(d),
        "classes go short of tokens": d.class_divergence is not None
        and d.class_divergence > chance_divergence(d.n_tokens, d.n_classes or 1) + HIGH_DIVERGENCE,
    }
    of_embeddings = {
        "all embeddings coincide": d.embedding_dimension == 0,
        "modes have merged": d.data_modes is not None
        and d.embedding_modes < LOW_SHARE * d.data_modes,
    }
    outside = {
        f"{d.tokens_outside:.0%} of the tokens": d.tokens_outside > HIGH_OUTSIDE,
        f"{d.reconstruction_outside or 0:.0%} of the reconstructions": (
            d.reconstruction_outside or 0
        )
        > HIGH_OUTSIDE,
    }
    kinds = {"Tokens collapse": of_tokens, "Embeddings collapse": of_embeddings, "Outside": outside}
    found = {
        kind: [reason for reason, holds in reasons.items() if holds]
        for kind, reasons in kinds.items()
    }
    return {kind: reasons for kind, reasons in found.items() if reasons}


def possible(diagnosis: Diagnosis) -> int:
    """Return min(K, N), the most codes that can be used and the highest perplexity."""
    return min(diagnosis.n_tokens, diagnosis.n_embeddings)


def expected_spread(diagnosis: Diagnosis) -> float:
    """Return sqrt(1 − K^(−2/d)), the spread ratio of an ideal codebook for a round Gaussian in d dimensions.

    K^(−2/d) is the share of the variance that ln K nats a point must leave over: the distortion-rate function. d is the
    effective rank of the embeddings. It is 0 for one token, and near 1 when tokens are many and dimensions few.
    """
    if diagnosis.embedding_rank == 0:
        return 0.0
    return (1 - diagnosis.n_tokens ** (-2 / diagnosis.embedding_rank)) ** 0.5


def readings(diagnosis: Diagnosis) -> dict[str, str]:
    """Return one sentence for each number that was measured, by the name of its field."""
    d = diagnosis
    sentences = {
        "n_embeddings": f"{d.n_embeddings} embeddings in {d.dimension} dimensions.",
        "n_tokens": f"{d.n_tokens} tokens" + (f"; {d.n_classes} classes." if d.n_classes else "."),
        "codes_used": _codes_used(d),
        "perplexity": f"As even as {d.perplexity:.1f} equally used tokens, {d.perplexity / possible(d):.0%} of the "
        f"{possible(d)} there could be.",
        "quantization_error": f"Quantization loses {d.quantization_error or 0:.1%} of the embeddings' variance.",
        "spread_ratio": f"Tokens spread {d.spread_ratio or 0:.2f} times as far as embeddings; "
        f"a good codebook of this size about {expected_spread(d):.2f} or more.",
        "tokens_outside": f"{d.tokens_outside:.1%} of the tokens lie outside the embeddings; chance is 1%.",
        "class_divergence": f"{d.class_divergence or 0:.3f} bits between the classes' shares of tokens and of embeddings; "
        f"chance is {chance_divergence(d.n_tokens, d.n_classes or 1):.3f}.",
        "token_dimension": _directions("tokens", d.token_dimension, d.dimension),
        "token_rank": f"The tokens fill {d.token_rank:.1f} of {d.dimension} directions.",
        "embedding_dimension": _directions("embeddings", d.embedding_dimension, d.dimension),
        "embedding_rank": f"The embeddings fill {d.embedding_rank:.1f} of {d.dimension} directions.",
        "embedding_modes": f"The density of the embeddings has {_peaks(d.embedding_modes)}.",
        "data_modes": f"The density of the data has {_peaks(d.data_modes)}.",
        "reconstruction_outside": f"{d.reconstruction_outside or 0:.1%} of the reconstructions lie outside the data; "
        "chance is 1%.",
        "class_spread_ratio": f"Within a class the reconstruction has {d.class_spread_ratio or 0:.0%} of the data's spread.",
        "energy_distance": "From reconstruction to data, in the data's unit; 0 would be the same distribution.",
    }
    return {name: sentence for name, sentence in sentences.items() if getattr(d, name) is not None}


def lines(diagnosis: Diagnosis) -> list[tuple[str, str, str]]:
    """Return the name, the value and the reading of each number that was measured."""
    return [
        (_title(name), _value(diagnosis, name), sentence)
        for name, sentence in readings(diagnosis).items()
    ]


def table(diagnosis: Diagnosis) -> str:
    """Return ``lines`` as a table."""
    from tabulate import tabulate

    headers = ["number", "value", "reading"]
    return str(
        tabulate(
            lines(diagnosis), headers=headers, disable_numparse=True, colalign=("left", "right")
        )
    )


def side_by_side(diagnoses: Mapping[str, Diagnosis]) -> str:
    """Return a table with a column for each diagnosis, under its name, and a row for each number any of them measured.

    Raises ``ValueError`` when there is none.
    """
    from tabulate import tabulate

    if not diagnoses:
        raise ValueError("diagnoses is empty: there is nothing to compare")
    rows = [
        [_title(name), *(_value(diagnosis, name) for diagnosis in diagnoses.values())]
        for name in FORMATS
        if any(getattr(diagnosis, name) is not None for diagnosis in diagnoses.values())
    ]
    rows.append(
        [
            "signs",
            *(", ".join(signs(diagnosis)).lower() or "none" for diagnosis in diagnoses.values()),
        ]
    )
    align = ["left"] + ["right"] * len(diagnoses)
    return str(tabulate(rows, headers=["", *diagnoses], disable_numparse=True, colalign=align))


def _codes_used(d: Diagnosis) -> str:
    dead = d.n_tokens - d.codes_used
    if not dead:
        return "Every token is chosen at least once."
    return f"{d.codes_used} of {d.n_tokens} tokens are ever chosen: {dead / d.n_tokens:.0%} of the codebook is dead."


def _directions(what: str, count: int, dimension: int) -> str:
    if not count:
        return f"All {what} coincide."
    return f"99% of the variance of the {what} lies in {count} of {dimension} directions."


def _peaks(count: int | None) -> str:
    return "1 peak" if count == 1 else f"{count} peaks"


def _title(name: str) -> str:
    return name.removeprefix("n_").replace("_", " ")


def _value(diagnosis: Diagnosis, name: str) -> str:
    value = getattr(diagnosis, name)
    return "–" if value is None else format(value, FORMATS[name])
