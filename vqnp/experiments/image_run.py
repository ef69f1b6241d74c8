"""Running settings on images: the counterpart of execute.py. Pretraining comes first, once for all codebooks that share it.

``DIR/<slug>.npz`` holds a finished pretraining or run, ``<slug>.checkpoint.npz`` belongs to one that was interrupted.
"""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vqnp import threads
from vqnp.data import pixel_variance, pixels_to_float
from vqnp.diagnostics import diagnose
from vqnp.diagnostics.assignment import Assignment
from vqnp.experiments.image_setting import ImageSetting, Pretraining
from vqnp.experiments.results import account_of, is_finished, load_finished, save_finished
from vqnp.files import load_arrays
from vqnp.models import VQVAE
from vqnp.networks import conv_vqvae
from vqnp.training import EpochRecord, train
from vqnp.training.schedule import Pretrain
from vqnp.validation import Array

BATCH = 256  # test images looked at together
SHOWN = 18  # test images kept with their reconstructions, for people to look at


@dataclass(frozen=True)
class ImageResult:
    """A finished run: ``info`` is JSON (setting, numbers on the test set, history, seconds, identity of the data).

    ``counts`` ``(K,)`` say how many embeddings of the test set chose each token; ``originals`` and ``reconstructions``, both
    ``(SHOWN, H, W, 3)`` uint8, are its first images.
    """

    info: dict[str, Any]
    counts: Array
    originals: Array
    reconstructions: Array

    @property
    def numbers(self) -> dict[str, Any]:
        """Plain MSE and the diagnosis over the whole test set, by name."""
        return self.info["numbers"]


def pretrain(setting: Pretraining, directory: Path, resume: bool = False) -> None:
    """Train the autoencoder and write its parameters and history, unless ``resume`` finds them; a half-finished run is continued."""
    path = directory / f"{setting.slug}.npz"
    images = setting.data.load()
    if resume and is_finished(path, setting, images):
        return
    model = conv_vqvae(setting.sizes, variance=pixel_variance(images.train), rng=setting.seed)
    begun = time.perf_counter()
    checkpoint = path.with_suffix(".checkpoint.npz")
    history = train(
        model,
        images.train,
        setting.schedule,
        setting.train,
        rng=setting.seed,
        checkpoint=checkpoint,
        resume=resume,
    )
    seconds = time.perf_counter() - begun
    save_finished(path, account_of(setting, images, history, seconds), model.params)
    checkpoint.unlink(missing_ok=True)


def execute_images(setting: ImageSetting, directory: Path, resume: bool = False) -> None:
    """Run ``setting`` and write its result, unless ``resume`` finds it finished; a half-finished one is continued.

    Its pretraining, if it has any, must be there: raises ``FileNotFoundError`` otherwise.
    """
    path = directory / f"{setting.slug}.npz"
    images = setting.data.load()
    if resume and is_finished(path, setting, images):
        return
    model = setting.build(pixel_variance(images.train))
    before = (
        []
        if setting.pretraining is None
        else take_pretrained(model, setting.pretraining, directory)
    )
    # The random numbers of a phase follow from its place in the schedule: it stays in its place, and lasts no epochs.
    schedule = (Pretrain(0), *setting.schedule[1:])
    begun = time.perf_counter()
    checkpoint = path.with_suffix(".checkpoint.npz")
    history = train(
        model,
        images.train,
        schedule,
        setting.train,
        rng=setting.seed,
        checkpoint=checkpoint,
        resume=resume,
    )
    seconds = time.perf_counter() - begun
    with threads.limit():
        numbers, arrays = evaluate(model, images.test)
    info = account_of(setting, images, before + history, seconds) | {"numbers": numbers}
    save_finished(path, info, arrays)
    checkpoint.unlink(missing_ok=True)


def take_pretrained(model: VQVAE, setting: Pretraining, directory: Path) -> list[EpochRecord]:
    """Give ``model`` the parameters of a finished pretraining and return its history."""
    arrays = load_arrays(directory / f"{setting.slug}.npz")
    for name, parameter in model.autoencoder.params.items():
        parameter[...] = arrays[name]
    return [EpochRecord(**record) for record in json.loads(str(arrays["info"]))["history"]]


def evaluate(model: VQVAE, test: Array) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return the numbers over all of ``test`` ``(M, H, W, 3)`` uint8, and the arrays of a result.

    Codes are counted over the whole set before any perplexity is taken: a batch cannot show more than it has embeddings.
    """
    counts = np.zeros(len(model.tokens), np.int64)
    error = quantization = 0.0
    clouds, shown = [], []
    for start in range(0, len(test), BATCH):
        x = pixels_to_float(test[start : start + BATCH])
        z = model.encode(x)
        points = z.reshape(-1, z.shape[-1])  # (B·H/4·W/4, D)
        quantized, codes, _ = model.quantizer.forward(points)[0]
        reconstruction = model.decode(quantized.reshape(z.shape))
        counts += np.bincount(codes, minlength=len(counts))
        error += float(np.square(reconstruction - x).sum(dtype=np.float64))
        quantization += float(np.square(points - quantized).sum(dtype=np.float64))
        clouds.append(points)
        shown.append(as_pixels(reconstruction[: max(0, SHOWN - start)]))
    embeddings = np.concatenate(clouds)
    diagnosis = diagnose(
        embeddings, model.tokens, assignment=Assignment(counts, quantization / len(embeddings))
    )
    arrays = {"counts": counts, "originals": test[:SHOWN], "reconstructions": np.concatenate(shown)}
    return {"mse": error / test.size, **asdict(diagnosis)}, arrays


def as_pixels(images: Array) -> Array:
    """Return images in [-0.5, 0.5] as the nearest bytes; what lies outside is cut off."""
    return np.rint(255 * (np.clip(images, -0.5, 0.5) + 0.5)).astype(np.uint8)


def load_image_result(path: Path) -> ImageResult:
    """Read a finished run; raises ``ValueError`` naming the file when it is not one."""
    return load_finished(path, ImageResult)
