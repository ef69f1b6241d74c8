"""Checks of quantizers that look at directions: cosine codes, and the rotation trick.

The formulas are those of ``vqnp/quantize/cosine.py``, ``normalize.py`` and ``rotation.py``. Both
divide by the length of an embedding, so there are cases with an embedding at the origin.
"""

import numpy as np

from vqnp.testing.adapter import Functions
from vqnp.testing.check import Adapter, Answers, Function, KnownMistake, Tolerance, check
from vqnp.testing.golden import Array, Case, Cases, draw, from_seed
from vqnp.testing.nearest import search
from vqnp.testing.passes import forward_and_vjp


@from_seed
def draw_cosine_cases(rng: np.random.Generator) -> Cases:
    """Tokens of any length, and an embedding at the origin among tokens along the axes."""
    z, tokens = draw(rng, 24, 4), draw(rng, 7, 4)
    axes = np.concatenate([2 * np.eye(4), -3 * np.eye(4)])[:7]
    at_origin = draw(rng, 9, 4)
    at_origin[2] = 0
    for name, points, book in ("directions", z, tokens), ("at the origin", at_origin, axes):
        inputs = {"z": points, "tokens": book, "dvectors": draw(rng, *points.shape)}
        yield Case(name, inputs, settings={"beta": 0.375})


def lengths_of(rows: Array) -> Array:
    """Return ‖z‖ ``(N, 1)``, and infinity for zero, so that a division by it gives zero."""
    norms = np.sqrt(np.square(rows).sum(axis=1, keepdims=True))
    return np.where(norms > 0, norms, np.inf)


def bare_lengths(rows: Array) -> Array:
    """Return ‖z‖ ``(N, 1)``."""
    return np.sqrt(np.square(rows).sum(axis=1, keepdims=True))


def clamped_lengths(rows: Array) -> Array:
    """Return ‖z‖ ``(N, 1)``, at least 1e-6."""
    return np.maximum(bare_lengths(rows), 1e-6)


def similar(units: Array, tokens: Array) -> Array:
    """Return the token of the largest product, whatever its length."""
    return (units @ tokens.T).argmax(axis=1)


def cosine(
    *,
    lengths: Function = lengths_of,
    find: Function | None = None,
    raw_tokens: bool = False,
    raw_loss: bool = False,
    back: Function = lambda u, units, lengths: (u - units * (u * units).sum(1)[:, None]) / lengths,
    radial: bool = False,
) -> Functions:
    """Return forward and vjp.

    ``find`` searches the raw tokens. ``raw_tokens`` are looked up, and ``raw_loss`` compares z and
    not its direction. ``back`` is the gradient of the normalization; ``radial``: of the loss alone.
    """

    def quantized(z: Array, tokens: Array) -> tuple[Array, Array]:
        units, directions = z / lengths(z), tokens / lengths_of(tokens)
        codes = find(units, tokens) if find else search(units, directions)
        return (tokens if raw_tokens else directions)[codes], codes

    def forward(z: Array, tokens: Array, beta: float) -> tuple[Array, Array, float]:
        vectors, codes = quantized(z, tokens)
        compared = z if raw_loss else z / lengths(z)
        return vectors, codes, beta * np.square(compared - vectors).mean()

    def vjp(z: Array, tokens: Array, beta: float, dvectors: Array) -> tuple[Array, None]:
        vectors, _ = quantized(z, tokens)
        norms = lengths(z)
        pull = 2 * beta * ((z if raw_loss else z / norms) - vectors) / z.size
        straight = (dvectors if radial else 0) + (pull if raw_loss else 0)
        turned = (0 if radial else dvectors) + (0 if raw_loss else pull)
        return straight + back(turned, z / norms, norms), None

    return forward, vjp


