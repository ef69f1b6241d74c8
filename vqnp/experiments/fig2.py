"""Figure 2: what an untrained encoder makes of ten clusters, and what a trained one does.

The codebook is initialized on one of the two. The untrained encoder's embeddings crowd into a small range with fewer peaks than
the data have; the trained one's (100 epochs of autoencoder, 2 → 1 dimensions) spread out.
"""

from typing import Any

import numpy as np

from vqnp.diagnostics import count_modes
from vqnp.experiments.claims import Claim, difference, ratio
from vqnp.experiments.plans import Plan, Results, arm
from vqnp.experiments.spec import Setting

TITLE = "The untrained encoder squeezes ten clusters into a small range"


def settings(plan: Plan) -> list[Setting]:
    """Return the runs: 2 → 1 with pretraining, one a seed; both encoders are those of these runs."""
    return [arm(plan, plan.clusters(2), 1, seed, pretrained=True) for seed in plan.seeds]


def numbers(plan: Plan, results: Results) -> list[dict[str, Any]]:
    """Return, for every seed, the extent and the number of modes of the data and of either encoder's embeddings."""
    rows = []
    for setting in settings(plan):
        result = results[setting]
        rows.append({
            "seed": setting.seed,
            "data_modes": count_modes(setting.data.load(setting.seed).points),
            "untrained": extent(result.untrained),
            "trained": extent(result.at_start),
        })  # fmt: skip
    return rows


def extent(embeddings: np.ndarray) -> dict[str, float]:
    """Return least, greatest, range and number of modes of embeddings ``(N, 1)``."""
    low, high = float(embeddings.min()), float(embeddings.max())
    return {"min": low, "max": high, "range": high - low, "modes": count_modes(embeddings)}


def claims(plan: Plan, results: Results) -> list[Claim]:
    """Return the claims of section 3.1 on the encoder before training."""
    rows = numbers(plan, results)
    untrained, trained = ([row[encoder] for row in rows] for encoder in ("untrained", "trained"))
    data_modes = [row["data_modes"] for row in rows]
    return [
        Claim(
            "fig2-range", "fig2", "The untrained encoder's outputs cluster in a relatively small range.", "section 3.1, Fig. 2",
            "range untrained / range trained", ratio([u["range"] for u in untrained], [t["range"] for t in trained]), "<", 0.5,
            "half the trained encoder's range is the most that can be called small beside it", plan.seeds,
        ),
        Claim(
            "fig2-untrained-peaks", "fig2", "The untrained encoder's output has fewer peaks than the input.", "section 3.1, Fig. 2",
            "modes of the untrained embeddings − modes of the data", difference([u["modes"] for u in untrained], data_modes), "<", 0,
            "clusters that overlap in the data count as one there too", plan.seeds,
        ),
        Claim(
            "fig2-trained-peaks", "fig2", "The trained encoder's output displays as many peaks as the input.", "section 3.1, Fig. 2",
            "modes of the trained embeddings − modes of the data", difference([t["modes"] for t in trained], data_modes), ">=", 0,
            "clusters that overlap in the data count as one there too", plan.seeds,
        ),
    ]  # fmt: skip
