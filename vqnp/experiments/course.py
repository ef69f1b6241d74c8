"""The course of a collapse: does a codebook recover by training on, when, and how far?

K-means spreads the tokens over the embeddings of the untrained encoder. In the next steps the
embeddings move away, and the perplexity falls. So a codebook has recovered only from the step on
after which its perplexity stays above the mark, which is half of what pretraining leads to.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vqnp.experiments.claims import Claim, claim_maker
from vqnp.experiments.plans import ImagesPlan, baseline_and_pretrained
from vqnp.experiments.spec import RunSpec
from vqnp.experiments.tables import Row, Table
from vqnp.plots import style

Course = Sequence[Row]  # of {"step", "mse", "perplexity", "codes_used"}
MARK = 0.5  # of the pretrained arm's perplexity at the end


@dataclass(frozen=True)
class Pair:
    """The courses of both arms of a codebook, over the same number of steps."""

    n_tokens: int
    steps: int
    without: Course
    pretrained: Course

    @property
    def mark(self) -> float:
        """The perplexity from which on the codebook counts as recovered."""
        return MARK * float(self.pretrained[-1]["perplexity"])

    @property
    def recovered_at(self) -> int | None:
        """The first step from which on the arm without pretraining stays at the mark or above."""
        found = None
        for look in reversed(self.without):
            if look["perplexity"] < self.mark:
                break
            found = int(look["step"])
        return found

    @property
    def outcome(self) -> str:
        """Say when the codebook recovered."""
        if self.recovered_at is None:
            return f"not recovered within {self.steps:,} steps"
        if self.recovered_at == self.without[0]["step"]:
            return "no collapse"
        return f"recovered from step {self.recovered_at:,} on"


def runs(plan: ImagesPlan) -> list[RunSpec]:
    """Return both arms of each codebook that is followed, and the long pair of one of them."""
    seed = plan.seeds[0]
    followed = [baseline_and_pretrained(plan, n_tokens, seed) for n_tokens in plan.n_tokens_course]
    if plan.n_tokens_long is not None:
        long = (plan.long_run(seed, pretrained=pretrained) for pretrained in (False, True))
        followed.append(tuple(long))  # type: ignore[arg-type]
    return [spec for pair in followed for spec in pair]


def pairs(table: Table) -> list[Pair]:
    """Return the pairs in the rows that have a course, the smallest codebook's first."""
    courses = {
        (row["tokens"], row["steps"], row["pretrained"]): row["course"]
        for row in table
        if row["course"] and row.get("followed", True)
    }
    return [
        Pair(n_tokens, steps, courses[n_tokens, steps, False], courses[n_tokens, steps, True])
        for n_tokens, steps in sorted({key[:2] for key in courses})
    ]


def claims(plan: ImagesPlan, table: Table) -> list[Claim]:
    """Return a claim for each pair: that its codebook does not recover."""
    return [
        claim_maker(
            "fig4",
            {
                "collapsed": "without pretraining, the codebook does not recover "
                f"within {pair.steps:,} steps."
            },
            key=f"{pair.n_tokens}-{pair.steps}-",
            about=f"{pair.n_tokens:,} tokens: ",
        )(
            "collapsed",
            source="beyond the paper",
            measured=f"perplexity at the end without / with pretraining ({pair.outcome})",
            values=(pair.without[-1]["perplexity"] / pair.pretrained[-1]["perplexity"],),
            bound=("<", MARK),
            because="half of the pretrained arm's perplexity is the mark of a recovery, and "
            "it counts from the step on after which no look finds less",
            seeds=plan.seeds[:1],
        )
        for pair in pairs(table)
    ]


def draw(axes: Sequence[Any], followed: Sequence[Pair]) -> None:
    """Draw each codebook's perplexity by step into one of ``axes``."""
    for panel, n_tokens in zip(axes, sizes(followed), strict=True):
        own = [pair for pair in followed if pair.n_tokens == n_tokens]
        draw_pairs(panel, own)
        outcome = "\nand in the thin lines: ".join(pair.outcome for pair in own)
        panel.set(title=f"{n_tokens:,} tokens: {outcome}", xlabel="steps of training")
        for axis in (panel.xaxis, panel.yaxis):
            axis.set_major_formatter("{x:,.0f}")
    axes[0].set_ylabel("perplexity over the first 1,000 test images")
    axes[0].legend(fontsize=7)


def draw_pairs(axes: Any, own: Sequence[Pair]) -> None:
    """Draw pairs of one codebook, each thinner than the one before, with a dot at the recovery."""
    for i, pair in enumerate(own):
        width = 1.8 / (1 + i)
        arms = zip((pair.without, pair.pretrained), style.ARMS, strict=True)
        for looks, (_, color, label) in arms:
            x, y = ([look[name] for look in looks] for name in ("step", "perplexity"))
            axes.plot(x, y, color=color, linewidth=width, label=None if i else label)
        named = None if i else "half of what pretraining leads to"
        axes.plot([0, pair.steps], [pair.mark] * 2, label=named, **style.GUIDE)
        for look in pair.without:
            if look["step"] == pair.recovered_at:
                axes.plot(look["step"], look["perplexity"], "o", color=style.BASELINE)
    axes.set_ylim(0, None)


def sizes(followed: Sequence[Pair]) -> list[int]:
    """Return the sizes of the codebooks that are followed, each once."""
    return sorted({pair.n_tokens for pair in followed})
