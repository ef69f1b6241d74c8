import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import config

from vqnp import threads
from vqnp.fast.averages import BLOCK_COORDINATES
from vqnp.quantize import DIALECTS, Codebook, ema_update
from vqnp.quantize.ema import ema_update_loop, ema_update_numpy

module = sys.modules["vqnp.quantize.ema"]
EPS = 1e-5


def rng(seed=0):
    return np.random.default_rng(seed)


def batches(steps, k, dims, dtype=np.float64, n=9):
    """Embeddings and codes of some steps; code 0 is never chosen."""
    draws = rng(1)
    return [
        (draws.normal(size=(n, dims)).astype(dtype), draws.integers(1, k, n)) for _ in range(steps)
    ]


def start(dialect, k=4, dims=3, dtype=np.float64):
    tokens = rng().normal(size=(k, dims)).astype(dtype)
    return Codebook.start(tokens, np.arange(k, dtype=dtype), dialect, rng=rng(2))


def test_a_step_worked_out_by_hand():
    """Tokens are 1 and 10, L is 2 and 4, M is 2 and 40, and γ = 1/2. The first token gets 3 and 5.

    Its M becomes 2/2 + 8/2 = 5 and its L becomes 2/2 + 2/2 = 2, so it moves to 5/2. The second
    token stays, with half of its L and M.
    """
    for update in (ema_update_loop, ema_update_numpy, ema_update):
        codebook = Codebook.start(np.array([[1.0], [10.0]]), np.array([2.0, 4.0]))
        hits = update(codebook, np.array([[3.0], [5.0]]), np.array([0, 0]), 0.5)
        assert hits.tolist() == [2, 0]
        assert codebook.tokens.tolist() == [[2.5], [10]]
        assert codebook.counts.tolist() == [2, 2]
        assert codebook.sums.tolist() == [[5], [20]]
        assert codebook.steps == 1


@st.composite
def assignments(draw):
    n, k, dims = draw(st.integers(1, 60)), draw(st.integers(1, 9)), draw(st.integers(1, 4))
    draws = rng(draw(st.integers(0, 2**32)))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    return draws.normal(size=(n, dims)).astype(dtype), draws.integers(0, k, n), k


@pytest.mark.parametrize("dialect", DIALECTS)
@given(assignments(), st.sampled_from([0.0, 0.3, 0.99]), st.booleans())
def test_three_versions_agree_to_the_last_bit(dialect, assignment, decay, stored):
    """Over three steps, with codes that get no hits. A checkpoint holds the steps as an array."""
    embeddings, codes, k = assignment
    books = [start(dialect, k, embeddings.shape[1], embeddings.dtype) for _ in range(3)]
    for book, update in zip(books, (ema_update_loop, ema_update_numpy, ema_update), strict=True):
        book.steps = np.array(0) if stored else 0
        hits = [update(book, embeddings, codes, decay, dialect) for _ in range(3)]
        np.testing.assert_array_equal(hits, [np.bincount(codes, minlength=k)] * 3)
        assert book.steps == 3
    for field in ("tokens", "counts", "sums"):
        for book in books[1:]:
            np.testing.assert_array_equal(getattr(book, field), getattr(books[0], field))


# Each dialect again, from its row of the table: a start and an update that returns tokens, L and M.


def paper(tokens, L, M, n, s, decay, t):
    L, M = decay * L + (1 - decay) * n, decay * M + (1 - decay) * s
    return np.where(n[:, None] > 0, M / np.where(L > 0, L, 1)[:, None], tokens), L, M


def counts_one(tokens, L, M, n, s, decay, t):
    L, M = decay * L + (1 - decay) * n, decay * M + (1 - decay) * s
    S = (L + EPS) / (L.sum() + len(L) * EPS) * L.sum()
    return M / S[:, None], L, M


def smoothed_state(tokens, L, M, n, s, decay, t):
    L, M = decay * L + (1 - decay) * n, decay * M + (1 - decay) * s
    L = (L + EPS) / (L.sum() + len(L) * EPS) * L.sum()
    return M / L[:, None], L, M


