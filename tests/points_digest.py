"""Digests of a reproduction of the figures on points: ``python tests/points_digest.py [whole]``.

Prints JSON: for each figure the SHA-256 of its numbers and claims, and one of all arrays of the
runs. Times and versions are left out. ``whole`` is the paper's size with three seeds; otherwise the
reproduction is small.
"""

import json
import sys
import tempfile
import warnings
from hashlib import sha256
from pathlib import Path

import numpy as np

FIGURES = ("fig2", "fig3", "fig5")
LEFT_OUT = ("seconds", "format", "sha256")  # the last two belong to the file


def digests(whole: bool) -> dict[str, str]:
    """Reproduce the figures on points in a temporary folder, and return their digests."""
    from vqnp.experiments.plans import PointsPlan
    from vqnp.experiments.reproduce import reproduce

    small = PointsPlan(seeds=(0,), epochs=2, per_class=60, n_tokens=16, widths=(2, 32))
    with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reproduce(FIGURES, Path(place), points=PointsPlan() if whole else small)
        return digests_of(Path(place))


def digests_of(directory: Path) -> dict[str, str]:
    """Return the digests of what ``vqnp reproduce`` wrote into ``directory``."""
    from vqnp.experiments.run import FORMAT
    from vqnp.files import load_with_meta

    found = {
        name: digest((directory / f"{name}.json").read_bytes()) for name in (*FIGURES, "claims")
    }
    for path in sorted((directory / "runs").glob("*.npz")):
        arrays, info = load_with_meta(path, FORMAT)
        info = {name: value for name, value in info.items() if name not in LEFT_OUT}
        parts = [np.ascontiguousarray(arrays[name]).tobytes() for name in sorted(arrays)]
        found[path.stem] = digest(json.dumps(info).encode(), *parts)
    return found


def digest(*parts: bytes) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of all parts."""
    total = sha256()
    for part in parts:
        total.update(part)
    return total.hexdigest()[:16]


if __name__ == "__main__":
    print(json.dumps(digests("whole" in sys.argv[1:]), indent=1))
