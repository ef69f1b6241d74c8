"""The cold start: what compiling costs a first ``vqnp reproduce fig3``, and how soon a second run is at work.

Figure 3 is made with its own data and one seed, but with two epochs for each arm: the kernels are the same, and little is left but
to compile them.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

FIG3 = """
import sys
from pathlib import Path
from vqnp.experiments.reproduce import reproduce
from vqnp.experiments.synthetic import Plan
reproduce(["fig3"], Plan(seeds=(0,), epochs=2), Path(sys.argv[1]), jobs=int(sys.argv[2]))
"""
FIRST_EPOCH = """
from vqnp import VQVAE, MLPSettings, ae_then_vq, clusters, train
train(VQVAE.mlp(MLPSettings(2, 1)), clusters(2).points, ae_then_vq(0, 1))
"""


def rows(number: int, repeats: int) -> Iterator[tuple[str, dict[str, list[float]]]]:
    """Yield a case's name and its seconds."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        cache, nowhere = place / "cache", place / "a file" / "cache"
        nowhere.parent.touch()  # no directory can be made below a file, not even by an administrator
        cold = seconds(FIG3, cache, place / "cold", number)
        warm = statistics.median(seconds(FIG3, cache, place / f"warm{i}", number) for i in range(3))
        yield "fig3, first run: compiling", {"vqnp": [cold - warm]}
        yield "fig3, first run: two epochs of everything", {"vqnp": [cold]}
        yield "fig3, a second run of the same", {"vqnp": [warm]}
        yield "import vqnp", {"vqnp": [seconds("import vqnp", cache) for _ in range(repeats)]}
        yield (
            "a second run, to the end of its first epoch",
            {"vqnp": [seconds(FIRST_EPOCH, cache) for _ in range(repeats)]},
        )
        yield "the same with nowhere to keep a cache", {"vqnp": [seconds(FIRST_EPOCH, nowhere)]}


def seconds(script: str, cache: Path, *arguments: object) -> float:
    """Return the wall time of a new Python that runs ``script`` with Numba's cache in ``cache``."""
    locators = {"NUMBA_CACHE_DIR": str(cache), "NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator"}
    environment = {**os.environ, **locators}
    begun = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)], check=True, env=environment, capture_output=True
    )
    return time.perf_counter() - begun
