import json
from dataclasses import replace

import numpy as np
import pytest

from vqnp.data import Cifar10, Images, Patches
from vqnp.experiments import course, fig4, fig4b, fig6
from vqnp.experiments.plans import SIZES, ImagesPlan, baseline_and_pretrained
from vqnp.files import as_json
from vqnp.training import TrainSettings

SEEDS = (0, 1, 2)
LAPTOP = ImagesPlan.at_scale("laptop", Cifar10(*SIZES["laptop"]), SEEDS)
PAPER = ImagesPlan.at_scale("paper", Cifar10(*SIZES["paper"]), SEEDS)
QUICK = ImagesPlan.at_scale("quick", Patches(*SIZES["quick"]), SEEDS)


def runs_of(figure, plan):
    return [spec for _, spec in figure.arms(plan)]


def test_the_papers_settings():
    baseline, pretrained = baseline_and_pretrained(PAPER, 512, 0)
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
    assert (baseline.quantizer.decay, baseline.quantizer.dialect, baseline.quantizer.beta) == (
        0.99,
        "paper",
        0.25,
    )
    assert PAPER.n_tokens == (
        16,
        32,
        64,
        128,
        256,
        512,
        1024,
        2048,
        4096,
        8192,
        16384,
        32768,
        65536,
    )


def test_the_papers_encoders():
    assert PAPER.channels == (64, 32, 16, 8, 4, 2)
    run = PAPER.encoder_run(2, 0)
    assert (run.pretrain, run.finetune, run.quantizer.n_tokens) == (0, 300, 512)
    sizes = run.sizes
    assert (sizes.token_dim, sizes.encoder_width, sizes.encoder_residual) == (64, 2, 1)
    assert (sizes.decoder_width, sizes.decoder_residual) == (128, 64)


def test_laptop_scale_is_the_papers_but_smaller():
    smaller = {"width": 64, "epochs": 8, "epochs_fig6": 8, "batch_size": 32}
    smaller |= {"n_tokens": PAPER.n_tokens[::2], "n_tokens_long": 2**12}
    assert replace(PAPER, **smaller) == LAPTOP
    assert LAPTOP.data == Cifar10(50_000, 10_000)


def test_a_laptop_run_is_trained_for_ten_thousand_steps():
    steps_an_epoch = -(-LAPTOP.data.train // LAPTOP.batch_size)
    assert LAPTOP.epochs * steps_an_epoch == 12_504
    assert LAPTOP.epochs_long * steps_an_epoch == 50_016


def test_the_long_run_begins_as_the_run_of_figure_4():
    for pretrained in (False, True):
        short = LAPTOP.run(2**12, 0, pretrained=pretrained)
        long = LAPTOP.long_run(0, pretrained=pretrained)
        assert long.pretraining == short.pretraining
        assert replace(long, finetune=short.finetune) == short
        assert long.pretrain + long.finetune == LAPTOP.epochs_long


def test_one_seed_for_the_sweep_and_all_for_its_ends():
    def seeds(runs, of):
        found = {}
        for run in runs:
            found.setdefault(of(run), []).append(run.seed)
        return {key: tuple(dict.fromkeys(own)) for key, own in found.items()}

    swept = seeds(runs_of(fig4, LAPTOP), lambda run: run.quantizer.n_tokens)
    assert [tokens for tokens, own in swept.items() if own == SEEDS] == [2**6, 2**12, 2**14]
    assert all(own == (0,) for n, own in swept.items() if n not in LAPTOP.n_tokens_all_seeds)
    assert set(swept) == {*LAPTOP.n_tokens, 2**9}
    narrowed = seeds(runs_of(fig6, QUICK), lambda run: run.sizes.encoder_width)
    assert [narrowed[channels] for channels in (32, 16, 2)] == [SEEDS, (0,), SEEDS]
    assert {run.seed for run in runs_of(fig6, LAPTOP)} == {0}
    runs = runs_of(fig4, LAPTOP)
    assert len(runs) == len(set(runs)) == 2 * (7 + 3 * 2 + 1 + 1)
    assert len(runs_of(fig6, QUICK)) == 5 + 2 * 2


@pytest.mark.parametrize("plan", [QUICK, LAPTOP, PAPER])
def test_arms_have_the_same_epochs_in_all_and_the_same_weights(plan):
    for tokens in plan.n_tokens:
        baseline, pretrained = baseline_and_pretrained(plan, tokens, 1)
        assert baseline.pretrain + baseline.finetune == pretrained.pretrain + pretrained.finetune
        assert replace(pretrained, pretrain=0, finetune=baseline.finetune) == baseline
    ours, theirs = (run.build(1.0).params for run in baseline_and_pretrained(QUICK, 16, 1))
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name])


