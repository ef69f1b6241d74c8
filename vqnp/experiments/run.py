"""One pipeline for points and images: from a spec to its finished run on disk.

``DIR/<slug>.npz`` holds a finished run. ``DIR/<slug>.checkpoint.npz`` belongs to one that was
interrupted. The pretraining that several runs share is a run of its own, and comes first.
"""

import json
import math
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vqnp import threads
from vqnp.data import Dataset, Images, pixel_variance
from vqnp.experiments.measure import (
    POINTS_A_BATCH,
    course_point,
    evaluate_images,
    evaluate_points,
)
from vqnp.experiments.method_numbers import evaluate_method, seconds_a_step
from vqnp.experiments.patch_code import PatchCode
from vqnp.experiments.spec import MethodRun, RunSpec
from vqnp.experiments.workers import in_processes
from vqnp.files import load_with_meta, save_with_meta
from vqnp.machine import in_words, machine
from vqnp.models import VQVAE
from vqnp.training import EpochRecord, TrainState, checkpoints, encode_in_batches, train
from vqnp.validation import Array

FORMAT = 1  # of results; before, they had none, and no sha256
IDENTITY_DIGITS = 16  # of the data's digest: enough to tell them apart
IMAGES_A_LOOK = 1_000  # 64,000 embeddings, four for each of 16,384 tokens
LOOKS_A_RUN = 50  # each of them costs less than ten steps of training
LEAST_STEPS_A_LOOK = 50

Spec = RunSpec | PatchCode


@dataclass(frozen=True)
class Result:
    """A finished run: ``info`` is JSON, ``arrays`` are named as in ``measure.py``.

    The info is the spec, the data's name and identity, the seconds, the history and the numbers.
    Runs on points also keep ``untrained``, the embeddings before any training, and ``at_start``
    and ``tokens_at_start``, those the codebook was initialized on and with. Runs on images keep
    their ``course`` in the info: MSE, perplexity and codes used of the first test images, by step.
    """

    info: dict[str, Any]
    arrays: dict[str, Array]

    def __getitem__(self, name: str) -> Array:
        return self.arrays[name]

    @property
    def numbers(self) -> dict[str, Any]:
        """MSE and diagnosis at the end, by name."""
        return self.info["numbers"]


def run_all(
    specs: Sequence[Spec], directory: Path, *, jobs: int, resume: bool, progress: bool
) -> dict[Spec, Result]:
    """Run ``specs`` in ``jobs`` processes, shared pretrainings first, and return their results."""
    runs = [spec for spec in specs if isinstance(spec, RunSpec)]
    runs.sort(key=lambda spec: -spec.quantizer.n_tokens * spec.finetune)  # longest first
    shared = dict.fromkeys(spec.pretraining for spec in runs if spec.pretraining is not None)
    stages: tuple[tuple[Callable[..., None], Iterable[Spec], str], ...] = (
        (pretrain, shared, "pretraining"),
        (attempt, runs, "runs"),
        (fit_patches, [spec for spec in specs if isinstance(spec, PatchCode)], "k-means"),
    )
    for work, todo, label in stages:
        tasks = [(spec, directory, resume) for spec in todo]
        in_parallel(work, tasks, jobs, progress=progress, label=label)
    return {spec: load_result(spec, directory) for spec in specs}


def require_data(specs: Sequence[Spec]) -> None:
    """Load all data once, so that what cannot be loaded is refused before the first run."""
    for data, seed in {spec.data: spec.seed for spec in specs}.items():
        data.load(seed)


def made_elsewhere(specs: Sequence[Spec], directory: Path) -> list[str]:
    """Name the other machines that finished runs and checkpoints on images were made on."""
    here, found = machine(), set()
    of_pretraining = [spec.pretraining for spec in specs if isinstance(spec, RunSpec)]
    for spec in dict.fromkeys([*specs, *filter(None, of_pretraining)]):
        finished, begun = directory / f"{spec.slug}.npz", checkpoint_of(spec, directory)
        for path, format in ((finished, FORMAT), (begun, checkpoints.FORMAT)):
            with suppress(FileNotFoundError, ValueError):  # such a run is made anew
                made_on = load_with_meta(path, format)[1].get("machine", here)
                found.add(in_words(made_on))
    return sorted(found - {in_words(here)})


def pretrain(spec: RunSpec, directory: Path, resume: bool = False) -> None:
    """Train the autoencoder of ``spec`` and write its parameters and history.

    With ``resume`` a finished run is left as it is, and one under way is continued.
    """
    data = spec.data.load(spec.seed)
    if resume and is_finished(spec, data, directory):
        return
    examples, variance = training_examples(data)
    model, begun = spec.build(variance), time.perf_counter()
    history = train(
        model,
        examples,
        spec.schedule[:1],
        spec.train,
        rng=spec.seed,
        checkpoint=checkpoint_of(spec, directory),
        resume=resume,
    )
    save_finished(spec, data, directory, begun, history, {}, model.params)


