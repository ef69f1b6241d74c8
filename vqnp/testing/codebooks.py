"""Checks of quantizers with several codebooks: one after the other, or one for each slice.

The loss is the commitment's, β ‖z − sg(token)‖², a mean over all numbers and, where there are
stages, over these. Under EMA the tokens get no gradient. A sum over stages or heads is a variant
of public code, in which β means another thing.
"""

from functools import partial

import numpy as np

from vqnp.testing.adapter import Functions
from vqnp.testing.check import Adapter, Answers, Function, KnownMistake, Tolerance, check
from vqnp.testing.ema import State, moved, weighted
from vqnp.testing.golden import Array, Case, Cases, draw, from_seed
from vqnp.testing.nearest import search
from vqnp.testing.passes import forward_and_vjp

BETA = 0.375  # neither 1 nor 1/4, which some code has built in
DECAY = 0.75
RETURNS, GRADIENTS = "vectors, codes, loss", "dz, dtokens"


@from_seed
def draw_residual_cases(rng: np.random.Generator) -> Cases:
    """Three stages of ever smaller tokens, and an update of their averages."""
    tokens = 0.5 ** np.arange(3)[:, None, None] * draw(rng, 3, 5, 4)
    z, counts = draw(rng, 40, 4), rng.integers(1, 9, (3, 5)) / 2
    yield Case(
        "three stages",
        {"z": z, "tokens": tokens, "dvectors": draw(rng, 40, 4)},
        settings={"beta": BETA},
    )
    yield Case("an update", {"z": z} | weighted(tokens, counts), settings={"decay": DECAY})


def greedy(z: Array, tokens: Array, *, left: bool = True) -> tuple[Array, Array]:
    """Return the tokens ``(T, N, D)`` and codes ``(N, T)``; each stage takes what is left."""
    rest, chosen, codes = z, [], []
    for stage in tokens:
        codes.append(search(rest, stage))
        chosen.append(stage[codes[-1]])
        rest = rest - chosen[-1] if left else z
    return np.stack(chosen), np.stack(codes, axis=1)


def jointly(z: Array, tokens: Array) -> tuple[Array, Array]:
    """Choose the nearest of all sums of tokens."""
    stages, count, _ = tokens.shape
    codes = np.arange(count**stages)[:, None] // count ** np.arange(stages) % count
    codes = codes[search(z, tokens[np.arange(stages), codes].sum(axis=1))]
    return tokens[np.arange(stages)[:, None], codes.T], codes


def all_but_the_last(z: Array, tokens: Array) -> tuple[Array, Array]:
    """Never reach the last stage, whose code is −1."""
    chosen, codes = greedy(z, tokens[:-1])
    return chosen, np.column_stack([codes, np.full(len(z), -1)])


def residual(
    *,
    choose: Function = greedy,
    summed: bool = False,
    times: Function = lambda stages: 1,
    pulling: slice = slice(None),
    between: bool = False,
) -> Functions:
    """Return forward, vjp and update.

    ``summed``: the stages' losses are. ``times`` multiplies what passes straight through, and only
    the commitments of the stages ``pulling`` reach z. ``between``: each stage moves before the next
    is searched.
    """

    def left_by(chosen: Array, z: Array) -> Array:  # r_{t+1} = z − (q_1 + ... + q_t)
        return z - chosen.cumsum(axis=0)

    def forward(z: Array, tokens: Array, beta: float) -> tuple[Array, Array, float]:
        chosen, codes = choose(z, tokens)
        losses = np.square(left_by(chosen, z)).mean(axis=(1, 2))
        return chosen.sum(axis=0), codes, beta * (losses.sum() if summed else losses.mean())

    def vjp(z: Array, tokens: Array, beta: float, dvectors: Array) -> tuple[Array, None]:
        chosen, _ = choose(z, tokens)
        weight = 2 * beta / z.size / (1 if summed else len(chosen))
        pull = weight * left_by(chosen, z)[pulling].sum(axis=0)
        return times(len(tokens)) * dvectors + pull, None

    def update(state: State, z: Array, decay: float) -> State:
        rest, after = z, []
        for stage in range(len(state["tokens"])):
            before = {name: array[stage] for name, array in state.items()} | {"steps": 0}
            codes = search(rest, before["tokens"])
            after.append(moved(before, rest, codes, decay))
            rest = rest - (after[-1] if between else before)["tokens"][codes]
        return {name: np.stack([each[name] for each in after]) for name in state}

    return forward, vjp, update


