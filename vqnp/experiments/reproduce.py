"""From the name of a figure to its page: run what is missing, compute the claims, draw, and write everything down.

``DIR/runs`` keeps each run; ``DIR/figN.png``, ``.svg`` and ``.json`` a figure, ``DIR/claims.json`` what holds, ``DIR/run.json`` how it
came about, and ``DIR/report.html`` shows it all on one page.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from vqnp.experiments import fig2, fig3, fig5
from vqnp.experiments.claims import Claim
from vqnp.experiments.execute import execute, in_parallel, load_result
from vqnp.experiments.synthetic import Plan, Results
from vqnp.experiments.views import load_view, prepare_view
from vqnp.files import save_json, save_text, writable_directory

FIGURES: dict[str, Any] = {"fig2": fig2, "fig3": fig3, "fig5": fig5}
PACKAGES = ("vqnp", "numpy", "numba", "scipy", "scikit-learn", "matplotlib")


@dataclass(frozen=True)
class Reproduction:
    """What came of it: the claims in order, and where the page is."""

    claims: list[Claim]
    report: Path


def reproduce(
    figures: Sequence[str],
    plan: Plan,
    directory: Path,
    *,
    scale: str = "quick",
    jobs: int = 1,
    resume: bool = False,
    progress: bool = False,
) -> Reproduction:
    """Make ``figures`` by ``plan`` in ``directory``, in ``jobs`` processes; ``resume`` takes up the runs that are already there.

    The numbers do not depend on ``jobs``. Raises ``ValueError`` for an unknown figure and ``OSError`` for a directory that cannot
    be written, before anything is run.
    """
    for name in figures:
        if name not in FIGURES:
            raise ValueError(f"there is no figure {name!r}; there are {', '.join(FIGURES)}")
    begun = time.perf_counter()
    runs = writable_directory(writable_directory(directory) / "runs")
    settings = list(dict.fromkeys(setting for name in figures for setting in FIGURES[name].settings(plan)))
    for setting in settings[:: len(plan.seeds)]:
        setting.data.load(setting.seed)  # bad data are refused before the first run
    in_parallel(execute, [(setting, runs, resume) for setting in settings], jobs, progress=progress, label="runs")
    results = {setting: load_result(runs / f"{setting.slug}.npz") for setting in settings}
    if "fig3" in figures:
        first = [(*row.arms(plan, plan.seeds[0]), runs) for row in fig3.rows(plan)]
        in_parallel(prepare_view, first, jobs, progress=progress, label="t-SNE")
    claims = [claim for name in figures for claim in write_figure(name, plan, results, runs, directory)]
    save_json(directory / "claims.json", [claim.to_json() for claim in claims])
    account = account_of(figures, plan, results, scale=scale, jobs=jobs, seconds=time.perf_counter() - begun)
    save_json(directory / "run.json", account)
    report = directory / "report.html"
    from vqnp.experiments.report import page

    save_text(report, page(directory, [(name, FIGURES[name]) for name in figures], claims, account))
    return Reproduction(claims, report)


def write_figure(name: str, plan: Plan, results: Results, runs: Path, directory: Path) -> list[Claim]:
    """Write the picture of a figure and the numbers behind it, and return its claims."""
    from vqnp.plots import style

    module = FIGURES[name]
    numbers = module.numbers(plan, results)
    save_json(directory / f"{name}.json", {"title": module.TITLE, "numbers": numbers})
    style.save(DRAW[name](plan, results, runs, numbers), directory / name)
    return module.claims(plan, results)


def draw_fig2(plan: Plan, results: Results, runs: Path, numbers: list[dict[str, Any]]) -> Any:
    """Draw Figure 2 for the first seed."""
    from vqnp.plots import fig2 as plot

    setting = fig2.settings(plan)[0]
    data = setting.data.load(setting.seed)
    assert data.labels is not None
    return plot.draw(data.points, data.labels, results[setting].untrained, results[setting].at_start, numbers[0])


def draw_fig3(plan: Plan, results: Results, runs: Path, numbers: list[dict[str, Any]]) -> Any:
    """Draw Figure 3: pictures of the first seed, medians of all."""
    from vqnp.plots import fig3 as plot

    rows = []
    for row in fig3.rows(plan):
        own = [n for n in numbers if n["row"] == row.key]
        without, with_ = (medians([n for n in own if n["pretrained"] is pretrained]) for pretrained in (False, True))
        rows.append((row.name, load_view(row.arms(plan, plan.seeds[0])[0], runs), without, with_))
    return plot.draw(rows, len(plan.seeds))


def draw_fig5(plan: Plan, results: Results, runs: Path, numbers: list[dict[str, Any]]) -> Any:
    """Draw Figure 5: both encoders of the first seed, and the sweep over all seeds."""
    from vqnp.diagnostics import outside
    from vqnp.plots import fig5 as plot

    panels = []
    for hidden in (fig5.SMALL, fig5.LARGE):
        setting = fig5.encoder(plan, plan.seeds[0], hidden)
        data, result = setting.data.load(setting.seed).points, results[setting]
        panels.append((f"{hidden} hidden units", data, result, outside(result.reconstruction, data)))
    return plot.draw(panels, numbers)


DRAW = {"fig2": draw_fig2, "fig3": draw_fig3, "fig5": draw_fig5}


def medians(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the median of every number over ``rows``; ``None`` where there is none."""
    numeric = (name for name, value in rows[0].items() if not isinstance(value, str | bool))
    return {name: None if rows[0][name] is None else float(np.median([row[name] for row in rows])) for name in numeric}


def account_of(
    figures: Sequence[str], plan: Plan, results: Results, *, scale: str, jobs: int, seconds: float
) -> dict[str, Any]:
    """Return what ``run.json`` says: settings, seeds, versions, threads, wall time and the identity of all data."""
    import numba

    return {
        "figures": list(figures),
        "scale": scale,
        "plan": asdict(plan),
        "seeds": list(plan.seeds),
        "jobs": jobs,
        "threads": {"blas": 1, "numba": 1 if jobs > 1 else numba.get_num_threads()},
        "seconds": round(seconds, 1),
        "python": sys.version.split()[0],
        "versions": {name: version(name) for name in PACKAGES},
        "data": sorted({f"{r.info['data']} [{r.info['data_identity']}]" for r in results.values()}),
        "runs": {s.slug: {"seconds": round(r.info["seconds"], 2), "setting": s.to_json()} for s, r in results.items()},
    }
