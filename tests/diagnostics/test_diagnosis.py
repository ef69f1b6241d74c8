import json
import tracemalloc
from dataclasses import asdict, replace

import numpy as np
import pytest

from vqnp.diagnostics import answer, diagnose, distances, readings, side_by_side
from vqnp.diagnostics.reading import _table
from vqnp.diagnostics.spread import expected_spread

rng = np.random.default_rng(0)
CENTRES = np.array([[x, y] for x in (-9, -3, 3, 9) for y in (-5, 5)], float)  # eight clusters
LABELS = np.arange(1600) % 8
EMBEDDINGS = CENTRES[LABELS] + rng.standard_normal((1600, 2))
HEALTHY = EMBEDDINGS[:32]  # four tokens a class
CROWDED = CENTRES[0] + 0.05 * rng.standard_normal((32, 2))  # all in one cluster
NEEDS_LABELS = {"n_classes", "class_divergence"}
NEEDS_DATA = {"data_modes"}
NEEDS_RECONSTRUCTION = {"reconstruction_outside", "energy_distance"}
NEEDS_ALL = {"class_spread_ratio"}


@pytest.fixture(scope="module")
def healthy():
    return diagnose(EMBEDDINGS, HEALTHY, LABELS, data=EMBEDDINGS, reconstruction=EMBEDDINGS * 0.99)


@pytest.fixture(scope="module")
def crowded():
    return diagnose(EMBEDDINGS, CROWDED, LABELS)


def missing(diagnosis):
    return {name for name, value in diagnosis.numbers.items() if value is None}


def test_a_healthy_codebook(healthy):
    assert (healthy.n_embeddings, healthy.n_tokens, healthy.dimension, healthy.n_classes) == (
        1600,
        32,
        2,
        8,
    )
    assert healthy.codes_used == 32
    assert healthy.embedding_modes == healthy.data_modes == 8
    assert healthy.embedding_dimension == healthy.token_dimension == 2
    assert healthy.class_divergence == 0.0
    assert healthy.class_spread_ratio == pytest.approx(0.99)
    assert healthy.tokens_outside == 0.0
    assert missing(healthy) == set()
    assert (healthy.verdict, healthy.signs, healthy.remarks) == ("healthy", {}, [])
    assert answer(healthy) == "Healthy."


def test_a_crowded_codebook(crowded):
    assert crowded.spread_ratio < 0.02
    assert crowded.quantization_error > 1  # one token at the mean would do better
    assert crowded.verdict == "collapsed"
    assert list(crowded.signs) == ["Tokens collapse"]
    assert "tokens crowd" in crowded.signs["Tokens collapse"]
    assert answer(crowded).startswith("Collapsed. Tokens collapse: perplexity is ")


def test_numbers_are_none_without_what_they_need():
    data = EMBEDDINGS[:300]
    assert (
        missing(diagnose(EMBEDDINGS, HEALTHY))
        == NEEDS_LABELS | NEEDS_DATA | NEEDS_RECONSTRUCTION | NEEDS_ALL
    )
    assert (
        missing(diagnose(EMBEDDINGS, HEALTHY, data=data))
        == NEEDS_LABELS | NEEDS_RECONSTRUCTION | NEEDS_ALL
    )
    several_embeddings_a_row = diagnose(EMBEDDINGS, HEALTHY, LABELS, data=data, reconstruction=data)
    assert missing(several_embeddings_a_row) == NEEDS_ALL


def test_each_number_is_the_one_of_its_function(healthy):
    from vqnp import diagnostics as d
    from vqnp.quantize.search import nearest

    codes, _ = nearest(EMBEDDINGS, HEALTHY)
    assert healthy.perplexity == d.perplexity(codes, 32)
    assert healthy.codes_used == d.codes_used(codes, 32)
    assert healthy.quantization_error == pytest.approx(d.quantization_error(EMBEDDINGS, HEALTHY))
    assert healthy.spread_ratio == pytest.approx(d.spread_ratio(HEALTHY, EMBEDDINGS))
    assert healthy.token_rank == d.effective_rank(HEALTHY)
    assert healthy.embedding_rank == d.effective_rank(EMBEDDINGS)
    assert healthy.token_dimension == d.effective_dimension(HEALTHY)
    assert healthy.class_divergence == d.class_divergence(HEALTHY, EMBEDDINGS, LABELS)
    assert healthy.class_spread_ratio == d.class_spread_ratio(EMBEDDINGS * 0.99, EMBEDDINGS, LABELS)
    assert healthy.energy_distance == d.energy_distance(EMBEDDINGS * 0.99, EMBEDDINGS)
    scattered = diagnose(EMBEDDINGS, HEALTHY, data=EMBEDDINGS, reconstruction=EMBEDDINGS * 1.3)
    assert scattered.reconstruction_outside == d.share_outside(EMBEDDINGS * 1.3, EMBEDDINGS)
    assert scattered.reconstruction_outside > 2 * d.share_outside(EMBEDDINGS, EMBEDDINGS * 1.3)


