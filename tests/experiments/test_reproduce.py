import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from vqnp.experiments import views
from vqnp.experiments.claims import Claim
from vqnp.experiments.plans import PointsPlan
from vqnp.experiments.reproduce import reproduce
from vqnp.files import load_arrays
from vqnp.machine import PACKAGES, machine, thread_layer


def outcome(directory):
    """The numbers, the claims, and each run's arrays: they must not depend on how it was run."""
    texts = {
        path.name: path.read_text() for path in directory.glob("*.json") if path.name != "run.json"
    }
    arrays = {
        (path.name, name): array.tobytes()
        for path in (directory / "runs").glob("*-????????.npz")
        for name, array in load_arrays(path).items()
        if name not in ("meta", "sha256")
    }
    return texts, arrays


@pytest.fixture(scope="module")
def uninterrupted(plan, tmp_path_factory):
    directory = tmp_path_factory.mktemp("uninterrupted")
    reproduce(["fig2", "fig5"], directory, points=plan)
    return directory


def test_what_a_run_leaves_behind(plan, tmp_path, monkeypatch):
    monkeypatch.setattr(views, "PLACED", 40)
    made = reproduce(["fig2", "fig3", "fig5"], tmp_path, points=plan, scale="quick")
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"report.html", "claims.json", "run.json", "runs"} | {
        f"fig{n}.{kind}" for n in (2, 3, 5) for kind in ("png", "svg", "json")
    }
    claims = json.loads((tmp_path / "claims.json").read_text())
    assert [c["id"] for c in claims] == [c.id for c in made.claims]
    assert all(c["holds"] is claim.holds for c, claim in zip(claims, made.claims, strict=True))
    account = json.loads((tmp_path / "run.json").read_text())
    assert account["seeds"] == [0, 1]
    assert set(account["versions"]) == set(PACKAGES)
    assert account["machine"] == machine()
    assert "kernel" in account["machine"]["blas"]
    assert account["thread_layer"] == thread_layer()
    assert account["earlier"] == account["elsewhere"] == []
    page = (tmp_path / "report.html").read_text("utf-8")
    for said in (
        *account["machine"].values(),
        f"({thread_layer()})",
        "those of images on one kind",
    ):
        assert said in page
    # clusters in 2, 3, 4 and 8 dimensions for each seed; the digits are the same
    assert len(account["data"]) == 4 * 2 + 1
    assert not list(tmp_path.rglob("*.part"))
    assert not list((tmp_path / "runs").glob("*checkpoint*"))


def test_the_report_is_one_self_contained_page(uninterrupted):
    page = (uninterrupted / "report.html").read_text()
    sources = re.findall(r'(?:src|href)="([^"]{0,30})', page)
    assert sources
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    for claim in json.loads((uninterrupted / "claims.json").read_text()):
        assert f'id="{claim["id"]}"' in page
    assert page.count("✓ holds") + page.count("✗ not shown") == page.count("<tr id=")
    assert str(uninterrupted) not in page


def test_the_numbers_behind_a_picture(uninterrupted, plan):
    rows = json.loads((uninterrupted / "fig5.json").read_text())["numbers"]
    assert [(r["hidden"], r["extra"], r["seed"]) for r in rows] == [
        (h, e, s)
        for h, e in [(2, None), (4, None), (32, None), (4, 4), (4, 32)]
        for s in plan.seeds
    ]
    run = load_arrays(
        next(
            (uninterrupted / "runs").glob(
                "clusters-2to1-encoder2-tokens6-baseline-seed0-????????.npz"
            )
        )
    )
    points = PointsPlan(per_class=plan.per_class).clusters(2).load(0).points
    assert rows[0]["mse"] == pytest.approx(np.mean((run["reconstruction"] - points) ** 2))
    assert rows[0]["codes_used"] == len(np.unique(run["codes"]))


def test_figures_that_are_there_stay_on_the_page_and_in_the_records(uninterrupted, plan, tmp_path):
    reproduce(["fig5"], tmp_path, points=plan, scale="quick")
    first = json.loads((tmp_path / "run.json").read_text())
    made = reproduce(["fig2"], tmp_path, points=plan, scale="quick")
    assert made.kept == ["fig5"]
    assert {claim.figure for claim in made.claims} == {"fig2"}
    assert outcome(tmp_path) == outcome(uninterrupted)  # as of one command, claims included
    last = json.loads((tmp_path / "run.json").read_text())
    assert last["figures"] == ["fig2"]
    del first["earlier"]
    assert last["earlier"] == [first]
    page = (tmp_path / "report.html").read_text("utf-8")
    assert re.findall(r'<h2 id="(\w+)"', page) == ["fig2", "fig5"]
    assert page.count("kept from an earlier command") == 1
    assert "fig5, by an earlier command" in page
    for claim in json.loads((uninterrupted / "claims.json").read_text()):
        assert f'id="{claim["id"]}"' in page

    reproduce(["fig2", "fig5"], tmp_path, points=plan, resume=True)  # all are made again
    assert json.loads((tmp_path / "run.json").read_text())["earlier"] == []
    assert "earlier" not in (tmp_path / "report.html").read_text("utf-8").split("<details>")[0]
    (tmp_path / "fig5.png").unlink()  # it can be shown no more
    reproduce(["fig2"], tmp_path, points=plan, resume=True)
    assert {c["figure"] for c in json.loads((tmp_path / "claims.json").read_text())} == {"fig2"}


