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

from vqnp.experiments import fig2, fig3, fig4, fig4b, fig5, fig6
from vqnp.experiments.claims import Claim
from vqnp.experiments.image_run import ImageResult, execute_images, load_image_result, pretrain
from vqnp.experiments.image_setting import ImageSetting
from vqnp.experiments.images import ImagePlan, ImageResults
from vqnp.experiments.plans import Plan, Results
from vqnp.experiments.run import Result, execute, in_parallel, load_result
from vqnp.experiments.spec import Setting
from vqnp.experiments.views import load_view, prepare_view
from vqnp.files import save_json, save_text, writable_directory

FIGURES: dict[str, Any] = {
    "fig2": fig2,
    "fig3": fig3,
    "fig4": fig4,
    "fig4b": fig4b,
    "fig5": fig5,
    "fig6": fig6,
}
ON_IMAGES = ("fig4", "fig4b", "fig6")
PLACES = 64  # embeddings of an image of 32 × 32 pixels
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
    images: ImagePlan | None = None,
    scale: str = "quick",
    jobs: int = 1,
    resume: bool = False,
    progress: bool = False,
) -> Reproduction:
    """Make ``figures`` in ``directory`` by ``plan``, those on images by ``images``, in ``jobs`` processes; ``resume`` takes up the
    runs that are already there.

    The numbers do not depend on ``jobs``. Raises ``ValueError`` for an unknown figure, ``OSError`` for a directory that cannot
    be written, and as the data's loaders do, before anything is run.
    """
    for name in figures:
        if name not in FIGURES:
            raise ValueError(f"there is no figure {name!r}; there are {', '.join(FIGURES)}")
    begun = time.perf_counter()
    images = images or ImagePlan()
    plans: dict[str, Any] = {name: images if name in ON_IMAGES else plan for name in figures}
    runs = writable_directory(writable_directory(directory) / "runs")
    settings = list(
        dict.fromkeys(
            setting for name in figures for setting in FIGURES[name].settings(plans[name])
        )
    )
    results: dict[Any, Any] = run_synthetic(settings, plan, runs, jobs, resume, progress)
    results |= run_on_images(settings, runs, jobs, resume, progress)
    if "fig3" in figures:
        first = [(*row.arms(plan, plan.seeds[0]), runs) for row in fig3.rows(plan)]
        in_parallel(prepare_view, first, jobs, progress=progress, label="t-SNE")
    claims = [
        claim
        for name in figures
        for claim in write_figure(name, plans[name], results, runs, directory)
    ]
    save_json(directory / "claims.json", [claim.to_json() for claim in claims])
    account = account_of(
        figures, plan, images, results, scale=scale, jobs=jobs, seconds=time.perf_counter() - begun
    )
    save_json(directory / "run.json", account)
    report = directory / "report.html"
    from vqnp.experiments.report import page

    save_text(report, page(directory, [(name, FIGURES[name]) for name in figures], claims, account))
    return Reproduction(claims, report)


def run_synthetic(
    settings: Sequence[Any], plan: Plan, runs: Path, jobs: int, resume: bool, progress: bool
) -> dict[Setting, Result]:
    """Run those of ``settings`` that are on points, and return their results."""
    own = [setting for setting in settings if isinstance(setting, Setting)]
    for setting in own[:: len(plan.seeds)]:
        setting.data.load(setting.seed)  # bad data are refused before the first run
    in_parallel(
        execute, [(setting, runs, resume) for setting in own], jobs, progress=progress, label="runs"
    )
    return {setting: load_result(runs / f"{setting.slug}.npz") for setting in own}


def run_on_images(
    settings: Sequence[Any], runs: Path, jobs: int, resume: bool, progress: bool
) -> dict[ImageSetting, ImageResult]:
    """Run those of ``settings`` that are on images, what they share first, and return their results."""
    own = [setting for setting in settings if isinstance(setting, ImageSetting)]
    for source in {setting.data for setting in own}:
        source.load()
    shared = dict.fromkeys(
        setting.pretraining for setting in own if setting.pretraining is not None
    )
    in_parallel(
        pretrain,
        [(run, runs, resume) for run in shared],
        jobs,
        progress=progress,
        label="pretraining",
    )
    longest_first = sorted(own, key=lambda setting: -setting.quantizer.n_tokens * setting.finetune)
    tasks = [(setting, runs, resume) for setting in longest_first]
    in_parallel(execute_images, tasks, jobs, progress=progress, label="runs on images")
    return {setting: load_image_result(runs / f"{setting.slug}.npz") for setting in own}


