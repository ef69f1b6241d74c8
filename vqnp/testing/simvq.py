"""Check of SimVQ: a frozen cloud of codes, and a learnt map that makes the tokens.

The formulas are those of ``vqnp/quantize/simvq.py``. The loss is the codebook's plus β times the
commitment's. Both have one value, ‖z − token‖², and pull different parties.
"""

import numpy as np

from vqnp.quantize.rotation import rotation_backward_loop
from vqnp.testing.adapter import Functions
from vqnp.testing.check import Adapter, Answers, Function, KnownMistake, Tolerance, check
from vqnp.testing.golden import Array, Case, Cases, draw, from_seed
from vqnp.testing.nearest import search
from vqnp.testing.passes import forward_and_vjp


@from_seed
def draw_cases(rng: np.random.Generator) -> Cases:
    """Twenty embeddings, seven codes, and a map that is not symmetric."""
    shapes = {"z": (20, 3), "cloud": (7, 3), "weight": (3, 3), "bias": (3,), "dvectors": (20, 3)}
    inputs = {name: draw(rng, *shape) for name, shape in shapes.items()}
    yield Case("seven codes", inputs, settings={"beta": 0.375})


def straight(dvectors: Array, z: Array, vectors: Array) -> Array:
    """Pass the gradient as it is."""
    return dvectors


def rotated(dvectors: Array, z: Array, vectors: Array) -> Array:
    """Pass the gradient by the rotation trick."""
    return rotation_backward_loop(dvectors, z, vectors, True)


def simvq(
    *,
    weigh: Function = lambda beta: (1 + beta, beta, 1),
    through: Function = straight,
    looked_up: bool = False,
    transposed: bool = False,
    offset: bool = True,
    cloud_searched: bool = False,
    cloud_learns: bool = False,
    cloud_decoded: bool = False,
) -> Functions:
    """Return forward, vjp and decode.

    ``weigh(beta)``: the weights of the loss, of its gradient to z, and of that to the tokens.
    ``through`` is the estimator; ``looked_up``: the tokens get its gradient in place of z.
    """

    def tokens_of(cloud: Array, weight: Array, bias: Array) -> Array:
        return cloud @ (weight.T if transposed else weight) + offset * bias

    def quantized(z: Array, cloud: Array, *learnt: Array) -> tuple[Array, Array]:
        tokens = tokens_of(cloud, *learnt)
        codes = search(z, cloud if cloud_searched else tokens)
        return tokens[codes], codes

    def forward(
        z: Array, cloud: Array, weight: Array, bias: Array, beta: float
    ) -> tuple[Array, Array, float]:
        vectors, codes = quantized(z, cloud, weight, bias)
        return vectors, codes, weigh(beta)[0] * np.square(z - vectors).mean()

    def vjp(
        z: Array, cloud: Array, weight: Array, bias: Array, beta: float, dvectors: Array
    ) -> tuple[Array | None, ...]:
        vectors, codes = quantized(z, cloud, weight, bias)
        slope = 2 * (z - vectors) / z.size
        _, to_z, to_tokens = weigh(beta)
        dz = (0 if looked_up else through(dvectors, z, vectors)) + to_z * slope
        dtokens = np.zeros_like(cloud)
        np.add.at(dtokens, codes, looked_up * dvectors - to_tokens * slope)
        dweight = dtokens.T @ cloud if transposed else cloud.T @ dtokens
        dcloud = dtokens @ weight.T if cloud_learns else None
        return dz, dcloud, dweight, offset * dtokens.sum(axis=0)

    def decode(codes: Array, *book: Array) -> Array:
        return (book[0] if cloud_decoded else tokens_of(*book))[codes]

    return forward, vjp, decode


MISTAKES = (
    KnownMistake(
        "cloud-decoded",
        "decode looks codes up in the cloud C; the tokens are C W + b",
        simvq(cloud_decoded=True),
    ),
    KnownMistake(
        "cloud-searched",
        "codes are searched in the cloud C, before the map",
        simvq(cloud_searched=True),
    ),
    KnownMistake(
        "cloud-learns",
        "the cloud gets a gradient; it stays as it was drawn, and the map alone learns",
        simvq(cloud_learns=True),
    ),
    KnownMistake(
        "map-transposed", "the tokens are C Wᵀ + b, as in nn.Linear", simvq(transposed=True)
    ),
    KnownMistake(
        "offset-forgotten", "b is missing (a variant of public code)", simvq(offset=False)
    ),
    KnownMistake(
        "beta-on-the-codebook",
        "β weighs what pulls the tokens where it belongs to what pulls z",
        simvq(weigh=lambda beta: (1 + beta, 1, beta)),
    ),
    KnownMistake(
        "codebook-loss-dropped",
        "the loss is the commitment alone, and the map learns nothing",
        simvq(weigh=lambda beta: (beta, beta, 0)),
    ),
    KnownMistake(
        "loss-of-what-passed",
        "the losses are of z + stop_gradient(token − z), which is z to the gradient: take them of "
        "the token",
        simvq(weigh=lambda beta: (1 + beta, 1 + beta, 0)),
    ),
    KnownMistake(
        "no-stop-gradient",
        "both losses pull both sides: stop the gradient at one of them",
        simvq(weigh=lambda beta: (1 + beta,) * 3),
    ),
    KnownMistake(
        "not-straight-through",
        "the gradient of the vectors goes to the map: it passes straight through to z",
        simvq(looked_up=True),
    ),
    KnownMistake(
        "rotation-trick",
        "the gradient is turned with the embedding (a default of public code); "
        "here it passes straight through",
        simvq(through=rotated),
    ),
)


@check(
    {"simvq": draw_cases},
    Tolerance(64, "products of three numbers, and sums of some ten embeddings"),
    MISTAKES,
    right=simvq(),
)
def check_simvq(
    case: Case, adapter: Adapter, forward: Function, vjp: Function, decode: Function
) -> Answers:
    """Check SimVQ: output, codes, loss, the gradients of z and of the map, and codes decoded.

    It catches codes that are decoded from the cloud, a misplaced β, and a map that learns nothing.

    Parameters
    ----------
    forward : function
        ``forward(z, cloud, weight, bias, beta) -> (vectors, codes, loss)``: z ``(N, D)``, cloud
        ``(K, D)``, weight ``(D, D)``, bias ``(D,)``, beta a float. Return the nearest of the tokens
        cloud weight + bias ``(N, D)``, codes ``(N,)``, and the number
        (1 + beta) ‖z − vectors‖² / (N·D).
    vjp : function
        ``vjp(z, cloud, weight, bias, beta, dvectors) -> (dz, dcloud, dweight, dbias)``: the
        gradients of Σ dvectors · vectors + loss. The first passes straight through to z. Of the
        loss, beta parts pull z and one part pulls the map. ``dcloud`` is zero, and may be None.
    decode : function
        ``decode(codes, cloud, weight, bias) -> vectors``: the vectors ``(N, D)`` of codes ``(N,)``.

    Example
    -------
    >>> print(check_simvq(*simvq(cloud_decoded=True), raises=False).suspects[0].name)
    cloud-decoded
    """
    answers = forward_and_vjp(
        case,
        adapter,
        (forward, vjp),
        "vectors, codes, loss",
        "dz, dcloud, dweight, dbias",
        (case.settings["beta"],),
    )
    book = adapter.give({name: case.inputs[name] for name in ("cloud", "weight", "bias")})
    codes = adapter.give(np.arange(len(case.inputs["cloud"])))
    return answers | {"decoded": decode(codes, *book.values())}
