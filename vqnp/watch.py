"""A watch on a codebook while it trains: a few numbers a batch, in constant memory.

Usage and perplexity come from the codes alone, over the last batches (the window) and over all.
Embeddings add two measures. Both compare a batch with the tokens from before it. The watch sees no
tokens, so a moving average of the embeddings of each code stands for its token. In the paper's
quantizer, with its decay, these averages become the tokens (eqs. 3 to 5).

- spread: sqrt(variance of the tokens chosen / variance of the embeddings). It falls while the
  embeddings grow out of the codebook.
- drift: the length of the mean of (embedding − token), in standard deviations of the embeddings. It
  is near 0 unless the embeddings move away from the codebook.

Shapes: codes ``(N,)``, embeddings ``(N, D)``, kept counts ``(K,)``, and a window of ``(W, K)``.
"""

from typing import Any

import numpy as np

from vqnp.diagnostics.usage import counts_of, perplexity_of_counts
from vqnp.diagnostics.verdict import FEW, LOW_SHARE, Limit
from vqnp.quantize import Codebook, ema_update
from vqnp.validation import (
    Array,
    CodesLike,
    PointsLike,
    as_array,
    as_latents,
    require_integer,
    require_share,
)

MOST_DEAD = Limit(
    0.5,
    "of the tokens; with more of them dead in the window, the warning is 'dead tokens'",
    "K-means leaves no token without embeddings, however uneven they are.",
)
FAR_DRIFT = Limit(
    0.5,
    "standard deviations; above it, the warning is 'drift'",
    "Chance moves the mean of 32 embeddings by less than 0.2 of them.",
)


