import pytest

from vqnp.experiments import fig2, fig3, fig5
from vqnp.experiments.claims import Claim, difference, ratio
from vqnp.experiments.plans import Plan


def claim(values, side="<", limit=1.0):
    return Claim(
        "id",
        "fig3",
        "statement",
        "source",
        "quantity",
        tuple(values),
        side,
        limit,
        "why",
        tuple(range(len(values))),
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
        Claim("id", "fig3", "s", "p", "q", (1.0,), "<", 1.0, "why", (0, 1))
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
    assert ratio([2, 9], [1, 3]) == (2.0, 3.0)
    assert difference([2, 9], [1, 3]) == (1.0, 6.0)
    with pytest.raises(ValueError, match="zip"):
        ratio([1], [1, 2])


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


def row_table(without, with_):
    return [{"pretrained": p, **arm} for p, arm in ((False, without), (True, with_))]


def test_fig3_claims_side_with_the_paper_when_the_numbers_do_and_only_then():
    plan = Plan(seeds=(0,))
    row = fig3.rows(plan)[0]
    as_published = fig3.row_claims(row, row_table(BAD, GOOD), plan)
    reversed_ = fig3.row_claims(row, row_table(GOOD, BAD), plan)
    assert len(as_published) == 8
    assert all(c.holds for c in as_published)
    assert {c.id for c in reversed_ if c.holds} == {
        "fig3-2to1-narrow"
    }  # 0.9 of the data's spread is narrower, too


def test_without_labels_fig3_leaves_out_what_needs_them():
    plan = Plan(seeds=(0,))
    unlabelled = {"class_spread_ratio": None, "class_divergence": None}
    claims = fig3.row_claims(
        fig3.rows(plan)[0], row_table(BAD | unlabelled, GOOD | unlabelled), plan
    )
    assert [c.id.split("-")[-1] for c in claims] == ["start", "problem", "uniform", "covers", "mse"]


def test_fig2_claims(monkeypatch):
    def numbers(untrained_modes, trained_modes, untrained_range):
        row = {
            "data_modes": 8,
            "untrained": {"range": untrained_range, "modes": untrained_modes},
            "trained": {"range": 10.0, "modes": trained_modes},
        }
        return lambda plan, results: [row]

    monkeypatch.setattr(fig2, "numbers", numbers(5, 8, 0.3))
    assert all(c.holds for c in fig2.claims(Plan(seeds=(0,)), {}))
    monkeypatch.setattr(fig2, "numbers", numbers(8, 7, 6.0))
    assert not any(c.holds for c in fig2.claims(Plan(seeds=(0,)), {}))


def test_fig5_claims(monkeypatch):
    def numbers(small, large, layered):
        names = ("embedding_modes", "tokens_outside", "reconstruction_outside", "mse")
        encoders = ((4, None, small), (32, None, large), (4, 4, layered), (4, 32, layered))
        return lambda plan, results: [
            {"hidden": h, "extra": e, **dict(zip(names, v, strict=True))} for h, e, v in encoders
        ]

    monkeypatch.setattr(
        fig5, "numbers", numbers((3, 0.2, 0.1, 0.08), (10, 0.0, 0.0, 0.02), (6, 0.0, 0.0, 0.03))
    )
    assert all(c.holds for c in fig5.claims(Plan(seeds=(0,)), {}))
    monkeypatch.setattr(
        fig5, "numbers", numbers((10, 0.0, 0.0, 0.02), (10, 0.0, 0.1, 0.08), (6, 0.0, 0.0, 0.03))
    )
    assert not any(c.holds for c in fig5.claims(Plan(seeds=(0,)), {}))