def test_json_holds_the_verdict_its_signs_every_number_and_the_reference(healthy, crowded):
    for diagnosis in (healthy, crowded):
        stored = json.loads(diagnosis.to_json())
        assert stored["verdict"] == diagnosis.verdict
        assert stored["signs"] == diagnosis.signs
        assert stored["reference"] == asdict(diagnosis.reference)
        assert {name: stored[name] for name in diagnosis.numbers} == diagnosis.numbers


def test_every_measured_number_but_the_shape_has_a_reading(healthy, crowded):
    for diagnosis in (healthy, crowded):
        named = set(diagnosis.numbers) - missing(diagnosis) - {"dimension", "n_classes"}
        assert set(readings(diagnosis)) == named
        assert all(
            sentence.endswith(".") and "None" not in sentence
            for sentence in readings(diagnosis).values()
        )


def test_readings_say_what_the_numbers_are(healthy):
    dead = replace(
        healthy,
        n_tokens=128,
        codes_used=41,
        perplexity=32.0,
        tokens_outside=0.25,
        embedding_modes=1,
    )
    said = readings(dead)
    assert said["codes_used"] == "41 of 128 tokens are ever chosen: 68% of the codebook is dead."
    assert said["perplexity"] == (
        "As even as 32.0 equally used tokens, 25% of the 128 there could be; 5.0 bits an embedding."
    )
    assert said["tokens_outside"] == "25.0% of the tokens lie outside the embeddings; chance is 1%."
    assert said["embedding_modes"] == "The density of the embeddings has 1 peak."
    assert readings(healthy)["codes_used"] == "Every token is chosen at least once."


def beside(diagnosis, yours, kmeans):
    """The diagnosis with other numbers in its reference."""
    reference = replace(
        diagnosis.reference,
        yours=diagnosis.reference.yours | yours,
        kmeans=diagnosis.reference.kmeans | kmeans,
    )
    return replace(diagnosis, reference=reference)


@pytest.mark.parametrize(
    ("yours", "kmeans", "verdict"),
    [
        ((15.9, 0.0021), (32, 0.002), "collapsed"),
        ((16.1, 0.0021), (32, 0.002), "healthy"),
        ((3.0, 0.002), (32, 0.002), "healthy"),  # no worse than k-means, however uneven
        ((32, 0.079), (32, 0.02), "healthy"),
        ((32, 0.081), (32, 0.02), "bad fit"),  # four times the loss
        ((32, 0.009), (32, 0.001), "healthy"),  # nobody sees it
        ((32, 0.95), (32, 0.8), "bad fit"),  # a quarter of what k-means keeps
        ((32, 0.92), (32, 0.8), "healthy"),
        ((32, 1.01), (32, 0.99), "bad fit"),
    ],
)
def test_the_stated_rule_of_the_verdict(healthy, yours, kmeans, verdict):
    names = ("perplexity", "quantization_error")
    pair = (dict(zip(names, numbers, strict=True)) for numbers in (yours, kmeans))
    assert beside(healthy, *pair).verdict == verdict


@pytest.mark.parametrize(
    ("change", "verdict", "sign"),
    [
        ({"n_embeddings": 319}, "cannot tell", "319 embeddings; 32 tokens need 320"),
        ({"n_embeddings": 320}, "healthy", None),
        ({"reference": None}, "cannot tell", "there is no reference"),
        ({"embedding_modes": 3}, "collapsed", "modes have merged"),
        ({"embedding_modes": 4}, "healthy", None),
        ({"embedding_modes": 3, "data_modes": None}, "healthy", None),
        ({"embedding_dimension": 0, "reference": None}, "collapsed", "all embeddings coincide"),
        (
            {"tokens_outside": 1.0, "class_divergence": 1.0},
            "healthy",
            None,
        ),  # they say little alone
    ],
)
def test_what_else_the_verdict_looks_at(healthy, change, verdict, sign):
    changed = replace(healthy, **change)
    assert changed.verdict == verdict
    assert sign is None or sign in str(changed.signs)