RESIDUAL_MISTAKES = (
    KnownMistake(
        "z-at-every-stage",
        "every stage quantizes z: give it what the stages before have left",
        residual(choose=partial(greedy, left=False)),
    ),
    KnownMistake(
        "nearest-of-all-sums",
        "codes name the nearest of all sums of tokens; the search is greedy, stage by stage",
        residual(choose=jointly),
    ),
    KnownMistake(
        "one-codebook",
        "all stages search the first codebook (a variant of public code); each has its own",
        residual(choose=lambda z, tokens: greedy(z, tokens[[0] * len(tokens)])),
    ),
    KnownMistake(
        "last-stage-unused",
        "the last stage is never used: a bound is one too low",
        residual(choose=all_but_the_last),
    ),
    KnownMistake(
        "summed-over-stages",
        "the losses of the stages are added up (a variant of public code): take their mean",
        residual(summed=True),
    ),
    KnownMistake(
        "once-a-stage",
        "the gradient reaches z once a stage: each adds z + stop_gradient(token − rest). "
        "Pass it straight through the sum, once",
        residual(times=lambda stages: stages),
    ),
    KnownMistake(
        "later-commitments-dead",
        "only the first stage pulls z: the rest is z minus what was passed straight through, "
        "which has no gradient. Subtract the stopped token",
        residual(pulling=slice(1)),
    ),
    KnownMistake(
        "rest-detached",
        "no stage pulls z: the rest is stopped as a whole",
        residual(pulling=slice(0)),
    ),
    KnownMistake(
        "updated-between-stages",
        "a stage learns what the update of another leaves: search all stages first, then update",
        residual(between=True),
    ),
)
OF_STAGES = Tolerance(64, "sums of three tokens, of squares, and of some ten embeddings of up to 4")


@check({"residual_quantizer": draw_residual_cases}, OF_STAGES, RESIDUAL_MISTAKES, right=residual())
def check_residual(
    case: Case, adapter: Adapter, forward: Function, vjp: Function, update: Function
) -> Answers:
    """Check residual quantization: output, codes, loss, gradient, and what each stage learns.

    It catches a gradient that comes once a stage, stages that do not pull, and a stage that learns
    from moved tokens.

    Parameters
    ----------
    forward : function
        ``forward(z, tokens, beta) -> (vectors, codes, loss)``: z ``(N, D)``, tokens ``(T, K, D)``,
        beta a float. Stage t takes the nearest of its tokens to z − (q_1 + ... + q_(t−1)). Return
        the sum of all q_t ``(N, D)``, codes ``(N, T)``, and beta times the mean over the stages of
        ‖z − (q_1 + ... + q_t)‖² / (N·D).
    vjp : function
        ``vjp(z, tokens, beta, dvectors) -> (dz, dtokens)``: the gradients of
        Σ dvectors · vectors + loss, straight through. ``dtokens`` is zero, and may be None.
    update : function
        ``update(state, z, decay) -> state``: one step of the moving averages of all stages. The
        state has the arrays of ``check_ema``, with T in front: tokens ``(T, K, D)``, counts
        ``(T, K)``, sums ``(T, K, D)``. Only the sums are compared.

    Example
    -------
    >>> print(check_residual(*residual(summed=True), raises=False).suspects[0].name)
    summed-over-stages
    """
    if "counts" in case.inputs:
        state = adapter.give(case.inputs)
        z = state.pop("z")
        return {"sums": update(state, z, case.settings["decay"])["sums"]}
    return forward_and_vjp(
        case, adapter, (forward, vjp), RETURNS, GRADIENTS, (case.settings["beta"],)
    )


@from_seed
def draw_product_cases(rng: np.random.Generator) -> Cases:
    """Three heads of slices of two numbers."""
    shapes = {"z": (20, 6), "tokens": (3, 5, 2), "dvectors": (20, 6)}
    inputs = {name: draw(rng, *shape) for name, shape in shapes.items()}
    yield Case("three heads", inputs, settings={"beta": BETA})


