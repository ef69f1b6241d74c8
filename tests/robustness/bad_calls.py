"""Every public function, with each argument in turn replaced by something that cannot be meant.

``python tests/robustness/bad_calls.py`` prints the table. A bad call must end in an error that
names the argument. ``unclear`` is any other error, ``silent`` an answer. Beside them stand good
calls that must give the bits of the plain one: lists, strides, another order in memory, read-only.

``CALLS`` holds one valid call of each function. What each argument is follows from its name, in
``KINDS``. A public function without a valid call is an error, so a new one is noticed.
"""

import argparse
import collections
import json
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

import vqnp
from vqnp import data, diagnostics, layers, losses, optim, quantize, training

MODULES = (data, diagnostics, layers, losses, optim, quantize, training, vqnp)

# What can stand in an argument's place


def common(good: Any) -> dict[str, Any]:
    return {
        "None": None, "text": "text", "a dictionary": {"a": 1}, "an object": object(),
        "a function": len, "a set": {1, 2}, "complex": 1 + 2j,
    }  # fmt: skip


def number(good: Any) -> dict[str, Any]:
    array = {"an array": np.ones(3), "a list": [1, 2]}
    return common(good) | array | {"NaN": float("nan"), "infinity": float("inf"), "negative": -1}


def count(good: Any) -> dict[str, Any]:
    """An integer of at least 1."""
    return number(good) | {"zero": 0, "a half": 2.5, "a whole float": 2.0, "True": True}


def epochs(good: Any) -> dict[str, Any]:
    return {name: value for name, value in count(good).items() if name != "zero"}


def share(good: Any) -> dict[str, Any]:
    return number(good) | {"two": 2.0}


def seed(good: Any) -> dict[str, Any]:
    wrong = {"negative": -1, "a half": 0.5, "NaN": float("nan"), "True": True}
    return common(good) | {"a list": [1.5], "an array": np.ones(3)} | wrong


def flag(good: Any) -> dict[str, Any]:
    return common(good) | {"a number": 2, "an empty list": [], "zero": 0}


def choice(good: Any) -> dict[str, Any]:
    return common(good) | {"a number": 3, "a list": [], "another case": str(good).upper() + "!"}


def thing(good: Any) -> dict[str, Any]:
    """An object of the package."""
    return common(good) | {"a number": 3, "a list": [1], "an array": np.ones((2, 2))}


def hook(good: Any) -> dict[str, Any]:
    return {name: value for name, value in thing(good).items() if name != "a function"}


def path(good: Any) -> dict[str, Any]:
    unlike = {"a number": 3.5, "a list": [1], "an array": np.ones((2, 2)), "nowhere": "/no/where"}
    return {name: v for name, v in (common(good) | unlike).items() if name != "text"}


def array(good: Any) -> dict[str, Any]:
    """An array of numbers whose shape is tied to another's."""
    good = np.asarray(good)
    masked = np.ma.masked_array(good, mask=np.zeros(good.shape, bool))
    masked.mask.flat[0] = True
    return common(good) | {
        "a number": 3.5, "ragged": [[1.0], [1.0, 2.0]], "objects": good.astype(object),
        "complex numbers": good.astype(complex) + 1j, "texts": good.astype(str),
        "dates": np.zeros(good.shape, "M8[s]"), "masked": masked,
        "one number": good.reshape(-1)[:1], "no number": good[:0], "an axis less": good[0],
    }  # fmt: skip


def points(good: Any) -> dict[str, Any]:
    broken = {"NaN": np.nan, "infinity": np.inf, "-infinity": -np.inf}
    broken = {name: np.where(np.arange(good.size) == 1, value, good.ravel()).reshape(good.shape)
              for name, value in broken.items()}  # fmt: skip
    return {n: v for n, v in array(good).items() if n != "one number"} | broken | {
        "integers": np.ones(good.shape, int), "bools": np.ones(good.shape, bool),
        "codes": np.arange(len(good)),
    }  # fmt: skip


def batch(good: Any) -> dict[str, Any]:
    """The input of a layer: an empty batch has an answer, and NaN stays NaN."""
    return {name: v for name, v in array(good).items() if name not in ("no number", "one number")}


