import json

import numpy as np
import pytest

from vqnp import kmeans
from vqnp.diagnostics import diagnose, diagnose_levels, perplexity_of_counts

RNG = np.random.default_rng(0)
EMBEDDINGS = RNG.standard_normal((1000, 4))


def residual_books(count, n_tokens):
    books, rest = [], EMBEDDINGS.copy()
    for seed in range(count):
        found = kmeans(rest, n_tokens, rng=seed)
        books.append(found.tokens)
        rest -= found.tokens[found.codes]
    return np.array(books), rest


def test_each_level_of_a_residual_quantizer_is_diagnosed_on_what_is_left():
    books, rest = residual_books(3, 8)
    found = diagnose_levels(EMBEDDINGS, books)
    assert (found.kind, found.verdict, found.signs) == ("residual", "healthy", {})
    assert found.levels[0] == diagnose(EMBEDDINGS, books[0])
    after = EMBEDDINGS - books[0][kmeans(EMBEDDINGS, 8, rng=0).codes]
    assert found.levels[1] == diagnose(after, books[1])
    expected = np.square(rest).sum() / np.square(EMBEDDINGS - EMBEDDINGS.mean(axis=0)).sum()
    assert found.quantization_error == pytest.approx(expected)


def test_a_product_quantizer_has_a_codebook_for_each_part():
    books = np.stack([kmeans(EMBEDDINGS[:, part : part + 2], 8, rng=0).tokens for part in (0, 2)])
    found = diagnose_levels(EMBEDDINGS, books)
    assert found.kind == "product"
    assert found.levels[1] == diagnose(EMBEDDINGS[:, 2:], books[1])


def test_joint_usage_counts_rows_of_codes():
    books = np.array([[[0.0], [10.0]], [[0.0], [1.0]]])
    embeddings = np.array([0.0, 1.0, 1.0, 10.0])[:, None]  # codes 00, 01, 01, 10
    found = diagnose_levels(embeddings, books)
    assert found.joint_codes == 3
    assert found.joint_perplexity == perplexity_of_counts([1, 2, 1])
    assert found.quantization_error == 0


def test_the_gravest_level_gives_the_verdict():
    books, _ = residual_books(2, 8)
    books[1] = 100
    found = diagnose_levels(EMBEDDINGS, books)
    assert found.verdict == "collapsed"
    assert list(found.signs) == ["level 1"]
    stored = json.loads(found.to_json())
    assert [level["verdict"] for level in stored["levels"]] == ["healthy", "collapsed"]
    assert "level 1" in str(found)
    assert "<table>" in found._repr_html_()


@pytest.mark.parametrize(
    ("shape", "message"),
    [((8, 4), r"tokens must have shape \(Q, K, D\)"), ((2, 8, 3), "4 .*residual.* or 6|got 4")],
)
def test_other_shapes_are_refused(shape, message):
    with pytest.raises(ValueError, match=message):
        diagnose_levels(EMBEDDINGS, np.ones(shape))