def sliced(z: Array, heads: int) -> Array:
    """Return the slices ``(H, N, D/H)``."""
    return z.reshape(len(z), heads, -1).swapaxes(0, 1)


def beside(slices: Array) -> Array:
    """Put slices side by side ``(N, D)``."""
    return slices.swapaxes(0, 1).reshape(slices.shape[1], -1)


def product(
    *,
    cut: Function = sliced,
    join: Function = beside,
    one_book: bool = False,
    summed: bool = False,
    through: float = 1.0,
    pulls: float = 1.0,
) -> Functions:
    """Return forward and vjp; ``summed``: the heads' losses are."""

    def quantized(z: Array, tokens: Array) -> tuple[Array, Array]:
        books = tokens[[0] * len(tokens)] if one_book else tokens
        codes = np.stack([search(*pair) for pair in zip(cut(z, len(books)), books, strict=True)])
        return join(books[np.arange(len(books))[:, None], codes]), codes.T

    def weigh(tokens: Array, beta: float) -> float:
        return beta * len(tokens) if summed else beta

    def forward(z: Array, tokens: Array, beta: float) -> tuple[Array, Array, float]:
        vectors, codes = quantized(z, tokens)
        return vectors, codes, weigh(tokens, beta) * np.square(z - vectors).mean()

    def vjp(z: Array, tokens: Array, beta: float, dvectors: Array) -> tuple[Array, None]:
        pull = 2 * weigh(tokens, beta) * (z - quantized(z, tokens)[0]) / z.size
        return through * dvectors + pulls * pull, None

    return forward, vjp


PRODUCT_MISTAKES = (
    KnownMistake(
        "interleaved",
        "head h takes every H-th coordinate: the slices are runs of neighbors",
        product(
            cut=lambda z, heads: z.reshape(len(z), -1, heads).transpose(2, 0, 1),
            join=lambda slices: slices.transpose(1, 2, 0).reshape(slices.shape[1], -1),
        ),
    ),
    KnownMistake(
        "points-mixed",
        "a reshape to (H, N, D/H) mixes points: reshape to (N, H, D/H), then swap the axes",
        product(
            cut=lambda z, heads: z.reshape(heads, len(z), -1),
            join=lambda slices: slices.reshape(slices.shape[1], -1),
        ),
    ),
    KnownMistake(
        "one-codebook",
        "all heads search the first codebook (a variant of public code); each has its own",
        product(one_book=True),
    ),
    KnownMistake(
        "summed-over-heads",
        "the losses of the heads are added up: the mean is over all coordinates",
        product(summed=True),
    ),
    KnownMistake(
        "no-gradient",
        "nothing passes the look-up: write z + stop_gradient(vectors − z)",
        product(through=0.0),
    ),
    KnownMistake(
        "z-not-pulled",
        "the loss has no gradient: z is stopped, or what was passed straight through is compared",
        product(pulls=0.0),
    ),
)
OF_HEADS = Tolerance(64, "a mean of 120 squares, and gradients of three factors")


@check({"product": draw_product_cases}, OF_HEADS, PRODUCT_MISTAKES, right=product())
def check_product(case: Case, adapter: Adapter, forward: Function, vjp: Function) -> Answers:
    """Check product quantization: one code for each slice of an embedding.

    It catches slices of other coordinates or points, one codebook for all, and sums over heads.

    Parameters
    ----------
    forward : function
        ``forward(z, tokens, beta) -> (vectors, codes, loss)``: z ``(N, D)``, tokens
        ``(H, K, D/H)``, beta a float. Head h searches its K tokens with coordinates h D/H to
        (h + 1) D/H. Return the tokens side by side ``(N, D)``, codes ``(N, H)``, and the number
        beta ‖z − vectors‖² / (N·D).
    vjp : function
        ``vjp(z, tokens, beta, dvectors) -> (dz, dtokens)``: the gradients of
        Σ dvectors · vectors + loss, straight through. ``dtokens`` is zero, and may be None.

    Example
    -------
    >>> print(check_product(*product(one_book=True), raises=False).suspects[0].name)
    one-codebook
    """
    return forward_and_vjp(
        case, adapter, (forward, vjp), RETURNS, GRADIENTS, (case.settings["beta"],)
    )