def test_signs_that_say_little_alone_keep_others_company(healthy):
    bad = beside(healthy, {"quantization_error": 2.0}, {})
    assert len(bad.signs["Bad fit"]) == 2
    lost = replace(bad, tokens_outside=0.2, class_divergence=0.2)
    assert lost.signs["Bad fit"][2:] == [
        "20% of the tokens lie outside the embeddings",
        "classes go short of tokens",
    ]


def test_remarks_change_no_verdict(healthy):
    changed = replace(healthy, reconstruction_outside=0.2, directions=True)
    assert changed.verdict == "healthy"
    assert len(changed.remarks) == 2
    assert "20% of the reconstructions lie outside the data" in changed.remarks[1]


def test_few_tokens_in_many_dimensions_are_not_called_crowded(healthy):
    """512 ideal tokens of a round Gaussian in 64-D keep √(1 − 512^(−1/32)) of its deviation."""
    assert expected_spread(512, 64.0) == pytest.approx(0.42, abs=0.005)
    assert expected_spread(1, 2.0) == 0.0


def test_tables_are_aligned_and_complete(healthy, crowded):
    lines = str(healthy).splitlines()
    assert lines[0] == answer(healthy)
    assert len(lines) == 4 + len(readings(healthy))
    compared = str(side_by_side({"with": healthy, "without": crowded})).splitlines()
    assert len({len(line) for line in compared[1:]}) == 1
    row = {line.split("  ")[0]: line.split() for line in compared}
    assert row["codes used"][2:] == ["32", str(crowded.codes_used)]
    assert row["data modes"][2:] == ["8", "–"]
    assert row["verdict"][1:] == ["healthy", "collapsed"]
    with pytest.raises(ValueError, match="diagnoses must hold at least one"):
        side_by_side({})


@pytest.mark.parametrize(
    ("embeddings", "tokens"),
    [
        (np.full((6, 2), 0.1), np.full((3, 2), 0.1)),
        (np.full((6, 2), 0.1), np.eye(2)),
        (np.full((1, 1), 3.0), np.full((1, 1), 4.0)),
        (EMBEDDINGS, EMBEDDINGS[:1]),
        (EMBEDDINGS[:3], EMBEDDINGS[:40]),
        (EMBEDDINGS[:, :1].astype(np.float32), EMBEDDINGS[:5, :1]),
    ],
)
def test_the_smallest_cases_have_an_answer(embeddings, tokens):
    labels = np.zeros(len(embeddings), int)
    diagnosis = diagnose(embeddings, tokens, labels, data=embeddings, reconstruction=embeddings)
    assert 1 <= diagnosis.perplexity <= min(len(tokens), len(embeddings)) + 1e-9
    assert diagnosis.energy_distance == 0.0
    json.loads(diagnosis.to_json())
    assert answer(diagnosis) in str(diagnosis)
    if embeddings.std(axis=0).sum() < 1e-9:
        assert diagnosis.signs["Embeddings collapse"] == ["all embeddings coincide"]


def test_the_seed_decides_and_the_input_is_not_touched(monkeypatch):
    monkeypatch.setattr("vqnp.validation.VALUES_A_BLOCK", 1000)
    embeddings, tokens = EMBEDDINGS.copy(), HEALTHY.copy()
    embeddings.flags.writeable = tokens.flags.writeable = False
    assert diagnose(embeddings, tokens, LABELS, rng=3) == diagnose(
        embeddings, tokens, LABELS, rng=3
    )


@pytest.mark.jit
def test_memory_is_that_of_a_block_and_not_of_the_embeddings(tmp_path, monkeypatch):
    """200,000 embeddings of 16 numbers are 12 MiB on disk; a block is 32 KiB, a sample 62 KiB."""
    shape = (200_000, 16)
    stored = np.lib.format.open_memmap(tmp_path / "embeddings.npy", "w+", np.float32, shape)
    stored[:] = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    stored.flush()
    embeddings = np.load(tmp_path / "embeddings.npy", mmap_mode="r")
    monkeypatch.setattr("vqnp.validation.VALUES_A_BLOCK", 4096)
    monkeypatch.setattr(
        "vqnp.diagnostics.diagnosis.count_modes", lambda points, rng: 1
    )  # a fixed sample of 5,000
    monkeypatch.setattr("vqnp.diagnostics.diagnosis.share_outside", _share_outside_of_500)
    monkeypatch.setattr("vqnp.diagnostics.reference.LEAST_SAMPLE", 500)
    # what is imported and compiled at first use
    small = diagnose(embeddings[:2000], embeddings[:4])
    tracemalloc.start()
    try:
        large = diagnose(embeddings, embeddings[:4])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20
    assert large.embedding_rank == pytest.approx(small.embedding_rank, rel=0.1)