def elements(good: Any) -> dict[str, Any]:
    """The input of a layer that takes any shape."""
    return {name: v for name, v in batch(good).items() if name != "an axis less"}


def real(good: Any) -> dict[str, Any]:
    """Numbers that are no integers."""
    return array(good) | {"integers": good.astype(int), "bools": good.astype(bool)}


def measured(good: Any) -> dict[str, Any]:
    """Finite numbers of any dtype."""
    return {n: v for n, v in points(good).items() if n not in ("integers", "bools")}


def codes(good: Any) -> dict[str, Any]:
    last = np.zeros(good.shape, bool)
    last[-1] = True
    of_array = array(good)
    del of_array["one number"], of_array["no number"]  # also codes
    return of_array | {
        "floats": good.astype(float), "bools": good.astype(bool), "NaN": np.where(last, np.nan, 0),
        "negative": np.where(last, -2, good), "too large": np.where(last, 10**9, good),
        "beyond 64 bits": [10**30] * len(good),
    }  # fmt: skip


def labels(good: Any) -> dict[str, Any]:
    return {n: v for n, v in codes(good).items() if n not in ("negative", "too large", "None")}


def counts(good: Any) -> dict[str, Any]:
    """How often each code was hit."""
    of_array = array(good)
    del of_array["one number"]
    return of_array | {
        "negative": np.where(np.arange(len(good)) == 0, -1, good), "NaN": good * np.nan,
        "infinite": good + np.inf,
    }  # fmt: skip


def pixels(good: Any) -> dict[str, Any]:
    return array(good) | {"floats": good.astype(np.float32), "integers": good.astype(int)}


def optional(kind: Callable) -> Callable:
    return lambda good: {name: v for name, v in kind(good).items() if name != "None"}


KINDS: dict[str, Callable] = {
    "points embeddings tokens x y z reconstruction data reference": points,
    "prediction target quantized": real,
    "images weight bias dout dvectors dvalues columns sums gradient vectors": array,
    "dq dy dx dp dunits dlogits dtokens logits noise p v keys values units scale offset h": array,
    "cloud": real,
    "codes": codes, "labels train_labels test_labels": labels, "assignment": optional(codes),
    "counts": counts, "train test": pixels,
    "n_tokens classes per_class batch_size sample iterations dim": count,
    "in_channels out_channels in_features out_features channels hidden kernel_size stride": count,
    "data_dim token_dim encoder_hidden decoder_hidden image_channels batch": count,
    "encoder_width decoder_width encoder_residual decoder_residual levels": count,
    "n_keys n_memories heads stages stage_tokens width window": count,
    "group_bits": optional(count),
    "padding pretrain finetune epochs blocks first_phase": epochs,
    "decay": share, "quantile share": share,
    "beta reach spread learning_rate epsilon variance checkpoint_seconds weight_decay": number,
    "curvature temperature sharpness diversity strength dgap dvalue": number,
    "entropy_weight kl_weight codebook_weight orthogonal final_temperature": number,
    "rng": seed, "seed": optional(seed),
    "mmap carry_optimizer amsgrad training progress resume": flag,
    "shared dropout radial hard exact keep_scale": flag,
    "dialect start optimizer layout anchor estimator revival": choice, "dtype": choice,
    "codebook model cache value schedule quantizer encoder decoder settings sizes": thing,
    "limit": optional(number), "warmup anneal": epochs,
    "params gradients diagnoses diagnosis betas shape": thing, "on_epoch on_phase": hook,
    "mask": optional(array), "path": path, "step_": thing,
}  # fmt: skip
KIND = {name: kind for names, kind in KINDS.items() for name in names.split()}
MAY_BE_NONE = {"labels", "data", "reconstruction", "sample", "on_epoch", "on_phase", "settings"}
ALLOWED_NONE = {("mlp_vqvae", "quantizer"), ("conv_vqvae", "quantizer"), ("conv_vqvae", "sizes")}
ALIASES = {
    "cache": ("cache", "dout"), "counts": ("counts", "hits"), "params": ("params", "parameter"),
    "gradients": ("gradients", "gradient"),
    "weight": ("weight", "kernel_size"), "z": ("z", "embeddings"),
    "embeddings": ("embeddings", "quantized"), "value": ("value", "kind", "quantizer"),
}  # fmt: skip