def write_figure(name: str, plan: Any, results: Any, runs: Path, directory: Path) -> list[Claim]:
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
    return plot.draw(
        data.points, data.labels, results[setting].untrained, results[setting].at_start, numbers[0]
    )


def draw_fig3(plan: Plan, results: Results, runs: Path, numbers: list[dict[str, Any]]) -> Any:
    """Draw Figure 3: pictures of the first seed, medians of all."""
    from vqnp.plots import fig3 as plot

    rows = []
    for row in fig3.rows(plan):
        own = [n for n in numbers if n["row"] == row.key]
        without, with_ = (
            medians([n for n in own if n["pretrained"] is pretrained])
            for pretrained in (False, True)
        )
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
        panels.append(
            (f"{hidden} hidden units", data, result, outside(result.reconstruction, data))
        )
    return plot.draw(panels, numbers)


def draw_fig4(
    plan: ImagePlan, results: ImageResults, runs: Path, numbers: list[dict[str, Any]]
) -> Any:
    """Draw Figure 4: the numbers of all runs, the reconstructions of the first seed."""
    from vqnp.plots import fig4 as plot

    arms = {
        f"{tokens:,} tokens, {name} pretraining": results[setting]
        for tokens in plan.ends
        for name, setting in zip(
            ("without", "with"), fig4.arms(plan, tokens, plan.seeds[0]), strict=True
        )
    }
    return plot.draw(numbers, originals_above(arms), plan.sample * PLACES)


def draw_fig4b(
    plan: ImagePlan, results: ImageResults, runs: Path, numbers: list[dict[str, Any]]
) -> Any:
    """Draw Figure 4b."""
    from vqnp.plots import fig4b as plot

    return plot.draw(numbers)


def draw_fig6(
    plan: ImagePlan, results: ImageResults, runs: Path, numbers: list[dict[str, Any]]
) -> Any:
    """Draw Figure 6: the numbers of all runs, the reconstructions of the first seed."""
    from vqnp.plots import fig6 as plot

    encoders = {
        f"{channels} channels": results[fig6.first(plan, channels)] for channels in plan.channels
    }
    return plot.draw(numbers, originals_above(encoders), plan.width)


def originals_above(results: dict[str, ImageResult]) -> list[tuple[str, Any]]:
    """Return rows of images: the originals, then what each of ``results`` makes of them."""
    originals = next(iter(results.values())).originals
    return [("original", originals)] + [
        (name, result.reconstructions) for name, result in results.items()
    ]


DRAW: dict[str, Any] = {
    "fig2": draw_fig2, "fig3": draw_fig3, "fig4": draw_fig4, "fig4b": draw_fig4b, "fig5": draw_fig5, "fig6": draw_fig6
}  # fmt: skip


def medians(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the median of every number over ``rows``; ``None`` where there is none."""
    numeric = (name for name, value in rows[0].items() if not isinstance(value, str | bool))
    return {
        name: None if rows[0][name] is None else float(np.median([row[name] for row in rows]))
        for name in numeric
    }


def account_of(
    figures: Sequence[str],
    plan: Plan,
    images: ImagePlan,
    results: dict[Any, Any],
    *,
    scale: str,
    jobs: int,
    seconds: float,
) -> dict[str, Any]:
    """Return what ``run.json`` says: settings, seeds, versions, threads, wall time and the identity of all data."""
    import numba

    data = {setting: result.info["data"] for setting, result in results.items()}
    of_images = [name for setting, name in data.items() if isinstance(setting, ImageSetting)]
    return {
        "figures": list(figures),
        "scale": scale,
        "plan": asdict(plan),
        "images": images.to_json() if of_images else None,
        "notes": {name: images.describe(of_images[0]) for name in figures if name in ON_IMAGES},
        "seeds": list(plan.seeds),
        "jobs": jobs,
        "threads": {"blas": 1, "numba": 1 if jobs > 1 else numba.get_num_threads()},
        "seconds": round(seconds, 1),
        "python": sys.version.split()[0],
        "versions": {name: version(name) for name in PACKAGES},
        "data": sorted({f"{data[s]} [{r.info['data_identity']}]" for s, r in results.items()}),
        "runs": {
            s.slug: {"seconds": round(r.info["seconds"], 2), "setting": s.to_json()}
            for s, r in results.items()
        },
    }