def execute(spec: RunSpec, directory: Path, resume: bool = False) -> None:
    """Run ``spec`` and write its result; ``resume`` does as in :func:`pretrain`.

    Raises ``FileNotFoundError`` when its pretraining has not been run.
    """
    data = spec.data.load(spec.seed)
    if resume and is_finished(spec, data, directory):
        return
    examples, variance = training_examples(data)
    model, looks, points = spec.build(variance), {}, isinstance(data, Dataset)
    of_table = isinstance(spec, MethodRun)
    begun = time.perf_counter()
    with threads.limit():
        if points and not of_table:
            looks["untrained"] = encode_in_batches(model, examples, POINTS_A_BATCH)
        history = take_pretrained(model, spec, directory)
        # Initializing takes no epochs. It is done again on resuming, with the same bits.
        train(model, examples, spec.schedule[:2], spec.train, rng=spec.seed, first_phase=1)
        if points and not of_table:
            looks["at_start"] = encode_in_batches(model, examples, POINTS_A_BATCH)
            looks["tokens_at_start"] = model.tokens.copy()
        course: list[dict[str, Any]] = []
        history += train(
            model,
            examples,
            spec.schedule,
            spec.train,
            rng=spec.seed,
            on_step=None if points else look_now_and_then(spec, data, course),
            notes=course,
            checkpoint=checkpoint_of(spec, directory),
            resume=resume,
            first_phase=2,
        )
        if of_table:
            numbers = evaluate_method(model, data)
            numbers["seconds_a_step"] = seconds_a_step(model, examples, spec)
            arrays: dict[str, Array] = {}
        elif points:
            numbers, arrays = evaluate_points(model, data)
        else:
            numbers, arrays = evaluate_images(model, data.test)
    save_finished(spec, data, directory, begun, history, numbers, arrays | looks, course)


def attempt(spec: RunSpec, directory: Path, resume: bool = False) -> None:
    """Execute ``spec``; a row of the table that diverges is a result, and no end of the others."""
    try:
        execute(spec, directory, resume)
    except FloatingPointError as error:
        if not isinstance(spec, MethodRun):
            raise
        data = spec.data.load(spec.seed)
        numbers = {"diverged": str(error)}
        save_finished(spec, data, directory, time.perf_counter(), [], numbers, {})


def fit_patches(spec: PatchCode, directory: Path, resume: bool = False) -> None:
    """Measure a code of raw patches and write its error; ``resume`` does as in :func:`pretrain`."""
    data = spec.data.load(spec.seed)
    if resume and is_finished(spec, data, directory):
        return
    begun = time.perf_counter()
    save_finished(spec, data, directory, begun, [], spec.measure(data), {})


def training_examples(data: Dataset | Images) -> tuple[Array, float]:
    """Return the examples to train on, and the variance that the loss is divided by."""
    if isinstance(data, Dataset):
        return data.points, 1.0
    return data.train, pixel_variance(data.train)


def look_now_and_then(
    spec: RunSpec, images: Images, course: list[dict[str, Any]]
) -> Callable[[TrainState], None]:
    """Return a function that looks at the model now and then, and adds to ``course`` what it saw.

    It looks after the first step with quantization and after the last, too.
    """
    epoch = math.ceil(len(images.train) / spec.train.batch_size)  # steps
    before, total = spec.pretrain * epoch, (spec.pretrain + spec.finetune) * epoch
    every = max(LEAST_STEPS_A_LOOK, total // LOOKS_A_RUN)

    def look(state: TrainState) -> None:
        step = before + state.steps_done
        if state.steps_done == 1 or step % every == 0 or step == total:
            seen = course_point(state.model, images.test[:IMAGES_A_LOOK])
            course.append({"step": step, **seen})

    return look


def take_pretrained(model: VQVAE, spec: RunSpec, directory: Path) -> list[EpochRecord]:
    """Give ``model`` the parameters of its finished pretraining, and return its history."""
    if spec.pretraining is None:
        return []
    pretrained = load_result(spec.pretraining, directory)
    for name, parameter in model.autoencoder.params.items():
        parameter[...] = pretrained[name]
    return [EpochRecord(**record) for record in pretrained.info["history"]]


def checkpoint_of(spec: Spec, directory: Path) -> Path:
    """Return where a run under way is kept."""
    return directory / f"{spec.slug}.checkpoint.npz"


def save_finished(
    spec: Spec,
    data: Dataset | Images,
    directory: Path,
    begun: float,
    history: Sequence[EpochRecord],
    numbers: dict[str, Any],
    arrays: dict[str, Array],
    course: Sequence[dict[str, Any]] = (),
) -> None:
    """Write a finished run, whole or not at all; epochs are numbered from the first of all."""
    info = {
        "setting": spec.to_json(),
        "data": data.name,
        "data_identity": data.identity[:IDENTITY_DIGITS],
        "seconds": time.perf_counter() - begun,
        "numbers": numbers,
        "history": [asdict(record) | {"epoch": i + 1} for i, record in enumerate(history)],
        "course": list(course),
    }
    if isinstance(data, Images):  # points have the same bits everywhere
        info["machine"] = machine()
    save_with_meta(directory / f"{spec.slug}.npz", arrays, info | {"format": FORMAT})
    checkpoint_of(spec, directory).unlink(missing_ok=True)


def load_result(spec: Spec, directory: Path) -> Result:
    """Read a finished run; raises ``ValueError`` naming the file when it is none."""
    arrays, info = load_with_meta(directory / f"{spec.slug}.npz", FORMAT)
    return Result(info, arrays)


def is_finished(spec: Spec, data: Dataset | Images, directory: Path) -> bool:
    """Tell whether there is a whole run of exactly this spec on exactly these data."""
    try:
        info = load_result(spec, directory).info
    except (FileNotFoundError, ValueError):
        return False
    same = info.get("setting") == json.loads(json.dumps(spec.to_json()))
    return bool(same and info.get("data_identity") == data.identity[:IDENTITY_DIGITS])


def in_parallel(
    work: Callable[..., None], tasks: Sequence[tuple], jobs: int, *, progress: bool, label: str
) -> None:
    """Call ``work(*task)`` for each task in ``jobs`` processes of one thread each, with a bar."""
    from tqdm import tqdm

    with tqdm(total=len(tasks), desc=label, disable=not progress or not tasks) as bar:
        if jobs > 1 and len(tasks) > 1:
            in_processes(work, tasks, jobs, bar.update)
            return
        for task in tasks:
            work(*task)
            bar.update()
