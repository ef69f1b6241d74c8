"""The table of quantizers: its rows, its numbers from codes alone, its claims and its page."""

import json
import re
from dataclasses import replace
from math import log2
from pathlib import Path

import numpy as np
import pytest

from vqnp import cli
from vqnp.data import Cifar10, Patches, pixels_to_float
from vqnp.experiments import run, table
from vqnp.experiments.measure import course_point, evaluate_images
from vqnp.experiments.method_numbers import evaluate_method
from vqnp.experiments.method_texts import ABOUT
from vqnp.experiments.methods import LEVELS, METHODS, NAMES, Size
from vqnp.experiments.plans import SIZES, ImagesPlan, PointsPlan
from vqnp.experiments.reproduce import reproduce
from vqnp.experiments.run import attempt, load_result
from vqnp.experiments.spec import MethodRun, RunSpec
from vqnp.experiments.table_claims import EXPECTED
from vqnp.experiments.table_page import COLUMNS, section, summary
from vqnp.experiments.table_plan import TablePlan
from vqnp.quantize import Quantizer
from vqnp.quantize.search import nearest
from vqnp.training import InitializeCodebook, train

pytestmark = pytest.mark.filterwarnings("ignore:k-means leaves")
LAPTOP = TablePlan.at_scale(
    "laptop",
    PointsPlan(),
    ImagesPlan.at_scale("laptop", Cifar10(*SIZES["laptop"]), (0, 1, 2)),
)


@pytest.fixture(scope="module")
def small(plan, image_plan):
    """Some rows on a few points and patches."""
    return TablePlan(
        plan,
        replace(image_plan, data=Patches(12, 5)),
        ("ema", "fsq", "residual", "soft", "dvae", "cosine", "latent-after"),
        bits_points=4,
        bits_images=4,
        epochs_points=2,
        epochs_images=2,
        width=4,
        token_dim=9,
        curve=(1, 2),
    )


@pytest.mark.parametrize("bits", LEVELS)
@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.key)
def test_every_row_has_the_bits_that_it_is_given(method, bits):
    for dim in (1, 4, 32) if bits <= 9 else (4, 32):  # one channel has 1,000 levels at most
        size = Size(bits, dim, 1000, 0.9)
        if not method.exists(size):
            continue
        quantizer = method.make(size)
        assert isinstance(quantizer, Quantizer)
        exact = bits % size.parts == 0
        assert log2(quantizer.n_tokens) == pytest.approx(bits, abs=0 if exact else 0.9)
        assert method.dim(size) >= 1
    assert method.about in ABOUT


def test_the_readme_counts_the_rows():
    readme = Path(__file__).parents[2].joinpath("README.md").read_text(encoding="utf-8")
    assert f"compares [{len(METHODS)} quantizers]" in readme


def test_schedules_end_with_the_run():
    choices = [
        method.make(Size(9, 32, 3000, 0.9)) for method in METHODS if method.about == "choice"
    ]
    assert [(made.anneal, made.warmup) for made in choices] == [(3000, 100)] * 4


def test_the_laptop_trains_5000_steps_and_more_at_9_12_and_14_bits():
    assert LAPTOP.describe("CIFAR-10").count("6,252 steps") == 1
    arms = table.arms(LAPTOP)
    bits = {facts["nominal_bits"] for facts, _ in arms if facts["case"] == "images"}
    assert bits == {9, 12, 14}
    runs = [spec for facts, spec in arms if isinstance(spec, RunSpec)]
    assert len(set(runs)) == len(runs)
    seeds = {f["nominal_bits"]: set() for f, _ in arms}
    for facts, _ in arms:
        seeds[facts["nominal_bits"]].add(facts["seed"])
    assert seeds == {9: {0, 1, 2}, 12: {0}, 14: {0}, 7: {0, 1, 2}}
    assert all(spec.slug for spec in runs)


def test_rows_share_all_but_the_quantizer(small):
    rows = {
        (f["method"], f["pretrained"]): spec
        for f, spec in table.arms(small)
        if f["case"] == "images" and f["seed"] == 0 and f["method"] in NAMES
    }
    ema = rows["ema", True]
    for (method, pretrained), spec in rows.items():
        same = replace(spec, quantizer=ema.quantizer, sizes=replace(spec.sizes, token_dim=9))
        if method != "latent-after":
            assert same == (ema if pretrained else rows["ema", False])
    assert rows["latent-after", True].pretrain == ema.pretrain + ema.finetune
    assert ("dvae", True) not in rows
    assert ema.pretraining == rows["soft", True].pretraining


