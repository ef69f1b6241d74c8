"""Runs on images: shared pretrainings, the numbers on the test set, and what is left after an interruption."""

import json
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import asdict

import numpy as np
import pytest

from vqnp import train
from vqnp.data import pixel_variance, pixels_to_float
from vqnp.diagnostics import perplexity
from vqnp.experiments import image_run
from vqnp.experiments.image_run import evaluate, execute_images, load_image_result, pretrain
from vqnp.experiments.images import arm
from vqnp.experiments.reproduce import reproduce
from vqnp.experiments.results import is_finished
from vqnp.files import load_arrays

FIGURES = ["fig4", "fig6"]
pytestmark = pytest.mark.filterwarnings(
    "ignore:k-means leaves"
)  # two channels can die, and then all embeddings coincide


@pytest.fixture(scope="module")
def uninterrupted(plan, image_plan, tmp_path_factory):
    directory = tmp_path_factory.mktemp("uninterrupted")
    reproduce(FIGURES, plan, directory, images=image_plan)
    return directory


def outcome(directory):
    """Everything a run leaves that must not depend on how it was run."""
    texts = {
        path.name: path.read_text() for path in directory.glob("*.json") if path.name != "run.json"
    }
    runs = {}
    for path in sorted((directory / "runs").glob("*-????????.npz")):
        arrays = load_arrays(path)
        info = {
            name: value
            for name, value in json.loads(str(arrays.pop("info"))).items()
            if name != "seconds"
        }
        runs[path.name] = info, {name: array.tobytes() for name, array in arrays.items()}
    return texts, runs


def test_shared_pretraining_gives_the_bits_of_one_run_in_one_go(image_plan, tmp_path):
    setting = arm(image_plan, 4, 1, pretrained=True)
    images = setting.data.load()
    model = setting.build(pixel_variance(images.train))
    history = train(model, images.train, setting.schedule, setting.train, seed=setting.seed)
    numbers, arrays = evaluate(model, images.test)

    pretrain(setting.pretraining, tmp_path)
    execute_images(setting, tmp_path)
    result = load_image_result(tmp_path / f"{setting.slug}.npz")
    assert result.info["history"] == json.loads(json.dumps([asdict(record) for record in history]))
    assert result.numbers == numbers
    for name, array in arrays.items():
        np.testing.assert_array_equal(getattr(result, name), array)


def test_without_its_pretraining_a_run_does_not_start(image_plan, tmp_path):
    with pytest.raises(FileNotFoundError, match="pretraining-encoder4-seed0"):
        execute_images(arm(image_plan, 4, 0, pretrained=True), tmp_path)


def test_numbers_are_of_the_whole_test_set(image_plan, monkeypatch):
    """One image at a time or all at once: codes are counted before any perplexity is taken, and errors are plain."""
    setting = arm(image_plan, 8, 0, pretrained=False)
    images = setting.data.load()
    model = setting.build(pixel_variance(images.train))
    points = model.encode(pixels_to_float(images.train)).reshape(-1, 32)
    model.quantizer.initialize(points, len(points), np.random.default_rng(0))
    together, arrays = evaluate(model, images.test)
    monkeypatch.setattr(image_run, "BATCH", 1)
    apart, same = evaluate(model, images.test)
    np.testing.assert_array_equal(arrays["counts"], same["counts"])
    x = pixels_to_float(images.test)
    codes = model.quantize(x)[1]
    assert arrays["counts"].sum() == len(codes) == 64 * len(x)
    assert together["perplexity"] == apart["perplexity"] == pytest.approx(perplexity(codes, 8))
    one_by_one = np.mean([perplexity(part, 8) for part in codes.reshape(len(x), 64)])
    assert one_by_one < 0.9 * together["perplexity"]  # what a mean over batches would have said
    for numbers in (together, apart):
        assert numbers["mse"] == pytest.approx(
            np.mean((model.reconstruct(x) - x) ** 2), rel=1e-5
        )  # float32
    shown = arrays["reconstructions"]
    assert shown.dtype == np.uint8
    np.testing.assert_allclose(
        shown / 255 - 0.5, np.clip(model.reconstruct(x), -0.5, 0.5), atol=0.51 / 255
    )
    np.testing.assert_array_equal(arrays["originals"], images.test)


def test_no_more_images_are_kept_than_are_shown(image_plan, monkeypatch):
    setting = arm(image_plan, 2, 0, pretrained=False)
    images = setting.data.load()
    model = setting.build(1.0)
    model.quantizer.initialize(
        model.encode(pixels_to_float(images.train)).reshape(-1, 32), 9, np.random.default_rng(0)
    )
    monkeypatch.setattr(image_run, "SHOWN", 3)
    monkeypatch.setattr(image_run, "BATCH", 2)
    _, arrays = evaluate(model, images.test)
    assert len(arrays["originals"]) == len(arrays["reconstructions"]) == 3
    whole = model.reconstruct(pixels_to_float(images.test[:3]))
    np.testing.assert_allclose(
        arrays["reconstructions"] / 255 - 0.5, np.clip(whole, -0.5, 0.5), atol=0.51 / 255
    )