# Valid calls, made anew for each try


def floats(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(dtype)


CODES = np.array([0, 1, 2, 1, 0, 2])
CLASSES = np.array([0, 0, 0, 1, 1, 1])


def small_codebook() -> vqnp.Codebook:
    return vqnp.Codebook.start(floats(3, 2), np.array([1.0, 2.0, 3.0]))


def initialized(quantizer: Any) -> Any:
    quantizer.initialize(floats(6, 2), batch=6)
    return quantizer


def small_model() -> vqnp.VQVAE:
    return vqnp.mlp_vqvae(vqnp.MLPSettings(2, 1, 4, 4), vqnp.EMA(3))


@dataclass(frozen=True)
class Call:
    """A function and its valid arguments.

    ``fixed`` are passed and never replaced; ``kinds`` are other than their names say.
    """

    function: Callable
    arguments: Callable[[], dict[str, Any]]
    fixed: tuple[str, ...]
    kinds: dict[str, Callable]


CALLS: dict[str, Call] = {}


def call(
    function: Callable, name: str = "", fixed: tuple[str, ...] = (), **kinds: Callable
) -> Callable:
    """Register the decorated function's result as valid arguments of ``function``."""

    def register(arguments: Callable[[], dict[str, Any]]) -> Callable:
        CALLS[name or function.__qualname__] = Call(function, arguments, fixed, kinds)
        return arguments

    return register


def method(owner: Callable[[], Any], name: str) -> Callable:
    """Return a function that calls the method of a fresh object."""
    return lambda **arguments: getattr(owner(), name)(**arguments)


def register_all() -> None:
    call(vqnp.nearest)(lambda: {"points": floats(6, 2), "tokens": floats(3, 2)})
    call(vqnp.kmeans)(
        lambda: {
            "points": floats(6, 2),
            "n_tokens": 2,
            "rng": 0,
            "start": "random",
            "iterations": 5,
        }
    )
    call(vqnp.ema_update)(
        lambda: {
            "codebook": small_codebook(),
            "embeddings": floats(6, 2),
            "codes": CODES.copy(),
            "decay": 0.9,
            "dialect": "paper",
        }
    )
    call(vqnp.Codebook, tokens=real, counts=array)(
        lambda: {"tokens": floats(3, 2), "counts": np.ones(3, "f"), "sums": floats(3, 2)}
    )
    call(vqnp.Codebook.start)(
        lambda: {"tokens": floats(3, 2), "counts": np.ones(3), "dialect": "paper", "rng": 0}
    )
    call(method(small_codebook, "set_tokens"), "Codebook.set_tokens")(
        lambda: {"codes": np.array([0, 1]), "tokens": floats(2, 2), "counts": np.ones(2)}
    )
    call(quantize.straight_through_forward)(
        lambda: {"embeddings": floats(6, 2), "tokens": floats(3, 2)}
    )
    call(quantize.straight_through_backward, dvectors=elements)(lambda: {"dvectors": floats(6, 2)})
    call(quantize.fsq_forward, fixed=("levels",))(lambda: {"z": floats(6, 2), "levels": (5, 3)})
    call(quantize.fsq_backward)(
        lambda: {"dvalues": floats(6, 2), "cache": quantize.fsq_forward(floats(6, 2), (5, 3))[2]}
    )
    call(vqnp.FSQ)(lambda: {"levels": (8, 5)})
    call(vqnp.EMA)(lambda: {"n_tokens": 4, "decay": 0.9, "dialect": "paper", "beta": 0.25})
    for kind, make in (("EMA", lambda: vqnp.EMA(3)), ("FSQ", lambda: vqnp.FSQ((5, 3)))):
        ready = lambda make=make: initialized(make())  # noqa: E731
        call(method(make, "initialize"), f"{kind}.initialize")(
            lambda: {"z": floats(6, 2), "batch": 6, "rng": 0}
        )
        call(method(ready, "forward"), f"{kind}.forward")(lambda: {"z": floats(6, 2)})
        call(method(ready, "decode"), f"{kind}.decode")(lambda: {"codes": CODES.copy()})
        call(method(ready, "view"), f"{kind}.view")(lambda: {"z": floats(6, 2)})
    CALLS.pop("FSQ.initialize")  # nothing to place
    call(quantize.quantizer_from_json)(lambda: {"value": vqnp.FSQ((5,)).to_json()})

    shape = {"kernel_size": 3, "stride": 2, "padding": 1}
    conv = {"x": floats(1, 5, 5, 2), "bias": floats(3)}
    step = {"stride": 2, "padding": 1}
    call(layers.conv2d_forward, x=batch)(lambda: conv | {"weight": floats(3, 3, 2, 3)} | step)
    turned = {"weight": floats(3, 3, 3, 2)}  # (kh, kw, C_out, C_in)
    call(layers.conv_transpose2d_forward, x=batch)(lambda: conv | turned | step)
    call(layers.conv2d_backward)(
        lambda: {
            "dout": floats(1, 3, 3, 3),
            "cache": layers.conv2d_forward(**conv, weight=floats(3, 3, 2, 3), **step)[1],
        }
    )
    call(layers.conv_transpose2d_backward)(
        lambda: {
            "dout": floats(1, 9, 9, 3),
            "cache": layers.conv_transpose2d_forward(**conv, **turned, **step)[1],
        }
    )
    call(layers.im2col, images=batch)(lambda: {"images": floats(1, 5, 5, 2)} | shape)
    call(layers.col2im)(
        lambda: (
            {"columns": layers.im2col(floats(1, 5, 5, 2), **shape), "shape": (1, 5, 5, 2)} | shape
        )
    )
    call(layers.linear_forward, x=batch)(
        lambda: {"x": floats(4, 2), "weight": floats(2, 3), "bias": floats(3)}
    )
    call(layers.linear_backward)(
        lambda: {"dout": floats(4, 3), "cache": (floats(4, 2), floats(2, 3))}
    )
    call(layers.relu_forward, x=elements)(lambda: {"x": floats(4, 2)})
    call(layers.relu_backward)(lambda: {"dout": floats(4, 2), "cache": floats(4, 2)})
    channels = {"in_channels": 2, "out_channels": 3}
    drawn = {"rng": 0, "dtype": np.float32}
    call(layers.Conv2d)(lambda: channels | shape | drawn)
    call(layers.ConvTranspose2d)(lambda: channels | shape | drawn)
    call(layers.Linear)(lambda: {"in_features": 2, "out_features": 3} | drawn)
    call(layers.ResidualBlock)(lambda: {"channels": 2, "hidden": 3} | drawn)
    call(layers.layer_from_json)(lambda: {"value": layers.Linear(2, 3).to_json()})
    for layer, x in (
        (layers.Linear(2, 3), floats(4, 2)), (layers.ReLU(), floats(4, 2)),
        (layers.Conv2d(2, 3, 3), floats(1, 5, 5, 2)),
        (layers.ResidualBlock(2, 3), floats(1, 5, 5, 2)),
        (layers.ConvTranspose2d(2, 3, 3), floats(1, 5, 5, 2)),
        (layers.Sequential(layers.Linear(2, 3), layers.ReLU()), floats(4, 2)),
    ):  # fmt: skip
        out, cache = layer.forward(x)
        name = type(layer).__name__
        call(layer.forward, f"{name}.forward", x=elements if name == "ReLU" else batch)(
            lambda x=x: {"x": x.copy()}
        )
        call(layer.backward, f"{name}.backward", ("cache",))(
            lambda out=out, cache=cache: {"dout": out + 1, "cache": cache}
        )

    call(losses.mse)(lambda: {"prediction": floats(4, 2), "target": floats(4, 2)})
    call(losses.commitment, embeddings=real)(
        lambda: {"embeddings": floats(4, 2), "quantized": floats(4, 2)}
    )
    for optimizer in (optim.Adam, optim.AdamW):
        call(optimizer)(
            lambda: {
                "params": {"a": floats(3, 2)},
                "learning_rate": 0.1,
                "betas": (0.9, 0.99),
                "epsilon": 1e-8,
                "amsgrad": True,
                "weight_decay": 0.1,
            }
        )
    call(method(lambda: optim.Adam({"a": floats(3, 2)}), "step"), "Adam.step")(
        lambda: {"gradients": {"a": floats(3, 2)}}
    )

    call(diagnostics.perplexity)(lambda: {"codes": CODES.copy(), "n_tokens": 3})
    call(diagnostics.codes_used)(lambda: {"codes": CODES.copy(), "n_tokens": 3})
    call(diagnostics.perplexity_of_counts)(lambda: {"counts": np.array([1, 2, 3])})
    pair = {"tokens": floats(3, 2), "embeddings": floats(6, 2)}
    call(diagnostics.quantization_error)(lambda: dict(pair))
    call(diagnostics.spread_ratio)(lambda: dict(pair))
    call(diagnostics.effective_dimension)(lambda: {"points": floats(6, 2), "share": 0.9})
    call(diagnostics.effective_rank)(lambda: {"points": floats(6, 2)})
    call(diagnostics.count_modes)(lambda: {"points": floats(40, 2), "rng": 0})
    call(diagnostics.energy_distance)(
        lambda: {"x": floats(6, 2), "y": floats(5, 2), "sample": 9, "rng": 0}
    )
    cloud = {"points": floats(6, 2), "reference": floats(9, 2), "sample": 9, "rng": 0}
    call(diagnostics.outside)(lambda: cloud | {"quantile": 0.9})
    call(diagnostics.share_outside)(lambda: dict(cloud))
    call(diagnostics.class_divergence)(
        lambda: pair | {"labels": CLASSES.copy(), "sample": 9, "rng": 0}
    )
    call(diagnostics.class_spread_ratio)(
        lambda: {"reconstruction": floats(6, 2), "data": floats(6, 2) + 1, "labels": CLASSES.copy()}
    )
    call(vqnp.diagnose)(
        lambda: {
            "embeddings": floats(6, 2),
            "tokens": floats(3, 2),
            "labels": CLASSES.copy(),
            "data": floats(6, 3),
            "reconstruction": floats(6, 3),
            "rng": 0,
        }
    )

    call(vqnp.clusters)(
        lambda: {"dim": 2, "rng": 0, "classes": 2, "per_class": 3, "reach": 1.0, "spread": 1.0}
    )
    call(data.Clusters)(lambda: {"dim": 2, "per_class": 3})
    call(vqnp.Dataset, fixed=("name",))(
        lambda: {"name": "a", "points": floats(6, 2), "labels": CLASSES.copy()}
    )
    call(data.standardize, points=measured)(lambda: {"points": floats(6, 2)})
    image = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), dtype=np.uint8)
    call(data.Images, fixed=("name", "label_names"))(
        lambda: {
            "name": "a",
            "train": image.copy(),
            "train_labels": np.array([0, 1]),
            "test": image.copy(),
            "test_labels": np.array([0, 1]),
            "label_names": ("x", "y"),
        }
    )
    call(data.pixels_to_float)(lambda: {"images": image.copy()})
    call(data.pixel_variance)(lambda: {"images": image.copy()})

    call(training.ae_then_vq)(lambda: {"pretrain": 1, "finetune": 1, "sample": 3})
    call(training.Pretrain)(lambda: {"epochs": 1})
    call(training.FineTune)(lambda: {"epochs": 1})
    call(training.InitializeCodebook)(lambda: {"sample": 1})
    call(training.TrainSettings)(
        lambda: {
            "batch_size": 4,
            "learning_rate": 0.1,
            "optimizer": "adam",
            "carry_optimizer": True,
        }
    )
    call(training.train)(
        lambda: {
            "model": small_model(),
            "data": floats(6, 2),
            "schedule": training.ae_then_vq(1, 1),
            "settings": training.TrainSettings(4),
            "rng": 0,
            "on_epoch": lambda run: None,
            "on_phase": lambda run: None,
            "checkpoint_seconds": 1.0,
            "resume": False,
            "first_phase": 0,
            "progress": False,
        }
    )
    call(vqnp.MLPSettings)(
        lambda: {"data_dim": 2, "token_dim": 1, "encoder_hidden": 4, "decoder_hidden": 4}
    )
    call(vqnp.ConvSettings)(
        lambda: {
            "token_dim": 2,
            "encoder_width": 4,
            "decoder_width": 4,
            "encoder_residual": 2,
            "decoder_residual": 2,
            "blocks": 1,
            "image_channels": 3,
        }
    )
    call(vqnp.mlp_vqvae)(
        lambda: {"sizes": vqnp.MLPSettings(2, 1, 4, 4), "quantizer": vqnp.EMA(3)} | drawn
    )
    call(vqnp.conv_vqvae)(
        lambda: (
            {
                "sizes": vqnp.ConvSettings(2, 4, 4, 2, 2, 1),
                "quantizer": vqnp.EMA(3),
                "variance": 1.0,
            }
            | drawn
        )
    )
    ready = small_model()
    training.train(ready, floats(6, 2), training.ae_then_vq(1, 1))
    for name in ("encode", "quantize", "reconstruct", "loss_and_gradients"):
        call(getattr(ready, name), f"VQVAE.{name}", x=batch)(lambda: {"x": floats(6, 2)})
    call(vqnp.VQVAE)(
        lambda: {
            "encoder": ready.encoder,
            "quantizer": ready.quantizer,
            "decoder": ready.decoder,
            "variance": 1.0,
        }
    )
    call(data.load_array)(lambda: {"path": saved(), "mmap": False})
    call(data.load_points, fixed=("labels",))(lambda: {"path": saved(), "labels": None})


