"""Make the golden cases anew.

python tests/testing/make_golden.py --check        compare them with the stored ones
python tests/testing/make_golden.py --write        store them
"""

import argparse
import hashlib
import json
import sys

import numpy as np

import vqnp
import vqnp.testing  # enters the checks
from vqnp.files import save_arrays, save_json
from vqnp.testing import golden
from vqnp.testing.check import CHECKS
from vqnp.testing.golden import DIRECTORY, Case

# The seed of each group, in the order of the manifest.
SEEDS = {
    "nearest": 1, "ema": 2, "ema_start": 5, "ema_mask": 3, "ema_unused": 4, "revival": 6,
    "quantizer_step": 7, "quantizer_step_faint": 18, "kmeans": 8, "straight_through": 11,
    "commitment": 10, "conv2d": 12, "conv_transpose2d": 13, "residual": 14, "optimizer": 15,
    "perplexity": 9, "training": 16, "fsq": 19, "lfq": 20, "residual_quantizer": 21, "product": 22,
    "cosine": 23, "rotation": 24, "simvq": 25,
}  # fmt: skip
# The same float64 formulas on another machine: its exp, its BLAS and its sums in another order,
# through ten steps of training.
REMADE = 1e-10


def made():
    """Yield each group with its cases and the function that draws them."""
    entries = {entry.function: entry for entry in CHECKS.values()}.values()
    assert {group for entry in entries for group in entry.draws} == set(SEEDS)
    for group, seed in SEEDS.items():
        own = [entry for entry in entries if group in entry.draws]
        cases = tuple(
            Case(c.name, c.inputs, c.outputs, json.loads(json.dumps(c.settings)))
            for entry in own
            for c in entry.drawn(group, seed)
        )
        draw = own[0].draws[group]
        yield group, cases, f"{draw.__module__}.{draw.__name__}({seed})"


def write(directory=DIRECTORY):
    """Store every case in ``directory``, with a manifest."""
    files = {}
    for group, cases, by in made():
        path = directory / f"{group}.npz"
        save_arrays(path, {key: array for case in cases for key, array in arrays(case).items()})
        files[path.name] = {
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "made_by": f"{by}, in float64 from vqnp's own definitions",
            "cases": {case.name: case.settings for case in cases},
        }
    versions = {"vqnp": vqnp.__version__, "numpy": np.__version__}
    command = "python tests/testing/make_golden.py --write"
    save_json(
        directory / "manifest.json",
        {"format": 1, "command": command, "versions": versions, "files": files},
    )


def differences():
    """Return what differs from the stored cases, one line an array."""
    return [line for group, cases, _ in made() for line in group_differences(group, cases)]


def group_differences(group, cases):
    stored = golden.cases(group)
    if [(c.name, c.settings) for c in cases] != [(c.name, c.settings) for c in stored]:
        yield f"{group}: other cases or settings than those stored"
        return
    for new, old in zip(cases, stored, strict=True):
        fresh, kept = arrays(new), arrays(old)
        for key in sorted(fresh.keys() | kept.keys()):
            if key not in fresh or key not in kept or not equal(fresh[key], kept[key]):
                yield f"{group}: {key} differs from what is stored"


def equal(new, old):
    if new.shape != old.shape or new.dtype != old.dtype:
        return False
    if new.dtype.kind != "f":
        return np.array_equal(new, old)
    return bool(np.all(np.abs(new - old) <= REMADE * np.abs(old).max(initial=0)))


def arrays(case):
    parts = {"inputs": case.inputs, "outputs": case.outputs}
    return {
        f"{case.name}/{part}/{name}": array
        for part, named in parts.items()
        for name, array in named.items()
    }


def main(arguments=None):
    """Return 1 when a case differs."""
    parser = argparse.ArgumentParser(description="Make the golden cases anew.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--check", action="store_true", help="and compare them with those stored")
    what.add_argument("--write", action="store_true", help="and store them")
    if parser.parse_args(arguments).write:
        write()
        return 0
    found = differences()
    print("\n".join(found) or f"all cases of {len(SEEDS)} groups are what they were")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
