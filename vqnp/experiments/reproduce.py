"""From the name of a figure to its page: run the specs, compute the claims, draw, write all down.

``DIR/runs`` keeps each run; ``DIR/figN.png``, ``.svg`` and ``.json`` are a figure. All claims are
in ``DIR/claims.json``, and the settings are in ``DIR/run.json``. ``DIR/report.html`` shows it all.

A figure that was in ``DIR`` before, and is not made again, stays in all of them. ``run.json`` is
the record of the last command. Its entry ``earlier`` has the records of the commands that made the
figures kept.
"""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vqnp.experiments import FIGURES, figure_module
from vqnp.experiments.claims import Claim
from vqnp.experiments.plans import ImagesPlan, PointsPlan
from vqnp.experiments.report import page
from vqnp.experiments.run import Result, Spec, made_elsewhere, require_data, run_all
from vqnp.experiments.table_plan import TablePlan
from vqnp.files import as_json, named, save_json, save_text, writable_directory
from vqnp.machine import environment, in_words, machine
from vqnp.plots import style
from vqnp.validation import require_instance


@dataclass(frozen=True)
class Reproduction:
    """The claims in order, where the page is, and the figures that it keeps from before."""

    claims: list[Claim]
    report: Path
    kept: list[str]


def reproduce(
    figures: Sequence[str],
    directory: Path,
    *,
    points: PointsPlan | None = None,
    images: ImagesPlan | None = None,
    table: TablePlan | None = None,
    scale: str = "quick",
    jobs: int = 1,
    resume: bool = False,
    progress: bool = False,
) -> Reproduction:
    """Make ``figures`` in ``directory``, each by the plan it takes, in ``jobs`` processes.

    The numbers do not depend on ``jobs``. ``resume`` keeps the runs that are already there, and
    ``scale`` is the plans' name in the report. Raises ``ValueError`` for an unknown figure,
    ``OSError`` for a directory that cannot be written, and as the data's loaders do, all before
    the first run.
    """
    for name in figures:
        if name not in FIGURES:
            raise ValueError(f"figures must be among {', '.join(FIGURES)}; got {name!r}")
    begun = time.perf_counter()
    points, images = points or PointsPlan(), images or ImagesPlan()
    table = table or TablePlan(points, images)
    plans: dict[str, Any] = {"points": points, "images": images, "table": table}
    made = {name: (figure_module(name), plans[FIGURES[name].plan]) for name in figures}
    specs = {name: needed(module, plan) for name, (module, plan) in made.items()}
    every = list(dict.fromkeys(spec for name in figures for spec in specs[name]))
    require_data(every)
    runs = writable_directory(writable_directory(directory) / "runs")
    made_before(directory, figures)  # what cannot be kept is refused now
    on_images = [s for name in figures if FIGURES[name].plan != "points" for s in specs[name]]
    elsewhere = made_elsewhere(on_images, runs) if resume else []
    if elsewhere and progress:
        print(said_of(elsewhere), file=sys.stderr)
    results = run_all(every, runs, jobs=jobs, resume=resume, progress=progress)
    claims = []
    for name, (module, plan) in made.items():
        measured = getattr(module, "measured", lambda spec, results: results[spec].numbers)
        rows = [facts | measured(spec, results) for facts, spec in module.arms(plan)]
        save_json(directory / f"{name}.json", {"title": module.TITLE, "numbers": rows})
        style.save(module.draw(plan, results, rows), directory / name)
        claims += module.claims(plan, rows)
        if hasattr(module, "section"):
            save_text(directory / f"{name}.html", module.section(plan, rows))
    record = {
        "figures": list(figures),
        "scale": scale,
        "jobs": jobs,
        "seconds": round(time.perf_counter() - begun, 1),
        **provenance(figures, plans, results, jobs),
        "elsewhere": elsewhere,
    }
    kept, records = made_before(directory, figures)
    shown = in_order(claims + kept)
    save_json(directory / "claims.json", [claim.to_json() for claim in shown])
    save_json(directory / "run.json", {**record, "earlier": records})
    report = directory / "report.html"
    save_text(report, page(directory, shown, [record, *records]))
    return Reproduction(claims, report, [name for old in records for name in old["figures"]])


def made_before(directory: Path, figures: Sequence[str]) -> tuple[list[Claim], list[dict]]:
    """Return the claims and records of what is in ``directory`` beside ``figures``.

    A figure without its picture is left out, and so is a record without a figure. Raises
    ``ValueError`` naming a file that cannot be read.
    """
    account, statements = directory / "run.json", directory / "claims.json"
    if not (account.exists() and statements.exists()):
        return [], []
    with named(account, "is no record of vqnp, move it away"):
        record = json.loads(account.read_text(encoding="utf-8"))
        records = [record, *record.pop("earlier", [])]
        for one in records:
            names = [name for name in one["figures"] if name in FIGURES and name not in figures]
            one["figures"] = [name for name in names if (directory / f"{name}.png").exists()]
    with named(statements, "does not hold the claims of vqnp, move it away"):
        entries = require_instance(json.loads(statements.read_text("utf-8")), list, "claims")
        claims = [Claim.from_json(entry) for entry in entries]
    records = [one for one in records if one["figures"]]
    kept = {name for one in records for name in one["figures"]}
    return [claim for claim in claims if claim.figure in kept], records


def in_order(claims: Sequence[Claim]) -> list[Claim]:
    """Return ``claims`` by their figures, as these stand in ``FIGURES``."""
    return sorted(claims, key=lambda claim: list(FIGURES).index(claim.figure))


def said_of(elsewhere: Sequence[str]) -> str:
    """Say which other machines the runs on images come from."""
    return (
        f"Runs on images in this folder were made on {' and '.join(elsewhere)}; this machine is "
        f"{in_words(machine())}: their bits may differ."
    )


def needed(module: Any, plan: Any) -> list[Spec]:
    """Return the runs of a figure: its arms, and what it compares them with."""
    references: Any = getattr(module, "references", lambda plan: [])
    return [*(spec for _, spec in module.arms(plan)), *references(plan)]


def provenance(
    figures: Sequence[str],
    plans: Mapping[str, Any],
    results: Mapping[Spec, Result],
    jobs: int,
) -> dict[str, Any]:
    """Return the settings, seeds, versions, threads and the identity of all data."""
    import numba

    on_images = [name for name in figures if FIGURES[name].plan != "points"]
    used = {spec: result.info["data"] for spec, result in results.items()}
    shown = [name for spec, name in used.items() if spec.data == plans["images"].data]
    return {
        "points": as_json(plans["points"]),
        "images": as_json(plans["images"]) if on_images else None,
        "notes": {name: plans[FIGURES[name].plan].describe(shown[0]) for name in on_images},
        "seeds": list(plans["points"].seeds),
        "threads": {"blas": 1, "numba": 1 if jobs > 1 else numba.get_num_threads()},
        **environment(),
        "data": sorted({f"{used[s]} [{r.info['data_identity']}]" for s, r in results.items()}),
        "runs": {
            spec.slug: {"seconds": round(result.info["seconds"], 2), "setting": spec.to_json()}
            for spec, result in results.items()
        },
    }
