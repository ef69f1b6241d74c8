"""Adding a figure takes one file and one line: a figure made up here is offered, run and shown."""

import json
import sys
from types import ModuleType

import pytest

from vqnp import cli
from vqnp.experiments import FIGURES, Figure, figure_module
from vqnp.experiments.claims import Claim
from vqnp.experiments.reproduce import reproduce
from vqnp.experiments.table_plan import TablePlan
from vqnp.plots import style


@pytest.fixture
def fig7(monkeypatch):
    """The file of a figure, and its line."""
    module = ModuleType("vqnp.experiments.fig7")
    module.TITLE, module.ABOUT = "A made-up figure", "It compares nothing."
    module.arms = lambda plan: [({}, plan.run(plan.clusters(2), (2, 1), 0, pretrained=True))]
    module.claims = lambda plan, table: [
        Claim(
            id="fig7-some",
            figure="fig7",
            statement="Some tokens are used.",
            source="beyond the paper",
            measured="perplexity",
            values=[table[0]["perplexity"]],
            bound=(">=", 1),
            because="1 is one token",
            seeds=(0,),
        )
    ]
    module.draw = lambda plan, results, table: style.new_figure(1, 1, 2, 2)[0]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(FIGURES, "fig7", Figure("points", beyond_paper=True))
    return module


def test_a_new_figure_is_offered(fig7, capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main(["reproduce", "--help"])
    assert "Beyond the paper: fig4b, known, table, fig7" in " ".join(
        capsys.readouterr().out.split()
    )


def test_a_new_figure_is_made(fig7, plan, tmp_path):
    made = reproduce(["fig7"], tmp_path, points=plan)
    assert [claim.holds for claim in made.claims] == [True]
    assert json.loads((tmp_path / "fig7.json").read_text())["numbers"][0]["perplexity"] >= 1
    page = made.report.read_text()
    assert "Figure 7: A made-up figure" in page
    assert "It compares nothing." in page


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_has_its_parts(name, plan, image_plan):
    module = figure_module(name)
    assert module.TITLE
    assert module.ABOUT
    plans = {"points": plan, "images": image_plan, "table": TablePlan(plan, image_plan)}
    assert module.arms(plans[FIGURES[name].plan])
    for part in ("claims", "draw"):
        assert callable(getattr(module, part))