GUESTS = (
    quantize.BSQ(16), quantize.CVQ(3), quantize.Cosine(vqnp.EMA(3)), quantize.DPQ(3),
    quantize.DVAE(4, token_dim=4), quantize.EdVAE(4, token_dim=4), quantize.EntropyVQ(3),
    quantize.GradientCodebook(3), quantize.HyperVQ(3), quantize.LFQ(16),
    quantize.LatentKMeans(vqnp.EMA(3)), quantize.LatentQuantizer((3, 2, 4, 3)),
    quantize.Memcodes(3, heads=2), quantize.Product(vqnp.EMA(3)),
    quantize.Projected(vqnp.EMA(3), dim=2), quantize.QINCo(3), quantize.Residual(vqnp.EMA(3), 2),
    quantize.SimVQ(3), quantize.SoftConvex(3, hard=True), quantize.WassersteinVQ(3),
)  # fmt: skip


def register_guests() -> None:
    """The family of quantizers beside the paper's."""
    for guest in GUESTS:
        name = type(guest).__name__
        own = {field.name: getattr(guest, field.name) for field in fields(guest) if field.init}
        call(type(guest), weight=number, cloud=choice)(lambda own=own: dict(own))
        made = lambda guest=guest: replace(guest)  # noqa: E731

        def ready(made: Callable = made) -> Any:
            placed = made()
            placed.initialize(floats(6, 4), batch=6)
            return placed

        if type(guest).initialize is not quantize.Quantizer.initialize:
            call(method(made, "initialize"), f"{name}.initialize")(
                lambda: {"z": floats(6, 4), "batch": 6, "rng": 0}
            )
        call(method(ready, "forward"), f"{name}.forward")(lambda: {"z": floats(6, 4)})
        call(method(ready, "view"), f"{name}.view")(lambda: {"z": floats(6, 4)})
        call(method(ready, "decode"), f"{name}.decode")(
            lambda ready=ready: {"codes": ready().forward(floats(6, 4))[0].codes}
        )


