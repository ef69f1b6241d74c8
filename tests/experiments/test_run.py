"""Runs: shared pretrainings, the numbers on the test set, and the files after an interruption."""

import functools
import json
import shutil
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
from vqnp.experiments import measure, run
from vqnp.experiments.measure import evaluate_images
from vqnp.experiments.reproduce import reproduce
from vqnp.experiments.run import execute, is_finished, load_result, pretrain
from vqnp.files import load_arrays, load_with_meta, save_arrays
from vqnp.machine import in_words, machine
from vqnp.training import InitializeCodebook

FIGURES = ["fig4", "fig6"]
pytestmark = pytest.mark.filterwarnings(
    "ignore:k-means leaves"
)  # two channels can die, and then all embeddings coincide


@pytest.fixture(scope="module")
def uninterrupted(plan, image_plan, tmp_path_factory):
    directory = tmp_path_factory.mktemp("uninterrupted")
    reproduce(FIGURES, directory, points=plan, images=image_plan)
    return directory


def outcome(directory):
    """Everything a run leaves that must not depend on how it was run."""
    texts = {
        path.name: path.read_text() for path in directory.glob("*.json") if path.name != "run.json"
    }
    runs = {}
    for path in sorted((directory / "runs").glob("*-????????.npz")):
        arrays, info = load_with_meta(path, run.FORMAT)
        del info["seconds"]
        runs[path.name] = info, {name: array.tobytes() for name, array in arrays.items()}
    return texts, runs


def test_shared_pretraining_gives_the_bits_of_one_run_in_one_go(image_plan, tmp_path):
    setting = image_plan.run(4, 1, pretrained=True)
    images = setting.data.load(0)
    model = setting.build(pixel_variance(images.train))
    history = train(model, images.train, setting.schedule, setting.train, rng=setting.seed)
    numbers, arrays = evaluate_images(model, images.test)

    pretrain(setting.pretraining, tmp_path)
    execute(setting, tmp_path)
    result = load_result(setting, tmp_path)
    assert result.info["history"] == json.loads(json.dumps([asdict(record) for record in history]))
    assert result.numbers == numbers
    for name, array in arrays.items():
        np.testing.assert_array_equal(result[name], array)


def test_a_run_on_points_keeps_the_bits_of_one_run_in_one_go(plan, tmp_path):
    spec = plan.run(plan.clusters(2), (2, 1), 1, pretrained=True)
    points = spec.data.load(1).points
    model, seen = spec.build(), {}
    seen["untrained"] = model.encode(points)

    def look(state):
        if isinstance(state.current_phase, InitializeCodebook):
            seen.update(at_start=model.encode(points), tokens_at_start=model.tokens.copy())

    history = train(model, points, spec.schedule, spec.train, rng=1, on_phase=look)
    seen |= {"embeddings": model.encode(points), "tokens": model.tokens}

    pretrain(spec.pretraining, tmp_path)
    execute(spec, tmp_path)
    result = load_result(spec, tmp_path)
    assert result.info["history"] == json.loads(json.dumps([asdict(record) for record in history]))
    for name, array in seen.items():
        np.testing.assert_array_equal(result[name], array)


def test_the_course_of_a_run_ends_with_its_numbers(image_plan, tmp_path, monkeypatch):
    """Pretraining takes 3 of the 6 steps; the first look is after the first step with VQ."""
    monkeypatch.setattr(run, "LEAST_STEPS_A_LOOK", 2)
    for pretrained, steps in ((False, [1, 2, 4, 6]), (True, [4, 6])):
        spec = image_plan.run(4, 1, pretrained=pretrained)
        if pretrained:
            pretrain(spec.pretraining, tmp_path)
        execute(spec, tmp_path)
        result = load_result(spec, tmp_path)
        course = result.info["course"]
        assert [point.pop("step") for point in course] == steps
        assert course[-1] == {name: result.numbers[name] for name in course[-1]}


def test_without_its_pretraining_a_run_does_not_start(image_plan, tmp_path):
    with pytest.raises(FileNotFoundError, match="patches-encoder4-autoencoder-seed0"):
        execute(image_plan.run(4, 0, pretrained=True), tmp_path)


