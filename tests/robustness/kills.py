"""A training killed at any moment, resumed, gives the bits of one that was never stopped.

``python tests/robustness/kills.py --tries 100`` starts a training that saves after every step, and
kills it with SIGKILL again and again until it has come to its end. Most of its time goes into
saving, so many kills hit a half-written file. The model at the end must have the expected bits,
every checkpoint on the way must be whole, and nothing half-written may be left.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TRAINING = """
import sys
import time
from pathlib import Path
import numpy as np
import vqnp

folder = Path(sys.argv[1])
model = vqnp.mlp_vqvae(vqnp.MLPSettings(2, 2, 512, 512), vqnp.EMA(16), rng=0)
data = np.random.default_rng(0).standard_normal((96, 2)).astype(np.float32)
print("ready", flush=True)
vqnp.train(
    model, data, vqnp.ae_then_vq(6, 6), vqnp.TrainSettings(32), rng=0,
    checkpoint=folder / "run.npz", checkpoint_seconds=0, resume=True,
)
model.save(folder / "model.npz")
"""  # 36 steps


def start(folder: Path) -> subprocess.Popen:
    """Start or resume the training; return when it is about to train."""
    command = [sys.executable, "-c", TRAINING, str(folder)]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    with run.stdout:
        assert run.stdout.readline() == "ready\n"
    return run


def never_stopped() -> tuple[bytes, float]:
    """Return the model of a run that was let alone, and the seconds it took."""
    with tempfile.TemporaryDirectory() as name:
        run, begun = start(Path(name)), time.perf_counter()
        assert run.wait() == 0
        return (Path(name) / "model.npz").read_bytes(), time.perf_counter() - begun


def killed(expected: bytes, seconds: float, seed: int) -> dict[str, int]:
    """Kill a run until it ends; return how often, and how often amid a file."""
    rng = random.Random(seed)
    counts = {"kills": 0, "amid a file": 0}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        while True:
            run = start(folder)
            try:
                assert run.wait(seconds * rng.uniform(0.1, 0.6)) == 0
                break
            except subprocess.TimeoutExpired:
                run.kill()
                run.wait()
            counts["kills"] += 1
            counts["amid a file"] += any(folder.glob(".*.part"))
            time.sleep(2)  # the age from which an unlocked file counts as left
        assert (folder / "model.npz").read_bytes() == expected, f"other bits, seed {seed}"
        assert {path.name for path in folder.iterdir()} == {"model.npz", "run.npz"}
    return counts


def main() -> None:
    """Try ``--tries`` runs and print how often they were killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tries", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    expected, seconds = never_stopped()
    total = {"kills": 0, "amid a file": 0}
    for i in range(given.tries):
        for what, number in killed(expected, seconds, given.seed + i).items():
            total[what] += number
        print(i + 1, total, flush=True)


if __name__ == "__main__":
    main()
