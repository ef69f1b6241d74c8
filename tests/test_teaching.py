"""What a student's desk needs: variants by name, two guards, and tests judged by mistakes."""

from functools import partial

import numpy as np
import pytest

import vqnp
import vqnp.testing
from vqnp import nearest, teaching
from vqnp.teaching import caught_by, untouched, variant, written_by_hand
from vqnp.testing import check_nearest, mistakes


def by_hand(points, tokens):
    return np.square(points[:, None] - tokens).sum(axis=2).argmin(axis=1)


def called(points, tokens):
    return vqnp.nearest(points, tokens)[0]


def imported_by_name(points, tokens):
    return nearest(points, tokens)[0]


def imported_inside(points, tokens):
    from vqnp.quantize.search import nearest_numpy

    return nearest_numpy(points, tokens)[0]


def through_a_helper(points, tokens):
    return called(points, tokens)


def in_a_comprehension(points, tokens):
    return [vqnp.nearest(points[i : i + 1], tokens)[0][0] for i in range(len(points))]


def by_another_name(points, tokens):
    package = vqnp
    return package.nearest(points, tokens)[0]


def by_default(points, tokens, search=nearest):
    return search(points, tokens)[0]


def by_import(points, tokens):
    return __import__("vqnp").nearest(points, tokens)[0]


def by_evaluation(points, tokens):
    return eval("vqnp.nearest(points, tokens)[0]")


class Search:
    def __call__(self, points, tokens):
        return vqnp.nearest(points, tokens)[0]


TOOLS = {"search": nearest}


def from_a_table(points, tokens):
    return TOOLS["search"](points, tokens)[0]


def closed_over():
    def search(points, tokens):
        return found(points, tokens)[0]

    found = nearest
    return search


BORROWERS = [
    called, imported_by_name, imported_inside, through_a_helper, in_a_comprehension,
    by_another_name, by_default, by_import, by_evaluation, Search(), from_a_table, closed_over(),
    partial(called), vqnp.nearest,
]  # fmt: skip


def test_a_variant_depends_on_course_assignment_and_student_alone():
    assert variant("fall26", "a1", "ada@example.edu", 9) == 6  # stated once and for all
    assert variant("fall26", "a1", "  Ada@Example.edu ", 9) == 6
    assert len({variant(c, a, "ada@example.edu", 10**6) for c in "xy" for a in "xy"}) == 4


def test_variants_are_spread_evenly():
    counts = np.bincount([variant("c", "a1", f"s{i}@example.edu", 9) for i in range(2000)])
    assert len(counts) == 9
    assert counts.min() > 180
    assert counts.max() < 270


def test_a_variant_needs_a_name():
    with pytest.raises(ValueError, match="e-mail"):
        variant("fall26", "a1", " ", 9)


def test_honest_work_is_by_hand():
    jitted = pytest.importorskip("numba").njit(by_hand)
    written_by_hand(by_hand, jitted, partial(by_hand), np.argmin)


@pytest.mark.parametrize("function", BORROWERS, ids=lambda f: getattr(f, "__name__", str(f)[:20]))
def test_what_is_borrowed_is_named(function):
    with pytest.raises(AssertionError, match=r"vqnp|__import__|eval"):
        written_by_hand(by_hand, function)


@pytest.mark.parametrize("function", [called, imported_by_name, through_a_helper, by_default])
def test_what_is_given_may_be_used(function):
    written_by_hand(function, given=[vqnp.nearest])
    with pytest.raises(AssertionError, match=r"uses vqnp\.nearest: write it yourself"):
        written_by_hand(function, given=[vqnp.kmeans])


def test_the_package_is_untouched():
    untouched()


@pytest.mark.parametrize("owner", [vqnp.testing, vqnp.testing.check, vqnp.testing.Result])
def test_a_replaced_function_is_named(monkeypatch, owner):
    name = next(n for n in ("check_nearest", "run_check", "require") if hasattr(owner, n))
    monkeypatch.setattr(owner, name, lambda *args, **options: None)
    with pytest.raises(AssertionError, match=name):
        untouched()


def test_a_test_is_judged_by_the_mistakes_that_it_catches():
    def passes_the_check(search):
        return check_nearest(search, raises=False).passed

    known = mistakes("nearest")
    assert caught_by(passes_the_check, known, [by_hand]) == tuple(m.name for m in known)
    assert caught_by(lambda search: True, known, [by_hand]) == ()


def test_an_exception_catches_a_mistake_and_rejects_what_is_right():
    def stops(search):
        raise ValueError

    def is_wrong(search):
        return False

    for test in stops, is_wrong:
        with pytest.raises(AssertionError, match="rejects a right answer"):
            caught_by(test, mistakes("nearest"), [by_hand])


def test_a_test_must_decide():
    with pytest.raises(TypeError, match="True or False, got None"):
        caught_by(lambda search: None, mistakes("nearest"), [by_hand])

    def unwritten(search):
        raise NotImplementedError("question 4")

    with pytest.raises(NotImplementedError, match="question 4"):
        caught_by(unwritten, mistakes("nearest"), [by_hand])


def test_nothing_here_is_an_answer():
    assert not {name for name in vars(teaching) if "nearest" in name or "lloyd" in name}
