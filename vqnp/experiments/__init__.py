"""The paper's figures: their runs, their numbers, the claims about them, and their pictures.

A figure is one file, such as ``fig4.py``, and one line in ``FIGURES``. Its module has ``TITLE``,
``ABOUT`` and these functions, where ``plan`` says how much is run::

    arms(plan) -> [(facts, spec), ...]    draw(plan, results, table) -> a Matplotlib figure
    claims(plan, table) -> claims         measured(spec, results) -> numbers

A table has a row for each arm, a dictionary of its facts and its numbers. Without ``measured``
these are the numbers at the end of the run. ``references(plan)`` are runs that the numbers compare
with. ``section(plan, table)`` is more HTML for the page.

Reading order: spec, plans, measure, run, claims, one figure, report, reproduce. The table of
quantizers: methods, table_plan, method_numbers, table, table_claims, table_page.
"""

from importlib import import_module
from typing import Any, Literal, NamedTuple


class Figure(NamedTuple):
    """A line of ``FIGURES``: which plan the figure takes, and whether you must ask for it.

    The plan of the table is of points and images.
    """

    plan: Literal["points", "images", "table"]
    beyond_paper: bool = False  # made only when it is named


FIGURES = {
    "fig2": Figure("points"),
    "fig3": Figure("points"),
    "fig4": Figure("images"),
    "fig4b": Figure("images", beyond_paper=True),
    "fig5": Figure("points"),
    "fig6": Figure("images"),
    "known": Figure("images", beyond_paper=True),
    "table": Figure("table", beyond_paper=True),
}


def figure_module(name: str) -> Any:
    """Return the module of a figure; it is imported now, so that ``vqnp --help`` stays fast."""
    return import_module(f"{__name__}.{name}")
