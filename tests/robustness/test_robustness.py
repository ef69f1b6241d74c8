"""The drivers beside this file, small. ``README.md`` says how to run them whole."""

import ast
import collections
import inspect
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import bad_calls
import fuzz
import kills
import mutants

from vqnp import testing

pytestmark = pytest.mark.jit


@pytest.mark.filterwarnings("ignore")  # damaged files and bad calls warn, too
def test_every_damaged_file_is_read_or_named(tmp_path):
    counts, failures = fuzz.fuzz(60, seed=0, folder=tmp_path)
    assert not failures
    assert all(outcomes["clean"] for name, outcomes in counts.items() if name != "binary names")


def test_a_killed_training_resumes_to_the_same_bits():
    expected, seconds = kills.never_stopped()
    counts = kills.killed(expected, seconds, seed=0)
    assert counts["kills"] > 0


def test_every_public_function_has_a_call_to_spoil():
    assert not bad_calls.uncovered()


def test_every_mistake_has_a_name_and_those_excused_can_still_be_made():
    names = [mutant.name for mutant in mutants.every_mutant()]
    assert len(set(names)) == len(names) > 5000
    assert mutants.equivalent() <= set(names)


def test_a_mistake_is_one_change_of_the_file():
    path = "vqnp/losses.py"
    source = ast.unparse(mutants.mutations(path)[0])
    for number in range(len(mutants.mutations(path)[1])):
        tree, found = mutants.mutations(path)
        found[number][1]()
        assert ast.unparse(tree) != source


@pytest.fixture(scope="module")
def spoilt():
    """What came of every bad call, by kind."""
    found = collections.defaultdict(list)
    for name, argument, label, value in bad_calls.attempts():
        kind, *rest = bad_calls.outcome(name, argument, value).split(":", 1)
        found[kind].append(f"{name}({argument}={label}):{''.join(rest)}")
    return found


def test_no_bad_call_is_answered(spoilt):
    assert not spoilt["silent"]


def test_bad_calls_end_in_an_error_that_names_the_argument(spoilt):
    """Of the rest, at most one in a hundred."""
    assert len(spoilt["unclear"]) <= 0.01 * len(spoilt["clear"]), spoilt["unclear"]


def test_arrays_may_lie_in_memory_as_they_like():
    assert not bad_calls.good_failures()


@pytest.mark.parametrize("value", [None, 3, "text", [], {}])
@pytest.mark.parametrize("name", [name for name in testing.__all__ if name.startswith("check_")])
def test_a_check_says_that_it_was_given_no_function(name, value):
    checked = getattr(testing, name)
    needed = [p for p in inspect.signature(checked).parameters.values() if p.default is p.empty]
    others = [lambda *_: None] * (len(needed) - 1)
    with pytest.raises(TypeError, match=rf"{needed[0].name} must be a function, got"):
        checked(value, *others)