def test_numbers_are_of_the_whole_test_set(image_plan, monkeypatch):
    """One image at a time or all at once: codes are counted before any perplexity is taken."""
    setting = image_plan.run(8, 0, pretrained=False)
    images = setting.data.load(0)
    model = setting.build(pixel_variance(images.train))
    points = model.encode(pixels_to_float(images.train)).reshape(-1, 32)
    model.quantizer.initialize(points, batch=len(points), rng=0)
    together, arrays = evaluate_images(model, images.test)
    monkeypatch.setattr(measure, "IMAGES_A_BATCH", 1)
    apart, same = evaluate_images(model, images.test)
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


def test_silent_units_are_those_that_no_test_image_moves(image_plan):
    images = image_plan.data.load(0)
    model = image_plan.run(2, 0, pretrained=False).build(1.0)
    # One rectifier of 2 units, one of 4, two blocks of 4 and 2 each, and the last of 4.
    assert measure.silent_units(model, images.test)["encoder_units"] == 2 + 4 + 2 * (4 + 2) + 4
    few = measure.silent_units(model, images.test)["dead_units"]
    bias, *_ = (p for name, p in model.params.items() if name == "encoder.0.bias")
    bias[:] = -1e3  # both units of the first rectifier
    assert measure.silent_units(model, images.test)["dead_units"] >= max(2, few)
    for name, parameter in model.params.items():
        if name.startswith("encoder"):
            parameter[...] = -1.0 if name.endswith("bias") else 0.0
    assert measure.silent_units(model, images.test)["dead_units"] == 22
    z = model.encode(pixels_to_float(images.test))
    assert (z == z[0, 0, 0]).all()


def test_looking_at_the_units_goes_through_the_encoder(image_plan):
    images = image_plan.data.load(0)
    model = image_plan.run(2, 0, pretrained=False).build(1.0)
    x = pixels_to_float(images.test)
    np.testing.assert_array_equal(measure.through(model.encoder, x, []), model.encode(x))


def test_no_more_images_are_kept_than_are_shown(image_plan, monkeypatch):
    setting = image_plan.run(2, 0, pretrained=False)
    images = setting.data.load(0)
    model = setting.build(1.0)
    points = model.encode(pixels_to_float(images.train)).reshape(-1, 32)
    model.quantizer.initialize(points, batch=9, rng=0)
    monkeypatch.setattr(measure, "IMAGES_SHOWN", 3)
    monkeypatch.setattr(measure, "IMAGES_A_BATCH", 2)
    _, arrays = evaluate_images(model, images.test)
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
def test_fig4b_is_made_when_it_is_named(image_plan, tmp_path, uninterrupted):
    reproduce(["fig4b"], tmp_path, images=image_plan)
    rows = json.loads((tmp_path / "fig4b.json").read_text())["numbers"]
    assert len(rows) == 2 * 5
    of_fig4 = json.loads((uninterrupted / "fig4.json").read_text())["numbers"]
    only_there = {"patch_mse", "course", "followed"}
    shared = [
        {name: value for name, value in row.items() if name not in only_there}
        for row in of_fig4
        if (row["tokens"], row["seed"]) == (4, 0)
    ]
    for row in rows:
        if row["change"] == "paper":
            assert {name: row[name] for name in shared[0]} in shared


@pytest.mark.jit
def test_resume_keeps_what_is_there(uninterrupted, plan, image_plan):
    before = {path: path.stat().st_mtime_ns for path in (uninterrupted / "runs").iterdir()}
    expected = outcome(uninterrupted)
    reproduce(FIGURES, uninterrupted, points=plan, images=image_plan, resume=True)
    assert {path: path.stat().st_mtime_ns for path in (uninterrupted / "runs").iterdir()} == before
    assert outcome(uninterrupted) == expected


@pytest.mark.jit
def test_resuming_on_another_machine_is_said_in_one_line(
    uninterrupted, plan, image_plan, monkeypatch, capsys
):
    here, there = machine(), {"processor": "Another", "blas": "openblas 9, kernel Zen"}
    monkeypatch.setattr(run, "machine", lambda: there)
    monkeypatch.setattr("vqnp.experiments.reproduce.machine", lambda: there)
    given = {"points": plan, "images": image_plan, "resume": True, "progress": True}
    reproduce(FIGURES, uninterrupted, **given)
    lines = [line for line in capsys.readouterr().err.splitlines() if "made on" in line]
    (line,) = lines
    assert line.startswith(f"Runs on images in this folder were made on {in_words(here)};")
    assert "this machine is Another (openblas 9, kernel Zen): their bits may differ." in line
    assert json.loads((uninterrupted / "run.json").read_text())["elsewhere"] == [in_words(here)]
    page = (uninterrupted / "report.html").read_text("utf-8")
    assert f"Runs on images were also made on {in_words(here)}." in page