COSINE_MISTAKES = (
    KnownMistake(
        "raw-lookup",
        "the token looked up has its own length: return the direction that was searched",
        cosine(raw_tokens=True),
    ),
    KnownMistake(
        "raw-tokens",
        "tokens are searched and looked up with their lengths: normalize them after every update",
        cosine(find=similar, raw_tokens=True),
    ),
    KnownMistake(
        "raw-search",
        "the largest z·t is searched, and long tokens win it: normalize the tokens before",
        cosine(find=similar),
    ),
    KnownMistake(
        "loss-of-lengths",
        "the loss compares z, with its length, with a direction: compare z / ‖z‖",
        cosine(raw_loss=True),
    ),
    KnownMistake(
        "radial",
        "the gradient of the vectors reaches z straight (a variant of public code); here it "
        "passes through the normalization",
        cosine(radial=True),
    ),
    KnownMistake(
        "normalization-skipped",
        "no gradient passes through the normalization: all of it reaches z straight",
        cosine(back=lambda u, units, lengths: u),
    ),
    KnownMistake(
        "length-forgotten",
        "the gradient is not divided by ‖z‖",
        cosine(back=lambda u, units, lengths: u - units * (u * units).sum(1)[:, None]),
    ),
    KnownMistake(
        "projection-forgotten",
        "the gradient is divided by ‖z‖, but ẑ (ẑ·u) is not subtracted",
        cosine(back=lambda u, units, lengths: u / lengths),
    ),
    KnownMistake(
        "length-clamped",
        "at the origin ‖z‖ is taken as 1e-6, and the gradient is a million times as large; "
        "here it is zero",
        cosine(lengths=clamped_lengths),
    ),
    KnownMistake(
        "divided-by-zero",
        "z / ‖z‖ is not a number at the origin: take it as zero",
        cosine(lengths=bare_lengths),
    ),
)
OF_DIRECTIONS = Tolerance(128, "directions of four numbers, divided by lengths of 1/2 and more")


@check({"cosine": draw_cosine_cases}, OF_DIRECTIONS, COSINE_MISTAKES, right=cosine())
def check_cosine(case: Case, adapter: Adapter, forward: Function, vjp: Function) -> Answers:
    """Check cosine codes: embeddings and tokens are compared by direction.

    It catches tokens that keep their length, losses with the length of z, and gradients that do
    not pass through the normalization.

    Parameters
    ----------
    forward : function
        ``forward(z, tokens, beta) -> (vectors, codes, loss)``: z ``(N, D)``, tokens ``(K, D)`` of
        any length, beta a float. With ẑ = z / ‖z‖, and 0 for z = 0, return the direction
        t / ‖t‖ of the greatest ẑ·t / ‖t‖ ``(N, D)``, codes ``(N,)``, and the number
        beta ‖ẑ − vectors‖² / (N·D). Of equal ones, the lowest code is returned.
    vjp : function
        ``vjp(z, tokens, beta, dvectors) -> (dz, dtokens)``: the gradients of
        Σ dvectors · vectors + loss, straight through from the vectors to ẑ, and from there to z.
        It is 0 for z = 0. ``dtokens`` is zero, and may be None.

    Example
    -------
    >>> print(check_cosine(*cosine(radial=True), raises=False).suspects[0].name)
    radial
    """
    return forward_and_vjp(
        case,
        adapter,
        (forward, vjp),
        "vectors, codes, loss",
        "dz, dtokens",
        (case.settings["beta"],),
    )


@from_seed
def draw_rotation_cases(rng: np.random.Generator) -> Cases:
    """Any pairs, pairs that are equal or at the origin, and pairs that are almost opposite."""
    z, tokens = draw(rng, 20, 4), draw(rng, 20, 4)
    special = draw(rng, 6, 4), draw(rng, 6, 4)
    special[0][:2] = 0
    special[1][2:4] = 0
    special[1][4] = special[0][4]
    opposite = draw(rng, 6, 4)
    across = opposite[:, [1, 0, 3, 2]] * [1, -1, 1, -1]  # at right angles, and as long
    made = {
        "pairs": (z, tokens),
        "equal, or at the origin": special,
        "almost opposite": (opposite, across / 256 - 2 * opposite),
    }
    for name, (z, vectors) in made.items():
        yield Case(name, {"z": z, "tokens": vectors, "dvectors": draw(rng, *z.shape)})


def turned_back(u: Array, v: Array, g: Array) -> Array:
    """Return Rᵀ g, where R turns û to v̂."""
    r = (u + v) / lengths_of(u + v)
    return g - 2 * r * along(r, g) + 2 * u * along(v, g)


def along(rows: Array, others: Array) -> Array:
    """Return the products of rows ``(N, 1)``."""
    return (rows * others).sum(axis=1, keepdims=True)


def turned_forth(u: Array, v: Array, g: Array) -> Array:
    """Return R g."""
    return turned_back(v, u, g)


def mirrored(u: Array, v: Array, g: Array) -> Array:
    """Return the reflection that sends û to v̂, of g."""
    w = (u - v) / lengths_of(u - v)
    return g - 2 * w * along(w, g)


def without_radius(u: Array, v: Array, g: Array) -> Array:
    """Return what is left of Rᵀ g at right angles to û, which is normalized in the forward pass."""
    turned = turned_back(u, v, g)
    return turned - u * along(u, turned)


