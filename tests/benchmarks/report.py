"""The measurements: one JSON file a group, a table for the terminal and one for the log.

A row is ``{"group", "case", "unit", "values", "work", "sgemm"}``. ``values`` lists every
contestant's runs in ``unit``. ``work`` counts floating-point operations; 0 means not counted.
``sgemm`` is in GFLOP/s, measured in the same run. A file holds the rows of a group and their
machine.

    python tests/benchmarks/report.py

prints what LOG.md shows of the files in ``results``.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tabulate import tabulate

OURS = "vqnp"
PLAIN = "vqnp, plain EMA"  # ours as well: what another of our quantizers is compared with
RESULTS = Path(__file__).parent / "results"
Row = dict[str, Any]
NAMES = {
    "nearest": "nearest token",
    "ema": "EMA update",
    "kmeans": "k-means",
    "conv": "convolutions",
    "step": "training step",
    "synthetic": "synthetic training",
    "quantizers": "quantizer",
    "memory": "memory (times less)",
}


def median(values: Sequence[float]) -> float:
    """Return the median."""
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def best_peer(row: Row) -> str | None:
    """Return the name of the peer with the least median, if there is a peer."""
    peers = {name: median(values) for name, values in row["values"].items()}
    peers = {name: seconds for name, seconds in peers.items() if not name.startswith(OURS)}
    return min(peers, key=lambda name: peers[name]) if peers else None


def ratio(row: Row) -> float | None:
    """Return the best peer's median over ours: above 1 we need less."""
    peer = best_peer(row)
    return median(row["values"][peer]) / median(row["values"][OURS]) if peer else None


def _times_plain(row: Row) -> float:
    """Return our median over that of the plain EMA: above 1 the method costs more."""
    return median(row["values"][OURS]) / median(row["values"][PLAIN])


def rate(row: Row) -> float | None:
    """Return our GFLOP/s, where the work is counted."""
    return 1e-9 * row["work"] / median(row["values"][OURS]) if row["work"] else None


def table(rows: list[Row]) -> str:
    """Return a table for the terminal."""
    lines = []
    for row in rows:
        reached, to_peer, scale = rate(row), ratio(row), 1 if row["unit"] == "MB" else 1000
        line = {
            "group": row["group"],
            "case": row["case"],
            "ratio": to_peer and f"{to_peer:.2f}",
            "best peer": best_peer(row),
            "GFLOP/s": reached and f"{reached:.0f}",
            "of sgemm": reached and f"{reached / row['sgemm']:.2f}",
        }
        if PLAIN in row["values"]:
            line["times plain EMA"] = f"{_times_plain(row):.2f}"
        unit = "MB" if row["unit"] == "MB" else "ms"
        medians = (f"{name} {scale * median(values):.4g}" for name, values in row["values"].items())
        lines.append(line | {"medians": f"{', '.join(medians)} {unit}"})
    return tabulate(lines, headers="keys", disable_numparse=True)


def save(directory: Path, machine: dict[str, Any], rows: list[Row]) -> None:
    """Write ``rows`` into the files of their groups.

    Rows of other cases stay there if they are of the same machine.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for group in dict.fromkeys(row["group"] for row in rows):
        path = directory / f"{group}.json"
        old = (
            json.loads(path.read_text(encoding="utf-8"))
            if path.exists()
            else {"machine": None, "rows": []}
        )
        kept = {row["case"]: row for row in old["rows"]} if old["machine"] == machine else {}
        kept |= {row["case"]: row for row in rows if row["group"] == group}
        content = {"machine": machine, "rows": list(kept.values())}
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def load(directory: Path = RESULTS) -> tuple[dict[str, Any], list[Row]]:
    """Return the machine and all rows in ``directory``.

    Raises ``ValueError`` when they are of several machines.
    """
    files = [
        json.loads(path.read_text(encoding="utf-8")) for path in sorted(directory.glob("*.json"))
    ]
    machines = [file["machine"] for file in files]
    if not machines or any(machine != machines[0] for machine in machines):
        raise ValueError(
            f"{directory} must hold results of one machine, with the same threads and versions"
        )
    return machines[0], sorted((row for file in files for row in file["rows"]), key=place)


def place(row: Row) -> tuple[int, list[int]]:
    """Return where a row belongs.

    Groups come in the order of ``NAMES``, the cells of a grid by size, the rest as measured.
    """
    grid = row["group"] in ("nearest", "ema")
    sizes = (
        [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*\d|\d", row["case"])]
        if grid
        else []
    )
    return [*NAMES, "start"].index(row["group"]), sizes


def summary(machine: dict[str, Any], rows: list[Row]) -> str:
    """Return what LOG.md shows: the machine, a table of ratios, and one of the start."""
    lines = []
    for name, several in gathered(rows).items():
        ratios = [ratio(row) for row in several]
        peers = [best_peer(row) for row in several]
        shares = [rate(row) / row["sgemm"] for row in several if row["work"]]
        span = f" ({min(ratios):.2f} to {max(ratios):.2f})" if several[1:] else ""
        often = dict.fromkeys(sorted(peers, key=peers.count, reverse=True))
        lines.append(
            {
                "work": name,
                "times faster": f"{median(ratios):.2f}{span}",
                "than, at its best": ", ".join(often),
                "of sgemm": f"{median(shares):.2f}" if shares else "",
            }
        )
    start = [
        {"start": row["case"], "seconds": f"{median(row['values'][OURS]):.2g}"}
        for row in rows
        if row["group"] == "start"
    ]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    counts = f"{machine['cores']} cores, {machine['threads']} threads"
    where = f"{machine['processor']}, {counts}, {machine['system']}"
    tables = (
        tabulate(part, headers="keys", tablefmt="pipe", disable_numparse=True)
        for part in (lines, start)
        if part
    )
    return "\n\n".join([f"Measured on: {where}; Python {machine['python']}, {versions}.", *tables])


def gathered(rows: list[Row]) -> dict[str, list[Row]]:
    """Return the rows that have peers, by the line of LOG.md that they share."""
    lines: dict[str, list[Row]] = {}
    for row in rows:
        if best_peer(row):
            lines.setdefault(line_of(row), []).append(row)
    return lines


def line_of(row: Row) -> str:
    """Return the name of a row's line.

    A grid has one for each N and K, the convolutions one for each direction.
    """
    match row["group"]:
        case "nearest" | "ema":
            return f"{NAMES[row['group']]}, {row['case'].rpartition(', ')[0]}"
        case "conv":
            return f"{NAMES['conv']}, {row['case'].rpartition(', ')[2]}"
        case group:
            return f"{NAMES[group]}, {row['case']}"


if __name__ == "__main__":
    print(summary(*load()))
