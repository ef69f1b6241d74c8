import json
from dataclasses import replace

import numpy as np
import pytest

from vqnp.data import Images
from vqnp.experiments import fig4, fig4b, fig6, image_setting
from vqnp.experiments.image_setting import Cifar10, Patches
from vqnp.experiments.images import SIZES, ImagePlan, arm, encoder
from vqnp.training import TrainSettings

SEEDS = (0, 1, 2)
LAPTOP = ImagePlan.at_scale("laptop", Cifar10(*SIZES["laptop"]), SEEDS)
PAPER = ImagePlan.at_scale("paper", Cifar10(*SIZES["paper"]), SEEDS)
QUICK = ImagePlan.at_scale("quick", Patches(*SIZES["quick"]), SEEDS)


def test_the_papers_settings():
    baseline, pretrained = fig4.arms(PAPER, 512, 0)
    assert PAPER.data == Cifar10(50_000, 10_000)
    assert (baseline.pretrain, baseline.finetune) == (0, 300)
    assert (pretrained.pretrain, pretrained.finetune) == (150, 150)
    sizes = baseline.sizes
    assert (sizes.token_dim, sizes.encoder_width, sizes.encoder_residual, sizes.blocks) == (
        32,
        128,
        64,
        2,
    )
    assert (sizes.decoder_width, sizes.decoder_residual) == (128, 64)
    assert baseline.train == TrainSettings(256, 3e-4, "amsgrad")
    assert (baseline.quantizer.decay, baseline.quantizer.dialect, baseline.beta) == (
        0.99,
        "paper",
        0.25,
    )
    assert PAPER.tokens == (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536)


def test_the_papers_encoders():
    assert PAPER.channels == (64, 32, 16, 8, 4, 2)
    run = encoder(PAPER, 2, 0)
    assert (run.pretrain, run.finetune, run.quantizer.tokens) == (0, 300, 512)
    sizes = run.sizes
    assert (sizes.token_dim, sizes.encoder_width, sizes.encoder_residual) == (64, 2, 1)
    assert (sizes.decoder_width, sizes.decoder_residual) == (128, 64)


def test_laptop_scale_is_the_papers_in_fewer_epochs_of_fewer_images_half_as_wide_with_every_other_codebook():
    smaller = {"width": 64, "epochs": 20, "encoder_epochs": 20, "tokens": PAPER.tokens[::2]}
    assert replace(PAPER, data=LAPTOP.data, **smaller) == LAPTOP
    assert LAPTOP.data == Cifar10(10_000, 2_000)


def test_one_seed_for_the_sweep_and_all_for_its_ends():
    seeds = {tokens: LAPTOP.seeds_of(tokens) for tokens in LAPTOP.tokens}
    assert [tokens for tokens, own in seeds.items() if own == SEEDS] == [2**6, 2**12, 2**14]
    assert all(own == (0,) for tokens, own in seeds.items() if tokens not in LAPTOP.ends)
    assert [QUICK.seeds_at(channels) for channels in (32, 16, 2)] == [SEEDS, (0,), SEEDS]
    assert {LAPTOP.seeds_at(channels) for channels in LAPTOP.channels} == {(0,)}
    runs = fig4.settings(LAPTOP)
    assert len(runs) == len(set(runs)) == 2 * (7 + 3 * 2)
    assert len(fig6.settings(QUICK)) == 5 + 2 * 2


@pytest.mark.parametrize("plan", [QUICK, LAPTOP, PAPER])
def test_arms_have_the_same_epochs_in_all_and_the_same_weights(plan):
    for tokens in plan.tokens:
        baseline, pretrained = fig4.arms(plan, tokens, 1)
        assert baseline.pretrain + baseline.finetune == pretrained.pretrain + pretrained.finetune
        assert replace(pretrained, pretrain=0, finetune=baseline.finetune) == baseline
    ours, theirs = (run.build(1.0).params for run in fig4.arms(QUICK, 16, 1))
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name])


def test_one_pretraining_a_seed_serves_all_codebooks():
    runs = fig4.settings(LAPTOP) + fig4b.settings(LAPTOP)
    assert len({run.pretraining for run in runs if run.pretrained}) == len(SEEDS)
    assert arm(LAPTOP, 16, 0, pretrained=False).pretraining is None


def test_where_the_data_are_is_no_part_of_the_record(monkeypatch):
    here, there = (
        arm(ImagePlan(data=Cifar10(4, 2, "my copy", directory=place)), 16, 0, pretrained=True)
        for place in ("/here", "/there")
    )
    assert here == there
    assert (here.slug, here.pretraining.slug) == (there.slug, there.pretraining.slug)
    for written in (
        here.to_json(),
        here.pretraining.to_json(),
        ImagePlan(data=here.data).to_json(),
    ):
        assert "/here" not in json.dumps(written)
        assert written["data"] == {"kind": "Cifar10", "train": 4, "test": 2, "name": "my copy"}
    pixels, labels = np.zeros((6, 32, 32, 3), np.uint8), np.zeros(6, np.int64)
    asked = []

    def load(path):
        asked.append(str(path))
        return Images("a copy", pixels, labels, pixels, labels, ("a",))

    monkeypatch.setattr(image_setting, "load_cifar10", load)
    assert there.data.load().name == "my copy: the first 4 training and 2 test images"
    assert asked == ["/there"]


def test_slugs_tell_settings_apart():
    runs = [
        *fig4.settings(LAPTOP),
        *fig4.settings(QUICK),
        *fig6.settings(LAPTOP),
        *fig4b.settings(LAPTOP),
    ]
    assert len({run.slug for run in runs}) == len(set(runs))


def test_the_report_says_what_is_smaller_than_the_papers():
    text = QUICK.describe("patches")
    assert "32 channels (the paper's: 128)" in text
    assert "5 + 5 against 10 (the paper's: 150 + 150 against 300)" in text


def test_plans_that_cannot_be():
    with pytest.raises(ValueError, match="ends must be among tokens"):
        ImagePlan(tokens=(4, 8), ends=(4, 8, 16))
    with pytest.raises(ValueError, match="epochs must be at least 2"):
        ImagePlan(epochs=1)
    with pytest.raises(ValueError, match="at least one seed"):
        ImagePlan(seeds=())