class Watch:
    """The usage of a codebook, batch by batch, and a word of warning.

    Parameters
    ----------
    n_tokens : int
        K, the size of the codebook.
    window : int
        W, the number of batches that the sliding window holds. It needs 4 · W · K bytes.
    decay : float in [0, 1)
        The share of the averages of embeddings that a batch keeps. Give your quantizer's own γ.

    Raises
    ------
    TypeError, ValueError
        For counts below 1 and for a decay outside [0, 1).

    Notes
    -----
    One watch belongs to one codebook; give each level of a residual quantizer its own. In a plain
    PyTorch loop::

        watch = vqnp.Watch(n_tokens=512)
        for step, images in enumerate(loader):
            embeddings = encoder(images)  # (..., D)
            tokens, codes = quantizer(embeddings)
            loss = torch.nn.functional.mse_loss(decoder(tokens), images)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watch.update(codes, embeddings)
            if step % 100 == 99:
                print(step, watch.summary())

    As a callback of Lightning, for a ``training_step`` that returns codes and embeddings::

        class WatchCodebook(lightning.Callback):
            def __init__(self, n_tokens):
                self.watch = vqnp.Watch(n_tokens)

            def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
                self.watch.update(outputs["codes"], outputs["embeddings"])
                numbers = self.watch.summary()
                numbers.pop("warning")  # a word, and no number to log
                module.log_dict(numbers)

    Examples
    --------
    >>> watch = Watch(n_tokens=4, window=10)
    >>> for _ in range(10):
    ...     watch.update([0, 0, 1, 1])
    >>> watch.summary()["perplexity"], watch.summary()["dead_tokens"], watch.summary()["warning"]
    (2.0, 2, 'none')
    """

    def __init__(self, n_tokens: int, *, window: int = 100, decay: float = 0.9) -> None:
        self.n_tokens = require_integer(n_tokens, "n_tokens", least=1)
        self.window = require_integer(window, "window", least=1)
        self.decay = require_share(decay, "decay")
        self.batches = 0
        self._whole = np.zeros(n_tokens, np.int64)
        self._recent = np.zeros(n_tokens, np.int64)  # the sum of the rows below
        self._hits = np.zeros((window, n_tokens), np.int32)  # a row is overwritten after W batches
        self._moved = np.full((window, 2), np.nan)  # spread and drift
        self._codebook: Codebook | None = None

    def update(self, codes: CodesLike, embeddings: PointsLike | None = None) -> None:
        """Take in a batch: codes of any shape, and their embeddings ``(..., D)`` if at hand.

        Both may be NumPy arrays or tensors, also on a GPU or with a graph. A batch that is refused
        changes nothing. Raises ``TypeError`` or ``ValueError`` for codes that are no integers in
        [0, K), for embeddings that are no finite numbers, and for two different N.
        """
        codes = as_array(codes, "codes").reshape(-1)
        hits, moved = counts_of(codes, self.n_tokens), (np.nan, np.nan)
        if embeddings is not None:
            dim = self._codebook.tokens.shape[1] if self._codebook else None
            z = as_latents(embeddings, "embeddings", dim=dim)
            if len(z) != len(codes):
                raise ValueError(
                    f"embeddings must be {len(codes)} as the codes are, with D as their last axis, "
                    f"got {len(z)}"
                )
            moved = self._follow(z, codes, hits)
        row = self.batches % self.window
        self._recent += hits - self._hits[row]
        self._hits[row], self._moved[row] = hits, moved
        self._whole += hits
        self.batches += 1

    def _follow(self, z: Array, codes: Array, hits: Array) -> tuple[float, float]:
        """Return spread and drift of a batch, then let the averages follow it."""
        if self._codebook is None:
            zeros = np.zeros((self.n_tokens, z.shape[1]), z.dtype)
            self._codebook = Codebook(zeros, zeros[:, 0].copy(), zeros.copy())
        known = self._codebook.counts > 0  # the tokens that have an average
        compared = known[codes]
        seen = z if compared.all() else z[compared]  # mostly all of them, without a copy
        moved = spread_and_drift(seen, self._codebook.tokens, hits * known)
        ema_update(self._codebook, z, codes, self.decay)
        return moved

    def summary(self) -> dict[str, Any]:
        """Return the numbers of now, flat, for a logger: ``{name: int or float}`` and a warning.

        ``batches``; of the window ``usage`` (the share of tokens chosen), ``perplexity`` and
        ``dead_tokens``; the same of all batches, with ``_whole`` after the name. ``spread`` and
        ``drift``, means over the window, are there once embeddings are.

        ``warning`` is the first of these words that holds. Their limits and reasons stand at the
        top of the file and in ``diagnostics/verdict.py``.

        ===============  ==================================================================
        "cannot tell"    The window has too few codes.
        "collapsed"      One token serves all embeddings of the window.
        "dead tokens"    Most tokens are dead.
        "falling"        The window's perplexity is far below that of all batches.
        "drift"          The embeddings move away from their tokens.
        "none"           None of these holds.
        ===============  ==================================================================

        Raises ``RuntimeError`` before the first batch.
        """
        if not self.batches:
            raise RuntimeError("there is nothing to sum up yet: call update(codes) first")
        numbers: dict[str, Any] = {"batches": self.batches}
        for suffix, counts in (("", self._recent), ("_whole", self._whole)):
            dead = int((counts == 0).sum())
            numbers[f"usage{suffix}"] = 1 - dead / self.n_tokens
            numbers[f"perplexity{suffix}"] = perplexity_of_counts(counts)
            numbers[f"dead_tokens{suffix}"] = dead
        measured = self._moved[~np.isnan(self._moved[:, 0])]
        if len(measured):
            numbers["spread"], numbers["drift"] = map(float, measured.mean(axis=0))
        return numbers | {"warning": self._warning(numbers)}

    def _warning(self, numbers: dict[str, Any]) -> str:
        dead, alive = numbers["dead_tokens"], self.n_tokens - numbers["dead_tokens"]
        signs = {
            "cannot tell": self._recent.sum() < FEW.value * self.n_tokens,
            "collapsed": alive == 1 < self.n_tokens,
            "dead tokens": dead > MOST_DEAD.value * self.n_tokens,
            "falling": numbers["perplexity"] < LOW_SHARE.value * numbers["perplexity_whole"],
            "drift": numbers.get("drift", 0) > FAR_DRIFT.value,
        }
        return next((word for word, holds in signs.items() if holds), "none")


def spread_and_drift(z: Array, tokens: Array, hits: Array) -> tuple[float, float]:
    """Return both measures; NaN if z do not differ.

    ``hits`` ``(K,)`` say how many of the embeddings ``z`` ``(N, D)`` chose each of the ``tokens``
    ``(K, D)``. The tokens' moments need K terms then, and not N.
    """
    center = z.mean(axis=0, dtype=np.float64) if len(z) else np.zeros(z.shape[1])
    variance = _squares(z, center).sum(dtype=np.float64) / max(len(z), 1)
    if variance == 0:
        return np.nan, np.nan
    chosen = np.flatnonzero(hits)
    shares, places = hits[chosen] / len(z), tokens[chosen]
    middle = np.einsum("k,kd->d", shares, places)  # in float64, as the shares are
    spread = shares @ _squares(places, middle) / variance
    drift = np.square(center - middle).sum() / variance
    return float(np.sqrt(spread)), float(np.sqrt(drift))


def _squares(points: Array, center: Array) -> Array:
    apart = points - center.astype(points.dtype)
    return np.einsum("nd,nd->n", apart, apart)  # a tenth of the time of squares and their sum
