"""What a watch costs: its update and summary beside a training step of the paper's model.

    cd tests && python -m benchmarks.watch [--repeats N] [--tiny]

A step and an update take turns. The step is that of the convolutional model, on a batch of 256
images. The update takes the codes of the batch, and in a second case its embeddings, too. Then it
asks for the summary, as the callback does. The ratio is that of the medians.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import joblib

import vqnp
from benchmarks.our_step import BATCH, PAPER, our_step, problem
from vqnp.machine import processor
from vqnp.validation import Array


def main() -> None:
    """Measure each case and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--tiny", action="store_true", help="sizes that measure nothing")
    options = parser.parse_args()
    print(f"{processor()}, {joblib.cpu_count(only_physical_cores=True)} cores, medians")
    settings, batch = (vqnp.ConvSettings(4, 4, 4), 4) if options.tiny else (PAPER, BATCH)
    for n_tokens in (16,) if options.tiny else (512, 16_384):
        images, model = problem(n_tokens, settings, batch)
        step = our_step(images, model, n_tokens)
        embeddings = model.encode(images)
        codes = vqnp.nearest(embeddings, model.tokens)[0]
        for what, given in (("codes", [codes]), ("codes and embeddings", [codes, embeddings])):
            look = partial(update_and_sum_up, vqnp.Watch(n_tokens), *given)
            steps, looks = in_turns(step, look, options.repeats)
            print(
                f"K = {n_tokens:6,}, {what:20}: {1000 * looks:7.2f} ms beside a step of "
                f"{1000 * steps:6.0f} ms: {looks / steps:.2%}"
            )


def update_and_sum_up(watch: vqnp.Watch, *given: Array) -> dict[str, Any]:
    """Do what the callback does after a batch."""
    watch.update(*given)
    return watch.summary()


def in_turns(
    first: Callable[[], object], second: Callable[[], object], repeats: int
) -> tuple[float, float]:
    """Return the median seconds of both, which take turns after each has run once."""
    seconds: list[list[float]] = [[], []]
    for _ in range(repeats + 1):
        for work, taken in zip((first, second), seconds, strict=True):
            begun = time.perf_counter()
            work()
            taken.append(time.perf_counter() - begun)
    return median(seconds[0][1:]), median(seconds[1][1:])


if __name__ == "__main__":
    main()