def debiased(tokens, L, M, n, s, decay, t):
    L, M = decay * L + (1 - decay) * n, decay * M + (1 - decay) * s
    l_hat, m_hat = L / (1 - decay**t), M / (1 - decay**t)
    S = (l_hat + EPS) / (l_hat.sum() + len(L) * EPS) * l_hat.sum()
    return m_hat / S[:, None], L, M


REFERENCES = {
    "paper": (lambda tokens, counts, noise: (counts, counts[:, None] * tokens), paper),
    "counts-one": (lambda tokens, counts, noise: (np.ones(len(tokens)), tokens), counts_one),
    "smoothed-state": (
        lambda tokens, counts, noise: (np.zeros(len(tokens)), noise),
        smoothed_state,
    ),
    "debiased": (
        lambda tokens, counts, noise: (np.zeros(len(tokens)), np.zeros_like(tokens)),
        debiased,
    ),
}


def test_every_dialect_has_a_reference():
    assert REFERENCES.keys() == set(DIALECTS)


@pytest.mark.parametrize("dialect", DIALECTS)
@given(assignment=assignments(), decay=st.sampled_from([0.0, 0.3, 0.99]))
def test_sorted_by_code_the_update_is_the_same_to_the_last_bit(dialect, assignment, decay):
    """A large codebook sums and moves in one pass, code by code; a small one sums first."""
    embeddings, codes, k = assignment
    books = [start(dialect, k, embeddings.shape[1], embeddings.dtype) for _ in range(2)]
    hits = []
    for book, many in zip(books, (0, 1 << 62), strict=True):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "SORT_COORDINATES", many)
            hits.append([ema_update(book, embeddings, codes, decay, dialect) for _ in range(2)])
    np.testing.assert_array_equal(*hits)
    for field in ("tokens", "counts", "sums"):
        np.testing.assert_array_equal(*(getattr(book, field) for book in books))


@pytest.mark.parametrize("many", [0, 1 << 62], ids=["sorted", "summed"])
@pytest.mark.parametrize("bad", [[np.nan], [np.inf], [np.inf, -np.inf], [np.inf, 0, -np.inf]])
def test_what_is_not_finite_is_refused_before_anything_moves(bad, many, monkeypatch):
    monkeypatch.setattr(module, "SORT_COORDINATES", many)
    codebook = start("paper")
    before = codebook.tokens.copy(), codebook.counts.copy(), codebook.sums.copy()
    embeddings = np.ones((9, 3))
    embeddings[4 : 4 + len(bad), 1] = bad
    refused = pytest.raises(
        ValueError, match=r"embeddings holds NaN or infinity, first at index \(4, 1\)"
    )
    with refused, np.errstate(invalid="ignore"):
        ema_update(codebook, embeddings, np.arange(9) % 2, 0.9)
    for now, then in zip((codebook.tokens, codebook.counts, codebook.sums), before, strict=True):
        np.testing.assert_array_equal(now, then)
    assert codebook.steps == 0