@pytest.mark.jit
def test_what_a_run_leaves_behind(uninterrupted):
    names = {path.name for path in uninterrupted.iterdir()}
    assert names == {"report.html", "claims.json", "run.json", "runs"} | {
        f"fig{n}.{kind}" for n in (4, 6) for kind in ("png", "svg", "json")
    }
    account = json.loads((uninterrupted / "run.json").read_text())
    assert account["images"]["width"] == 4
    assert len(account["data"]) == 1
    page = (uninterrupted / "report.html").read_text()
    assert (
        "12 training and 5 test patches" in page
    )  # the report names its data, and what is smaller than the paper's
    assert "4 channels (the paper" in page
    assert not list(uninterrupted.rglob("*checkpoint*"))
    claims = json.loads((uninterrupted / "claims.json").read_text())
    assert {tuple(claim["seeds"]) for claim in claims} == {(0, 1), (0,)}


@pytest.mark.jit
def test_fig4b_is_made_when_it_is_named(plan, image_plan, tmp_path, uninterrupted):
    reproduce(["fig4b"], plan, tmp_path, images=image_plan)
    rows = json.loads((tmp_path / "fig4b.json").read_text())["numbers"]
    assert len(rows) == 2 * 5
    of_fig4 = json.loads((uninterrupted / "fig4.json").read_text())["numbers"]
    shared = [row for row in of_fig4 if (row["tokens"], row["seed"]) == (4, 0)]
    for row in rows:
        if row["change"] == "paper":
            assert {name: row[name] for name in shared[0]} in shared


@pytest.mark.jit
def test_resume_keeps_what_is_there(uninterrupted, plan, image_plan):
    before = {path: path.stat().st_mtime_ns for path in (uninterrupted / "runs").iterdir()}
    expected = outcome(uninterrupted)
    reproduce(FIGURES, plan, uninterrupted, images=image_plan, resume=True)
    assert {path: path.stat().st_mtime_ns for path in (uninterrupted / "runs").iterdir()} == before
    assert outcome(uninterrupted) == expected


@pytest.mark.jit
def test_the_number_of_jobs_changes_nothing(uninterrupted, plan, image_plan, tmp_path):
    reproduce(FIGURES, plan, tmp_path, images=image_plan, jobs=2)
    assert outcome(tmp_path) == outcome(uninterrupted)


@pytest.mark.jit
@pytest.mark.parametrize(
    ("pattern", "how"),
    [
        ("pretraining-*.checkpoint.npz", signal.SIGKILL),
        ("patches-*.checkpoint.npz", signal.SIGKILL),
        ("patches-*.checkpoint.npz", signal.SIGINT),
        ("patches-*-????????.npz", signal.SIGKILL),
    ],
)
def test_interrupted_and_resumed_gives_the_same_bits(
    uninterrupted, plan, image_plan, tmp_path, pattern, how
):
    """Killed, or Ctrl-C, as soon as a file of that kind is there, checkpoints being written after every step."""
    script = f"""
        import functools, sys
        sys.path.insert(0, {str(__file__.rpartition("/")[0])!r})
        from pathlib import Path
        from vqnp import training
        from vqnp.experiments import image_run
        from vqnp.experiments.image_setting import Patches
        from vqnp.experiments.images import ImagePlan
        from vqnp.experiments.reproduce import reproduce
        from vqnp.experiments.plans import Plan
        image_run.train = functools.partial(training.train, checkpoint_seconds=0)
        reproduce({FIGURES!r}, Plan(), Path({str(tmp_path)!r}), images={image_plan!r})
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stderr=subprocess.PIPE
    )
    while process.poll() is None and not list(tmp_path.glob(f"runs/{pattern}")):
        time.sleep(0.001)
    process.send_signal(how)
    errors = process.communicate()[1]
    assert process.returncode == -how, errors.decode()
    assert not (tmp_path / "report.html").exists()
    reproduce(FIGURES, plan, tmp_path, images=image_plan, resume=True)
    assert outcome(tmp_path) == outcome(uninterrupted)


def test_a_result_of_another_setting_or_other_data_is_not_taken_up(image_plan, tmp_path):
    one, other = (arm(image_plan, tokens, 0, pretrained=False) for tokens in (2, 4))
    execute_images(one, tmp_path)
    path = tmp_path / f"{one.slug}.npz"
    images = one.data.load()
    assert is_finished(path, one, images)
    assert not is_finished(path, other, images)
    assert not is_finished(path, one, images.first(12, 4))
    assert not is_finished(tmp_path / "nothing.npz", one, images)


@pytest.mark.jit
def test_a_pretraining_that_is_damaged_is_made_again(uninterrupted, plan, image_plan, tmp_path):
    reproduce(["fig4"], plan, tmp_path, images=image_plan)
    damaged = next((tmp_path / "runs").glob("pretraining-*-????????.npz"))
    damaged.write_bytes(damaged.read_bytes()[:100])
    for path in (tmp_path / "runs").glob("patches-*"):
        path.unlink()
    reproduce(FIGURES, plan, tmp_path, images=image_plan, resume=True)
    assert outcome(tmp_path) == outcome(uninterrupted)
