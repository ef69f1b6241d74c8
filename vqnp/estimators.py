"""A codebook in scikit-learn's manners, for pipelines and searches of parameters.

:class:`VectorQuantizer` adds no algorithm. ``fit`` is the package's k-means (eq. 2), ``predict``
its search (eq. 1), and ``partial_fit`` the paper's moving averages (eqs. 3 to 5). Its parameters
have scikit-learn's names where scikit-learn has one: ``random_state``, ``n_init``, ``max_iter``.

Shapes: X ``(N, D)``, tokens ``(K, D)``, codes ``(N,)``.
"""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClusterMixin, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from vqnp.quantize import Codebook, ema_update, kmeans, nearest
from vqnp.quantize.lloyd import Start
from vqnp.validation import Array, Rng, as_array, as_rng, require_codes, require_integer

SEEDS = 1 << 31  # that a RandomState draws from


class VectorQuantizer(OneToOneFeatureMixin, TransformerMixin, ClusterMixin, BaseEstimator):
    """A codebook of K tokens, fitted by k-means and kept up to date by moving averages.

    Parameters
    ----------
    n_tokens : int
        K, the size of the codebook.
    start : {"greedy k-means++", "k-means++", "random"}
        How :func:`vqnp.kmeans` draws the first tokens. The first is that of scikit-learn's
        ``KMeans``, and takes 2 + ln K times as long as the second.
    n_init : int
        Starts of k-means; the one with the lowest inertia stays.
    max_iter : int
        The most steps of Lloyd's algorithm from each start.
    decay : float in [0, 1)
        γ of eqs. 3 and 4, the share of the averages that ``partial_fit`` keeps.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None
        Where the starts come from. None takes NumPy's global state, as in scikit-learn.

    Attributes
    ----------
    cluster_centers_ : array (K, D), float32 or float64
        The tokens, in the precision of the X that was fitted.
    labels_ : array (N,), int64
        The codes of the last X that was fitted. Those of ``partial_fit`` are from before it moved
        the tokens.
    inertia_ : float
        The sum of the squared distances from this X to the tokens of ``labels_``.
    n_iter_ : int
        Steps of Lloyd's algorithm in the best start, and one for each update since.
    n_features_in_ : int
        D.
    feature_names_in_ : array (D,) of str
        Names of the columns, if X had any.

    Raises
    ------
    TypeError, ValueError
        For parameters out of range; for an X that is sparse, not finite or of another D.

    Notes
    -----
    Lloyd's algorithm goes on until no code changes, without a tolerance.

    Examples
    --------
    >>> X = np.array([[0.0, 0.0], [0.0, 2.0], [9.0, 0.0], [9.0, 2.0]])
    >>> quantizer = VectorQuantizer(n_tokens=2).fit(X)
    >>> quantizer.inertia_, sorted(quantizer.cluster_centers_.tolist())
    (4.0, [[0.0, 1.0], [9.0, 1.0]])
    >>> quantizer.transform([[8.0, 8.0]])
    array([[9., 1.]])
    """

    def __init__(
        self,
        n_tokens: int = 8,
        *,
        start: Start = "greedy k-means++",
        n_init: int = 2,
        max_iter: int = 300,
        decay: float = 0.9,
        random_state: Rng | np.random.RandomState | None = 0,
    ) -> None:
        self.n_tokens = n_tokens
        self.start = start
        self.n_init = n_init
        self.max_iter = max_iter
        self.decay = decay
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> "VectorQuantizer":
        """Place the tokens by k-means on X ``(N, D)``, N at least K; ``y`` is ignored."""
        X = self._points(X, reset=True)
        require_integer(self.n_tokens, "n_tokens", least=1)
        require_integer(self.max_iter, "max_iter", least=1)
        if len(X) < self.n_tokens:
            raise ValueError(f"n_samples={len(X)} must be at least n_tokens={self.n_tokens}")
        rng = self._rng()
        starts = [
            kmeans(X, self.n_tokens, rng=rng, start=self.start, iterations=self.max_iter)
            for _ in range(require_integer(self.n_init, "n_init", least=1))
        ]
        best = min(starts, key=lambda found: found.inertia)
        self.cluster_centers_, self.labels_ = best.tokens, best.codes
        self.inertia_, self.n_iter_ = best.inertia, best.iterations
        self._codebook: Codebook | None = None  # the first update starts the averages
        return self

    def partial_fit(self, X: Any, y: Any = None) -> "VectorQuantizer":
        """Move the tokens towards a batch by eqs. 3 to 5; the first call of all is ``fit``.

        As in the paper, L starts from the hits that a batch of this size is expected to show.
        """
        if not hasattr(self, "cluster_centers_"):
            return self.fit(X)
        X = self._points(X, reset=False)
        if self._codebook is None:
            hits = np.bincount(self.labels_, minlength=len(self.cluster_centers_))
            expected = hits * (len(X) / len(self.labels_))
            self._codebook = Codebook.start(self.cluster_centers_, expected)
        self.labels_, squared = nearest(X, self.cluster_centers_)
        ema_update(self._codebook, X, self.labels_, self.decay)
        self.cluster_centers_ = self._codebook.tokens
        self.inertia_ = float(squared.sum(dtype=np.float64))
        self.n_iter_ += 1
        return self

    def predict(self, X: Any) -> Array:
        """Return the codes ``(N,)`` of X, int64: the nearest tokens (eq. 1)."""
        return self._nearest(X)[0]

    def transform(self, X: Any) -> Array:
        """Return the nearest tokens ``(N, D)`` of X: what the decoder of a VQ-VAE would see."""
        codes = self.predict(X)
        return self.cluster_centers_[codes]

    def inverse_transform(self, X: Any) -> Array:
        """Return the tokens ``(N, D)`` of codes ``(N,)``.

        Tokens ``(N, D)`` come back as they are, because ``transform`` stays in the space of X.
        A pipeline inverts the steps before it from there.
        """
        check_is_fitted(self)
        if (codes := as_array(X, "X")).ndim == 1:
            return self.cluster_centers_[require_codes(codes, "X", len(self.cluster_centers_))]
        return self._points(X, reset=False)

    def score(self, X: Any, y: Any = None) -> float:
        """Return minus the sum of the squared distances from X to its tokens: higher is better."""
        return -float(self._nearest(X)[1].sum(dtype=np.float64))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _nearest(self, X: Any) -> tuple[Array, Array]:
        check_is_fitted(self)
        return nearest(self._points(X, reset=False), self.cluster_centers_)

    def _points(self, X: Any, *, reset: bool) -> Array:
        """Return X as points; ``reset`` learns D and the precision, which later X must fit."""
        dtype = [np.float64, np.float32] if reset else self.cluster_centers_.dtype
        return validate_data(self, X, reset=reset, dtype=dtype)

    def _rng(self) -> np.random.Generator:
        if isinstance(self.random_state, int | np.integer | np.random.Generator):
            return as_rng(self.random_state, "random_state")
        return np.random.default_rng(check_random_state(self.random_state).randint(SEEDS))