def test_a_row_is_named_apart_from_the_run_of_a_figure(small):
    row = next(spec for _, spec in table.arms(small))
    own = RunSpec(**{name: getattr(row, name) for name in RunSpec.__dataclass_fields__})
    assert isinstance(row, MethodRun)
    assert row.slug != own.slug


def trained(plan, case, key):
    """A model of a row with its data, not trained and initialized."""
    case = {case.key: case for case in plan.cases}[case]
    spec = plan.run(NAMES[key], case, case.bits, 0, pretrained=False)
    data = spec.data.load(0)
    examples = data.train if case.key == "images" else data.points
    model = spec.build()
    train(model, examples, [InitializeCodebook()], spec.train)
    return model, data


@pytest.mark.parametrize("key", NAMES)
def test_errors_are_those_of_the_codes_alone(small, key):
    if NAMES[key].least_dim > 9:
        pytest.skip("it has no row at this width")
    model, data = trained(small, "images", key)
    numbers = evaluate_method(model, data)
    x = pixels_to_float(data.test)
    z = model.encode(x)
    codes = model.quantizer.forward(z.reshape(5 * 64, -1))[0].codes
    vectors = model.quantizer.decode(codes).reshape(5, 8, 8, -1)
    expected = np.square(model.decode(vectors) - x, dtype=np.float64).mean()
    assert numbers["mse"] == pytest.approx(expected, rel=1e-5)
    counts = np.unique(codes, axis=0, return_counts=True)[1] / len(codes)
    assert numbers["entropy_bits"] == pytest.approx(-(counts * np.log2(counts)).sum())
    assert numbers["codes_used"] == len(counts)
    assert numbers["tokens"] == 2 ** numbers["bits"] == 16
    looked = evaluate_images(model, data.test)[0]
    assert looked["mse"] == pytest.approx(expected, rel=1e-5)
    assert looked["codes_used"] == course_point(model, data.test)["codes_used"] == len(counts)
    json.dumps(numbers, allow_nan=False)


def test_disagreement_is_the_share_of_tokens_that_are_not_nearest(small):
    assert evaluate_method(*trained(small, "8-4", "ema"))["disagreement"] == 0
    model, data = trained(small, "8-4", "hyperbolic")
    model.quantizer.params["scale"][::2] *= 9
    codes = model.quantizer.forward(model.encode(data.points))[0].codes
    other = codes != nearest(model.encode(data.points), model.tokens)[0]
    assert other.any()
    assert evaluate_method(model, data)["disagreement"] == pytest.approx(other.mean())


def test_a_soft_row_has_both_errors(small):
    model, data = trained(small, "8-4", "soft")
    numbers = evaluate_method(model, data)
    soft = model.reconstruct(data.points) - data.points
    assert numbers["mse_soft"] == pytest.approx(np.square(soft).mean(), rel=1e-5)
    assert numbers["mse_soft"] != numbers["mse"]


def test_all_numbers_that_decoding_needs_are_counted(small):
    ema, _ = trained(small, "8-4", "ema")
    gradient, _ = trained(small, "8-4", "gradient")
    simvq, data = trained(small, "8-4", "simvq")
    counted = [evaluate_method(model, data)["parameters"] for model in (ema, gradient, simvq)]
    assert counted[0] == counted[1] == counted[2] - 4 * 4 - 4


@pytest.mark.jit
def test_it_is_made_and_resumed(small, tmp_path, monkeypatch):
    plans = {"points": small.points, "images": small.images, "table": small}
    made = reproduce(["table"], tmp_path, **plans)
    rows = json.loads((tmp_path / "table.json").read_text())["numbers"]
    assert {row["method"] for row in rows} == {*small.methods, "patches", "components"}
    for row in rows:
        assert row["mse"] > 0
        assert row["bits"] == 4 or row["case"] != "images"
    page = made.report.read_text()
    assert "A table: Quantizers side by side" in page
    assert not re.search(r"(src|href)=.(?!data:|#)", page)
    assert "it cannot exist at this width" in page
    assert (tmp_path / "table.png").stat().st_size > 10_000
    monkeypatch.setattr(run, "evaluate_method", None)  # what is finished is not run again
    again = reproduce(["table"], tmp_path, resume=True, **plans)
    assert [claim.to_json() for claim in again.claims] == [c.to_json() for c in made.claims]