BLOCKS = [
    (4, 3),
    (11, BLOCK_COORDINATES // 8),
    (3, BLOCK_COORDINATES + 1),
]  # one; one and three codes; one a code


@pytest.mark.parametrize(("parallel_from", "many"), [(0, 1 << 62), (1 << 62, 1 << 62), (0, 0)])
@pytest.mark.parametrize(("k", "dims"), BLOCKS)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_dialects_do_what_the_table_says(dialect, k, dims, parallel_from, many, monkeypatch):
    monkeypatch.setattr(module, "PARALLEL_COORDINATES", parallel_from)
    monkeypatch.setattr(module, "SORT_COORDINATES", many)
    begin, update = REFERENCES[dialect]
    tokens, counts, decay = rng().normal(size=(k, dims)), np.arange(float(k)), 0.8
    L, M = begin(tokens, counts, rng(2).standard_normal((k, dims)))
    codebook = start(dialect, k, dims)
    np.testing.assert_array_equal(codebook.tokens, tokens)
    for t, (embeddings, codes) in enumerate(batches(12, k, dims), start=1):
        n = np.bincount(codes, minlength=k)
        s = np.stack([embeddings[codes == code].sum(axis=0) for code in range(k)])
        tokens, L, M = update(tokens, L, M, n, s, decay, t)
        np.testing.assert_array_equal(ema_update(codebook, embeddings, codes, decay, dialect), n)
        for found, expected in (
            (codebook.tokens, tokens),
            (codebook.counts, L),
            (codebook.sums, M),
        ):
            # sums of some dozen numbers of size one
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    assert codebook.steps == 12


@given(
    st.sampled_from(["paper", "counts-one", "debiased", "smoothed-state"]),
    assignments(),
    st.floats(0, 0.999),
)
def test_total_mass_is_kept(dialect, assignment, decay):
    """Σ L ← γ Σ L + (1 − γ) N for every dialect, because smoothing moves weight and adds none."""
    embeddings, codes, k = assignment
    draws = rng(len(codes))
    codebook = Codebook.start(
        draws.normal(size=(k, embeddings.shape[1])), draws.uniform(0, 5, k), dialect, rng=draws
    )
    embeddings = embeddings.astype(np.float64)
    mass = decay * codebook.counts.sum() + (1 - decay) * len(codes)
    sums = decay * codebook.sums.sum(axis=0) + (1 - decay) * embeddings.sum(axis=0)
    ema_update(codebook, embeddings, codes, decay, dialect)
    assert codebook.counts.sum() == pytest.approx(mass, rel=1e-12)
    np.testing.assert_allclose(codebook.sums.sum(axis=0), sums, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_passes_through(dialect, dtype):
    codebook = start(dialect, dtype=dtype)
    for embeddings, codes in batches(2, 4, 3, dtype):
        ema_update(codebook, embeddings, codes, 0.9, dialect)
    assert codebook.tokens.dtype == codebook.counts.dtype == codebook.sums.dtype == dtype


@pytest.mark.skipif(config.NUMBA_NUM_THREADS < 2, reason="there is one thread alone")
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(("k", "dims"), [(11, 3), BLOCKS[1]])
def test_bits_do_not_depend_on_the_threads(k, dims, dialect, monkeypatch):
    results = []
    for parallel_from, many, number in (
        (1 << 62, 1 << 62, 1),
        (0, 1 << 62, 2),
        (0, 0, 1),
        (0, 0, 2),
    ):
        monkeypatch.setattr(module, "PARALLEL_COORDINATES", parallel_from)
        monkeypatch.setattr(module, "SORT_COORDINATES", many)
        codebook = start(dialect, k, dims, np.float32)
        with threads.limit(number):
            for embeddings, codes in batches(5, k, dims, np.float32, n=200):
                ema_update(codebook, embeddings, codes, 0.9, dialect)
        results.append(
            np.concatenate([codebook.tokens.ravel(), codebook.counts, codebook.sums.ravel()])
        )
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def without_hits(dialect, steps, decay=0.99, k=16):
    """The token of code 0, in units of where it was, after all hits went to the other codes."""
    tokens = np.full((k, 1), 2.0)
    codebook = Codebook.start(tokens, np.full(k, 4.0), dialect, rng=rng())
    embeddings, codes = np.full((64, 1), 2.0), np.arange(64) % (k - 1) + 1
    for _ in range(steps):
        ema_update(codebook, embeddings, codes, decay, dialect)
    return codebook.tokens[0, 0] / 2


@pytest.mark.parametrize(("steps", "factor"), [(1000, 0.812), (2000, 1.9e-4)])
def test_code_without_hits_slides_to_the_origin_in_counts_one(steps, factor):
    """γ^1000 = 4.3e-5 is not yet small beside ε = 1e-5, γ^2000 = 1.9e-9 is."""
    assert without_hits("counts-one", steps) == pytest.approx(factor, rel=0.03)


def test_code_without_hits_is_exactly_zero_after_the_first_step_in_debiased():
    assert without_hits("debiased", 1) == 0


def test_code_without_hits_is_thrown_out_by_1e5_in_smoothed_state():
    """Its L after smoothing is ε (ΣL / (ΣL + Kε)), about 1e-5, and its token γ M / L."""
    codebook = start("smoothed-state")
    noise = codebook.sums.copy()
    embeddings, codes = batches(1, 4, 3)[0]
    ema_update(codebook, embeddings, codes, 0.99, "smoothed-state")
    np.testing.assert_allclose(codebook.tokens[0], 1e5 * noise[0], rtol=0.02)


def test_code_without_hits_stays_to_the_last_bit_in_paper():
    assert without_hits("paper", 500) == 1


def test_set_tokens_moves_token_and_averages_together():
    codebook = start("paper")
    codebook.set_tokens(np.array([2, 0]), np.array([[1.0, 2, 3], [4, 5, 6]]), np.array([2.0, 0.5]))
    assert codebook.tokens[[2, 0]].tolist() == [[1, 2, 3], [4, 5, 6]]
    assert codebook.counts[[2, 0]].tolist() == [2, 0.5]
    assert codebook.sums[[2, 0]].tolist() == [[2, 4, 6], [2, 2.5, 3]]


def test_start_copies_its_tokens():
    tokens = np.ones((2, 1))
    Codebook.start(tokens, np.ones(2), rng=rng()).tokens[:] = 5
    assert tokens.tolist() == [[1], [1]]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"embeddings": np.zeros((9, 2))},
            ValueError,
            r"embeddings must have shape \(N, 3\), got \(9, 2\)",
        ),
        (
            {"embeddings": np.zeros((9, 3), int)},
            TypeError,
            "embeddings must be float32 or float64, got int64",
        ),
        ({"embeddings": np.full((9, 3), np.inf)}, ValueError, "embeddings holds NaN or infinity"),
        (
            {"embeddings": np.zeros((0, 3)), "codes": np.zeros(0, int)},
            ValueError,
            "embeddings is empty",
        ),
        ({"codes": np.zeros(8, int)}, ValueError, r"codes must have shape \(9,\), got \(8,\)"),
        ({"codes": np.zeros(9)}, TypeError, "codes must be a NumPy array of integers, got float64"),
        ({"codes": np.full(9, 4)}, ValueError, r"codes must lie in \[0, 4\), got 4 to 4"),
        ({"codes": np.full(9, -1)}, ValueError, r"codes must lie in \[0, 4\), got -1 to -1"),
        ({"decay": 1.0}, ValueError, r"decay must lie in \[0, 1\), got 1.0"),
        ({"decay": -0.1}, ValueError, r"decay must lie in \[0, 1\), got -0.1"),
        ({"decay": float("nan")}, ValueError, r"decay must lie in \[0, 1\), got nan"),
        (
            {"dialect": "mean"},
            ValueError,
            "dialect must be one of paper, counts-one, smoothed-state, debiased, got 'mean'",
        ),
    ],
)
def test_bad_input_is_refused_and_changes_nothing(change, error, message):
    codebook, before = start("paper"), start("paper")
    good = {
        "embeddings": np.zeros((9, 3)),
        "codes": np.zeros(9, int),
        "decay": 0.9,
        "dialect": "paper",
    }
    with pytest.raises(error, match=message):
        ema_update(codebook, **good | change)
    np.testing.assert_array_equal(codebook.tokens, before.tokens)
    np.testing.assert_array_equal(codebook.sums, before.sums)
    assert codebook.steps == 0


def test_counts_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"counts must have shape \(2,\), got \(3,\)"):
        Codebook.start(np.ones((2, 1)), np.ones(3), rng=rng())
