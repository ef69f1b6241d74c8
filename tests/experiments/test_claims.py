import pytest

from vqnp.experiments import fig2, fig3, fig5
from vqnp.experiments.claims import DIRECTION, Claim, claim_maker, differences, ratios
from vqnp.experiments.plans import PointsPlan


def claim(values, side="<", limit=1.0, seeds=None):
    return Claim(
        id="id",
        figure="fig3",
        statement="statement",
        source="source",
        measured="quantity",
        values=tuple(values),
        bound=(side, limit),
        because="why",
        seeds=tuple(range(len(values))) if seeds is None else seeds,
    )


@pytest.mark.parametrize(
    ("values", "side", "agreeing", "holds"),
    [
        ((0.5, 0.9), "<", 2, True),
        ((0.5, 1.0), "<", 1, False),
        ((0.5, 1.0), "<=", 2, True),
        ((1.5, 1.0), ">", 1, False),
        ((1.5, 1.0), ">=", 2, True),
        ((2.0, 3.0), "<", 0, False),
    ],
)
def test_a_claim_holds_when_every_seed_meets_the_bound(values, side, agreeing, holds):
    assert (claim(values, side).agreeing, claim(values, side).holds) == (agreeing, holds)


def test_a_value_that_is_no_number_holds_nothing():
    assert not claim((float("nan"),)).holds
    assert not claim((float("nan"),), ">").holds


def test_one_value_a_seed():
    with pytest.raises(ValueError, match="one value a seed, got 1 for 2 seeds"):
        claim((1.0,), seeds=(0, 1))
    with pytest.raises(ValueError, match="one value a seed"):
        claim(())


def test_json_has_the_stated_keys_and_a_computed_holds():
    entry = claim((0.5, 2.0)).to_json()
    assert list(entry) == [
        "id",
        "figure",
        "statement",
        "paper",
        "value",
        "bound",
        "why",
        "seeds",
        "holds",
    ]
    assert entry["holds"] is False
    assert entry["bound"] == "quantity < 1 for every seed"


def test_arms_are_compared_seed_by_seed():
    assert ratios([2, 9], [1, 3]) == (2.0, 3.0)
    assert differences([2, 9], [1, 3]) == (1.0, 6.0)
    with pytest.raises(ValueError, match="zip"):
        ratios([1], [1, 2])


def test_a_maker_puts_the_case_first_and_yields_to_what_a_claim_says():
    statements = {"mse": "the error falls.", "rank": "the rank rises."}
    shared = {"source": "section 3", "seeds": (0,)}
    make = claim_maker("fig3", statements, key="own-", about="own data: ", **shared)
    measured = {"measured": "quantity", "values": [1.0], "bound": (">", 0)}
    plain, own = make("mse", **measured), make("rank", **measured, source="ours", because="why")
    assert (plain.id, plain.figure) == ("fig3-own-mse", "fig3")
    assert plain.statement == "own data: the error falls."
    assert (plain.source, plain.because) == ("section 3", DIRECTION)
    assert (own.source, own.because, own.seeds) == ("ours", "why", (0,))


GOOD = {
    "perplexity": 100.0,
    "energy_distance": 0.01,
    "mse": 0.01,
    "class_spread_ratio": 0.9,
    "class_divergence": 0.01,
    "token_range_at_start": 9.0,
}
BAD = {
    "perplexity": 10.0,
    "energy_distance": 0.1,
    "mse": 0.1,
    "class_spread_ratio": 0.2,
    "class_divergence": 0.5,
    "token_range_at_start": 0.3,
}


def fig3_table(plan, without, with_):
    return [
        {"row": case.key, "pretrained": pretrained, **arm}
        for case in fig3.cases(plan)
        for pretrained, arm in ((False, without), (True, with_))
    ]


def test_fig3_claims_side_with_the_paper_when_the_numbers_do_and_only_then():
    plan = PointsPlan(seeds=(0,))
    as_published = fig3.claims(plan, fig3_table(plan, BAD, GOOD))
    reversed_ = fig3.claims(plan, fig3_table(plan, GOOD, BAD))
    assert len(as_published) == 5 * 8
    assert all(c.holds for c in as_published)
    # 0.9 of the data's spread is narrower, too
    assert {c.id.split("-")[-1] for c in reversed_ if c.holds} == {"narrow"}


def test_without_labels_fig3_leaves_out_what_needs_them():
    plan = PointsPlan(seeds=(0,))
    unlabelled = {"class_spread_ratio": None, "class_divergence": None}
    table = fig3_table(plan, BAD | unlabelled, GOOD | unlabelled)
    claims = [claim for claim in fig3.claims(plan, table) if "-2to1-" in claim.id]
    assert [c.id.split("-")[-1] for c in claims] == ["start", "problem", "uniform", "covers", "mse"]


def test_fig2_claims():
    def holds(untrained_modes, trained_modes, untrained_range):
        row = {
            "data_modes": 8,
            "untrained": {"range": untrained_range, "modes": untrained_modes},
            "trained": {"range": 10.0, "modes": trained_modes},
        }
        return [claim.holds for claim in fig2.claims(PointsPlan(seeds=(0,)), [row])]

    assert holds(5, 8, 0.3) == [True] * 3
    assert holds(8, 7, 6.0) == [False] * 3


def test_fig5_claims():
    def holds(small, large, layered):
        names = ("embedding_modes", "tokens_outside", "reconstruction_outside", "mse")
        encoders = ((4, None, small), (32, None, large), (4, 4, layered), (4, 32, layered))
        table = [
            {"hidden": h, "extra": e, **dict(zip(names, v, strict=True))} for h, e, v in encoders
        ]
        return [claim.holds for claim in fig5.claims(PointsPlan(seeds=(0,)), table)]

    assert holds((3, 0.2, 0.1, 0.08), (10, 0.0, 0.0, 0.02), (6, 0.0, 0.0, 0.03)) == [True] * 8
    assert holds((10, 0.0, 0.0, 0.02), (10, 0.0, 0.1, 0.08), (6, 0.0, 0.0, 0.03)) == [False] * 8
