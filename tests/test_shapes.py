"""The shapes that public functions state are the shapes that they take and return.

Every public function is called on one small example, while jaxtyping compares its arrays with its
annotations. No two sizes of an example are equal, so that no axis can stand for another.
"""

import functools
import inspect
from dataclasses import is_dataclass
from typing import Any, get_args, get_origin, get_type_hints

import beartype
import jaxtyping
import numpy as np
import pytest

import vqnp
from vqnp import data, diagnostics, layers, losses, quantize
from vqnp.validation import Codes, Points, PointsLike, Tokens, TokensLike

MODULES = (vqnp, data, diagnostics, layers, losses, quantize)
RNG = np.random.default_rng(0)
N, D, K = 7, 3, 5  # points, dimensions, tokens
POINTS, TOKENS = RNG.standard_normal((N, D)), RNG.standard_normal((K, D))
LOGITS = RNG.standard_normal((N, K))
CODES = np.array([0, 1, 1, 2, 3, 4, 4])
LABELS = CODES % 2
BATCH, HEIGHT, WIDTH, CHANNELS, OUT = 2, 8, 6, 3, 5
IMAGES = RNG.standard_normal((BATCH, HEIGHT, WIDTH, CHANNELS))
PIXELS = RNG.integers(0, 256, (BATCH, HEIGHT, WIDTH, CHANNELS), dtype=np.uint8)
KERNEL = RNG.standard_normal((4, 4, CHANNELS, OUT))  # (kh, kw, C, O)
STAMP = RNG.standard_normal((4, 4, OUT, CHANNELS))
BIAS = RNG.standard_normal(OUT)
WEIGHT = RNG.standard_normal((D, OUT))


def of_a_training_run():
    model = vqnp.mlp_vqvae(vqnp.MLPSettings(D, 1, 4, 4), vqnp.EMA(2), rng=0)
    points = POINTS.astype(np.float32)
    return model, points, vqnp.ae_then_vq(1, 1), vqnp.TrainSettings(batch_size=4)


def planes(function=quantize.hyperplanes_forward):
    return function(POINTS / 9, np.ones(K), TOKENS, np.ones(K), 1.0)


def backward(function, forward, *arguments):
    """Call the second of a pair on what the first returned, as if that were its own gradient."""
    *outputs, cache = forward(*arguments)
    return function(outputs[0], cache)


