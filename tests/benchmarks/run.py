"""Time vqnp against its peers, taking turns in one process with the same number of threads.

    python tests/benchmarks/run.py [GROUP ...] [--match TEXT] [--repeats N] [--threads N]
                                   [--out DIR]

This prints medians, ratios, GFLOP/s and their share of this machine's float32 matrix product. A
ratio is the best peer's median over ours, so above 1 we are faster. With --out, DIR/GROUP.json
holds every run and DIR/benchmarks.png shows all that is in DIR.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import joblib

sys.path[0] = str(Path(__file__).parents[1])

from benchmarks import (
    conv,
    ema,
    kmeans,
    machine,
    memory,
    nearest,
    picture,
    quantizers,
    report,
    start,
    step,
    synthetic,
)
from benchmarks.timing import alternate, pools

TIMED = {
    "nearest": nearest,
    "ema": ema,
    "kmeans": kmeans,
    "conv": conv,
    "step": step,
    "synthetic": synthetic,
    "quantizers": quantizers,
}
PROCESSES = {"memory": memory, "start": start}  # what is measured from outside
GROUPS = [*TIMED, *PROCESSES]


def main() -> None:
    """Measure what is asked for, print it, and keep it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "groups", nargs="*", metavar="GROUP", help=f"which: {', '.join(GROUPS)} (none means all)"
    )
    parser.add_argument(
        "--match", default="", metavar="TEXT", help="only the cases with TEXT in their names"
    )
    parser.add_argument(
        "--repeats", type=int, default=7, help="rounds at most; long cases have fewer (default 7)"
    )
    parser.add_argument("--threads", type=int, default=joblib.cpu_count(only_physical_cores=True))
    parser.add_argument("--out", type=Path, metavar="DIR")
    parser.add_argument(
        "--tiny", action="store_true", help="sizes that try the harness and measure nothing"
    )
    options = parser.parse_args()
    if unknown := set(options.groups) - set(GROUPS):
        parser.error(
            f"there is no group {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}"
        )
    rows = []
    for group in options.groups or GROUPS:
        for row in measure(group, options):
            print(report.table([row]).splitlines()[-1], flush=True)
            rows.append(row)
            if options.out:
                report.save(options.out, machine.describe(options.threads), [row])
    print(f"\n{machine.describe(options.threads)}\n{report.table(rows)}")
    if options.out:
        picture.save(options.out)


def measure(group: str, options: argparse.Namespace) -> Iterator[report.Row]:
    """Yield the rows of ``group``, one after the other as they are measured."""
    if group in PROCESSES:
        module, unit = PROCESSES[group], "MB" if group == "memory" else "s"
        for name, values in module.rows(options.threads, options.repeats):
            yield {
                "group": group,
                "case": name,
                "unit": unit,
                "values": values,
                "work": 0,
                "sgemm": 0,
            }
        return
    with pools("peers", options.threads):  # some of them try what is fastest when a case is made
        reached = machine.sgemm(options.threads)
        for case in TIMED[group].cases(tiny=options.tiny):
            if options.match in case.name:
                row = {
                    "group": group,
                    "case": case.name,
                    "unit": "s",
                    "work": case.work,
                    "sgemm": reached,
                }
                yield row | {"values": alternate(case, options.threads, options.repeats)}


if __name__ == "__main__":
    main()