def register_pairs() -> None:
    """The functions that guests are made of, each with its gradient."""
    z, tokens = floats(6, 2), floats(3, 2)
    logits, noise, p = floats(6, 3), floats(3, 6).T.copy(), np.full((6, 3), 1 / 3, "f")
    planes = {"scale": floats(3) ** 2, "units": quantize.normalize_forward(tokens)[0],
              "offset": floats(3), "curvature": 1.0}  # fmt: skip
    mapped = {"cloud": floats(3, 2), "weight": floats(2, 2), "bias": floats(2)}
    looked_up = {"z": z, "keys": tokens, "values": floats(3, 2) + 1, "temperature": 1.0, "seed": 0}
    for forward, arguments, gradient in (
        (quantize.codebook_loss_forward, {"z": z, "tokens": tokens}, {}),
        (quantize.entropy_gap_forward, {"z": z, "tokens": tokens, "sharpness": 1.0,
                                        "diversity": 1.0}, {"dgap": 1.0}),
        (quantize.gumbel_softmax_forward, {"logits": logits, "noise": noise, "temperature": 1.0},
         {"dy": logits}),
        (quantize.hull_forward, {"z": z, "tokens": tokens}, {"dq": z}),
        (quantize.hyperplanes_forward, {"x": z / 9} | planes, {"dlogits": logits}),
        (quantize.into_ball_forward, {"h": z, "curvature": 1.0}, {"dx": z}),
        (quantize.latent_forward, {"z": z, "values": floats(5), "levels": (3, 2)},
         {"weight": 1.0}),
        (quantize.lookup_forward, looked_up, {"dvectors": z}),
        (quantize.normalize_forward, {"z": z}, {"dunits": z}),
        (quantize.orthogonal_forward, {"tokens": tokens}, {}),
        (quantize.soft_convex_forward, {"z": z, "tokens": tokens, "strength": 0.1},
         {"dvectors": z}),
        (quantize.wasserstein_forward, {"z": z, "tokens": tokens}, {"dvalue": 1.0}),
    ):  # fmt: skip
        backward = getattr(quantize, forward.__name__.replace("forward", "backward"))
        call(forward, fixed=("levels",), x=points)(lambda arguments=arguments: dict(arguments))
        more = {"n_tokens": 3} if backward is quantize.codebook_loss_backward else {}
        cache = forward(**arguments)[-1]
        call(backward, weight=number)(
            lambda gradient=gradient, cache=cache, more=more: gradient | {"cache": cache} | more
        )
    call(quantize.mapped_tokens_forward)(lambda: dict(mapped))
    call(quantize.mapped_tokens_backward)(lambda: {"dtokens": tokens, "cloud": mapped["cloud"]})
    call(quantize.mixture_forward, y=array)(lambda: {"y": p, "tokens": tokens})
    call(quantize.mixture_backward, y=array)(lambda: {"dvectors": z, "y": p, "tokens": tokens})
    call(quantize.simplex_forward)(lambda: {"v": logits})
    call(quantize.simplex_backward)(lambda: {"dp": logits, "p": p})
    call(quantize.sign_forward, scale=number)(lambda: {"z": z, "scale": 1.0})
    call(quantize.rotation_backward, embeddings=array)(
        lambda: {"dvectors": z, "embeddings": z + 1, "vectors": z + 2, "keep_scale": True}
    )
    call(quantize.revive)(
        lambda: {"codebook": small_codebook(), "embeddings": z, "revival": "relative",
                 "rng": np.random.default_rng(0), "bias": 1.0}
    )  # fmt: skip
    call(vqnp.Watch)(lambda: {"n_tokens": 3, "window": 5, "decay": 0.9})
    call(data.load_any)(lambda: {"path": saved()})
    call(diagnostics.diagnose_levels, fixed=("tokens",))(
        lambda: {"embeddings": z, "tokens": np.stack([tokens, tokens / 2])}
    )
    call(diagnostics.diagnose_usage, fixed=("n_tokens",))(
        lambda: {"codes": CODES.copy(), "n_tokens": 3}
    )


