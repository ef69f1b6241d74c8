"""Checks of quantizers without a codebook: FSQ rounds each coordinate, LFQ keeps its sign.

The formulas are those of ``vqnp/quantize/fsq.py``, ``lfq.py`` and ``entropy.py``. Public code
differs in a sign, an order or a bound, and the answers of these variants are recognized.
"""

from functools import partial
from math import prod
from typing import Any

import numpy as np

from vqnp.quantize.fsq import EPSILON
from vqnp.quantize.lfq import vertices
from vqnp.testing.adapter import Functions
from vqnp.testing.check import Adapter, Answers, Function, KnownMistake, Tolerance, check, named
from vqnp.testing.golden import Array, Case, Cases, draw, from_seed
from vqnp.testing.passes import forward_and_vjp

Levels = tuple[int, ...]


@from_seed
def draw_fsq_cases(rng: np.random.Generator) -> Cases:
    """Odd and even levels, from a spread that uses the middle to one that uses the edges."""
    for levels, spread in ((8, 5, 7), 2), ((3, 4, 6, 5), 1), ((12,), 4):
        inputs = {name: spread * draw(rng, 50, len(levels)) for name in ("z", "dvectors")}
        yield Case("levels " + " ".join(map(str, levels)), inputs, settings={"levels": levels})


