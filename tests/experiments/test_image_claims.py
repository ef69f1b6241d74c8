"""Claims on images side with the paper when the numbers do, and only then."""

import pytest

from vqnp.experiments import fig4, fig4b, fig6
from vqnp.experiments.plans import ImagesPlan, baseline_and_pretrained

PLAN = ImagesPlan(seeds=(0,), seeds_fig4b=(0,), seeds_fig6=(0,))
GOOD = {  # (tokens, pretrained): MSE, perplexity; the paper's story
    (16, False): (0.030, 10), (16, True): (0.031, 11),
    (256, False): (0.020, 60), (256, True): (0.018, 120),
    (1024, False): (0.0199, 61), (1024, True): (0.012, 400),
}  # fmt: skip
BAD = {
    (16, False): (0.031, 10), (16, True): (0.010, 11),
    (256, False): (0.020, 60), (256, True): (0.018, 120),
    (1024, False): (0.010, 200), (1024, True): (0.019, 110),
}  # fmt: skip


def fig4_claims(table):
    rows = [
        {"tokens": k, "pretrained": p, "mse": mse, "perplexity": q, "steps": 9, "course": None}
        for (k, p), (mse, q) in table.items()
    ]
    # The long pair has no say in what the sweep shows.
    rows.append(rows[-1] | {"steps": 99, "mse": 0.5, "perplexity": 1})
    return fig4.claims(PLAN, rows)


def test_fig4_claims():
    assert [claim.holds for claim in fig4_claims(GOOD)] == [True] * 8
    assert [claim.holds for claim in fig4_claims(BAD)] == [False] * 8


def test_fig4_has_a_claim_against_pretraining():
    against = fig4_claims(GOOD)[0]
    assert against.statement == "With few tokens, pretraining is a slight disadvantage."
    assert against.values == pytest.approx((0.031 / 0.030,))


@pytest.mark.parametrize(
    ("untrained", "more_images", "pretrained", "dialects", "holds"),
    [(10, 20, 100, 40, True), (10, 9, 5, 4, False)],
)
def test_fig4b_claims(untrained, more_images, pretrained, dialects, holds):
    def perplexity(facts):
        if not facts["pretrained"]:
            return untrained if facts["sample"] == PLAN.sample else more_images
        return pretrained if facts["dialect"] == "paper" else dialects

    table = [facts | {"perplexity": float(perplexity(facts))} for facts, _ in fig4b.arms(PLAN)]
    made = fig4b.claims(PLAN, table)
    assert [claim.holds for claim in made[:3]] == [holds] * 3
    assert [claim.holds for claim in made[3:]] == [holds] * 3  # 4 of 5 is not half


def test_fig4b_changes_one_thing_at_a_time():
    base = dict(zip((False, True), baseline_and_pretrained(PLAN, 1024, 0), strict=True))
    assert set(base.values()) <= {run for _, run in fig4.arms(PLAN)}  # shared with Figure 4
    for facts, run in fig4b.arms(PLAN):
        same = base[run.pretrained]
        assert run.sizes == same.sizes
        assert run.schedule[0] == same.schedule[0]
        assert (run.sample != same.sample) + (run.quantizer.dialect != "paper") == (
            facts["change"] != fig4b.NOTHING.name(PLAN)
        )


def encoder_rows(errors, dead=()):
    ranks = (9.0, 8.0, 4.0, 3.0, errors[-1] * 100)
    return [
        {
            "channels": c,
            "seed": 0,
            "mse": mse,
            "embedding_rank": 0.0 if c in dead else r,
            "steps": 9,
        }
        for c, mse, r in zip(PLAN.channels, errors, ranks, strict=True)
    ]


def test_fig6_claims():
    def holds(*errors):
        return [claim.holds for claim in fig6.claims(PLAN, encoder_rows(errors))]

    assert holds(0.01, 0.011, 0.012, 0.013, 0.02) == [True] * 3
    assert holds(0.06, 0.011, 0.012, 0.013, 0.05) == [False] * 3


def test_a_dead_encoder_says_nothing_of_capacity():
    errors = (0.01, 0.011, 0.012, 0.013, 0.06)
    mse, every_step, _ = fig6.claims(PLAN, encoder_rows(errors, dead=(2,)))
    assert mse.values == pytest.approx((1.3,))
    assert mse.measured == "MSE, 4 / 32 channels, 9 steps"
    assert every_step.values == pytest.approx((0.013 / 0.012,))
    only = encoder_rows(errors, dead=(16, 8, 4, 2))
    assert [claim.holds for claim in fig6.claims(PLAN, only)] == [False] * 3


def test_seeds_whose_narrow_encoder_is_dead_are_left_out():
    plan = ImagesPlan(seeds_fig6=(0, 1), channels=(8, 2))
    table = [
        {"channels": c, "seed": seed, "mse": 1 / c, "embedding_rank": rank, "steps": 9}
        for c, seed, rank in ((8, 0, 4.0), (8, 1, 4.0), (2, 0, 0.0), (2, 1, 1.0))
    ]
    mse, _, rank = fig6.claims(plan, table)
    assert (mse.seeds, mse.values, rank.values) == ((1,), (4.0,), (0.25,))