def saved() -> str:
    """Return the path of a small file of points."""
    import tempfile

    where = f"{tempfile.gettempdir()}/vqnp-bad-calls.npy"
    np.save(where, floats(6, 2))
    return where


register_all()
register_guests()
register_pairs()
EXCUSED = {
    "Clustering", "Quantized", "View", "Quantizer", "Identity", "Layer", "Sequential", "ReLU",
    "Diagnosis", "Comparison", "Levels", "Reference",  # answers, not questions
    "readings", "side_by_side", "verdict",
    "Source", "Digits", "digits", "Patches", "load_patches", "OwnPoints", "Cifar10", "load_cifar10",
    "fetch_cifar10",  # files: see fuzz.py
    "adam_update", "adam_update_loop", "adam_update_numpy",  # kernels, which trust their caller
    "EpochRecord", "TrainState", "Tally", "as_floats", "encode_in_batches", "answer",
}  # fmt: skip


def uncovered() -> list[str]:
    """Return the public functions and classes that have no valid call here and no excuse."""
    public = {
        name
        for module in MODULES
        for name in getattr(module, "__all__", dir(module))
        if callable(getattr(module, name, None)) and not name.startswith("_")
        and str(getattr(getattr(module, name), "__module__", "")).startswith(module.__name__)
    }  # fmt: skip
    return sorted(public - EXCUSED - {name.split(".")[0] for name in CALLS})


