"""What the README shows is run from the README; its numbers are those of kept results."""

import json
import operator
import re
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RESULTS = ROOT / "notebooks" / "results"
INDEX = r'\| <img src="(.*)" width="220" alt="(.+)"> \| \[(.*)\]\((.*)\) \| \S'

# Each row of the table of results, and the claim of the kept runs that it states
CLAIMS = {
    "An untrained encoder squeezes the data.": "fig2-range",
    "8 → 4: without pretraining, perplexity stays below half of the tokens.": "fig3-8to4-problem",
    "2 → 1: it stays below half.": "fig3-2to1-problem",
    "8 → 4: pretraining multiplies perplexity by 8.6 to 11.8.": "fig3-8to4-uniform",
    "8 → 4: pretraining lowers the error.": "fig3-8to4-mse",
    "3 → 1: pretraining lowers the error.": "fig3-3to1-mse",
    "Handwritten digits: pretraining raises perplexity.": "fig3-digits-uniform",
    "A small encoder multiplies the error by 2.0 to 2.2.": "fig5-mse",
    "Its reconstructions fall outside the data.": "fig5-reconstruction-outside",
    "One more layer of its width mends it.": "fig5-layer-narrow",
    "With 16,384 tokens, pretraining multiplies perplexity by 68 to 145.": "fig4-large-perplexity",
    "With 64 tokens, pretraining is a slight disadvantage.": "fig4-small-mse",
    "An encoder of 2 channels multiplies the error of 64 by 2.6.": "fig6-mse",
}


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def cells(line):
    """Split a line of the printed table where two columns part."""
    return re.split(r" {2,}", line.strip())


def perplexities(table):
    return next(cells(line)[1:] for line in table.splitlines() if line.startswith("perplexity"))


@pytest.mark.jit
def test_the_first_example_prints_what_the_readme_shows(capsys):
    exec(blocks("python")[0], {})
    printed, shown = capsys.readouterr().out.splitlines(), blocks("text")[0].splitlines()
    assert len(printed) == len(shown)
    for ours, theirs in zip(map(cells, printed), map(cells, shown), strict=True):
        assert len(ours) == len(theirs)
        for mine, other in zip(ours, theirs, strict=True):
            if re.fullmatch(r"[\d.]+", other):
                # Processors round differently, and 8,000 steps carry a difference far.
                tolerance = 0.2 if ours[0] == "perplexity" else 0.5
                assert float(mine) == pytest.approx(float(other), rel=tolerance, abs=0.1), ours
            elif not other.startswith("---"):
                assert mine == other


def test_picture_and_caption_are_of_the_example():
    before, after = perplexities(blocks("text")[0])
    with Image.open(ROOT / "notebooks" / "pictures" / "collapse.png") as picture:
        assert picture.text["Description"] == f"perplexity {before} and {after}"
    caption = " ".join(README.split("**")[1].split())
    assert caption == (
        f"Without pretraining, 128 tokens do the work of {float(before):.0f}. "
        f"Pretrain first, and they do the work of {float(after):.0f}."
    )


def test_the_table_of_results_is_that_of_the_kept_claims():
    kept = {
        claim["id"]: claim
        for path in (RESULTS / "claims.json", RESULTS / "points" / "claims.json")
        for claim in json.loads(path.read_text(encoding="utf-8"))
    }
    section = README.split("## What reproduces\n")[1].split("\n## ")[0]
    holding = sum(claim["holds"] for claim in kept.values())
    assert f"Of {len(kept)} [kept claims](notebooks/results/README.md), {holding} hold." in section
    rows = re.findall(r"^\| (\d) \| (.+?) \| (.+?) \|$", section, re.MULTILINE)
    assert [text.strip("*") for _, text, _ in rows] == list(CLAIMS)
    for figure, text, verdict in rows:
        claim = kept[CLAIMS[text.strip("*")]]
        assert claim["figure"] == f"fig{figure}"
        holds = sum(within(value, claim["bound"]) for value in claim["value"])
        assert verdict.strip("*").removesuffix(" seeds") == f"{holds} of {len(claim['seeds'])}"
        assert claim["holds"] == (holds == len(claim["seeds"]))
        assert text.startswith("**") == verdict.startswith("**") == (not claim["holds"])
        said = re.search(r"multipl.* by (.*)\.", text)
        if said:
            numbers = [round(v) if v > 50 else round(v, 1) for v in sorted(claim["value"])]
            ends = dict.fromkeys([numbers[0], numbers[-1]])
            assert said[1].endswith(" to ".join(map(str, ends)))


def within(value, bound):
    sign, limit = re.search(r"([<>]=?) (\S+) for every seed$", bound).groups()
    compare = {"<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge}[sign]
    return compare(value, float(limit))


def test_two_commands_of_one_line_each_make_their_own_environment():
    reproduce, test = (
        next(b for b in blocks("sh") if name in b) for name in ("vqnp reproduce\n", "pytest")
    )
    for command in (reproduce, test):
        assert command.startswith("python3 -m venv ")
        assert command.count("\n") == 1
    assert reproduce.rstrip().endswith("vqnp reproduce")
    assert "grep -m 1 'venv .venv-test' README.md" in (ROOT / ".ci" / "run").read_text()


def test_the_files_it_names_are_there():
    named = re.findall(r"`((?:vqnp|tests|notebooks)/[\w/]+(?:\.py)?)/?`", README)
    linked = re.findall(r"\]\(([^)#:]+)\)", README)
    assert len(named) > 20
    assert len(linked) > 12
    for path in named + linked:
        assert (ROOT / path).exists(), path


def test_every_link_to_a_section_arrives():
    headings = re.findall(r"^#+ (.*)$", README, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", text).lower().replace(" ", "-") for text in headings}
    for link in re.findall(r"\]\(#([^)]+)\)", README):
        assert link in anchors


def test_every_lesson_is_in_the_index():
    index = [(picture, title, link) for picture, _, title, link in re.findall(INDEX, README)]
    for script in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.py")):
        title = next(
            line[4:] for line in script.read_text("utf-8").splitlines() if line.startswith("# # ")
        )
        picture = f"notebooks/pictures/{script.name[:2]}.png"
        assert (picture, title, f"notebooks/{script.stem}.ipynb") in index
        assert (ROOT / picture).exists()
