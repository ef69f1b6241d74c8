"""A contract says what to pass, a stub can be filled in, and a missing function is one line."""

import doctest
import importlib
import inspect
import traceback

import numpy as np
import pytest
from house import needs_what_is_absent
from implementations import OURS, ema

import vqnp.testing
from vqnp.quantize import DIALECTS
from vqnp.testing import (
    CheckFailed,
    check_conv2d,
    check_ema,
    check_ema_unused,
    check_grads,
    check_nearest,
    check_perplexity,
    check_quantizer_step,
    mistakes,
    stub,
    which_dialect,
)
from vqnp.testing.check import CHECKS
from vqnp.testing.ema import moved

NAMES = sorted(CHECKS)


def test_the_package_exports_every_check():
    checks = {entry.function.__name__ for entry in CHECKS.values()} | {"check_grads"}
    assert checks == {name for name in vqnp.testing.__all__ if name.startswith("check_")}


@pytest.mark.parametrize("name", NAMES)
def test_help_says_what_to_pass_with_shapes_and_the_options(name):
    function = CHECKS[name].function
    given = inspect.signature(function).parameters
    assert {"arrays", "dtype", "raises", "seed"} <= set(given)
    assert ("layout" in given) == (name in ("conv2d", "conv_transpose2d", "residual_blocks",
                                            "straight_through"))  # fmt: skip
    assert "case" not in given
    assert "adapter" not in given
    for option in given:
        assert f"\n{option} : " in function.__doc__
    for part in ("->", "Parameters\n", "Returns\n", "Raises\n", "Example\n", ">>> "):
        assert part in function.__doc__
    assert name in ("adam", "amsgrad", "adamw") or "``(" in function.__doc__


def test_help_of_the_moving_averages_spells_out_the_state():
    doc = " ".join(check_ema.__doc__.split())
    assert "``step(state, embeddings, codes, decay) -> state``: embeddings ``(N, D)``" in doc
    assert "tokens ``(K, D)``, counts L ``(K,)``, sums M ``(K, D)`` and steps, an int" in doc


@pytest.mark.parametrize(
    "module",
    [
        "adapter",
        "backward",
        "catalog",
        "codebooks",
        "conv",
        "directions",
        "ema",
        "ema_edges",
        "golden",
        "grads",
        "kmeans",
        "nearest",
        "optimizer",
        "perplexity",
        "residual",
        "rounding",
        "simvq",
        "step_order",
        "training",
    ],
)
def test_examples_print_what_they_say(module):
    runner = doctest.DocTestRunner()
    for example in doctest.DocTestFinder().find(importlib.import_module(f"vqnp.testing.{module}")):
        if not needs_what_is_absent(example.docstring):
            runner.run(example)
    assert runner.tries > 0
    assert runner.failures == 0


@pytest.mark.parametrize("name", NAMES)
def test_a_stub_has_the_contract_and_its_check_says_that_it_is_not_implemented(name):
    source = stub(name)
    names = {}
    exec(source, names)
    functions = [names[p.name] for p in CHECKS[name].functions]
    for function in functions:
        assert "Parameters" in function.__doc__
        assert "seed" not in function.__doc__
    line = f"{CHECKS[name].function.__name__}: {functions[0].__name__} is not implemented yet"
    assert str(CHECKS[name](*functions, raises=False)) == line
    with pytest.raises(NotImplementedError) as caught:
        CHECKS[name](*functions)
    assert str(caught.value) == line
    assert traceback.format_exception_only(caught.value) == [f"NotImplementedError: {line}\n"]
    assert caught.value.__suppress_context__


def test_a_stub_has_the_arguments_of_its_contract_and_shows_as_it_is():
    assert stub("check_ema").startswith("def step(state, embeddings, codes, decay):\n")
    assert "\ndef vjp(x, weight, bias, stride, padding, dout):\n" in stub("conv2d")
    assert repr(stub("ema")) == str(stub("ema"))
    with pytest.raises(ValueError, match="no check is called 'emma'; known are adam, "):
        stub("emma")


def test_the_second_function_is_named_when_it_is_the_one_that_is_missing():
    def later(*args):
        raise NotImplementedError("to do")

    result = check_conv2d(OURS["conv2d"][0], later, raises=False)
    assert str(result) == "check_conv2d: vjp is not implemented yet"
    assert not result.passed
    with pytest.raises(NotImplementedError, match="check_grads: vjp is not implemented yet"):
        check_grads(np.sin, later, [np.ones(3)])


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_function_is_refused_by_every_check(name):
    first = CHECKS[name].functions[0].name
    given = ["text", *[len] * (len(CHECKS[name].functions) - 1)]
    with pytest.raises(TypeError, match=f"{first} must be a function, got str"):
        CHECKS[name](*given)
    with pytest.raises(TypeError, match="missing a required argument"):
        CHECKS[name]()


def test_what_is_no_function_is_refused_by_the_check_of_gradients():
    with pytest.raises(TypeError, match="check_grads: vjp must be a function, got float"):
        check_grads(np.sin, 1.0, [np.ones(3)])