def test_finished_runs_on_images_and_checkpoints_say_what_they_were_made_on(
    plan, image_plan, tmp_path, monkeypatch
):
    spec, on_points = (
        image_plan.run(4, 0, pretrained=False),
        plan.run(plan.clusters(2), (2, 1), 0, pretrained=False),
    )
    execute(spec, tmp_path)
    execute(on_points, tmp_path)
    assert load_result(spec, tmp_path).info["machine"] == machine()
    assert "machine" not in load_result(on_points, tmp_path).info  # its bits are the same anywhere
    (tmp_path / f"{spec.slug}.npz").unlink()

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "train", functools.partial(train, checkpoint_seconds=0, on_epoch=stop))
    monkeypatch.setattr(run, "look_now_and_then", lambda *_: None)
    with pytest.raises(KeyboardInterrupt):
        execute(spec, tmp_path)
    assert run.checkpoint_of(spec, tmp_path).exists()
    assert run.made_elsewhere([spec], tmp_path) == []
    monkeypatch.setattr(run, "machine", lambda: {"processor": "Another", "blas": "b"})
    assert run.made_elsewhere([spec], tmp_path) == [in_words(machine())]


@pytest.mark.jit
def test_the_number_of_jobs_changes_nothing(uninterrupted, plan, image_plan, tmp_path):
    reproduce(FIGURES, tmp_path, points=plan, images=image_plan, jobs=2)
    assert outcome(tmp_path) == outcome(uninterrupted)


@pytest.mark.jit
@pytest.mark.parametrize(
    ("pattern", "how", "jobs"),
    [
        ("*-autoencoder-*.checkpoint.npz", signal.SIGKILL, 1),
        ("*-tokens*.checkpoint.npz", signal.SIGKILL, 1),
        ("*-tokens*.checkpoint.npz", signal.SIGINT, 1),
        ("*-tokens*-????????.npz", signal.SIGKILL, 1),
        ("*-????????.npz", signal.SIGINT, 2),
    ],
)
def test_interrupted_and_resumed_gives_the_same_bits(
    uninterrupted, plan, image_plan, tmp_path, pattern, how, jobs
):
    """Killed, or Ctrl-C, as soon as there is such a file; every step writes a checkpoint."""
    script = f"""
        import functools
        from pathlib import Path
        from vqnp import training
        from vqnp.data import Patches
        from vqnp.experiments import run
        from vqnp.experiments.plans import ImagesPlan
        from vqnp.experiments.reproduce import reproduce
        run.train = functools.partial(training.train, checkpoint_seconds=0)
        reproduce({FIGURES!r}, Path({str(tmp_path)!r}), images={image_plan!r}, jobs={jobs})
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
    assert how == signal.SIGKILL or not list(tmp_path.rglob(".*.part"))
    reproduce(FIGURES, tmp_path, points=plan, images=image_plan, resume=True)
    assert outcome(tmp_path) == outcome(uninterrupted)


def test_a_result_of_another_setting_or_other_data_is_not_taken_up(image_plan, tmp_path):
    one, other = (image_plan.run(tokens, 0, pretrained=False) for tokens in (2, 4))
    execute(one, tmp_path)
    images = one.data.load(0)
    assert is_finished(one, images, tmp_path)
    shutil.copy(tmp_path / f"{one.slug}.npz", tmp_path / f"{other.slug}.npz")
    assert not is_finished(other, images, tmp_path)
    assert not is_finished(one, images.first(12, 4), tmp_path)
    assert not is_finished(one, images, tmp_path / "nowhere")
    path = tmp_path / f"{one.slug}.npz"
    arrays = load_arrays(path)
    save_arrays(path, {name: arrays[name] for name in ("meta", "sha256")})
    assert not is_finished(one, images, tmp_path)  # its arrays are gone


@pytest.mark.jit
def test_a_pretraining_that_is_damaged_is_made_again(uninterrupted, plan, image_plan, tmp_path):
    reproduce(["fig4"], tmp_path, points=plan, images=image_plan)
    damaged = next((tmp_path / "runs").glob("*-autoencoder-*-????????.npz"))
    damaged.write_bytes(damaged.read_bytes()[:100])
    for path in (tmp_path / "runs").glob("patches-*"):
        if "autoencoder" not in path.name:
            path.unlink()
    reproduce(FIGURES, tmp_path, points=plan, images=image_plan, resume=True)
    assert outcome(tmp_path) == outcome(uninterrupted)