def test_a_run_that_diverges_is_a_result(small, tmp_path, monkeypatch):
    spec = small.run(NAMES["ema"], small.cases[1], 4, 0, pretrained=False)

    def diverge(*_):
        raise FloatingPointError("training diverged")

    monkeypatch.setattr(run, "evaluate_method", diverge)
    attempt(spec, tmp_path)
    results = {spec: load_result(spec, tmp_path)}
    assert table.measured(spec, results) == {"diverged": "training diverged"}
    facts = table.facts(small.cases[1], "ema", "moving averages", 4, 0, False)
    page = section(small, [facts | table.measured(spec, results)])
    assert "moving averages (diverged)" in page
    assert "it diverged" in page


def made_up(plan, **better):
    """A table of equal numbers, but for some quantities of some rows, multiplied."""
    rows = []
    for facts, _ in table.arms(plan):
        numbers = {column.name: 2.0 for column in COLUMNS}
        numbers |= {"used_share": 0.5, "patch_mse": 1.0, "quantization_error": 2.0}
        for (method, quantity), factor in better.get("of", {}).items():
            if facts["method"] == method:
                numbers[quantity] *= factor
        if facts["pretrained"]:
            numbers["perplexity"] *= better.get("pretrained", 1)
        rows.append(facts | numbers)
    return rows


def test_claims_hold_for_numbers_as_claimed_and_only_then():
    plan = replace(LAPTOP, bits_large=())
    factor = {"<": 0.4, "<=": 0.4, ">": 1.99, ">=": 1.99}
    of = {}
    for each in EXPECTED:
        of[each.row, each.quantity] = factor[each.bound[0]]
    # These are on both sides of a comparison.
    of |= {("lfq-plain", "perplexity"): 0.4, ("edvae", "perplexity"): 4}
    of |= {("edvae-plain", "perplexity"): 1, ("qinco", "quantization_error"): 0.1}
    of |= {("soft", "mse"): 1, ("ema", "mse_over_patches"): 0.1}
    good = {claim.id: claim for claim in table.claims(plan, made_up(plan, of=of, pretrained=1.1))}
    missing = 1  # clusters have no row of few dimensions
    assert len(good) == 2 * len(EXPECTED) + 4 - missing
    assert [name for name, claim in good.items() if not claim.holds] == []
    bad = {name: 1 / value if value != 1 else 1.2 for name, value in of.items()}
    fallen = table.claims(plan, made_up(plan, of=bad, pretrained=0.9))
    assert [claim.id for claim in fallen if claim.holds] == []
    assert table.claims(replace(plan, methods=()), []) == []


def test_medians_leave_out_no_seed():
    plan = replace(LAPTOP, methods=("ema",), bits_large=())
    rows = made_up(plan)
    own = [row for row in rows if row["case"] == "2-1" and row["pretrained"]]
    for row, value in zip(own, (1.0, 7.0, 3.0), strict=True):
        row["perplexity"] = value
    row = next(r for r in summary(rows) if r["case"] == "2-1" and r["pretrained"])
    assert row["perplexity"] == 3
    assert row["ranges"]["perplexity"] == (1, 7)
    own[0]["perplexity"] = None
    row = next(r for r in summary(rows) if r["case"] == "2-1" and r["pretrained"])
    assert row["perplexity"] is None


def test_a_row_above_raw_patches_is_said_to_lose():
    plan = replace(LAPTOP, methods=("ema", "fsq"), bits_large=())
    page = section(plan, made_up(plan, of={("fsq", "mse_over_patches"): 0.4}))
    said = dict(re.findall(r"<li>(moving averages|FSQ), images: (.*?)</li>", page))
    assert said["moving averages"].count("to which it loses") == 2
    assert said["FSQ"].count("to which it does not lose") == 2


def test_the_epochs_to_beat_raw_patches_are_read_off_the_course(small):
    spec = small.run(NAMES["ema"], small.cases[0], 4, 0, pretrained=False)
    looks = [{"step": step, "mse": 1 / step} for step in (1, 3, 6)]
    result = run.Result({"course": looks, "numbers": {"mse": 1 / 6}}, {})
    assert table.epochs_to_beat(spec, result, 0.5) == 1
    assert table.epochs_to_beat(spec, result, 0.1) is None


def test_unknown_methods_are_refused(small, capsys):
    with pytest.raises(ValueError, match=r"methods must be among ema, .*; got 'vq9'"):
        replace(small, methods=("vq9",))
    assert cli.main(["reproduce", "table", "--methods", "ema,vq9"]) == 1
    assert "got 'vq9'" in capsys.readouterr().err
    assert cli.main(["reproduce", "fig2", "--methods", "ema"]) == 1
    assert "name table among the figures" in capsys.readouterr().err