# The table


def attempts() -> Iterator[tuple[str, str, str, Any]]:
    """Yield function, argument, the name of a bad value, and the value."""
    for name, valid in CALLS.items():
        for argument, good in valid.arguments().items():
            if argument in valid.fixed:
                continue
            kind = valid.kinds.get(argument) or KIND[argument]
            for label, value in kind(good).items():
                none_is_good = argument in MAY_BE_NONE or (name, argument) in ALLOWED_NONE
                if not (value is None and none_is_good):
                    yield name, argument, label, value


def outcome(name: str, argument: str, value: Any) -> str:
    """Return ``clear``, or what else came of a call with a bad value."""
    valid = CALLS[name]
    arguments = valid.arguments() | {argument: value}
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            answer = valid.function(**arguments)
    except (TypeError, ValueError, OSError, KeyError, RuntimeError) as error:
        said = str(error)
        names = ALIASES.get(argument, (argument,))
        named = isinstance(value, str) and "/" in value and value in said
        shown = named or any(re.search(rf"\b{name}\b", said) for name in names)
        unexpected = "unexpected keyword" in said or "required positional" in said
        return "clear" if shown and not unexpected else f"unclear: {type(error).__name__}: {said}"
    except Exception as error:
        return f"unclear: {type(error).__name__}: {error}"
    return f"silent: {answer!r:.80}"


