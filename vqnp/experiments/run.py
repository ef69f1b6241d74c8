"""Running settings: each leaves its result on disk as soon as it is done, and a later run takes up what is there.

``DIR/<slug>.npz`` holds a finished run; ``<slug>.checkpoint.npz`` and ``<slug>.start.npz`` belong to one that was interrupted.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vqnp import threads
from vqnp.data import Dataset
from vqnp.diagnostics import diagnose
from vqnp.experiments.results import account_of, is_finished, load_finished, save_finished
from vqnp.experiments.spec import Setting
from vqnp.files import load_arrays, save_arrays
from vqnp.models import VQVAE
from vqnp.training import TrainState, encode_in_batches, train
from vqnp.training.schedule import InitializeCodebook
from vqnp.validation import Array

BATCH = 8192  # rows encoded at once when a whole data set is looked at


@dataclass(frozen=True)
class Result:
    """A finished run: ``info`` is JSON (setting, diagnosis, history, seconds, identity of the data), the rest arrays.

    ``untrained`` are the embeddings before any training, ``at_start`` and ``tokens_at_start`` those the codebook was initialized
    on and with, ``embeddings``, ``tokens`` and ``codes`` those at the end, ``reconstruction`` what the tokens decode to.
    """

    info: dict[str, Any]
    untrained: Array
    at_start: Array
    tokens_at_start: Array
    embeddings: Array
    tokens: Array
    codes: Array
    reconstruction: Array

    @property
    def diagnosis(self) -> dict[str, Any]:
        """The diagnosis at the end, by name."""
        return self.info["diagnosis"]


def execute(
    setting: Setting, directory: Path, resume: bool = False, progress: bool = False
) -> None:
    """Run ``setting`` and write its result, unless ``resume`` finds it finished; a half-finished one is continued."""
    path = directory / f"{setting.slug}.npz"
    data = setting.data.load(setting.seed)
    if resume and is_finished(path, setting, data):
        return
    checkpoint, start = path.with_suffix(".checkpoint.npz"), path.with_suffix(".start.npz")
    model = setting.build(data.dim)
    untrained = encode_in_batches(model, data.points, BATCH)

    def keep_start(run: TrainState) -> None:
        if isinstance(run.current_phase, InitializeCodebook):
            embeddings = encode_in_batches(model, data.points, BATCH)
            save_arrays(start, {"at_start": embeddings, "tokens_at_start": model.tokens})

    begun = time.perf_counter()
    with threads.limit():
        history = train(
            model, data.points, setting.schedule, setting.train, rng=setting.seed,
            on_phase=keep_start, checkpoint=checkpoint, resume=resume, progress=progress,
        )  # fmt: skip
        seconds = time.perf_counter() - begun
        arrays = final_arrays(model, data) | {"untrained": untrained} | load_arrays(start)
        diagnosis = diagnose(
            arrays["embeddings"],
            arrays["tokens"],
            data.labels,
            data=data.points,
            reconstruction=arrays["reconstruction"],
        )
    info = account_of(setting, data, history, seconds) | {"diagnosis": asdict(diagnosis)}
    save_finished(path, info, arrays)
    for leftover in (checkpoint, start):
        leftover.unlink(missing_ok=True)


def final_arrays(model: VQVAE, data: Dataset) -> dict[str, Array]:
    """Return what a trained model makes of all of the data."""
    embeddings = encode_in_batches(model, data.points, BATCH)
    codes = model.quantizer.forward(embeddings)[0].codes
    # Decoding each token once gives equal rows for equal codes; a product of many rows may round them differently.
    reconstruction = model.decode(model.tokens)[codes]
    return {
        "embeddings": embeddings,
        "tokens": model.tokens,
        "codes": codes,
        "reconstruction": reconstruction,
    }


def load_result(path: Path) -> Result:
    """Read a finished run; raises ``ValueError`` naming the file when it is not one."""
    return load_finished(path, Result)


def in_parallel(
    work: Callable[..., None], tasks: Sequence[tuple], jobs: int, *, progress: bool, label: str
) -> None:
    """Call ``work(*task)`` for each task in ``jobs`` processes of one BLAS and one Numba thread each, with a bar."""
    import joblib
    from tqdm import tqdm

    if jobs == 1 or len(tasks) < 2:
        for task in tqdm(tasks, desc=label, disable=not progress):
            work(*task)
        return
    with joblib.parallel_config("loky", inner_max_num_threads=1):
        pool = joblib.Parallel(n_jobs=min(jobs, len(tasks)), return_as="generator_unordered")
        done = pool(joblib.delayed(work)(*task) for task in tasks)
        for _ in tqdm(done, total=len(tasks), desc=label, disable=not progress):
            pass