@pytest.mark.parametrize("name", ["run.json", "claims.json"])
@pytest.mark.parametrize("text", ["", "[1", "{}", '{"figures": 3}', "[{}]"])
def test_records_that_cannot_be_kept_are_refused_before_the_first_run(
    uninterrupted, plan, tmp_path, name, text
):
    for whole in ("run.json", "claims.json"):
        shutil.copy(uninterrupted / whole, tmp_path)
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=f"{name} .* move it away"):
        reproduce(["fig2"], tmp_path, points=plan)
    assert not list(tmp_path.rglob("*.npz"))
    assert (tmp_path / name).read_text() == text


def test_claims_come_back_from_their_file():
    kept = Path(__file__).parents[2] / "notebooks" / "results"
    for path in (kept / "claims.json", kept / "points" / "claims.json"):
        for entry in json.loads(path.read_text("utf-8")):
            assert json.dumps(Claim.from_json(entry).to_json()) == json.dumps(entry)
            assert Claim.from_json(entry | {"holds": None}).holds == entry["holds"]


@pytest.mark.jit
def test_the_number_of_jobs_changes_nothing(uninterrupted, plan, tmp_path):
    reproduce(["fig2", "fig5"], tmp_path, points=plan, jobs=2)
    assert outcome(tmp_path) == outcome(uninterrupted)


def test_resume_keeps_what_is_there_and_finishes_the_rest(uninterrupted, plan, tmp_path):
    reproduce(["fig2"], tmp_path, points=plan)
    kept = next((tmp_path / "runs").glob("*-pretrained-seed0-????????.npz"))
    written = kept.stat().st_mtime_ns
    reproduce(["fig2", "fig5"], tmp_path, points=plan, resume=True)
    assert kept.stat().st_mtime_ns == written
    assert outcome(tmp_path) == outcome(uninterrupted)


def test_resume_does_not_trust_a_damaged_or_foreign_run(uninterrupted, plan, tmp_path):
    reproduce(["fig2"], tmp_path, points=plan)
    first, second = sorted((tmp_path / "runs").glob("*-pretrained-*-????????.npz"))
    whole = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(whole[: len(whole) // 2])
    reproduce(["fig2", "fig5"], tmp_path, points=plan, resume=True)
    assert outcome(tmp_path) == outcome(uninterrupted)


@pytest.mark.parametrize("moment", ["checkpoint", "pretrained", "finished"])
def test_killed_and_resumed_gives_the_same_bits(uninterrupted, plan, tmp_path, moment):
    """SIGKILL as soon as a file of that kind is there; every step writes a checkpoint."""
    script = f"""
        import functools
        from pathlib import Path
        from vqnp import training
        from vqnp.experiments import run as execute
        from vqnp.experiments.reproduce import reproduce
        from vqnp.experiments.plans import PointsPlan
        execute.train = functools.partial(training.train, checkpoint_seconds=0)
        points = PointsPlan(**{plan_arguments(plan)!r})
        reproduce(["fig2", "fig5"], Path({str(tmp_path)!r}), points=points)
    """
    pattern = {
        "checkpoint": "*.checkpoint.npz",
        "pretrained": "*-autoencoder-seed?-????????.npz",
        "finished": "*-tokens*-????????.npz",
    }[moment]
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)])
    while process.poll() is None and not list(tmp_path.glob(f"runs/{pattern}")):
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the run ended before it could be killed"
    reproduce(["fig2", "fig5"], tmp_path, points=plan, resume=True)
    assert outcome(tmp_path) == outcome(uninterrupted)


def plan_arguments(plan):
    return {
        "seeds": plan.seeds,
        "epochs": plan.epochs,
        "per_class": plan.per_class,
        "n_tokens": plan.n_tokens,
        "widths": plan.widths,
    }


def test_an_unknown_figure_is_refused_before_anything_is_written(plan, tmp_path):
    with pytest.raises(
        ValueError,
        match=r"figures must be among fig2, .*, fig6, known, table; got 'fig9'",
    ):
        reproduce(["fig2", "fig9"], tmp_path / "out", points=plan)
    assert not (tmp_path / "out").exists()


def test_a_directory_that_cannot_be_written_is_refused_before_anything_is_run(plan, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match=re.escape(os.fspath(tmp_path / "file"))):
        reproduce(["fig2"], tmp_path / "file" / "out", points=plan)
