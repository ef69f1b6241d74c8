"""The known number: its runs differ in the start alone, and its claims can fail."""

import json
from dataclasses import replace

import pytest

from vqnp.data import Cifar10
from vqnp.experiments import known
from vqnp.experiments.plans import SIZES, ImagesPlan
from vqnp.experiments.reproduce import reproduce
from vqnp.training import TrainSettings

LAPTOP = ImagesPlan.at_scale("laptop", Cifar10(*SIZES["laptop"]), (0, 1, 2))


def test_the_runs_of_the_public_notebook():
    baseline, normal, pretrained = (spec for _, spec in known.arms(LAPTOP))
    sizes, quantizer = normal.sizes, normal.quantizer
    assert (sizes.token_dim, sizes.encoder_width, sizes.decoder_width) == (64, 128, 128)
    assert (sizes.encoder_residual, sizes.decoder_residual) == (32, 32)
    assert (quantizer.n_tokens, quantizer.decay) == (512, 0.99)
    assert (quantizer.start, quantizer.dialect) == ("normal", "smoothed-state")
    assert normal.train == TrainSettings(32, 3e-4, "adam")
    assert (normal.pretrain, normal.finetune, normal.sample) == (0, 6, 256)
    assert replace(normal, quantizer=baseline.quantizer) == baseline
    assert (pretrained.pretrain, pretrained.finetune) == (2, 4)
    assert replace(pretrained, pretrain=0, finetune=6) == baseline


def table(*numbers):
    looks = [{"step": s, "relative_mse": 0.1, "perplexity": 9.0, "codes_used": 9} for s in (1, 9)]
    return [
        {"start": start.key, "steps": 9, "course": looks, "mse": m / 16, "relative_mse": m,
         "perplexity": p}
        for start, (m, p) in zip(known.STARTS, numbers, strict=True)
    ]  # fmt: skip


def test_the_claims_hold_for_the_numbers_once_measured_and_only_then():
    measured = table((0.0547, 425), (0.0551, 366), (0.0557, 404))
    assert [claim.holds for claim in known.claims(LAPTOP, measured)] == [True] * 5
    untrained = table((0.3, 20), (0.2, 3), (0.1, 40))
    assert [claim.holds for claim in known.claims(LAPTOP, untrained)] == [False] * 5


def test_the_picture_has_the_published_number():
    figure = known.picture(table((0.0547, 425), (0.0551, 366), (0.0557, 404)), "How long.")
    assert figure.get_suptitle() == (
        "Published error: 0.056 of the variance. After 9 steps here: 0.055, 0.055, 0.056"
    )
    legend = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert legend[-1] == "published: 0.056 at 10,000 steps"


@pytest.mark.jit
@pytest.mark.filterwarnings("ignore:k-means leaves")
def test_it_is_made_when_it_is_named(image_plan, tmp_path):
    made = reproduce(["known"], tmp_path, images=image_plan)
    rows = json.loads((tmp_path / "known.json").read_text())["numbers"]
    assert [row["start"] for row in rows] == ["k-means", "normal", "pretrained"]
    assert rows[1]["course"][-1]["step"] == rows[1]["steps"] == 3
    page = made.report.read_text()
    assert "A known number: The error of a public run" in page
    assert "prints an error of 0.056 of the variance" in page
