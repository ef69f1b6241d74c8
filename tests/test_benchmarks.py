"""The benchmarks run, the contestants agree, and what is said of speed was measured."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from benchmarks import report

ROOT = Path(__file__).parents[1]
README, LOG = (
    " ".join((ROOT / name).read_text(encoding="utf-8").split())  # lines may break anywhere
    for name in ("README.md", "tests/benchmarks/LOG.md")
)
MACHINE = {
    "processor": "P",
    "cores": 2,
    "threads": 2,
    "system": "S",
    "python": "3",
    "versions": {"numpy": "2"},
}


def row(group="conv", case="a layer, forward", **values):
    return {
        "group": group,
        "case": case,
        "unit": "s",
        "values": values,
        "work": 6e9,
        "sgemm": 100.0,
    }


def needs_peers():
    for name in ("faiss", "torch"):
        pytest.importorskip(name, reason="the benchmarks need the extra `bench`")


@pytest.mark.jit
def test_every_group_runs_and_its_contestants_agree(tmp_path):
    needs_peers()
    groups = ["nearest", "ema", "kmeans", "conv", "step", "synthetic", "quantizers"]
    script = ROOT / "tests" / "benchmarks" / "run.py"
    command = [
        sys.executable,
        script,
        *groups,
        "--tiny",
        "--repeats",
        "2",
        "--threads",
        "1",
        "--out",
        tmp_path,
    ]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    machine, rows = report.load(tmp_path)
    assert machine["threads"] == 1
    assert list(dict.fromkeys(line["group"] for line in rows)) == groups
    for line in rows:
        assert line["case"] in printed
        assert all(seconds > 0 for runs in line["values"].values() for seconds in runs)
        assert report.OURS in line["values"]
        assert len(line["values"]) > 1
    assert (tmp_path / "benchmarks.png").stat().st_size > 0


@pytest.mark.jit
@pytest.mark.parametrize(
    ("module", "arguments", "said"),
    [
        ("watch", "--tiny --repeats 1", "codes and embeddings: .* ms beside a step of"),
        (
            "estimators",
            "--points 500 --tokens 8 --repeats 1",
            r"beside MiniBatchKMeans, ours \d+ steps .* inertia",
        ),
        ("large", "--embeddings 900 --tokens 8 --dimension 3", r"900 x 3 .* at most \d.* MB"),
    ],
)
def test_the_tools_for_your_own_codebook_are_measured(module, arguments, said):
    command = [sys.executable, "-m", f"benchmarks.{module}", *arguments.split()]
    run = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT / "tests")
    assert re.search(said, run.stdout)


def test_an_answer_that_differs_stops_a_case():
    needs_peers()
    from benchmarks.nearest import require_as_near
    from benchmarks.timing import Case, alternate

    points, tokens = np.zeros((2, 1), np.float32), np.array([[0], [1]], np.float32)
    right, wrong = np.array([0, 0]), np.array([0, 1])
    case = Case(
        "two points",
        {report.OURS: lambda: right, "peer": lambda: wrong},
        lambda codes: require_as_near(points, tokens, codes),
    )
    with pytest.raises(AssertionError, match="peer found tokens farther away"):
        alternate(case, 1, 1)
    with pytest.raises(AssertionError, match="peer found nearer tokens"):
        require_as_near(points, tokens, {report.OURS: wrong, "peer": right})


def test_each_contestant_has_the_threads_and_ours_holds_blas():
    needs_peers()
    import faiss
    import numba
    import torch
    from benchmarks.timing import pools
    from test_threads import blas_threads

    number = min(2, numba.config.NUMBA_NUM_THREADS)
    with pools(report.OURS, number):
        assert blas_threads() == {1}
        assert numba.get_num_threads() == number
    for threads in (1, number):
        with pools("peer", threads):
            assert blas_threads() == {threads}
            assert torch.get_num_threads() == faiss.omp_get_max_threads() == threads


def test_the_layers_are_those_of_the_model():
    needs_peers()
    from benchmarks.conv import LAYERS
    from benchmarks.step import IN_THE_MODEL

    from vqnp import conv_vqvae

    params = conv_vqvae().params
    of_model = sorted(value.shape for value in params.values() if value.ndim == 4)
    mine = []
    for layer, times in zip(LAYERS, IN_THE_MODEL, strict=True):
        channels = (
            (layer.outputs, layer.inputs) if layer.transposed else (layer.inputs, layer.outputs)
        )
        mine += [(layer.kernel, layer.kernel, *channels)] * times
    assert sorted(mine) == of_model


def test_ratios_are_of_medians_and_of_the_best_peer():
    line = row(vqnp=[0.1, 0.3, 0.2], slow=[9, 9], fast=[0.5, 0.3])
    assert report.best_peer(line) == "fast"
    assert report.ratio(line) == pytest.approx(2)
    assert report.rate(line) == pytest.approx(30)
    assert re.search(r"2\.00 +fast +30 +0\.30", report.table([line]))


def test_our_plain_quantizer_is_no_peer():
    line = row(vqnp=[0.3], **{report.PLAIN: [0.2], "peer": [0.6]})
    assert report.best_peer(line) == "peer"
    assert re.search(r"2\.00 +peer .* 1\.50 ", report.table([line]))
    assert report.best_peer(row(vqnp=[0.3], **{report.PLAIN: [0.2]})) is None


def test_new_rows_replace_those_of_their_case_and_no_others(tmp_path):
    report.save(
        tmp_path,
        MACHINE,
        [row(case="a, forward", vqnp=[1], peer=[1]), row(case="b, forward", vqnp=[1])],
    )
    report.save(tmp_path, MACHINE, [row(case="a, forward", vqnp=[2], peer=[1])])
    machine, rows = report.load(tmp_path)
    assert machine == MACHINE
    assert [(line["case"], line["values"]["vqnp"]) for line in rows] == [
        ("a, forward", [2]),
        ("b, forward", [1]),
    ]
    report.save(tmp_path, MACHINE | {"threads": 1}, [row(case="c, forward", vqnp=[3])])
    assert [line["case"] for line in report.load(tmp_path)[1]] == ["c, forward"]
    report.save(tmp_path, MACHINE, [row(group="ema", vqnp=[3])])
    with pytest.raises(ValueError, match="results of one machine"):
        report.load(tmp_path)


def test_rows_come_in_the_order_of_their_sizes(tmp_path):
    names = [
        "N = 16,384, K = 16, D = 4",
        "N = 256, K = 128, D = 1",
        "N = 16,384, K = 4,096, D = 1",
        "N = 16,384, K = 16, D = 1",
    ]
    report.save(tmp_path, MACHINE, [row(group="nearest", case=name, vqnp=[1]) for name in names])
    report.save(tmp_path, MACHINE, [row(group="conv", vqnp=[1])])
    ordered = [line["case"] for line in report.load(tmp_path)[1]]
    assert ordered == [names[1], names[3], names[0], names[2], "a layer, forward"]


def test_the_summary_gathers_a_grid_into_lines():
    rows = [
        row(case=f"{name}, forward", vqnp=[1], peer=[ratio])
        for name, ratio in (("a", 3), ("b", 1), ("c", 2))
    ]
    said = report.summary(MACHINE, rows)
    assert re.search(r"convolutions, forward +\| 2\.00 \(1\.00 to 3\.00\) +\| peer", said)
    assert "P, 2 cores, 2 threads, S; Python 3, numpy 2" in said


def test_the_log_shows_what_was_measured():
    assert " ".join(report.summary(*report.load()).split()) in LOG
    assert "(results/benchmarks.png)" in LOG


def test_what_the_log_says_of_the_bounds_was_measured_too():
    _, rows = report.load()
    faiss = [
        100 * report.rate(line | {"values": {report.OURS: line["values"]["faiss"]}}) / line["sgemm"]
        for line in rows
        if line["group"] == "nearest" and re.search(r"K = \d+,\d+, D = 8$", line["case"])
    ]
    assert len(faiss) == 3
    least, most = min(faiss), max(faiss)
    assert f"faiss reaches {least:.0f} to {most:.0f} % of the rate of sgemm" in LOG
    assert f"would have to reach {1.3 * least:.0f} to {1.3 * most:.0f} %" in LOG
    steps = 8000  # 200 epochs of 10,000 points in batches of 256, in each of the three settings
    ours, theirs = (
        [
            1000 * report.median(line["values"][who]) / steps
            for line in rows
            if line["group"] == "synthetic"
        ]
        for who in (report.OURS, "PyTorch")
    )
    assert f"A step takes {min(ours):.2f} to {max(ours):.2f} ms in the kept table" in LOG
    assert f"would mean {min(theirs) / 8:.2f} to {max(theirs) / 8:.2f} ms" in LOG


def test_what_the_readme_says_of_speed_was_measured():
    assert "(tests/benchmarks/results/benchmarks.png)" in README
    ratios = {
        group: [report.ratio(line) for line in report.load()[1] if line["group"] == group]
        for group in ("step", "synthetic", "nearest")
    }
    points, step = (
        f"{min(ratios[group]):.1f} to {max(ratios[group]):.1f} times"
        for group in ("synthetic", "step")
    )
    assert f"Training on points is {points} as fast as in PyTorch" in README
    assert f"a step on images {step};" in README
    behind = sum(ratio < 1 for ratio in ratios["nearest"])
    assert f"faiss wins {behind} of {len(ratios['nearest'])} searches" in README
