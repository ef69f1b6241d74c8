import json

import numpy as np
import pytest

from vqnp.experiments import fig2, fig3, fig5
from vqnp.experiments.plans import Plan, arm
from vqnp.experiments.spec import Clusters, Own, Setting
from vqnp.training import FineTune, InitializeCodebook, Pretrain


def test_the_papers_settings():
    (setting,) = fig2.settings(Plan(seeds=(0,)))
    assert setting.schedule == (Pretrain(100), InitializeCodebook(), FineTune(100))
    assert (setting.quantizer.tokens, setting.quantizer.decay, setting.quantizer.dialect) == (
        128,
        0.9,
        "paper",
    )
    assert (setting.train.batch_size, setting.train.learning_rate, setting.train.optimizer) == (
        256,
        1e-3,
        "adamw",
    )
    assert (setting.encoder_hidden, setting.decoder_hidden, setting.beta) == (32, 32, 0.25)
    assert Plan().seeds == (0, 1, 2)


def test_arms_differ_in_the_schedule_alone():
    plan = Plan()
    baseline, pretrained = fig3.rows(plan)[0].arms(plan, 1)
    assert baseline.schedule == (Pretrain(0), InitializeCodebook(), FineTune(200))
    assert {k for k, v in baseline.to_json().items() if v != pretrained.to_json()[k]} == {
        "pretrain",
        "finetune",
    }
    weights, others = (setting.build(2).params for setting in (baseline, pretrained))
    assert all(np.array_equal(weights[name], others[name]) for name in weights)


def test_figures_share_the_runs_they_have_in_common():
    plan = Plan(seeds=(0,))
    assert set(fig2.settings(plan)) <= set(fig3.settings(plan))
    assert fig5.encoder(plan, 0, 32) in fig3.settings(plan)


def test_fig3_shows_the_papers_three_cases_and_two_more():
    rows = fig3.rows(Plan())
    assert [(row.key, row.token_dim, row.panels) for row in rows] == [
        ("2to1", 1, "a, b"), ("3to1", 1, "c, d"), ("8to4", 4, "e, f"), ("4to2", 2, None), ("digits", 4, None),
    ]  # fmt: skip


def test_fig5_compares_4_and_32_units_a_sweep_and_one_more_layer():
    assert fig5.encoders(Plan()) == [
        (2, None),
        (4, None),
        (8, None),
        (16, None),
        (32, None),
        (4, 4),
        (4, 32),
    ]
    deeper = fig5.encoder(Plan(), 0, 4, 32).build(2)
    shapes = [
        value.shape
        for name, value in deeper.params.items()
        if name.startswith("encoder") and "weight" in name
    ]
    assert shapes == [(2, 4), (4, 4), (4, 32), (32, 1)]


def test_slugs_tell_settings_apart():
    plan = Plan()
    settings = {setting for figure in (fig2, fig3, fig5) for setting in figure.settings(plan)}
    assert len({setting.slug for setting in settings}) == len(settings)
    assert arm(plan, Clusters(2), 1, 0, pretrained=False).slug.startswith(
        "clusters2-to-1-hidden32-baseline-seed0-"
    )


def test_a_setting_goes_to_json():
    setting = Setting(Own("points.npy"), 2, 1, 1)
    assert json.loads(json.dumps(setting.to_json()))["data"] == {
        "kind": "Own",
        "points": "points.npy",
        "labels": None,
    }


def test_own_data_are_one_more_row(tmp_path):
    np.save(tmp_path / "points.npy", np.random.default_rng(0).normal(size=(30, 6)))
    own = Own(str(tmp_path / "points.npy"))
    assert fig3.rows(Plan(own=own))[-1].token_dim == 3
    assert fig3.rows(Plan(own=own, own_token_dim=1))[-1].name == "own data, 6 → 1 dimensions"


def test_plans_that_cannot_be():
    with pytest.raises(ValueError, match="epochs must be at least 2, got 1"):
        Plan(epochs=1)
    with pytest.raises(ValueError, match="seeds"):
        Plan(seeds=())