EXAMPLES = {
    "answer": lambda f: f(vqnp.diagnose(POINTS, TOKENS)),
    "diagnose_levels": lambda f: f(POINTS, np.stack([TOKENS, TOKENS / 2])),
    "diagnose_usage": lambda f: f(CODES, K),
    "load_any": lambda f: f(saved("any", POINTS)),
    "ae_then_vq": lambda f: f(1, 2),
    "class_divergence": lambda f: f(TOKENS, POINTS, LABELS),
    "class_spread_ratio": lambda f: f(POINTS * 0.5, POINTS, LABELS),
    "clusters": lambda f: f(D, per_class=N),
    "codebook_loss_backward": lambda f: f(quantize.codebook_loss_forward(POINTS, TOKENS)[1], K),
    "codebook_loss_forward": lambda f: f(POINTS, TOKENS),
    "codes_used": lambda f: f(CODES, K),
    "commitment": lambda f: f(POINTS, TOKENS[CODES]),
    "conv2d_backward": lambda f: backward(f, layers.conv2d_forward, IMAGES, KERNEL, BIAS, 2, 1),
    "conv2d_forward": lambda f: f(IMAGES, KERNEL, BIAS, 2, 1),
    "conv_transpose2d_backward": lambda f: backward(
        f, layers.conv_transpose2d_forward, IMAGES, STAMP, BIAS, 2, 1
    ),
    "conv_transpose2d_forward": lambda f: f(IMAGES, STAMP, BIAS, 2, 1),
    "conv_vqvae": lambda f: f(vqnp.ConvSettings(4, 2, 3), rng=0),
    "count_modes": lambda f: f(POINTS),
    "diagnose": lambda f: f(POINTS, TOKENS, LABELS, data=POINTS, reconstruction=POINTS * 0.5),
    "digits": lambda f: f(),
    "effective_dimension": lambda f: f(POINTS),
    "effective_rank": lambda f: f(POINTS),
    "ema_update": lambda f: f(
        vqnp.Codebook(TOKENS.copy(), np.ones(K), TOKENS.copy()), POINTS, CODES, 0.9
    ),
    "energy_distance": lambda f: f(POINTS, TOKENS),
    "entropy_gap_backward": lambda f: backward(
        f, quantize.entropy_gap_forward, POINTS, TOKENS, 1.0
    ),
    "entropy_gap_forward": lambda f: f(POINTS, TOKENS, 1.0),
    "gumbel_softmax_backward": lambda f: backward(
        f, quantize.gumbel_softmax_forward, LOGITS, LOGITS, 0.5
    ),
    "gumbel_softmax_forward": lambda f: f(LOGITS, LOGITS, 0.5),
    "mixture_backward": lambda f: f(POINTS, LOGITS, TOKENS),
    "mixture_forward": lambda f: f(LOGITS, TOKENS),
    "hyperplanes_backward": lambda f: f(LOGITS, planes()[-1]),
    "hyperplanes_forward": lambda f: planes(f),
    "into_ball_backward": lambda f: backward(f, quantize.into_ball_forward, POINTS, 1.0),
    "into_ball_forward": lambda f: f(POINTS, 1.0),
    "wasserstein_backward": lambda f: f(1.0, quantize.wasserstein_forward(POINTS, TOKENS)[1]),
    "wasserstein_forward": lambda f: f(POINTS, TOKENS),
    "hull_backward": lambda f: backward(f, quantize.hull_forward, POINTS, TOKENS),
    "hull_forward": lambda f: f(POINTS, TOKENS),
    "simplex_backward": lambda f: backward(f, lambda v: (quantize.simplex_forward(v),) * 2, LOGITS),
    "simplex_forward": lambda f: f(LOGITS),
    "soft_convex_backward": lambda f: f(
        POINTS, quantize.soft_convex_forward(POINTS, TOKENS, 0.1)[-1]
    ),
    "soft_convex_forward": lambda f: f(POINTS, TOKENS, 0.1),
    "latent_backward": lambda f: f(
        1.0, quantize.latent_forward(POINTS, np.arange(6.0), (1, 2, 3))[-1]
    ),
    "latent_forward": lambda f: f(POINTS, np.arange(6.0), (1, 2, 3)),
    "mapped_tokens_backward": lambda f: f(TOKENS, TOKENS),
    "mapped_tokens_forward": lambda f: f(TOKENS, np.eye(D), np.zeros(D)),
    "sign_forward": lambda f: f(POINTS),
    "fetch_cifar10": None,  # needs the network
    "fsq_backward": lambda f: backward(f, quantize.fsq_forward, POINTS, (8, 5, 5)),
    "fsq_forward": lambda f: f(POINTS, (8, 5, 5)),
    "im2col": lambda f: f(IMAGES, 2),
    "col2im": lambda f: f(layers.im2col(IMAGES, 2), IMAGES.shape, 2),
    "kmeans": lambda f: f(POINTS, K, rng=0),
    "layer_from_json": lambda f: f(layers.Linear(2, 3).to_json()),
    "linear_backward": lambda f: backward(f, layers.linear_forward, POINTS, WEIGHT, BIAS),
    "linear_forward": lambda f: f(POINTS, WEIGHT, BIAS),
    "load_array": lambda f: f(saved("array", POINTS)),
    "load_cifar10": None,  # needs the archive
    "load_patches": lambda f: f(3, 2),
    "load_points": lambda f: f(saved("points", POINTS), saved("labels", LABELS)),
    "mlp_vqvae": lambda f: f(vqnp.MLPSettings(D, 1), rng=0),
    "lookup_backward": lambda f: backward(
        f, quantize.lookup_forward, POINTS, TOKENS, TOKENS + 1, 1.0
    ),
    "lookup_forward": lambda f: f(POINTS, TOKENS, TOKENS + 1, 1.0),
    "mse": lambda f: f(POINTS, POINTS + 1),
    "nearest": lambda f: f(POINTS, TOKENS),
    "normalize_backward": lambda f: backward(f, quantize.normalize_forward, POINTS),
    "normalize_forward": lambda f: f(POINTS),
    "orthogonal_backward": lambda f: f(quantize.orthogonal_forward(TOKENS)[1]),
    "orthogonal_forward": lambda f: f(TOKENS),
    "outside": lambda f: f(POINTS, TOKENS),
    "perplexity": lambda f: f(CODES, K),
    "perplexity_of_counts": lambda f: f(np.bincount(CODES)),
    "pixel_variance": lambda f: f(PIXELS),
    "pixels_to_float": lambda f: f(PIXELS),
    "quantization_error": lambda f: f(POINTS, TOKENS),
    "revive": lambda f: f(
        vqnp.Codebook.start(TOKENS, np.zeros(K)), POINTS, "relative", rng=np.random.default_rng(0)
    ),
    "rotation_backward": lambda f: f(POINTS, POINTS + 1, TOKENS[CODES]),
    "quantizer_from_json": lambda f: f(vqnp.EMA(K).to_json()),
    "readings": lambda f: f(vqnp.diagnose(POINTS, TOKENS)),
    "relu_backward": lambda f: backward(f, layers.relu_forward, POINTS),
    "relu_forward": lambda f: f(POINTS),
    "share_outside": lambda f: f(POINTS, TOKENS),
    "side_by_side": lambda f: f({"a": vqnp.diagnose(POINTS, TOKENS)}),
    "spread_ratio": lambda f: f(TOKENS, POINTS),
    "standardize": lambda f: f(POINTS),
    "straight_through_backward": lambda f: f(POINTS),
    "straight_through_forward": lambda f: f(POINTS, TOKENS),
    "train": lambda f: f(*of_a_training_run(), rng=0),
}


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def saved(name, array):
    np.save(f"{name}.npy", array)
    return f"{name}.npy"