def test_one_pretraining_a_seed_serves_all_codebooks():
    runs = runs_of(fig4, LAPTOP) + runs_of(fig4b, LAPTOP)
    assert len({run.pretraining for run in runs if run.pretrained}) == len(SEEDS)
    assert LAPTOP.run(16, 0, pretrained=False).pretraining is None


def test_where_the_data_are_is_no_part_of_the_record(monkeypatch):
    here, there = (
        ImagesPlan(Cifar10(4, 2, "my copy", directory=place)).run(16, 0, pretrained=True)
        for place in ("/here", "/there")
    )
    assert here == there
    assert (here.slug, here.pretraining.slug) == (there.slug, there.pretraining.slug)
    for written in (
        here.to_json(),
        here.pretraining.to_json(),
        as_json(ImagesPlan(here.data)),
    ):
        assert "/here" not in json.dumps(written)
        assert written["data"] == {"kind": "Cifar10", "train": 4, "test": 2, "name": "my copy"}
    pixels, labels = np.zeros((6, 32, 32, 3), np.uint8), np.zeros(6, np.int64)
    asked = []

    def load(path):
        asked.append(str(path))
        return Images("a copy", pixels, labels, pixels, labels, ("a",))

    monkeypatch.setattr("vqnp.data.cifar10.load_cifar10", load)
    assert there.data.load(0).name == "my copy: the first 4 training and 2 test images"
    assert asked == ["/there"]


def test_slugs_tell_settings_apart():
    runs = [
        *runs_of(fig4, LAPTOP),
        *runs_of(fig4, QUICK),
        *runs_of(fig6, LAPTOP),
        *runs_of(fig4b, LAPTOP),
    ]
    assert len({run.slug for run in runs}) == len(set(runs))


def test_figure_4_follows_three_codebooks_and_trains_one_for_longer():
    followed = course.runs(LAPTOP)
    assert set(followed) < set(runs_of(fig4, LAPTOP))
    assert [run.quantizer.n_tokens for run in followed] == 2 * [2**9] + 2 * [2**12] + 2 * [
        2**14
    ] + (2 * [2**12])
    assert [run.pretrained for run in followed] == 4 * [False, True]
    assert [run.pretrain + run.finetune for run in followed] == 6 * [8] + 2 * [32]
    assert len(course.runs(PAPER)) == 6


def test_there_is_a_code_of_raw_patches_for_every_codebook():
    codes = fig4.references(LAPTOP)
    assert [code.n_tokens for code in codes] == sorted({*LAPTOP.n_tokens, 2**9})
    assert {code.data for code in codes} == {LAPTOP.data}


def test_a_figure_says_how_long_it_was_trained():
    ends = LAPTOP.n_tokens[0], LAPTOP.n_tokens[-1]
    assert LAPTOP.training(8, ends) == (
        "12,504 steps a run: 8 epochs without pretraining, 4 + 4 with it. A batch has 32 images or "
        "2,048 vectors: 128 for each of 16 tokens and 0.031 for each of 65,536 tokens."
    )
    short = QUICK.training(10, (1024,), pretrained=False)
    assert short == (
        "Undertrained: below 10,000 steps. 320 steps a run: 10 epochs. A batch has 32 images or "
        "2,048 vectors: 2 for each of 1,024 tokens."
    )
    assert short[:34] in QUICK.describe("patches")


def test_the_report_says_what_is_smaller_than_the_papers():
    text = QUICK.describe("patches")
    assert "32 channels (the paper's: 128)" in text
    assert "5 + 5 against 10 (the paper's: 150 + 150 against 300)" in text


def test_plans_that_cannot_be():
    with pytest.raises(ValueError, match="n_tokens_all_seeds must be among n_tokens"):
        ImagesPlan(n_tokens=(4, 8), n_tokens_all_seeds=(4, 8, 16))
    with pytest.raises(ValueError, match="epochs must be at least 2"):
        ImagesPlan(epochs=1)
    with pytest.raises(ValueError, match="at least one seed"):
        ImagesPlan(seeds=())
