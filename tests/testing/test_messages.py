"""What a person reads when something is wrong, and what pytest makes of the checks."""

import numpy as np
import pytest
from implementations import OURS, cluster, ema, search

from vqnp.testing import (
    CheckFailed,
    cases,
    check_conv2d,
    check_ema,
    check_kmeans_init,
    check_nearest,
    check_tie_break,
    parametrize_checks,
)
from vqnp.testing.nearest import last_of_equals

pytest_plugins = ["pytester"]


def test_a_result_has_the_arrays_and_says_that_all_is_well():
    result = check_ema(ema)
    assert str(result) == "check_ema, dialect paper: all 6 comparisons pass"
    assert result.require() is result
    first = result.comparisons[0]
    np.testing.assert_allclose(first.answer, cases("ema")[0].outputs["tokens"], rtol=1e-14)
    assert first.first_mismatch is None
    assert first.absolute_error <= first.tolerance.bound(first.expected, "float64").max()
    assert first.tolerance.reason


def test_the_message_names_the_place_the_errors_the_bound_and_the_rest():
    def off(state, embeddings, codes, decay):
        state = ema(state, embeddings, codes, decay)
        if state["steps"] == 3:
            state["tokens"][2, 1] += 0.25
        return state

    result = check_ema(off, raises=False)
    token = cases("ema")[0].outputs["tokens"][2, 2, 1]
    first = result.failed[0]
    assert first.first_mismatch == (2, 2, 1)
    assert first.absolute_error == pytest.approx(0.25)
    assert first.relative_error == pytest.approx(0.25 / abs(token))
    text = str(result)
    assert (
        f"paper: tokens[2, 2, 1]: got {first.answer[2, 2, 1]:.17g}, expected {token:.17g}" in text
    )
    assert "largest error: absolute 0.25, relative" in text
    assert "64 roundings, because ten steps add" in text
    assert "no known mistake gives this answer" in text


def test_ties_are_judged_by_the_distance_lost_and_by_their_index_where_that_is_asked():
    assert check_nearest(last_of_equals).passed
    with pytest.raises(CheckFailed, match="last-of-equals: the last of equally near tokens"):
        check_tie_break(last_of_equals)


@pytest.mark.parametrize("code", [-1, 99, 0.5, np.nan])
def test_a_code_that_is_none_fails(code):
    def wrong(points, tokens):
        codes = search(points, tokens).astype(float)
        codes[4] = code
        return codes

    result = check_nearest(wrong, raises=False)
    assert "distance[4]: got nan" in str(result)


def test_another_shape_is_a_failure_that_says_so():
    result = check_nearest(lambda points, tokens: search(points, tokens)[:, None], raises=False)
    assert "got shape (40, 1), expected shape (40,)" in str(result)
    wide = lambda x, weight, bias, stride, padding: np.zeros((1, 2, 3, 4))  # noqa: E731
    assert "out: got shape (1, 2, 3, 4)" in str(check_conv2d(wide, wide, raises=False))


def test_nan_is_wrong():
    result = check_kmeans_init(
        lambda points, start: (start * np.nan, cluster(points, start)[1]), raises=False
    )
    assert result.failed[0].absolute_error == np.inf


def test_an_error_of_the_function_is_its_own_with_a_note():
    def broken(points, tokens):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine") as caught:
        check_nearest(broken)
    assert caught.value.__notes__ == [
        "while check_nearest ran the case 'about the origin' with arrays='numpy', dtype='float64'"
    ]


@pytest.mark.parametrize(("check", "function", "message"), [
    (check_ema, lambda *_: (1, 2), "step must return the state as a dictionary with tokens in it"),
    (check_kmeans_init, lambda *_: np.zeros(3), r"must return \(tokens, counts\), got ndarray"),
    (check_nearest, "search", "check_nearest: search must be a function, got str"),
])  # fmt: skip
def test_an_answer_of_another_kind_is_refused(check, function, message):
    with pytest.raises(TypeError, match=message):
        check(function)


def test_unknown_dialects_and_kinds_are_refused():
    with pytest.raises(ValueError, match="dialect must be one of"):
        check_ema(ema, dialect="papier")


@parametrize_checks(
    {"nearest": last_of_equals, "tie_break": last_of_equals, "conv2d": OURS["conv2d"]},
    expected_failed={"tie_break": "the last of equals, on purpose"},
)
def test_one_test_a_check(check):
    check()


def test_pytest_names_the_checks_and_holds_expected_failures_to_failing(pytester):
    pytester.makepyfile(
        """
        import numpy as np
        from vqnp.testing import parametrize_checks

        def right(points, tokens):
            return np.square(points[:, None] - tokens).sum(axis=2).argmin(axis=1)

        def wrong(points, tokens):
            return np.zeros(len(points), int)

        reasons = {"nearest": "it is right", "tie_break": "why"}

        @parametrize_checks({"nearest": right, "tie_break": wrong}, expected_failed=reasons)
        def test_mine(check):
            check()
        """
    )
    outcome = pytester.runpytest("-rA", "-p", "no:cacheprovider")
    outcome.assert_outcomes(failed=1, xfailed=1)
    outcome.stdout.fnmatch_lines_random(
        ["*test_mine?tie_break?*why*", "*XPASS(strict)*it is right*"]
    )


@pytest.mark.parametrize(("given", "options", "message"), [
    ({"nearst": search}, {}, "implementation names nearst; known are adam, "),
    ({"nearest": search}, {"expected_failed": {"ema": "why"}}, "expected_failed names ema"),
    ({"nearest": search}, {"layout": "NCHW"}, "options names layout; known are arrays, dtype"),
])  # fmt: skip
def test_names_that_are_none_are_refused(given, options, message):
    with pytest.raises(ValueError, match=message):
        parametrize_checks(given, **options)