def public_functions():
    """Every function that a module of ``MODULES`` gives out, by name."""
    found = {}
    for module in MODULES:
        for name in getattr(module, "__all__", [*vars(module)]):
            value = getattr(module, name)
            defined = inspect.isfunction(value) and value.__module__.startswith("vqnp")
            here = hasattr(module, "__all__") or (defined and value.__module__ == module.__name__)
            if defined and here and not name.startswith("_"):
                found[name] = value
    return found


FUNCTIONS = public_functions()
# The first axis of what these return is an axis of no array among their arguments.
UNBOUND = (
    "codebook_loss_backward",
    "col2im",
    "ema_update",
    "entropy_gap_backward",
    "im2col",
    "latent_backward",
    "orthogonal_backward",
    "revive",
    "wasserstein_backward",
)
CALLED = sorted(name for name in FUNCTIONS if EXAMPLES.get(name))


def parts(hint):
    """A hint and all hints inside it: of ``tuple[A, B] | None`` also A and B."""
    inside = [part for arg in get_args(hint) for part in parts(arg)]
    return [hint, *inside]


def states_a_shape(hint):
    return any(
        isinstance(part, type)
        and issubclass(part, jaxtyping.AbstractArray)
        and part.dim_str != "..."
        for part in parts(hint)
    )


def hides_a_shape(hint):
    return any(part is np.ndarray or get_origin(part) is np.ndarray for part in parts(hint))


def checked(function):
    return jaxtyping.jaxtyped(typechecker=beartype.beartype)(function)


def lying(function):
    """The function, with one more row or element in every array that it returns."""

    def longer(value: Any):
        if isinstance(value, tuple) and not hasattr(value, "_fields"):
            return tuple(map(longer, value))
        return np.concatenate([value, value[:1]]) if isinstance(value, np.ndarray) else value

    return functools.wraps(function)(lambda *args, **options: longer(function(*args, **options)))


def test_every_public_function_has_an_example():
    assert set(FUNCTIONS) <= set(EXAMPLES)


def test_every_public_function_states_its_shapes():
    """A bare array in a signature tells a reader nothing. See the types in ``vqnp.validation``."""
    silent = [
        f"{function.__module__}.{name}"
        for name, function in FUNCTIONS.items()
        if any(map(hides_a_shape, get_type_hints(function).values()))
    ]
    assert silent == []


@pytest.mark.parametrize("name", CALLED)
def test_arrays_have_the_stated_shapes(name):
    result = EXAMPLES[name](checked(FUNCTIONS[name]))
    if is_dataclass(result) or hasattr(result, "_fields"):
        with jaxtyping.jaxtyped("context"):
            for field, hint in get_type_hints(type(result)).items():
                if isinstance(hint, type) and issubclass(hint, jaxtyping.AbstractArray):
                    assert isinstance(getattr(result, field), hint), field


@pytest.mark.parametrize(
    "name",
    [
        n
        for n in CALLED
        if states_a_shape(get_type_hints(FUNCTIONS[n])["return"]) and n not in UNBOUND
    ],
)
def test_one_row_too_many_is_noticed(name):
    with pytest.raises(jaxtyping.TypeCheckError):
        EXAMPLES[name](checked(lying(FUNCTIONS[name])))


def test_what_the_check_notices():
    def answer(points: PointsLike, tokens: TokensLike, given: Any) -> tuple[Codes, Points]:
        return given

    checked(answer)(POINTS, TOKENS, (CODES, POINTS))
    for wrong in (
        (CODES[1:], POINTS),  # another N
        (CODES.astype(np.int32), POINTS),  # another dtype
        (CODES, POINTS[:, 1:]),  # another D
        (CODES[:, None], POINTS),  # another number of axes
        CODES,
    ):
        with pytest.raises(jaxtyping.TypeCheckError):
            checked(answer)(POINTS, TOKENS, wrong)
    with pytest.raises(jaxtyping.TypeCheckError):
        checked(answer)(POINTS, TOKENS[:, 1:], (CODES, POINTS))  # D of the arguments


def test_a_type_names_its_axes():
    assert Tokens.dim_str == "K D"
