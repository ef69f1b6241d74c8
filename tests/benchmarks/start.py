"""The cold start: the seconds that compiling adds to a first ``vqnp reproduce fig3``.

It runs both arms of Figure 3 on their own data with one seed, for two epochs. The kernels are the
same, and little else is left than to compile them. Nothing is drawn. It also measures how soon a
second run is at work.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

FIG3 = """
import sys
from pathlib import Path
from vqnp.experiments import fig3
from vqnp.experiments.plans import PointsPlan
from vqnp.experiments.run import run_all
specs = [spec for _, spec in fig3.arms(PointsPlan(seeds=(0,), epochs=2))]
run_all(specs, Path(sys.argv[1]), jobs=1, resume=False, progress=False)
"""
FIRST_EPOCH = """
from vqnp import MLPSettings, ae_then_vq, clusters, mlp_vqvae, train
train(mlp_vqvae(MLPSettings(2, 1)), clusters(2).points, ae_then_vq(0, 1))
"""


def rows(_: int, repeats: int) -> Iterator[tuple[str, dict[str, list[float]]]]:
    """Yield a case's name and its seconds."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        cache, nowhere = place / "cache", place / "a file" / "cache"
        nowhere.parent.touch()  # even an administrator cannot make a directory below a file
        cold, *warm = (seconds(FIG3, cache, directory) for _ in range(1 + repeats))
        yield "compiling for Figure 3", {"vqnp": [cold - second for second in warm]}
        yield "import vqnp", {"vqnp": [seconds("import vqnp", cache) for _ in range(repeats)]}
        epoch = [seconds(FIRST_EPOCH, cache) for _ in range(repeats)]
        yield "a second run, to the end of its first epoch", {"vqnp": epoch}
        yield "the same where no cache can be kept", {"vqnp": [seconds(FIRST_EPOCH, nowhere)]}


def seconds(script: str, cache: Path, *arguments: object) -> float:
    """Return the wall time of a new Python that runs ``script`` with Numba's cache in ``cache``."""
    locators = {
        "NUMBA_CACHE_DIR": str(cache),
        "NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator",
    }
    environment = {**os.environ, **locators}
    begun = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        check=True,
        env=environment,
        capture_output=True,
    )
    return time.perf_counter() - begun
