"""What the sources of the methods claim, as bounds on the numbers of the table.

They are claims on images and on the clusters from 8 dimensions to 4, each for itself. Unless it
says else, a claim is about runs without pretraining.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from vqnp.experiments.claims import DIRECTION, Claim
from vqnp.experiments.table_plan import Case, TablePlan
from vqnp.experiments.tables import Row, Table, select

BENCHMARK = "a public benchmark of tokenizers on 64 × 64 pixels"
OURS = "beyond the papers"
NEARLY_ALL = "the source names a number near all codes, at another size and budget"
COMPARABLE = "one part in ten is what this package allows for comparable"

Bound = tuple[Literal["<", ">", "<=", ">="], float]


class Expected(NamedTuple):
    """A claim on a ``quantity`` of a row, or on its ratio to that of the row ``beside``."""

    id: str
    statement: str
    source: str
    row: str
    quantity: str
    bound: Bound
    beside: str = ""
    because: str = DIRECTION
    quantity_beside: str = ""


EXPECTED = (
    Expected("soundstream-codes", "Revival leaves hardly a code dead.",
             "reports of users of public code", "soundstream", "used_share", (">", 0.9),
             because=NEARLY_ALL),
    Expected("split-codes", "Splitting the most used token leaves hardly a code dead.",
             "Mentzer et al., 2023, of UViM", "split", "used_share", (">", 0.9),
             because=NEARLY_ALL),
    Expected("cvq-codes", "With CVQ all codes are in use.", "Zheng and Vedaldi, 2023",
             "cvq", "used_share", (">", 0.99), because=NEARLY_ALL),
    Expected("cosine-perplexity", "Cosine codes are used more evenly.", BENCHMARK,
             "cosine", "perplexity", (">", 1), "gradient"),
    Expected("low-dim-perplexity", "In few dimensions codes are used more evenly.", BENCHMARK,
             "low-dim", "perplexity", (">", 1), "ema"),
    Expected("orthogonal-below", "With more tokens than dimensions, the orthogonal penalty does "
             "not raise the perplexity.", OURS, "orthogonal", "perplexity", ("<", 1.1),
             "gradient", COMPARABLE),
    Expected("product-share", "Small codebooks of slices use a larger share of their joint codes.",
             OURS, "product", "perplexity_share", (">", 1), "ema"),
    Expected("residual-near", "At equal bits, residual quantization is nearer to the embeddings.",
             "Lee et al., 2022", "residual", "quantization_error", ("<", 1), "ema"),
    Expected("qinco-near", "QINCo is nearer to the embeddings than residual quantization.",
             "Huijben et al., 2024", "qinco", "quantization_error", ("<", 1), "residual"),
    Expected("qinco-usage", "Codebooks that depend on what came before are used less evenly.",
             "a pull request to public code", "qinco", "perplexity", ("<", 1), "residual"),
    Expected("fsq-codes", "FSQ uses nearly all codes.", "Mentzer et al., 2023",
             "fsq", "used_share", (">", 0.9), because=NEARLY_ALL),
    Expected("fsq-error", "With few tokens, a learnt codebook has a lower error than FSQ.",
             "Mentzer et al., 2023", "fsq", "mse", (">", 1), "ema"),
    Expected("lfq-collapse", "Without the entropy loss LFQ collapses.", BENCHMARK,
             "lfq-plain", "perplexity", ("<", 0.5), "lfq", "a collapse halves it at least"),
    Expected("lfq-error", "LFQ has a higher error than moving averages.", BENCHMARK,
             "lfq", "mse", (">", 1), "ema"),
    Expected("entropy-perplexity", "The entropy loss raises the perplexity.", BENCHMARK,
             "entropy", "perplexity", (">", 1), "gradient"),
    Expected("entropy-error", "The entropy loss raises the error.", BENCHMARK,
             "entropy", "mse", (">", 1), "gradient"),
    Expected("latent-error", "Latent quantization leaves the reconstruction unchanged.",
             "Hsu et al., 2023", "latent", "mse", ("<", 1.1), "gradient", COMPARABLE),
    Expected("soft-error", "Mixtures of tokens reconstruct better than tokens.",
             "Gautam et al., 2023", "soft", "mse_soft", ("<", 1), "ema",
             quantity_beside="mse"),
    Expected("soft-perplexity", "Soft convex quantization uses its codes more evenly.",
             "Gautam et al., 2023", "soft", "perplexity", (">", 1), "ema"),
    Expected("soft-hardened", "From codes alone, soft convex quantization is no worse.", OURS,
             "soft", "mse", ("<=", 1), "ema"),
    Expected("hyperbolic-perplexity", "Hyperbolic regions mitigate collapse.",
             "Goswami et al., 2024", "hyperbolic", "perplexity", (">", 1), "ema"),
    Expected("hyperbolic-error", "Hyperbolic regions reconstruct comparably.",
             "Goswami et al., 2024", "hyperbolic", "mse", ("<", 1.1), "ema", COMPARABLE),
    Expected("edvae-error", "EdVAE has a lower error than dVAE.", "Baykal et al., 2024",
             "edvae", "mse", ("<", 1), "dvae"),
    Expected("edvae-perplexity", "EdVAE has a higher perplexity than dVAE.",
             "Baykal et al., 2024", "edvae", "perplexity", (">", 1), "dvae"),
    Expected("edvae-divergence", "The divergence of EdVAE raises its perplexity.", OURS,
             "edvae", "perplexity", (">", 1), "edvae-plain"),
    Expected("dvae-codes", "The relaxation needs no revival.", "Ramesh et al., 2021",
             "dvae", "used_share", (">", 0.9), because=NEARLY_ALL),
    Expected("simvq-codes", "SimVQ uses all codes.", "Zhu et al., 2024",
             "simvq", "used_share", (">", 0.99), because=NEARLY_ALL),
    Expected("simvq-error", "SimVQ reconstructs better.", "Zhu et al., 2024",
             "simvq", "mse", ("<", 1), "gradient"),
    Expected("rotation-near", "The rotation trick lowers the quantization error.",
             "Fifty et al., 2024", "rotation", "quantization_error", ("<", 1), "ema"),
    Expected("rotation-error", "The rotation trick does not lower the error of a plain VQ-VAE.",
             "Fifty et al., 2024", "rotation", "mse", (">=", 1), "ema"),
    Expected("wasserstein-codes", "With matched spreads nearly all codes are used.",
             "Fang et al., 2025", "wasserstein", "used_share", (">", 0.95), because=NEARLY_ALL),
)  # fmt: skip
WORDS = {
    "mse": "error from codes",
    "mse_soft": "soft error",
    "used_share": "share of codes used",
    "perplexity_share": "perplexity over its maximum",
    "quantization_error": "quantization error",
}


def claims(plan: TablePlan, table: Table) -> list[Claim]:
    """Return the claims whose rows are all there, finished and finite."""
    made = [
        expected_claim(each, case, plan.seeds(case), table)
        for case in plan.cases
        if case.token_dim > 1  # on a line most methods are one another, or do not exist
        for each in EXPECTED
    ]
    made += [remedy_claim(case.key, case.name, plan.seeds(case), table) for case in plan.cases]
    made.append(patches_claim(plan, table))
    return [claim for claim in made if claim is not None]


def expected_claim(
    expected: Expected, case: Case, seeds: tuple[int, ...], table: Table
) -> Claim | None:
    """Return a claim of ``EXPECTED`` on a case, or None where a number of it is missing."""
    top = by_seed(table, case.key, expected.row, expected.quantity, seeds)
    words = WORDS.get(expected.quantity, expected.quantity)
    measured = f"{case.name}: {words} of {expected.row}"
    if expected.beside:
        quantity = expected.quantity_beside or expected.quantity
        bottom = by_seed(table, case.key, expected.beside, quantity, seeds)
        top = [a / b if a is not None and b else None for a, b in zip(top, bottom, strict=True)]
        measured += f" / that of {expected.beside}"
    return claim_of(
        f"{case.key}-{expected.id}", expected.statement, expected.source, measured, top,
        expected.bound, expected.because, seeds,
    )  # fmt: skip


def remedy_claim(case: str, name: str, seeds: tuple[int, ...], table: Table) -> Claim | None:
    """Return the claim that pretraining helps every row of a case that is run with and without."""
    own = [row for row in select(table, case=case) if row.get("main")]
    both = {row["method"] for row in own if row["pretrained"]} & {
        row["method"] for row in own if not row["pretrained"]
    }

    def ratio(method: str, seed: int) -> float | None:
        """How often the perplexity with pretraining holds that without."""
        with_, without = (
            number(own, method, "perplexity", seed, pretrained) for pretrained in (True, False)
        )
        return with_ / without if with_ and without else None

    gains = [[ratio(method, seed) for method in both] for seed in seeds]
    least = [
        None if None in each else min((gain for gain in each if gain is not None), default=None)
        for each in gains
    ]
    return claim_of(
        f"pretraining-{case}", f"Pretraining raises the perplexity of every row, {name}.", OURS,
        f"the least perplexity with / without pretraining, {len(both)} rows", least, (">", 1),
        "the remedy is said to work for the codebook, whatever quantizes", seeds,
    )  # fmt: skip


def patches_claim(plan: TablePlan, table: Table) -> Claim | None:
    """Return the claim that a learnt code beats that of raw patches."""
    seeds, rows = plan.images.seeds, select(table, case="images", method="ema", pretrained=True)
    own = [row for row in rows if row.get("main")]
    values = [number(own, "ema", "mse_over_patches", seed, True) for seed in seeds]
    return claim_of(
        "beats-patches", "A pretrained VQ-VAE beats k-means on raw patches at equal bits.", OURS,
        "error of ema, pretrained / that of raw patches", values, ("<", 1),
        "a network that loses to no network is undertrained", seeds,
    )  # fmt: skip


def claim_of(
    id: str, statement: str, source: str, measured: str, values: Sequence[Any], bound: Bound,
    because: str, seeds: tuple[int, ...],
) -> Claim | None:  # fmt: skip
    """Return the claim, or None where a value is missing."""
    if None in values:
        return None
    return Claim(
        id=f"table-{id}", figure="table", statement=statement, source=source, measured=measured,
        values=list(values), bound=bound, because=because, seeds=seeds,
    )  # fmt: skip


def by_seed(
    table: Table, case: str, method: str, quantity: str, seeds: tuple[int, ...]
) -> list[float | None]:
    """Return the numbers of a row's first arm, seed by seed."""
    rows = [row for row in select(table, case=case, method=method) if row.get("main")]
    pretrained = min((row["pretrained"] for row in rows), default=False)
    return [number(rows, method, quantity, seed, pretrained) for seed in seeds]


def number(
    rows: Sequence[Row], method: str, quantity: str, seed: int, pretrained: bool
) -> float | None:
    """Return a number of a run, or None where it is missing."""
    found = select(rows, method=method, seed=seed, pretrained=pretrained)
    value = found[0].get(quantity) if found else None
    return None if value is None else float(value)
