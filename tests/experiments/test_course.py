"""A codebook has recovered when its perplexity stays above the mark; a start above it is none."""

import pytest

from vqnp.experiments import course
from vqnp.experiments.plans import ImagesPlan
from vqnp.plots import style

STEPS = (1, 10, 20, 30, 40)


def looks(*perplexities):
    return [{"step": s, "perplexity": float(p)} for s, p in zip(STEPS, perplexities, strict=True)]


def pair(*perplexities):
    return course.Pair(64, 40, looks(*perplexities), looks(9, 9, 9, 9, 40))  # the mark is 20


@pytest.mark.parametrize(
    ("perplexities", "outcome"),
    [
        ((30, 2, 15, 20, 25), "recovered from step 30 on"),  # k-means left it above the mark
        ((30, 2, 25, 19, 25), "recovered from step 40 on"),  # it fell back once
        ((30, 2, 15, 18, 19), "not recovered within 40 steps"),
        ((30, 25, 25, 19, 19), "not recovered within 40 steps"),
        ((30, 21, 20, 22, 25), "no collapse"),
    ],
)
def test_the_outcome_of_a_pair(perplexities, outcome):
    assert pair(*perplexities).outcome == outcome


def rows(*perplexities, steps=40, tokens=64):
    shared = {"tokens": tokens, "steps": steps}
    return [
        shared | {"pretrained": False, "course": looks(*perplexities)},
        shared | {"pretrained": True, "course": looks(9, 9, 9, 9, 40)},
        shared | {"pretrained": True, "course": None},  # another seed
    ]


@pytest.mark.parametrize(
    ("last", "holds", "said"),
    [(19, True, "not recovered within 40 steps"), (20, False, "recovered from step 40 on")],
)
def test_the_claim_of_a_collapse_holds_unless_the_codebook_recovers(last, holds, said):
    (claim,) = course.claims(ImagesPlan(), rows(30, 2, 3, 4, last))
    assert claim.id == "fig4-64-40-collapsed"
    assert claim.statement == (
        "64 tokens: without pretraining, the codebook does not recover within 40 steps."
    )
    assert claim.holds is holds
    assert claim.values == (last / 40,)
    assert said in claim.measured


def test_the_long_pair_is_a_pair_of_its_own():
    table = rows(30, 2, 3, 4, 5) + rows(30, 2, 3, 4, 25, steps=90) + rows(9, 9, 9, 9, 9, tokens=8)
    found = course.pairs(table)
    assert [(pair.n_tokens, pair.steps) for pair in found] == [(8, 40), (64, 40), (64, 90)]
    assert course.sizes(found) == [8, 64]
    _, axes = style.new_figure(1, 2, 8, 3)
    course.draw(axes[0], found)
    titles = [panel.get_title() for panel in axes[0]]
    assert titles[0] == "8 tokens: not recovered within 40 steps"
    assert titles[1].splitlines() == [
        "64 tokens: not recovered within 40 steps",
        "and in the thin lines: recovered from step 40 on",
    ]
    dots = [line.get_xydata().tolist() for line in axes[0, 1].lines if line.get_marker() == "o"]
    assert dots == [[[40.0, 25.0]]]
