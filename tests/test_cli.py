import functools
import json
import subprocess
import sys

import numpy as np
import pytest

from vqnp.cli import FIGURES, main
from vqnp.experiments import synthetic, views
from vqnp.experiments.reproduce import FIGURES as MODULES


@pytest.fixture
def tiny(monkeypatch):
    """Shrink what ``vqnp reproduce`` runs; the commands are otherwise the real ones."""
    small = functools.partial(synthetic.Plan, epochs=2, per_class=8, tokens=4, widths=(4, 32))
    monkeypatch.setattr(synthetic, "Plan", small)
    monkeypatch.setattr(views, "PLACED", 30)


def test_the_figures_offered_are_the_figures_there_are():
    assert tuple(MODULES) == FIGURES


def modules_after(statement):
    code = f"import sys; {statement}; print(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_importing_the_package_loads_nothing_heavy():
    assert not {"matplotlib", "sklearn", "numba", "numpy", "scipy", "pooch"} & modules_after("import vqnp")


def test_help_and_the_library_need_neither_matplotlib_nor_scikit_learn():
    help_ = "import contextlib, vqnp.cli\nwith contextlib.suppress(SystemExit): vqnp.cli.main(['--help'])"
    assert not {"matplotlib", "sklearn", "numba"} & modules_after(f"exec({help_!r})")
    assert not {"matplotlib", "sklearn"} & modules_after("from vqnp import train, diagnose, clusters, kmeans")


def test_reproduce_writes_the_report_and_prints_the_claims(tiny, tmp_path, capsys):
    assert main(["reproduce", "fig2", "--seeds", "1", "--jobs", "1", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    claims = json.loads((tmp_path / "claims.json").read_text())
    for claim in claims:
        assert claim["id"] in printed
    held = sum(claim["holds"] for claim in claims)
    assert f"{held} of {len(claims)} claims hold for every one of 1 seeds" in printed
    assert (tmp_path / "report.html").exists()


def test_reproduce_takes_a_users_own_points(tiny, tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "points.npy", rng.normal(size=(60, 3)))
    np.save(tmp_path / "labels.npy", rng.integers(0, 3, 60))
    given = ["--data", str(tmp_path / "points.npy"), "--labels", str(tmp_path / "labels.npy"), "--token-size", "2"]
    assert main(["reproduce", "fig3", "--seeds", "1", "--jobs", "1", "--out", str(tmp_path / "out"), *given]) == 0
    rows = json.loads((tmp_path / "out" / "fig3.json").read_text())["numbers"]
    own = [row for row in rows if row["row"] == "own"]
    assert [row["n_embeddings"] for row in own] == [60, 60]
    assert [row["dimension"] for row in own] == [2, 2]
    assert "points.npy" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fig9"], "no figure 'fig9'"),
        (["fig3", "--labels", "l.npy"], "give them with --data"),
        (["fig2", "--data", "p.npy"], "name fig3"),
        (["fig3", "--data", "nowhere.npy"], "nowhere.npy"),
    ],
)
def test_what_cannot_be_done_is_said_and_exits_with_1(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert main(["reproduce", *arguments]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not list(tmp_path.rglob("*.npz"))


def test_bad_points_are_refused_before_the_first_run(tiny, tmp_path, capsys):
    np.save(tmp_path / "points.npy", np.array([[1.0, np.nan]]))
    out = tmp_path / "out"
    assert main(["reproduce", "fig3", "--jobs", "1", "--out", str(out), "--data", str(tmp_path / "points.npy")]) == 1
    assert "points.npy holds NaN or infinity" in capsys.readouterr().err
    assert not list(out.rglob("*.npz"))


@pytest.mark.parametrize("arguments", [["--seeds", "0"], ["--jobs", "-1"], ["--scale", "huge"], ["--seeds", "x"]])
def test_what_cannot_be_understood_exits_with_2(arguments):
    with pytest.raises(SystemExit, match="2"):
        main(["reproduce", *arguments])


def test_ctrl_c_says_how_to_go_on(monkeypatch, capsys, tmp_path):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("vqnp.experiments.reproduce.reproduce", interrupted)
    assert main(["reproduce", "--out", str(tmp_path)]) == 130
    assert "--resume" in capsys.readouterr().err


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(500, 3)).astype(np.float32)
    tokens = np.concatenate([embeddings[:6], np.full((2, 3), 40, np.float32)])
    for name, array in (("E", embeddings), ("T", tokens), ("L", rng.integers(0, 2, 500))):
        np.save(tmp_path / f"{name}.npy", array)
    return tmp_path


def diagnose(folder, *more):
    given = ["--embeddings", str(folder / "E.npy"), "--tokens", str(folder / "T.npy"), "--out", str(folder / "out")]
    return main(["diagnose", *given, *more])


def test_diagnose_measures_reads_and_draws(files, capsys):
    assert diagnose(files, "--labels", str(files / "L.npy")) == 0
    printed = capsys.readouterr().out
    assert "6 of 8 tokens are ever chosen: 25% of the codebook is dead." in printed
    numbers = json.loads((files / "out" / "diagnosis.json").read_text())
    assert (numbers["n_embeddings"], numbers["n_tokens"], numbers["codes_used"]) == (500, 8, 6)
    assert numbers["tokens_outside"] == 0.25
    assert numbers["class_divergence"] is not None
    page = (files / "out" / "report.html").read_text()
    assert "25% of the codebook is dead" in page
    assert "data:image/png;base64," in page
    assert {path.name for path in (files / "out").iterdir()} == {
        "report.html",
        "diagnosis.json",
        "diagnosis.png",
        "diagnosis.svg",
    }


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("T", np.zeros((4, 2), np.float32), "must have shape (N, 2), got (500, 3)"),
        ("T", np.zeros((0, 3), np.float32), "tokens is empty"),
        ("E", np.full((5, 3), np.nan, np.float32), "embeddings holds NaN"),
        ("E", np.zeros((5, 3), np.int64), "embeddings must be float32 or float64, got int64"),
        ("L", np.zeros(3, np.int64), "labels must have shape (500,), got (3,)"),
    ],
)
def test_diagnose_refuses_arrays_that_do_not_fit(files, capsys, name, array, message):
    np.save(files / f"{name}.npy", array)
    assert diagnose(files, "--labels", str(files / "L.npy")) == 1
    assert message in capsys.readouterr().err
    assert not (files / "out" / "report.html").exists()


def test_diagnose_refuses_files_that_are_not_arrays(files, capsys):
    (files / "E.npy").write_bytes(b"not an array")
    assert diagnose(files) == 1
    assert "E.npy is not a whole .npy file" in capsys.readouterr().err