def good_forms(good: Any) -> dict[str, Any]:
    """Return other forms of an array that mean the same."""
    wide = np.repeat(good, 2, axis=-1)
    frozen = good.copy()
    frozen.flags.writeable = False
    odd = np.zeros(good.nbytes + 1, np.uint8)[1:].view(good.dtype).reshape(good.shape)
    odd[...] = good
    forms = {"strided": wide[..., ::2], "in Fortran's order": np.asfortranarray(good)}
    return forms | {"reversed": good[::-1].copy()[::-1], "read-only": frozen, "unaligned": odd}


def same(a: Any, b: Any) -> bool:
    """Tell whether two answers have the same bits."""
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(map(same, a, b))
    if hasattr(a, "__dict__") and not callable(a):
        return same(vars(a), vars(b))
    return bool(a == b) or (a != a and b != b) or callable(a) or not np.isscalar(a)


IN_PLACE = {"Codebook", "Adam", "AdamW"}  # they change the arrays they are given


def good_failures() -> list[str]:
    """Return the good calls that are refused or give other bits."""
    failures = []
    for name, valid in CALLS.items():
        for argument, good in valid.arguments().items():
            if not isinstance(good, np.ndarray) or name in IN_PLACE:
                continue
            expected = valid.function(**valid.arguments())
            for label, value in good_forms(good).items():
                try:
                    found = valid.function(**valid.arguments() | {argument: value})
                    problem = "" if same(found, expected) else "other bits"
                except Exception as error:
                    problem = f"{type(error).__name__}: {error}"
                if problem:
                    failures.append(f"{name}({argument}={label}): {problem:.120}")
    return failures


def table(only: str = "") -> dict[str, collections.Counter]:
    """Return the counts of each function, and print every call that is not clear."""
    counts: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
    for name, argument, label, value in attempts():
        if only in name:
            found = outcome(name, argument, value)
            counts[name][found.split(":")[0]] += 1
            if found != "clear":
                print(f"{name}({argument}={label}): {found:.160}".replace("\n", " "))
    return counts


def main() -> None:
    """Print the table and its sums."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="part of a function's name")
    given = parser.parse_args()
    counts = table(given.only)
    sums = sum(counts.values(), collections.Counter())
    print(json.dumps({name: dict(kinds) for name, kinds in counts.items() if len(kinds) > 1}))
    print(*good_failures(), sep="\n")
    print(dict(sums), f"{sums['unclear'] / sums.total():.1%} unclear; uncovered: {uncovered()}")
    sys.exit(bool(sums["silent"]) or sums["unclear"] > 0.01 * sums.total())


if __name__ == "__main__":
    main()