def divided(u: Array, v: Array, g: Array) -> Array:
    """Return Rᵀ g by the formula that cancels."""
    return g - (u + v) * along(u + v, g) / (1 + along(u, v)) + 2 * u * along(v, g)


def stretched(z: Array, q: Array) -> Array:
    """Return λ ``(N, 1)``."""
    return bare_lengths(q) / lengths_of(z)


def rotation(
    *,
    turn: Function = turned_back,
    stretch: Function = stretched,
    forward: Function = lambda z, tokens: tokens,
) -> Functions:
    """Return forward and vjp; ``turn`` is Rᵀ and ``stretch`` is λ."""

    def vjp(z: Array, tokens: Array, dvectors: Array) -> tuple[Array, None]:
        units = (rows / lengths_of(rows) for rows in (z, tokens))
        dz = stretch(z, tokens) * turn(*units, dvectors)
        as_it_is = (z == tokens).all(axis=1) | ~z.any(axis=1)
        return np.where(as_it_is[:, None], dvectors, dz), None

    return forward, vjp


ROTATION_MISTAKES = (
    KnownMistake(
        "straight-through",
        "the gradient passes straight through; here it turns and is stretched with the embedding",
        rotation(turn=lambda u, v, g: g, stretch=lambda z, q: 1.0),
    ),
    KnownMistake(
        "unscaled",
        "the gradient is turned and not stretched (a variant of public code): λ = ‖q‖ / ‖z‖",
        rotation(stretch=lambda z, q: 1.0),
    ),
    KnownMistake(
        "scale-forgotten",
        "R z is returned, which has the length of z: λ is missing, forward as well",
        rotation(
            stretch=lambda z, q: 1.0, forward=lambda z, q: q / lengths_of(q) * bare_lengths(z)
        ),
    ),
    KnownMistake(
        "scale-inverted",
        "λ is ‖z‖ / ‖q‖: the other way round",
        rotation(stretch=lambda z, q: stretched(q, z)),
    ),
    KnownMistake(
        "turned-forth",
        "the gradient is turned by R; the chain rule has its transpose",
        rotation(turn=turned_forth),
    ),
    KnownMistake(
        "reflection",
        "a reflection sends z to its token, too, but is no rotation (a variant of public code)",
        rotation(turn=mirrored),
    ),
    KnownMistake(
        "direction-not-stopped",
        "z / ‖z‖ is not stopped, so that the gradient along z is lost: R and λ turn z itself",
        rotation(turn=without_radius),
    ),
    KnownMistake(
        "one-plus-cosine",
        "1 + û·v̂ cancels where the two are almost opposite: normalize û + v̂ as a vector",
        rotation(turn=divided),
    ),
    KnownMistake(
        "lost-at-the-origin",
        "λ R z is returned, which is zero for z = 0: return the token itself",
        rotation(forward=lambda z, q: np.where(z.any(axis=1)[:, None], q, 0)),
    ),
)
ALMOST_OPPOSITE = Tolerance(4096, "û + v̂ has the length 1/512 where the two are almost opposite")


@check({"rotation": draw_rotation_cases}, ALMOST_OPPOSITE, ROTATION_MISTAKES, right=rotation())
def check_rotation(case: Case, adapter: Adapter, forward: Function, vjp: Function) -> Answers:
    """Check the rotation trick: the gradient turns and is stretched with the embedding.

    It catches a forgotten length, a transposed rotation, and formulas that cancel.

    Parameters
    ----------
    forward : function
        ``forward(z, tokens) -> vectors``: embeddings z and the token of each, both ``(N, D)``.
        Return the tokens ``(N, D)``.
    vjp : function
        ``vjp(z, tokens, dvectors) -> (dz, dtokens)``: dz is λ Rᵀ dvectors ``(N, D)``, in which
        λ = ‖token‖ / ‖z‖ and R rotates z / ‖z‖ to token / ‖token‖ in the plane of the two. It is
        dvectors itself where z is 0 or the token, and else 0 where the token is 0. ``dtokens`` is
        zero, and may be None.

    Example
    -------
    >>> from vqnp.quantize.rotation import rotation_backward
    >>> def vjp(z, tokens, dvectors):
    ...     return rotation_backward(dvectors, z, tokens), None
    >>> print(check_rotation(lambda z, tokens: tokens, vjp))
    check_rotation: all 9 comparisons pass
    """
    return forward_and_vjp(case, adapter, (forward, vjp), "vectors", "dz, dtokens")