def fsq(
    *,
    bound: float = 1 - EPSILON,
    shift: Function = np.arctanh,
    scaled_first: bool = False,
    truncated: bool = False,
    slowest_first: bool = False,
) -> Functions:
    """Return forward, vjp and decode; ``truncated``: codes of what was passed straight through."""

    def constants(levels: Levels, dtype: np.dtype) -> tuple[Array, ...]:
        count = np.array(levels)
        h, o = (count - 1) * bound / 2, (count % 2 == 0) / 2
        return tuple(a.astype(dtype) for a in (h, o, shift(o / h), count // 2))

    def places(levels: Levels) -> Array:
        if slowest_first:
            return np.cumprod([1, *levels[:0:-1]])[::-1]
        return np.cumprod([1, *levels[:-1]])

    def forward(z: Array, levels: Levels) -> tuple[Array, Array]:
        h, o, s, half = constants(levels, z.dtype)
        b = h * np.tanh(z + s) - o
        vectors = np.rint(b / half) if scaled_first else np.rint(b) / half
        steps = (vectors + 1) * half
        if truncated:
            steps = np.floor((b / half + (vectors - b / half) + 1) * half)
        return vectors, np.rint(steps).astype(np.int64) @ places(levels)

    def vjp(z: Array, levels: Levels, dvectors: Array) -> Array:
        h, _, s, half = constants(levels, z.dtype)
        return dvectors * h * (1 - np.square(np.tanh(z + s))) / half

    def decode(codes: Array, levels: Levels) -> Array:
        half = np.array(levels) // 2
        return (codes[:, None] // places(levels) % levels - half) / half

    return forward, vjp, decode


FORWARD, VJP, DECODE = fsq()


def half_of(levels: Levels) -> Array:
    """Return ⌊L/2⌋ ``(D,)``."""
    return np.array(levels) // 2


FSQ_MISTAKES = (
    KnownMistake(
        "tan",
        "the shift is tan(o / h), a slip of the published listing: artanh makes b zero at z = 0",
        fsq(shift=np.tan),
    ),
    KnownMistake(
        "shift-forgotten", "s is missing: b is not zero at z = 0", fsq(shift=np.zeros_like)
    ),
    KnownMistake(
        "wide-bound",
        "h has the factor 1 + ε, a variant of public code: with 1 − ε every b rounds to a level",
        fsq(bound=1 + EPSILON),
    ),
    KnownMistake(
        "rounded-after-scaling",
        "b / ⌊L/2⌋ is rounded and leaves three values: round b, then divide",
        fsq(scaled_first=True),
    ),
    KnownMistake(
        "codes-truncated",
        "codes are cut from floats a rounding below their integers: round, or keep integer levels",
        fsq(truncated=True),
    ),
    KnownMistake(
        "first-channel-slowest",
        "the last channel is the fastest in the code; here it is the first",
        fsq(slowest_first=True),
    ),
    KnownMistake(
        "decoded-in-another-order",
        "decode takes the channels in another order than the codes do",
        (FORWARD, VJP, fsq(slowest_first=True)[2]),
    ),
    KnownMistake(
        "decoded-from-zero",
        "decode returns values from 0 up: subtract ⌊L/2⌋ from the level first",
        (FORWARD, VJP, lambda codes, levels: DECODE(codes, levels) + 1),
    ),
    KnownMistake(
        "no-gradient",
        "nothing passes the rounding: write b + stop_gradient(round(b) − b)",
        (FORWARD, lambda z, levels, dvectors: 0 * dvectors, DECODE),
    ),
    KnownMistake(
        "squashing-skipped",
        "the gradient passes straight through tanh as well as through the rounding",
        (FORWARD, lambda z, levels, dvectors: dvectors, DECODE),
    ),
    KnownMistake(
        "gradient-of-b",
        "the gradient is that of b: divide by ⌊L/2⌋ as the values are",
        (FORWARD, lambda z, levels, dvectors: VJP(z, levels, dvectors) * half_of(levels), DECODE),
    ),
)
SLOPES = Tolerance(64, "one tanh, and its slope 1 − tanh², which cancels at the edges", scale=8.0)


@check({"fsq": draw_fsq_cases}, SLOPES, FSQ_MISTAKES, right=fsq())
def check_fsq(
    case: Case, adapter: Adapter, forward: Function, vjp: Function, decode: Function
) -> Answers:
    """Check finite scalar quantization: values, codes, gradients, and all codes decoded.

    It catches a wrong shift or bound, truncated codes, channels in another order, and a gradient
    that passes straight through the squashing.

    Parameters
    ----------
    forward : function
        ``forward(z, levels) -> (vectors, codes)``: z ``(N, D)`` and levels, a tuple of D counts.
        With h = (L − 1)(1 − 0.001)/2, o = ½ for even L and 0 for odd, s = artanh(o / h) and
        b = h tanh(z + s) − o, vectors ``(N, D)`` are round(b) / ⌊L/2⌋. Codes ``(N,)`` number the
        levels round(b) + ⌊L/2⌋, with the first channel the fastest.
    vjp : function
        ``vjp(z, levels, dvectors) -> dz``: the gradient ``(N, D)`` for that of the vectors,
        straight through the rounding and not through the squashing.
    decode : function
        ``decode(codes, levels) -> vectors``: the vectors ``(N, D)`` of codes ``(N,)``.

    Example
    -------
    >>> from vqnp.quantize.fsq import FSQ, fsq_backward, fsq_forward
    >>> def forward(z, levels):
    ...     return FSQ(levels).forward(z)[0][:2]
    >>> def vjp(z, levels, dvectors):
    ...     return fsq_backward(dvectors, fsq_forward(z, levels)[2])
    >>> def decode(codes, levels):
    ...     return FSQ(levels).decode(codes, dtype=float)
    >>> print(check_fsq(forward, vjp, decode))
    check_fsq: all 12 comparisons pass
    """
    levels = tuple(case.settings["levels"])
    answers = forward_and_vjp(case, adapter, (forward, vjp), "vectors, codes", "dz", (levels,))
    decoded = adapter.take(decode(adapter.give(np.arange(prod(levels))), levels))
    return answers | {"decoded": np.round(decoded.astype(float), 5)}  # integers name no precision


@from_seed
def draw_lfq_cases(rng: np.random.Generator) -> Cases:
    """Coordinates of either sign, some of them zero; three bits and four."""
    for bits, diversity in (3, 1.0), (4, 0.75):
        inputs = {name: draw(rng, 30, bits) for name in ("z", "dvectors")}
        inputs["z"][:5, 1] = 0
        settings = {"sharpness": 1.5, "diversity": diversity}
        yield Case(f"{bits} bits", inputs, settings=settings)


def signs(z: Array, *, zero_up: bool = False, reverse: bool = False) -> tuple[Array, Array]:
    """Return the vertices ``(N, D)`` and their codes ``(N,)``."""
    positive = z >= 0 if zero_up else z > 0
    bits = 1 << np.arange(z.shape[1])
    return np.where(positive, 1.0, -1.0), positive @ (bits[::-1] if reverse else bits)


def entropy_gap(
    z: Array,
    sharpness: float,
    diversity: float,
    *,
    least: float = 0.0,
    log: Function = np.log,
    bitwise: bool = False,
    summed: bool = False,
) -> tuple[float, Array]:
    """Return the entropy gap and its gradient to z ``(N, D)``.

    ``least`` bounds what logarithms are taken of, ``bitwise`` adds up the entropies of single
    bits in the batch, and ``summed`` adds up those of the embeddings.
    """
    tokens = vertices(z.shape[1])
    logits = -sharpness * np.square(z[:, None] - tokens).sum(axis=2)  # (N, K)
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)

    def entropy(p: Array) -> tuple[float, Array]:
        logs = log(np.maximum(p, least or np.finfo(p.dtype).tiny))
        return -(p * logs).sum(), -logs - log(np.e) * (p > least)

    up = (tokens.T > 0).astype(float)  # (D, K)
    sets = np.concatenate([up, 1 - up]) if bitwise else np.eye(len(tokens))
    (sample, dsample), (batch, dbatch) = entropy(p), entropy(sets @ p.mean(axis=0))
    share = 1 if summed else 1 / len(z)
    dp = share * dsample - diversity * (dbatch @ sets) / len(z)
    dlogits = p * (dp - (p * dp).sum(axis=1, keepdims=True))
    return share * sample - diversity * batch, 2 * sharpness * dlogits @ tokens


def clipped(z: Array, dvectors: Array) -> Array:
    """Pass the gradient where z is within the cube."""
    return dvectors * (np.abs(z) <= 1)


def passed(z: Array, dvectors: Array) -> Array:
    """Pass the gradient as it is."""
    return dvectors


def gap_with(**variant: Any) -> Functions:
    """Return right signs with an entropy gap that is another."""
    return signs, passed, partial(entropy_gap, **variant)


LFQ_MISTAKES = (
    KnownMistake(
        "zero-up",
        "zero goes to +1; here it goes to −1, the lower code of two equally near",
        (partial(signs, zero_up=True), passed, entropy_gap),
    ),
    KnownMistake(
        "first-bit-greatest",
        "the first coordinate is the most significant bit; here it is the least",
        (partial(signs, reverse=True), passed, entropy_gap),
    ),
    KnownMistake(
        "no-gradient",
        "nothing passes the sign: write z + stop_gradient(sign(z) − z)",
        (signs, lambda z, dvectors: 0 * dvectors, entropy_gap),
    ),
    KnownMistake(
        "clipped",
        "the gradient stops where |z| > 1, as of a hard tanh: here it always passes",
        (signs, clipped, entropy_gap),
    ),
    KnownMistake(
        "tanh-slope",
        "the gradient passes through a tanh: straight through there is no activation",
        (signs, lambda z, dvectors: dvectors * (1 - np.square(np.tanh(z))), entropy_gap),
    ),
    KnownMistake(
        "logarithm-clamped",
        "ln(max(p, 1e-5)): take 0 · ln 0 as 0, or use a log-softmax",
        gap_with(least=1e-5),
    ),
    KnownMistake(
        "batch-entropy-of-bits",
        "H(mean) adds up the entropies of single bits, and does not see that two are always equal",
        gap_with(bitwise=True),
    ),
    KnownMistake(
        "summed-over-the-batch",
        "the entropies of the embeddings are added up: take their mean",
        gap_with(summed=True),
    ),
    KnownMistake("bits", "the entropies are in bits; here they are in nats", gap_with(log=np.log2)),
    KnownMistake(
        "diversity-added",
        "both entropies are made small: subtract γ H(mean), though the loss becomes negative",
        (signs, passed, lambda z, s, diversity: entropy_gap(z, s, -diversity)),
    ),
    KnownMistake(
        "sharpness-halved",
        "p is of s z·t: the squared distance has 2 s z·t",
        (signs, passed, lambda z, s, diversity: entropy_gap(z, s / 2, diversity)),
    ),
)
EXPONENTIALS = Tolerance(64, "squared distances of up to 40, in exponentials")


@check({"lfq": draw_lfq_cases}, EXPONENTIALS, LFQ_MISTAKES, right=gap_with())
def check_lfq(
    case: Case, adapter: Adapter, forward: Function, vjp: Function, entropy: Function
) -> Answers:
    """Check lookup-free quantization: signs, codes, the gradient, and the entropy loss.

    It catches another order of bits, clipped gradients, and entropies of another batch or base.

    Parameters
    ----------
    forward : function
        ``forward(z) -> (vectors, codes)``: z ``(N, D)``. Return vectors ``(N, D)`` of +1 where z
        is positive and −1 elsewhere, and the codes ``(N,)``, Σ 2ᵈ [z_d > 0] with d from 0.
    vjp : function
        ``vjp(z, dvectors) -> dz``: the gradient ``(N, D)`` for that of the vectors, straight
        through.
    entropy : function
        ``entropy(z, sharpness, diversity) -> (gap, dz)``: two floats s and γ. With the 2ᴰ vertices
        t_k of ±1, p_nk = softmax_k(−s ‖z_n − t_k‖²) and H(p) = −Σ p ln p, return the number
        mean_n H(p_n) − γ H(mean_n p_n) and its gradient ``(N, D)``.

    Example
    -------
    >>> from vqnp.quantize.lfq import bits_entropy_backward, bits_entropy_forward, sign_forward
    >>> def entropy(z, sharpness, diversity):
    ...     gap, cache = bits_entropy_forward(z, 1.0, sharpness, diversity, z.shape[1])
    ...     return gap, bits_entropy_backward(1.0, cache)
    >>> print(check_lfq(sign_forward, lambda z, dvectors: dvectors, entropy))
    check_lfq: all 10 comparisons pass
    """
    answers = forward_and_vjp(case, adapter, (forward, vjp), "vectors, codes", "dz")
    weights = case.settings["sharpness"], case.settings["diversity"]
    found = named(entropy(adapter.give(case.inputs["z"]), *weights), "gap, dgap")
    return answers | found
