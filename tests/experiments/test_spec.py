import json

import numpy as np
import pytest

from vqnp.data import OwnPoints
from vqnp.experiments import fig2, fig3, fig5
from vqnp.experiments.plans import PointsPlan, baseline_and_pretrained
from vqnp.training import FineTune, InitializeCodebook, Pretrain


def runs_of(figure, plan):
    return [spec for _, spec in figure.arms(plan)]


def test_the_papers_settings():
    (setting,) = runs_of(fig2, PointsPlan(seeds=(0,)))
    assert setting.schedule == (Pretrain(100), InitializeCodebook(), FineTune(100))
    assert (setting.quantizer.n_tokens, setting.quantizer.decay, setting.quantizer.dialect) == (
        128,
        0.9,
        "paper",
    )
    assert (setting.train.batch_size, setting.train.learning_rate, setting.train.optimizer) == (
        256,
        1e-3,
        "adamw",
    )
    assert (setting.sizes.encoder_hidden, setting.sizes.decoder_hidden, setting.quantizer.beta) == (
        32,
        32,
        0.25,
    )
    assert PointsPlan().seeds == (0, 1, 2)


def test_arms_differ_in_the_schedule_alone():
    plan = PointsPlan()
    baseline, pretrained = baseline_and_pretrained(plan, plan.clusters(2), (2, 1), 1)
    assert baseline.schedule == (Pretrain(0), InitializeCodebook(), FineTune(200))
    assert {k for k, v in baseline.to_json().items() if v != pretrained.to_json()[k]} == {
        "pretrain",
        "finetune",
    }
    weights, others = (setting.build().params for setting in (baseline, pretrained))
    assert all(np.array_equal(weights[name], others[name]) for name in weights)


def test_figures_share_the_runs_they_have_in_common():
    plan = PointsPlan(seeds=(0,))
    assert set(runs_of(fig2, plan)) <= set(runs_of(fig3, plan))
    assert fig5.encoder_run(plan, 0, 32) in runs_of(fig3, plan)


def test_fig3_shows_the_papers_three_cases_and_two_more():
    rows = fig3.cases(PointsPlan())
    assert [(row.key, row.dims, row.panels) for row in rows] == [
        ("2to1", (2, 1), "a, b"), ("3to1", (3, 1), "c, d"), ("8to4", (8, 4), "e, f"),
        ("4to2", (4, 2), None), ("digits", (64, 4), None),
    ]  # fmt: skip


def test_fig5_compares_4_and_32_units_a_sweep_and_one_more_layer():
    facts = [facts for facts, _ in fig5.arms(PointsPlan(seeds=(0,)))]
    assert [(row["hidden"], row["extra"]) for row in facts] == [
        (2, None),
        (4, None),
        (8, None),
        (16, None),
        (32, None),
        (4, 4),
        (4, 32),
    ]
    deeper = fig5.encoder_run(PointsPlan(), 0, 4, 32).build()
    shapes = [
        value.shape
        for name, value in deeper.params.items()
        if name.startswith("encoder") and "weight" in name
    ]
    assert shapes == [(2, 4), (4, 4), (4, 32), (32, 1)]


def test_slugs_tell_settings_apart():
    plan = PointsPlan()
    settings = {setting for figure in (fig2, fig3, fig5) for setting in runs_of(figure, plan)}
    assert len({setting.slug for setting in settings}) == len(settings)
    baseline, pretrained = baseline_and_pretrained(plan, plan.clusters(2), (2, 1), 0)
    assert baseline.slug.startswith("clusters-2to1-encoder32-tokens128-baseline-seed0-")
    assert pretrained.pretraining.slug.startswith("clusters-2to1-encoder32-autoencoder-seed0-")


def test_a_spec_goes_to_json():
    spec = PointsPlan().run(OwnPoints("points.npy"), (3, 2), 0, pretrained=False)
    written = json.loads(json.dumps(spec.to_json()))
    assert written["data"] == {"kind": "OwnPoints", "points": "points.npy", "labels": None}
    assert written["quantizer"]["kind"] == "EMA"
    assert written["sizes"]["token_dim"] == 2


def test_own_data_are_one_more_row(tmp_path):
    np.save(tmp_path / "points.npy", np.random.default_rng(0).normal(size=(30, 6)))
    own = OwnPoints(str(tmp_path / "points.npy"))
    assert fig3.cases(PointsPlan(user_points=own))[-1].dims == (6, 3)
    assert (
        fig3.cases(PointsPlan(user_points=own, user_token_dim=1))[-1].name
        == "own data, 6 → 1 dimensions"
    )


def test_plans_that_cannot_be():
    with pytest.raises(ValueError, match="epochs must be at least 2, got 1"):
        PointsPlan(epochs=1)
    with pytest.raises(ValueError, match="seeds"):
        PointsPlan(seeds=())