def _share_outside_of_500(points, reference, rng):
    return distances.share_outside(points, reference, sample=500, rng=rng)


def test_progress_counts_the_embeddings(capsys):
    diagnose(EMBEDDINGS, HEALTHY, progress=True)
    assert "1.60k/1.60k" in capsys.readouterr().err
    diagnose(EMBEDDINGS, HEALTHY)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"tokens": HEALTHY[:, :1]},
            ValueError,
            r"embeddings must have shape \(N, 1\), got \(1600, 2\)",
        ),
        (
            {"embeddings": EMBEDDINGS.astype(int)},
            TypeError,
            "embeddings must be floats, or integers of 8 or 16 bits",
        ),
        ({"embeddings": EMBEDDINGS[:0]}, ValueError, "embeddings is empty"),
        ({"tokens": HEALTHY * np.nan}, ValueError, "tokens holds NaN"),
        ({"tokens": HEALTHY.reshape(2, 16, 2)}, ValueError, "diagnose_levels takes several"),
        ({"metric": "manhattan"}, ValueError, "metric must be one of euclidean, cosine"),
        ({"tokens": HEALTHY[0]}, ValueError, r"tokens must have shape \(N, D\), got \(2,\)"),
        ({"labels": LABELS[:5]}, ValueError, r"labels must have shape \(1600,\), got \(5,\)"),
        ({"labels": LABELS * 0.5}, TypeError, "labels must be a NumPy array of integers"),
        ({"reconstruction": EMBEDDINGS}, ValueError, "needs data of that shape, got no data"),
        (
            {"data": EMBEDDINGS, "reconstruction": EMBEDDINGS[1:]},
            ValueError,
            r"needs data of that shape, got data of",
        ),
        ({"data": EMBEDDINGS, "labels": [0]}, ValueError, r"labels must have shape \(1600,\)"),
        ({"data": EMBEDDINGS, "labels": "all"}, TypeError, "labels must be an array of real"),
        ({"data": EMBEDDINGS[0]}, ValueError, "data must have shape"),
    ],
)
def test_bad_input_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        diagnose(**{"embeddings": EMBEDDINGS, "tokens": HEALTHY} | arguments)


def test_a_notebook_shows_the_same_numbers(healthy, crowded):
    page = healthy._repr_html_()
    assert page.startswith("<p><strong>Healthy.</strong></p>")
    assert page.count("<tr>") == 1 + len(readings(healthy))
    compared = side_by_side({"a <b>": healthy, "c": crowded})._repr_html_()
    assert "a &lt;b&gt;" in compared
    assert compared.count("<tr>") == str(side_by_side({"a": healthy, "c": crowded})).count("\n")


def test_a_comparison_prints_where_it_is_evaluated(healthy):
    assert repr(side_by_side({"a": healthy})) == str(side_by_side({"a": healthy}))


def test_latents_and_labels_of_any_shape_are_flattened():
    images, labels = EMBEDDINGS.reshape(25, 8, 8, 2), LABELS.reshape(25, 8, 8)
    flat = diagnose(EMBEDDINGS, HEALTHY, LABELS, data=EMBEDDINGS, reconstruction=EMBEDDINGS * 0.9)
    assert flat == diagnose(
        images, HEALTHY.tolist(), labels.tolist(), data=images, reconstruction=images * 0.9
    )


def test_a_generator_draws_one_seed_for_all_samples():
    data = np.tile(EMBEDDINGS, (2, 1))  # more than energy_distance compares

    def with_rng(rng):
        return diagnose(EMBEDDINGS, HEALTHY, data=data, reconstruction=data * 1.1, rng=rng)

    drawn = int(np.random.default_rng(5).integers(1 << 32))
    assert with_rng(np.random.default_rng(5)) == with_rng(drawn) != with_rng(drawn + 1)


def test_bad_labels_are_refused_before_any_work(monkeypatch):
    monkeypatch.setattr("vqnp.diagnostics.diagnosis.assign", None)
    with pytest.raises(ValueError, match="labels must have shape"):
        diagnose([[0.0], [1.0]], [[0.0]], labels=[0, 1, 2])


def test_tables_show_numbers_as_they_were_formatted():
    shown = _table([["a", "0.050"], ["b", "1e-05"]], ["", "x"], ["left", "right"], "plain")
    assert shown.split() == ["x", "a", "0.050", "b", "1e-05"]