def test_mistakes_have_a_public_name():
    known = mistakes("ema", dialect="counts-one")
    assert "decay-swapped" in [mistake.name for mistake in known]
    assert not {mistake.name for mistake in known} & set(DIALECTS)
    assert all(mistake.sentence and mistake.functions for mistake in known)
    assert [m.name for m in mistakes("adamw")] == [
        m.name for m in mistakes("optimizer", kind="adamw")
    ]
    with pytest.raises(ValueError, match="dialect must be one of paper, "):
        mistakes("ema", dialect="papier")
    with pytest.raises(TypeError, match="check_nearest has no option dialect"):
        mistakes("nearest", dialect="paper")


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", [name for name in NAMES if name != "training_conv"])
def test_fresh_cases_are_drawn_from_a_seed_and_ours_pass(name, seed):
    functions = OURS[name] if isinstance(OURS[name], tuple) else (OURS[name],)
    result = CHECKS[name](*functions, seed=seed)
    assert result.passed
    if name not in ("tie_break", "ema_unused"):  # cases of which nothing, or little, is drawn
        stored = CHECKS[name](*functions)
        assert any(
            one.expected.shape != other.expected.shape or (one.expected != other.expected).any()
            for one, other in zip(result.comparisons, stored.comparisons, strict=True)
        )


def test_the_same_seed_draws_the_same_cases():
    one, other = (check_nearest(OURS["nearest"], seed=3).comparisons[0].expected for _ in range(2))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_memorized_answer_fails_on_fresh_cases(dtype):
    stored = {case.inputs["codes"].tobytes(): case.outputs["perplexity"]
              for case in vqnp.testing.cases("perplexity")}  # fmt: skip
    memorized = lambda codes, n_tokens: stored.get(codes.tobytes(), np.array(1.0))  # noqa: E731
    assert check_perplexity(memorized, dtype=dtype).passed
    with pytest.raises(CheckFailed):
        check_perplexity(memorized, dtype=dtype, seed=0)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_which_dialect_names_it(dialect):
    def step(*args):
        return moved(*args, dialect=dialect)

    assert which_dialect(step) == dialect
    assert which_dialect(step, dtype="float32") == dialect


def test_which_dialect_is_none_for_a_mistake():
    assert which_dialect(*mistakes("ema")[0].functions) is None


def test_a_dialect_is_reported_as_a_dialect_and_not_as_a_mistake():
    def step(*args):
        return ema(*args, dialect="counts-one")

    text = str(check_ema(step, raises=False))
    assert "this is the dialect counts-one, a variant and not a mistake" in text
    assert 'pass dialect="counts-one"' in text
    assert "known mistake" not in text


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("asked", DIALECTS)
@pytest.mark.parametrize("given", DIALECTS)
def test_a_quantizers_step_tells_the_dialects_apart(given, asked, dtype):
    def step(state, embeddings, decay):
        from implementations import quantizer_step

        return quantizer_step(state, embeddings, decay, dialect=given)

    result = check_quantizer_step(step, dialect=asked, dtype=dtype, raises=False)
    assert result.passed == (given == asked)
    assert [suspect.name for suspect in result.suspects] == ([] if given == asked else [given])


def test_codes_of_the_wrong_shape_get_a_hint():
    wrong = lambda points, tokens: np.square(points[:, None] - tokens).sum(axis=2)  # noqa: E731
    text = str(check_nearest(wrong, raises=False))
    assert "search must return codes (N,), one index of a token for each point" in text
    assert "got shape (40, 23), expected shape (40,)" in text


def test_wrong_in_the_same_places_is_said_to_be_perhaps_chance():
    def one_off(points, tokens):
        codes = OURS["nearest"](points, tokens)
        codes[0] = (codes[0] + 1) % len(tokens) if points.mean() > 1000 else codes[0]
        return codes

    text = str(check_nearest(one_off, raises=False))
    assert "no known mistake gives this answer\n" in text
    assert "fail in the same comparisons with other numbers, perhaps by chance:" in text
    assert "  expanded-square: " in text


def test_a_mistake_that_explains_half_of_the_failures_is_named_as_that():
    cosine = next(m for m in mistakes("nearest") if m.name == "cosine").functions[0]

    def rounded(points, tokens):
        codes = cosine(points, tokens)
        codes[0] = (codes[0] + 1) % len(tokens) if points.mean() > 1000 else codes[0]
        return codes

    result = check_nearest(rounded, raises=False)
    assert [mistake.name for mistake in result.partly] == ["cosine"]
    assert "these give it in at least half of the comparisons that fail:" in str(result)


def test_a_clamped_count_is_named():
    def step(state, embeddings, codes, decay):
        after = ema(state, embeddings, codes, decay)
        counts = np.maximum(after["counts"], np.float64(1e-5).astype(after["counts"].dtype))
        return after | {"tokens": after["sums"] / counts[:, None]}

    for dtype in "float64", "float32":
        result = check_ema_unused(step, dtype=dtype, raises=False)
        assert [suspect.name for suspect in result.suspects] == ["counts-clamped"]
