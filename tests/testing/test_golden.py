"""The stored cases are whole, the same when made anew, and decided clearly."""

import json

import make_golden
import numpy as np
import pytest
from make_golden import SEEDS, differences, main

from vqnp.testing import cases, golden
from vqnp.testing.golden import manifest

# A search in another order of sums must not change a code: no second token is nearly as near.
MARGIN = 1e-6


def test_made_anew_they_are_what_is_stored(capsys):
    assert main(["--check"]) == 0
    assert "all cases of 24 groups" in capsys.readouterr().out


def test_a_changed_case_is_noticed(monkeypatch):
    real = golden.cases("commitment")[0]
    changed = golden.Case(
        real.name,
        real.inputs,
        real.outputs | {"value": real.outputs["value"] * (1 + 1e-9)},
        real.settings,
    )
    monkeypatch.setattr(
        golden, "cases", lambda group: (changed,) if group == "commitment" else cases(group)
    )
    assert differences() == ["commitment: beta .375/outputs/value differs from what is stored"]


def test_other_settings_are_noticed(monkeypatch):
    real = golden.cases("commitment")[0]
    changed = golden.Case(real.name, real.inputs, real.outputs, {"beta": 0.5})
    monkeypatch.setattr(
        golden, "cases", lambda group: (changed,) if group == "commitment" else cases(group)
    )
    assert differences() == ["commitment: other cases or settings than those stored"]


def test_what_is_written_is_what_is_there(tmp_path):
    make_golden.write(tmp_path)
    written = json.loads((tmp_path / "manifest.json").read_text())
    assert set(written) == {"format", "command", "versions", "files"}
    assert (
        set(written["files"])
        == {f"{group}.npz" for group in SEEDS}
        == {p.name for p in golden.DIRECTORY.glob("*.npz")}
    )
    assert {name: entry["cases"] for name, entry in written["files"].items()} == {
        name: entry["cases"] for name, entry in manifest()["files"].items()
    }


def test_together_they_are_small():
    assert sum(path.stat().st_size for path in golden.DIRECTORY.glob("*.npz")) < 1_000_000


@pytest.mark.parametrize("group", SEEDS)
def test_arrays_are_float64_or_integers_and_cannot_be_written_to(group):
    for case in cases(group):
        assert case.outputs
        for name, array in (case.inputs | case.outputs).items():
            assert array.dtype in (np.float64, np.int64, np.bool_), (case.name, name)
            assert not array.flags.writeable


@pytest.mark.parametrize("group", SEEDS)
def test_inputs_are_numbers_that_float32_holds(group):
    for case in cases(group):
        if case.settings.get("dtype") != "float64":
            for name, array in case.inputs.items():
                np.testing.assert_array_equal(
                    array.astype(np.float32), array, err_msg=f"{case.name}: {name}"
                )


def test_a_damaged_file_is_refused(tmp_path, monkeypatch):
    for path in golden.DIRECTORY.iterdir():
        if path.suffix in (".npz", ".json"):
            (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "ema.npz").write_bytes(b"damaged" + (tmp_path / "ema.npz").read_bytes()[7:])
    monkeypatch.setattr(golden, "DIRECTORY", tmp_path)
    with pytest.raises(ValueError, match=r"ema\.npz is damaged"):
        cases.__wrapped__("ema")


def test_an_unknown_group_is_refused():
    with pytest.raises(ValueError, match=r"group must be one of nearest, .*, got 'emma'"):
        cases("emma")


def second_best(points, tokens):
    squared = np.sort(np.square(points[:, None] - tokens).sum(axis=2), axis=1)
    return squared[:, 0], squared[:, 1]


def test_no_code_hangs_on_a_rounding():
    pairs = []
    for group in "quantizer_step", "quantizer_step_faint", "straight_through":
        for case in cases(group):
            tokens = case.inputs["tokens"]
            pairs.append((case.inputs["embeddings"].reshape(-1, tokens.shape[1]), tokens))
    for case in cases("simvq"):
        z, cloud, weight, bias, _ = case.inputs.values()
        pairs.append((z, cloud @ weight + bias))
    for case in cases("cosine")[:1]:  # where an embedding is at the origin, all are equally near
        pairs.append([rows / np.linalg.norm(rows, axis=1)[:, None]
                      for rows in (case.inputs["z"], case.inputs["tokens"])])  # fmt: skip
    for case in cases("product"):
        slices = case.inputs["z"].reshape(len(case.inputs["z"]), 3, 2).swapaxes(0, 1)
        pairs += zip(slices, case.inputs["tokens"], strict=True)
    for case in cases("residual_quantizer"):
        rest, tokens = case.inputs["z"], case.inputs["tokens"]
        for stage in tokens:
            pairs.append((rest, stage))
            rest = rest - stage[np.square(rest[:, None] - stage).sum(axis=2).argmin(axis=1)]
    for case in cases("kmeans")[
        :-1
    ]:  # the last has more tokens than points: equal tokens are what it is about
        pairs += [
            (case.inputs["points"], case.inputs["start"]),
            (case.inputs["points"], case.outputs["tokens"]),
        ]
    for points, tokens in pairs:
        best, second = second_best(points, tokens)
        assert (second > best * (1 + MARGIN)).all()


def test_no_level_hangs_on_a_rounding():
    for case in cases("fsq"):
        levels = np.array(case.settings["levels"])
        h, o = (levels - 1) * 0.999 / 2, (levels % 2 == 0) / 2
        b = h * np.tanh(case.inputs["z"] + np.arctanh(o / h)) - o
        assert (np.abs(b - np.floor(b) - 0.5) > 1e-5).all()


def test_idle_codes_are_among_the_moving_averages():
    for case in cases("ema"):
        hits = np.stack([np.bincount(codes, minlength=8) for codes in case.inputs["codes"]])
        assert len(hits) == 10
        assert (hits[:, 6:] == 0).all()
        assert (hits[:, :6].sum(axis=0) > 0).all()
        assert (hits[:, :6] == 0).any()
