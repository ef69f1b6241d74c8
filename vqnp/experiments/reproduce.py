"""From the name of a figure to its page: run the specs, compute the claims, draw, write all down.

``DIR/runs`` keeps each run; ``DIR/figN.png``, ``.svg`` and ``.json`` are a figure. All claims are
in ``DIR/claims.json``, and the settings are in ``DIR/run.json``. ``DIR/report.html`` shows it all.
"""

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from vqnp.experiments import FIGURES, figure_module
from vqnp.experiments.claims import Claim
from vqnp.experiments.machine import machine
from vqnp.experiments.plans import ImagesPlan, PointsPlan
from vqnp.experiments.report import page
from vqnp.experiments.run import Result, Spec, run_all
from vqnp.experiments.table_plan import TablePlan
from vqnp.files import as_json, save_json, save_text, writable_directory
from vqnp.plots import style

PACKAGES = ("vqnp", "numpy", "numba", "scipy", "scikit-learn", "matplotlib")


@dataclass(frozen=True)
class Reproduction:
    """The claims in order, and where the page is."""

    claims: list[Claim]
    report: Path


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
    runs = writable_directory(writable_directory(directory) / "runs")
    specs = dict.fromkeys(spec for module, plan in made.values() for spec in needed(module, plan))
    results = run_all(list(specs), runs, jobs=jobs, resume=resume, progress=progress)
    claims, sections = [], {}
    for name, (module, plan) in made.items():
        measured = getattr(module, "measured", lambda spec, results: results[spec].numbers)
        rows = [facts | measured(spec, results) for facts, spec in module.arms(plan)]
        save_json(directory / f"{name}.json", {"title": module.TITLE, "numbers": rows})
        style.save(module.draw(plan, results, rows), directory / name)
        claims += module.claims(plan, rows)
        if hasattr(module, "section"):
            sections[name] = module.section(plan, rows)
    save_json(directory / "claims.json", [claim.to_json() for claim in claims])
    record = {
        "figures": list(figures),
        "scale": scale,
        "jobs": jobs,
        "seconds": round(time.perf_counter() - begun, 1),
        **provenance(figures, plans, results, jobs),
    }
    save_json(directory / "run.json", record)
    report = directory / "report.html"
    save_text(report, page(directory, figures, claims, record, sections))
    return Reproduction(claims, report)


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
        "machine": machine(),
        "python": sys.version.split()[0],
        "versions": {name: version(name) for name in PACKAGES},
        "data": sorted({f"{used[s]} [{r.info['data_identity']}]" for s, r in results.items()}),
        "runs": {
            spec.slug: {"seconds": round(result.info["seconds"], 2), "setting": spec.to_json()}
            for spec, result in results.items()
        },
    }
