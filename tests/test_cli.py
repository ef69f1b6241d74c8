import functools
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from vqnp.cli import main
from vqnp.data import Cifar10, Patches
from vqnp.experiments import fig3, plans, reproduce, views
from vqnp.experiments.plans import ImagesPlan
from vqnp.machine import machine, thread_layer


@pytest.fixture
def tiny(monkeypatch):
    """Shrink what ``vqnp reproduce`` runs; the commands are otherwise the real ones."""
    small = functools.partial(plans.PointsPlan, epochs=2, per_class=8, n_tokens=4, widths=(4, 32))
    monkeypatch.setattr(plans, "PointsPlan", small)
    monkeypatch.setattr(views, "PLACED", 30)


def test_without_a_command_the_help_is_printed(capsys):
    assert main([]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("usage: vqnp")
    meanings = "0 success, 1 bad input, 2 usage error, 3 --fail-on, 130 Ctrl-C, 143 SIGTERM"
    assert meanings in " ".join(printed.split())


def test_the_version_is_printed(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"{version('vqnp')}\n"


def modules_after(statement):
    code = f"import sys; {statement}; print(*sys.modules)"
    return set(
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
    )


def test_importing_the_package_loads_nothing_heavy():
    assert not {"matplotlib", "sklearn", "numba", "numpy", "scipy", "pooch"} & modules_after(
        "import vqnp"
    )


def test_help_and_the_library_need_neither_matplotlib_nor_scikit_learn():
    help_ = (
        "import contextlib, vqnp.cli\n"
        "with contextlib.suppress(SystemExit): vqnp.cli.main(['reproduce', '--help'])"
    )
    assert not {"matplotlib", "sklearn", "numba"} & modules_after(f"exec({help_!r})")
    assert not {"matplotlib", "sklearn"} & modules_after(
        "from vqnp import train, diagnose, clusters, kmeans"
    )


def test_reproduce_writes_the_report_and_prints_the_claims(tiny, tmp_path, capsys):
    assert main(["reproduce", "fig2", "--seeds", "1", "--jobs", "1", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    claims = json.loads((tmp_path / "claims.json").read_text())
    for claim in claims:
        assert claim["id"] in printed
    held = sum(claim["holds"] for claim in claims)
    assert f"{held} of {len(claims)} claims hold for every seed" in printed
    assert (tmp_path / "report.html").exists()


def test_reproduce_takes_a_users_own_points(tiny, tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "points.npy", rng.normal(size=(60, 3)))
    np.save(tmp_path / "labels.npy", rng.integers(0, 3, 60))
    given = [
        "--data",
        str(tmp_path / "points.npy"),
        "--labels",
        str(tmp_path / "labels.npy"),
        "--token-size",
        "2",
    ]
    assert (
        main(
            [
                "reproduce",
                "fig3",
                "--seeds",
                "1",
                "--jobs",
                "1",
                "--out",
                str(tmp_path / "out"),
                *given,
            ]
        )
        == 0
    )
    rows = json.loads((tmp_path / "out" / "fig3.json").read_text())["numbers"]
    own = [row for row in rows if row["row"] == "own"]
    assert [row["n_embeddings"] for row in own] == [60, 60]
    assert [row["dimension"] for row in own] == [2, 2]
    assert "points.npy" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fig9"], "got 'fig9'"),
        (["fig3", "--labels", "l.npy"], "give --data FILE.npy"),
        (["fig2", "--data", "p.npy"], "name fig3"),
        (["fig2", "--data", "cifar10"], "name one of them"),
        (["fig4", "--data-dir", "somewhere"], "give --data cifar10"),
        (["fig4", "--data-name", "mine"], "give --data cifar10"),
        (["fig4", "--data", "cifar10", "--data-dir", "nowhere"], "no CIFAR-10 in nowhere"),
        (["fig4", "--data", "cifar10", "--token-size", "2"], "give --data FILE.npy"),
        (["fig4", "--data", "cifar10", "--data-dir", "nowhere"], "`vqnp data cifar10` fetches it"),
        (["fig3", "--data", "nowhere.npy"], "there is no file nowhere.npy"),
        (["fig3", "--data", "cifar100"], "or the word cifar10"),
        (["--scale", "laptop"], "--scale laptop is for CIFAR-10: give --data cifar10"),
        (["fig6", "--scale", "paper"], "`vqnp data cifar10`"),
    ],
)
def test_what_cannot_be_done_is_said_and_exits_with_1(
    tmp_path, monkeypatch, capsys, arguments, message
):
    monkeypatch.chdir(tmp_path)
    assert main(["reproduce", *arguments]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("points", "more", "message"),
    [
        (np.ones((300, 3)), [], "points.npy must hold at least two different points"),
        (np.ones((1, 3)), [], "points.npy must hold at least two different points"),
        (np.eye(4), ["--token-size", "9"], "may have at most their 4 dimensions, got 9"),
        (np.eye(4), ["--labels", "floats.npy"], "floats.npy must be a NumPy array of integers"),
        (np.eye(4), ["--labels", "few.npy"], "few.npy must have shape (4,), got (3,)"),
        (np.ones(5), [], "must hold points of shape (N, D), got (5,)"),
    ],
)
def test_own_data_that_cannot_be_used_are_refused_in_a_sentence_before_any_work(
    tmp_path, monkeypatch, capsys, points, more, message
):
    monkeypatch.chdir(tmp_path)
    np.save("points.npy", points)
    np.save("floats.npy", np.zeros(4))
    np.save("few.npy", np.zeros(3, np.int64))
    assert main(["reproduce", "fig3", "--data", "points.npy", "--out", "out", *more]) == 1
    assert message in capsys.readouterr().err
    assert not Path("out").exists()


def test_one_dimensional_points_are_drawn(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("points.npy", np.random.default_rng(0).normal(size=(60, 1)))
    every = fig3.cases
    monkeypatch.setattr(fig3, "cases", lambda plan: every(plan)[-1:])  # they alone, to be quick
    given = ["fig3", "--seeds", "1", "--jobs", "1", "--data", "points.npy", "--out", "out"]
    assert main(["reproduce", *given]) == 0
    assert "own data, 1 → 1 dimensions" in Path("out/report.html").read_text("utf-8")


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_output_in_any_encoding_ends_no_run(encoding):
    script = """
        import sys
        from vqnp import cli
        def run(options):
            print("clusters, 2 → 1 dimensions ✓", flush=True)
            raise ValueError("8 → 4")
        cli.run_reproduce = run
        sys.exit(cli.main(["reproduce"]))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": encoding},
    )
    assert done.returncode == 1
    arrow = "→" if encoding == "utf-8" else "?"
    assert f"2 {arrow} 1 dimensions" in done.stdout.decode(encoding)
    assert done.stderr.decode(encoding).splitlines() == [f"vqnp: 8 {arrow} 4"]


def test_bars_without_work_do_not_appear(tiny, tmp_path, capsys):
    assert main(["reproduce", "fig2", "--seeds", "1", "--jobs", "1", "--out", str(tmp_path)]) == 0
    bars = capsys.readouterr().err
    assert "runs" in bars
    assert "k-means" not in bars
    assert "0it" not in bars


def test_bad_points_are_refused_before_the_first_run(tiny, tmp_path, capsys):
    np.save(tmp_path / "points.npy", np.array([[1.0, np.nan]]))
    out = tmp_path / "out"
    assert (
        main(
            [
                "reproduce",
                "fig3",
                "--jobs",
                "1",
                "--out",
                str(out),
                "--data",
                str(tmp_path / "points.npy"),
            ]
        )
        == 1
    )
    assert "points.npy holds NaN or infinity" in capsys.readouterr().err
    assert not list(out.rglob("*.npz"))


@pytest.mark.parametrize(
    "arguments", [["--seeds", "0"], ["--jobs", "-1"], ["--scale", "huge"], ["--seeds", "x"]]
)
def test_what_cannot_be_understood_exits_with_2(arguments):
    with pytest.raises(SystemExit, match="2"):
        main(["reproduce", *arguments])


@pytest.fixture
def handlers():
    """Give back what a stopped command mutes, because its process would be about to end.

    Before that each signal is heard, also where the tests run under nohup.
    """
    muted = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    heard = [signal.default_int_handler, signal.SIG_DFL, signal.SIG_DFL]
    before = [signal.signal(*pair) for pair in zip(muted, heard, strict=True)]
    yield
    for one, handler in zip(muted, before, strict=True):
        signal.signal(one, handler)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stopped_command_says_how_to_go_on(handlers, monkeypatch, capsys, tmp_path, ending):
    monkeypatch.setattr(reproduce, "reproduce", lambda *_, **__: signal.raise_signal(ending))
    assert main(["reproduce", "--out", str(tmp_path)]) == 128 + ending
    assert capsys.readouterr().err == (
        "\nStopped. Finished runs are kept: give the same command with --resume.\n"
    )
    signal.raise_signal(signal.SIGINT)  # once more, while the process ends: nothing happens


def test_a_command_without_resume_does_not_speak_of_it(handlers, monkeypatch, capsys):
    monkeypatch.setattr("vqnp.data.fetch_cifar10", lambda *_: signal.raise_signal(signal.SIGINT))
    assert main(["data", "cifar10"]) == 130
    assert capsys.readouterr().err == "\nStopped.\n"


def test_a_command_that_was_not_stopped_leaves_signals_as_they_were(handlers, capsys):
    assert main([]) == 0
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_second_command_keeps_the_figures_that_are_there(tiny, tmp_path, capsys):
    given = ["--seeds", "1", "--jobs", "1", "--out", str(tmp_path)]
    assert main(["reproduce", "fig5", *given]) == 0
    assert main(["reproduce", "fig2", *given]) == 0
    assert "It keeps fig5 as before." in capsys.readouterr().out


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(500, 3)).astype(np.float32)
    tokens = np.concatenate([embeddings[:6], np.full((2, 3), 40, np.float32)])
    for name, array in (("E", embeddings), ("T", tokens), ("L", rng.integers(0, 2, 500))):
        np.save(tmp_path / f"{name}.npy", array)
    return tmp_path


def diagnose(folder, *more):
    given = [
        "--embeddings",
        str(folder / "E.npy"),
        "--tokens",
        str(folder / "T.npy"),
        "--out",
        str(folder / "out"),
    ]
    return main(["diagnose", *given, *more])


def test_diagnose_measures_reads_and_draws(files, capsys):
    assert diagnose(files, "--labels", str(files / "L.npy")) == 0
    printed = capsys.readouterr().out
    assert "6 of 8 tokens are ever chosen: 25% of the codebook is dead." in printed
    assert "Dead tokens: 6, 7." in printed
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
        ("E", np.zeros((5, 3), np.int64), "embeddings must be floats, or integers of 8 or 16 bits"),
        ("L", np.zeros(3, np.int64), "labels must have shape (500,), got (3,)"),
    ],
)
def test_diagnose_refuses_arrays_that_do_not_fit(files, capsys, name, array, message):
    np.save(files / f"{name}.npy", array)
    assert diagnose(files, "--labels", str(files / "L.npy")) == 1
    assert message in capsys.readouterr().err
    assert not (files / "out" / "report.html").exists()


def test_diagnose_answers_in_json_and_fails_on_a_verdict(files, capsys):
    rng = np.random.default_rng(0)
    np.save(files / "T.npy", rng.normal(size=(20, 3)).astype(np.float32))
    assert diagnose(files, "--json") == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "healthy"
    assert diagnose(files, "--json", "--fail-on", "collapsed,bad-fit") == 0
    np.save(files / "T.npy", np.full((20, 3), 9, np.float32))
    assert diagnose(files, "--json", "--fail-on", "bad-fit") == 0  # it is another verdict
    capsys.readouterr()
    assert diagnose(files, "--json", "--fail-on", "bad-fit,collapsed") == 3
    found = json.loads(capsys.readouterr().out)
    assert found["verdict"] == "collapsed"
    assert found["reference"]["kmeans"]["codes_used"] == 20
    assert found["remedies"][0]["name"] == "Pretrain, then quantize"
    with pytest.raises(SystemExit, match="2"):
        diagnose(files, "--fail-on", "broken")


def test_diagnose_compares_codebooks_and_levels(files, capsys):
    rng = np.random.default_rng(0)
    np.save(files / "T.npy", np.full((12, 3), 9, np.float32))
    np.save(files / "U.npy", rng.normal(size=(12, 3)).astype(np.float32))
    both = [str(files / "T.npy"), str(files / "U.npy")]
    out = files / "out"
    given = ["diagnose", "--embeddings", str(files / "E.npy"), "--out", str(out), "--tokens"]
    assert main([*given, *both]) == 0
    printed = capsys.readouterr().out
    assert "T: Collapsed. Tokens collapse" in printed
    assert "U: Healthy." in printed
    assert list(json.loads((out / "diagnosis.json").read_text())) == ["T", "U"]
    page = (out / "report.html").read_text()
    assert page.count("<img") == 2
    assert "Side by side" in page
    np.save(files / "Q.npy", rng.normal(size=(2, 12, 3)).astype(np.float32))
    assert main([*given, str(files / "Q.npy")]) == 0
    assert "2 residual codebooks are used in" in capsys.readouterr().out
    np.savez(files / "A.npz", embed=np.load(files / "U.npy"), other=np.zeros(3))
    assert main([*given, f"{files / 'A.npz'}:embed", "--metric", "cosine"]) == 0


def test_diagnose_measures_codes_alone(files, capsys):
    np.save(files / "C.npy", np.arange(100).reshape(10, 10) % 7)
    np.save(files / "H.npy", np.array([5, 0, 5]))
    out = ["--out", str(files / "out"), "--json"]
    assert main(["diagnose", "--codes", str(files / "C.npy"), "--n-tokens", "8", *out]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["codes_used"], found["dead_tokens"], found["verdict"]) == (7, [7], "cannot tell")
    assert main(["diagnose", "--histogram", str(files / "H.npy"), *out]) == 0
    assert json.loads(capsys.readouterr().out)["entropy_bits"] == 1.0
    assert (files / "out" / "report.html").exists()
    assert main(["diagnose", "--codes", "C", "--tokens", "T", *out]) == 1
    assert main(["diagnose", "--tokens", "T", *out]) == 1
    assert "give --embeddings and --tokens" in capsys.readouterr().err


def test_the_page_says_how_it_came_about(files):
    np.save(files / "T.npy", np.full((20, 3), 9, np.float32))
    assert diagnose(files) == 0
    page = (files / "out" / "report.html").read_text()
    assert re.search(r"20\d\d-\d\d-\d\d \d\d:\d\d", page)
    for said in (
        str(files / "E.npy"),
        str(files / "T.npy"),
        "What to do next",
        "Beside 20 tokens of k-means (seed 0) on 500 of the embeddings",
        machine()["processor"],
        machine()["blas"],
        f"Numba's threads by {thread_layer()}",
        f"numpy {version('numpy')}",
        "20 tokens, 19 of them dead",  # in the words of the picture
        "screen and (prefers-color-scheme: dark)",
        "@media print",
        "max-width: 700px",
    ):
        assert said in page
    linked = re.findall(r'<a href="file://([^"]*)"', page)
    assert len(linked) >= 4
    assert all(Path(path).exists() for path in linked)
    from vqnp.diagnostics.verdict import LIMITS

    assert all(limit.reason.split("'")[0] in page for limit in LIMITS)


def test_labels_are_looked_at_before_the_search(files, capsys, monkeypatch):
    monkeypatch.setattr("vqnp.experiments.diagnosis_page.assign", None)
    np.save(files / "L.npy", np.zeros(500))
    assert diagnose(files, "--labels", str(files / "L.npy")) == 1
    assert "labels must be a NumPy array of integers" in capsys.readouterr().err


def test_diagnose_refuses_files_that_are_not_arrays(files, capsys):
    (files / "E.npy").write_bytes(b"not an array")
    assert diagnose(files) == 1
    assert "E.npy is not a whole .npy file" in capsys.readouterr().err


@pytest.fixture
def planned(monkeypatch):
    """What ``vqnp reproduce`` would run on images, instead of running it."""
    seen = {}

    def record(figures, directory, *, points, images, **options):
        seen.update(figures=figures, images=images, **options)
        raise ValueError("planned")

    monkeypatch.setattr(reproduce, "reproduce", record)

    def run(*arguments):
        assert main(["reproduce", *arguments]) == 1
        return seen

    return run


def test_no_names_mean_the_papers_five_figures_on_patches_in_minutes(planned):
    seen = planned()
    assert seen["figures"] == ["fig2", "fig3", "fig4", "fig5", "fig6"]
    assert seen["images"] == ImagesPlan.at_scale("quick", Patches(1000, 500), (0, 1, 2))


def test_cifar10_at_laptop_scale(planned):
    images = planned(
        "fig4", "--scale", "laptop", "--data", "cifar10", "--data-dir", "d", "--data-name", "n"
    )["images"]
    assert images == ImagesPlan.at_scale("laptop", Cifar10(50_000, 10_000, "n"), (0, 1, 2))
    assert images.data.directory == "d"


def test_data_says_where_cifar10_is(monkeypatch, capsys, tmp_path):
    asked = []
    monkeypatch.setattr(
        "vqnp.data.fetch_cifar10", lambda *given: asked.append(given) or tmp_path / "archive"
    )
    assert main(["data", "cifar10", "--data-dir", "here", "--layout", "binary"]) == 0
    assert asked == [(Path("here"), "binary")]
    assert str(tmp_path / "archive") in capsys.readouterr().out


def test_data_without_a_network_says_what_to_download_and_where_to_put_it(
    monkeypatch, capsys, tmp_path
):
    import pooch
    import requests

    def offline(*_, **__):
        raise requests.exceptions.ConnectionError("no network")

    monkeypatch.setattr(pooch, "retrieve", offline)
    assert main(["data", "cifar10", "--data-dir", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert "cifar-10-python.tar.gz" in error
    assert f"put it at {tmp_path / 'cifar-10-python.tar.gz'}" in error
    assert "c58f30108f718f92721af3b95e74349a" in error
