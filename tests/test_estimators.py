"""A codebook in scikit-learn's manners: its checks, and that it adds nothing to the package."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import vqnp
from vqnp.estimators import VectorQuantizer
from vqnp.quantize import Codebook, ema_update, kmeans, nearest

pytestmark = pytest.mark.jit  # scikit-learn's checks fit a hundred codebooks
X = load_digits().data[:300, 8:16]


@pytest.fixture
def fitted():
    return VectorQuantizer(n_tokens=6, n_init=1, random_state=3).fit(X)


@parametrize_with_checks([VectorQuantizer(), VectorQuantizer(n_tokens=3, n_init=1)])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_fit_is_the_package_s_kmeans(fitted):
    found = kmeans(X, 6, rng=3, start="greedy k-means++", iterations=300)
    np.testing.assert_array_equal(fitted.cluster_centers_, found.tokens)
    np.testing.assert_array_equal(fitted.labels_, found.codes)
    assert (fitted.inertia_, fitted.n_iter_) == (found.inertia, found.iterations)


def test_predict_transform_and_score_are_the_package_s_search(fitted):
    codes, squared = nearest(X, fitted.cluster_centers_)
    np.testing.assert_array_equal(fitted.predict(X), codes)
    np.testing.assert_array_equal(fitted.predict(X), fitted.labels_)
    np.testing.assert_array_equal(fitted.transform(X), fitted.cluster_centers_[codes])
    assert fitted.score(X) == -fitted.inertia_ == pytest.approx(-squared.sum())


def test_more_starts_keep_the_best():
    one, many = (VectorQuantizer(20, n_init=n_init).fit(X) for n_init in (1, 8))
    generator = np.random.default_rng(0)
    starts = [kmeans(X, 20, rng=generator, start="greedy k-means++") for _ in range(8)]
    assert one.inertia_ == starts[0].inertia
    assert many.inertia_ == min(found.inertia for found in starts) < one.inertia_


@pytest.mark.parametrize("start", ["k-means++", "random"])
def test_other_starts(start):
    found = kmeans(X, 20, rng=0, start=start, iterations=300)
    quantizer = VectorQuantizer(20, start=start, n_init=1).fit(X)
    np.testing.assert_array_equal(quantizer.cluster_centers_, found.tokens)


def test_partial_fit_is_the_paper_s_moving_average():
    first, *batches = np.split(X, [100, 150, 280])
    quantizer = VectorQuantizer(4, decay=0.7).partial_fit(first)
    expected = VectorQuantizer(4).fit(first)
    np.testing.assert_array_equal(quantizer.cluster_centers_, expected.cluster_centers_)
    hits = np.bincount(expected.labels_, minlength=4)
    codebook = Codebook.start(expected.cluster_centers_, hits * 50 / 100)  # a batch shows half
    for batch in batches:
        codes, squared = nearest(batch, codebook.tokens)
        ema_update(codebook, batch, codes, 0.7)
        quantizer.partial_fit(batch)
        np.testing.assert_array_equal(quantizer.cluster_centers_, codebook.tokens)
        np.testing.assert_array_equal(quantizer.labels_, codes)
        assert quantizer.inertia_ == pytest.approx(squared.sum())
    assert quantizer.n_iter_ == expected.n_iter_ + 3


def test_a_new_fit_forgets_the_averages(fitted):
    fitted.partial_fit(X[:50] + 9).fit(X)
    again = VectorQuantizer(6, n_init=1, random_state=3).fit(X)
    np.testing.assert_array_equal(fitted.cluster_centers_, again.cluster_centers_)
    np.testing.assert_array_equal(
        fitted.partial_fit(X[:50]).cluster_centers_, again.partial_fit(X[:50]).cluster_centers_
    )


def test_a_refused_batch_changes_nothing(fitted):
    before = pickle.dumps(fitted.partial_fit(X[:50]))
    for bad in (X[:50] * np.nan, X[:50, :5], X[:0]):
        with pytest.raises(ValueError, match=r"NaN|features|minimum"):
            fitted.partial_fit(bad)
    assert pickle.dumps(fitted) == before


def test_tokens_of_codes_and_of_tokens(fitted):
    codes, tokens = fitted.predict(X), fitted.transform(X)
    np.testing.assert_array_equal(fitted.inverse_transform(codes), tokens)
    np.testing.assert_array_equal(fitted.inverse_transform(tokens), tokens)
    with pytest.raises(ValueError, match=r"\[0, 6\)"):
        fitted.inverse_transform([0, 6])
    with pytest.raises(ValueError, match="features"):
        fitted.inverse_transform(tokens[:, :3])


def test_in_a_pipeline_and_a_search():
    scaled = StandardScaler().fit_transform(X)
    pipeline = make_pipeline(StandardScaler(), VectorQuantizer(6)).fit(X)
    np.testing.assert_array_equal(pipeline.predict(X), VectorQuantizer(6).fit(scaled).labels_)
    tokens = pipeline.inverse_transform(pipeline.transform(X))
    assert np.square(X - tokens).mean() < X.var(axis=0).mean()
    assert list(pipeline.get_feature_names_out()) == [f"x{d}" for d in range(8)]
    search = GridSearchCV(VectorQuantizer(), {"n_tokens": [2, 12]}, cv=3).fit(X)
    assert search.best_params_ == {"n_tokens": 12}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_precision_of_the_fit_stays(dtype):
    quantizer = VectorQuantizer(5).fit(X.astype(dtype))
    for seen in (X, X.astype(np.float32), X.astype(int)):
        assert quantizer.partial_fit(seen).transform(seen).dtype == dtype
    assert VectorQuantizer(5).fit(X.astype(int)).cluster_centers_.dtype == np.float64


def test_pickling_cloning_and_settings(fitted):
    fitted.partial_fit(X[:50])
    copy = pickle.loads(pickle.dumps(fitted))
    for quantizer in (fitted, copy):
        quantizer.partial_fit(X[50:100])
    np.testing.assert_array_equal(copy.cluster_centers_, fitted.cluster_centers_)
    assert not hasattr(clone(fitted), "cluster_centers_")
    assert clone(fitted).set_params(n_tokens=2, decay=0.5).fit(X).cluster_centers_.shape == (2, 8)
    assert repr(fitted) == "VectorQuantizer(n_init=1, n_tokens=6, random_state=3)"


def test_seeds():
    def tokens(seed):
        return VectorQuantizer(9, random_state=seed).fit(X).cluster_centers_

    np.testing.assert_array_equal(tokens(1), tokens(1))
    np.testing.assert_array_equal(tokens(1), tokens(np.random.default_rng(1)))
    legacy = [tokens(np.random.RandomState(1)) for _ in range(2)]
    np.testing.assert_array_equal(*legacy)
    assert not np.array_equal(tokens(1), tokens(2))
    assert tokens(None).shape == (9, 8)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_tokens": 0}, "n_tokens must be at least 1"),
        ({"n_tokens": 301}, "n_samples=300 must be at least n_tokens=301"),
        ({"n_tokens": 2, "start": "any"}, "start must be one of .* got 'any'"),
        ({"n_tokens": 2, "n_init": 0}, "n_init must be at least 1"),
        ({"n_tokens": 2, "max_iter": 0}, "max_iter must be at least 1"),
        ({"n_tokens": 2, "random_state": -1}, "random_state must be at least 0"),
        ({"n_tokens": 2, "random_state": "a"}, "'a' cannot be used to seed"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        VectorQuantizer(**settings).fit(X)


def test_a_decay_out_of_range_is_refused(fitted):
    with pytest.raises(ValueError, match="decay must lie in"):
        fitted.set_params(decay=1.0).partial_fit(X)


def test_it_is_reachable_from_the_package():
    assert vqnp.estimators.VectorQuantizer is VectorQuantizer
