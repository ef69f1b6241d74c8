"""Claims on images side with the paper when the numbers do, and only then."""

import pytest

from vqnp.experiments import fig4, fig4b, fig6
from vqnp.experiments.images import ImagePlan

PLAN = ImagePlan(seeds=(0,), confound_seeds=(0,), encoder_seeds=(0,))
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


def fig4_holds(monkeypatch, table):
    rows = [
        {"tokens": k, "pretrained": p, "mse": mse, "perplexity": q}
        for (k, p), (mse, q) in table.items()
    ]
    monkeypatch.setattr(fig4, "numbers", lambda plan, results: rows)
    return [claim.holds for claim in fig4.claims(PLAN, {})]


def test_fig4_claims(monkeypatch):
    assert fig4_holds(monkeypatch, GOOD) == [True] * 8
    assert fig4_holds(monkeypatch, BAD) == [False] * 8


def test_fig4_has_a_claim_against_pretraining(monkeypatch):
    rows = [
        {"tokens": k, "pretrained": p, "mse": m, "perplexity": q} for (k, p), (m, q) in GOOD.items()
    ]
    monkeypatch.setattr(fig4, "numbers", lambda plan, results: rows)
    against = fig4.claims(PLAN, {})[0]
    assert against.statement == "With few tokens, pretraining is a slight disadvantage."
    assert against.values == pytest.approx((0.031 / 0.030,))


@pytest.mark.parametrize(
    ("untrained", "more_images", "pretrained", "dialects", "holds"),
    [(10, 20, 100, 40, True), (10, 9, 5, 4, False)],
)
def test_fig4b_claims(untrained, more_images, pretrained, dialects, holds):
    class Results(dict):
        def __getitem__(self, run):
            value = dialects if run.quantizer.dialect != "paper" else pretrained
            if not run.pretrained:
                value = more_images if run.sample == PLAN.many else untrained
            return type("Result", (), {"numbers": {"perplexity": float(value)}})

    made = fig4b.claims(PLAN, Results())
    assert [claim.holds for claim in made[:3]] == [holds] * 3
    assert [claim.holds for claim in made[3:]] == [holds] * 3  # 4 of 5 is no half


def test_fig4b_changes_one_thing_at_a_time():
    base = {
        pretrained: fig4b.setting(PLAN, fig4b.Change(), 1024, 0, pretrained)
        for pretrained in (False, True)
    }
    assert base == dict(
        zip((False, True), fig4.arms(PLAN, 1024, 0), strict=True)
    )  # shared with Figure 4
    for change, run in fig4b.arms(PLAN):
        same = base[run.pretrained]
        assert run.sizes == same.sizes
        assert run.schedule[0] == same.schedule[0]
        assert (run.sample != same.sample) + (run.quantizer.dialect != "paper") == (
            change != fig4b.Change()
        )


def test_fig6_claims(monkeypatch):
    def rows(*values):
        table = zip(PLAN.channels, values, (9.0, 8.0, 4.0, 3.0, values[-1] * 100), strict=True)
        return [
            {"channels": c, "seed": 0, "mse": mse, "embedding_rank": rank} for c, mse, rank in table
        ]

    monkeypatch.setattr(
        fig6, "numbers", lambda plan, results: rows(0.01, 0.011, 0.012, 0.013, 0.02)
    )
    assert [claim.holds for claim in fig6.claims(PLAN, {})] == [True] * 3
    monkeypatch.setattr(
        fig6, "numbers", lambda plan, results: rows(0.06, 0.011, 0.012, 0.013, 0.05)
    )
    assert [claim.holds for claim in fig6.claims(PLAN, {})] == [False] * 3
