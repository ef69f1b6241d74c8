import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from numba import config
from runs import SCHEDULE, SETTINGS, assert_same_bits, small_data, small_model, small_train, state

from vqnp import TrainSettings, ae_then_vq, threads, train
from vqnp.diagnostics import perplexity_of_counts
from vqnp.files import load_arrays
from vqnp.optim import Adam, AdamW
from vqnp.quantize import nearest
from vqnp.training import FineTune, InitializeCodebook, Pretrain, TrainState, loop
from vqnp.training.loop import initialize_codebook, take_step


def a_run(model=None, data=None, schedule=SCHEDULE, settings=SETTINGS, seed=0):
    model = model or small_model()
    data = small_data() if data is None else data
    return TrainState(model, data, schedule, settings, seed, settings.make_optimizer(model.params))


# The schedule


def test_schedule_reads_like_the_papers_sentence():
    assert ae_then_vq(100, 100) == (Pretrain(100), InitializeCodebook(), FineTune(100))
    assert ae_then_vq(0, 200, sample=64) == (Pretrain(0), InitializeCodebook(64), FineTune(200))


def test_10_000_points_are_40_steps_an_epoch_the_last_of_16():
    run = a_run(data=np.zeros((10_000, 2), np.float32), settings=TrainSettings())
    sizes = [len(rows) for rows in run.batches()]
    assert sizes == [256] * 39 + [16]


def test_every_epoch_sees_every_example_once_in_a_new_order():
    run = a_run()
    orders = []
    for run.phase, run.epoch in ((0, 0), (0, 1), (2, 0)):
        orders.append(np.concatenate(run.batches()))
        assert sorted(orders[-1]) == list(range(40))
        np.testing.assert_array_equal(np.concatenate(run.batches()), orders[-1])
    assert not np.array_equal(orders[0], orders[1])
    assert not np.array_equal(orders[0], orders[2])
    assert not np.array_equal(np.concatenate(a_run(seed=1).batches()), orders[0])


def test_steps_of_each_phase(monkeypatch):
    counts = Counter()

    def counted(step):
        return lambda run, model, batch: (
            counts.update([type(model.quantizer).__name__]) or step(run, model, batch)
        )

    monkeypatch.setattr(loop, "take_step", counted(loop.take_step))
    run = small_train(schedule=ae_then_vq(3, 2))
    assert counts == {"Identity": 9, "EMA": 6}
    assert run.optimizer.steps == 6  # fresh at the switch
    assert run.model.quantizer.codebook.steps == 6


def test_baseline_starts_from_the_weights_of_the_pretrained_arm():
    """With no epochs of pretraining the first thing that happens is k-means on the untrained
    encoder's embeddings.
    """
    untrained, seen = small_model(), []

    def look(run):
        seen.append({name: value.copy() for name, value in run.model.params.items()})

    train(small_model(), small_data(), ae_then_vq(0, 1), SETTINGS, on_phase=look)
    for name, value in untrained.params.items():
        np.testing.assert_array_equal(seen[1][name], value)
        assert not np.array_equal(seen[2][name], value)


def test_optimizer_is_fresh_at_the_switch_unless_it_is_carried_over():
    for carry in (False, True):
        steps = []
        settings = TrainSettings(16, carry_optimizer=carry)
        train(
            small_model(),
            small_data(),
            SCHEDULE,
            settings,
            on_phase=lambda run, steps=steps: steps.append(state(run)),
        )
        (pretrained, _), (switched, _), (tuned, _) = steps
        assert [arrays["steps"] for arrays in (pretrained, switched, tuned)] == (
            [6, 6, 12] if carry else [6, 0, 6]
        )
        if not carry:
            assert not any(
                array.any() for name, array in switched.items() if name.startswith(("m of", "v of"))
            )


@pytest.mark.parametrize(("name", "kind", "amsgrad", "decay"), [
    ("adam", Adam, False, 0), ("amsgrad", Adam, True, 0), ("adamw", AdamW, False, 0.01),
])  # fmt: skip
def test_optimizer_by_name(name, kind, amsgrad, decay):
    optimizer = TrainSettings(optimizer=name, learning_rate=0.5).make_optimizer({})
    assert type(optimizer) is kind
    assert (optimizer.amsgrad, optimizer.weight_decay, optimizer.learning_rate) == (
        amsgrad,
        decay,
        0.5,
    )


# The codebook


@pytest.mark.parametrize(("sample", "batch_size"), [(None, 16), (10, 16), (None, 64), (1000, 16)])
def test_averages_start_as_one_batch_would_show_the_clusters(sample, batch_size):
    """L = n · B / N over the sample, where B is no more than there are data."""
    run = a_run(settings=TrainSettings(batch_size))
    initialize_codebook(run, sample)
    codebook = run.model.quantizer.codebook
    assert codebook.counts.sum() == pytest.approx(min(batch_size, 40), rel=1e-6)
    if sample is None:
        n = np.bincount(nearest(run.model.encode(run.data), codebook.tokens)[0], minlength=4)
        np.testing.assert_allclose(codebook.counts, n * min(batch_size, 40) / 40, rtol=1e-6)


def test_sample_is_drawn_at_random_by_the_seed():
    seen = []
    for seed in (0, 0, 1):
        run = a_run(seed=seed)
        object.__setattr__(
            run.model.quantizer, "initialize", lambda z, batch, rng, seen=seen: seen.append(z)
        )
        initialize_codebook(run, 10)
    assert [len(embeddings) for embeddings in seen] == [10, 10, 10]
    np.testing.assert_array_equal(seen[0], seen[1])
    assert not np.array_equal(seen[0], seen[2])
    assert not np.array_equal(seen[0], run.model.encode(run.data[:10]))


def test_codebook_follows_the_embeddings_from_before_the_optimizers_step():
    run = a_run(settings=TrainSettings(40, learning_rate=0.1))
    initialize_codebook(run, None)
    codebook = run.model.quantizer.codebook
    before, sums = run.model.encode(run.data), codebook.sums.copy()
    codes, _ = nearest(before, codebook.tokens)
    take_step(run, run.model, run.data)
    assert (
        abs(run.model.encode(run.data) - before).max() > 0.01
    )  # so that the two would be told apart
    hits = np.stack([before[codes == k].sum(axis=0) for k in range(4)])
    np.testing.assert_allclose(codebook.sums, 0.9 * sums + 0.1 * hits, rtol=1e-5)


def test_loss_is_taken_with_the_tokens_from_before_the_update():
    run = a_run(settings=TrainSettings(40))
    initialize_codebook(run, None)
    run.model.quantizer.codebook.set_tokens(
        np.arange(4), np.array([[3.0], [4], [5], [6]], np.float32), np.full(4, 0.1)
    )
    quantized = run.model.quantize(run.data).vectors
    expected = float(((run.model.encode(run.data) - quantized) ** 2).mean())
    moved_from = run.model.quantizer.codebook.tokens.copy()
    take_step(run, run.model, run.data)
    assert abs(run.model.quantizer.codebook.tokens - moved_from).max() > 1
    assert run.tally.losses["commitment"] / 40 == pytest.approx(expected, rel=1e-6)


# History and callbacks


def test_history_has_a_record_an_epoch():
    run = small_train()
    assert [(record.phase, record.epoch) for record in run.history] == [
        ("pretrain", 1), ("pretrain", 2), ("fine-tune", 3), ("fine-tune", 4),
    ]  # fmt: skip
    for record in run.history[:2]:
        assert list(record.losses) == ["reconstruction"]
        assert record.perplexity is None
        assert record.codes_used is None
    last = run.history[-1]
    assert list(last.losses) == ["reconstruction", "commitment"]
    assert 1 <= last.perplexity <= last.codes_used <= 4


def test_losses_are_means_over_examples_not_over_batches():
    """With a learning rate that changes nothing, the epoch's loss is the loss of the whole data
    set, the short batch included.
    """
    settings = TrainSettings(16, learning_rate=1e-30, optimizer="adam")
    run = small_train(
        schedule=ae_then_vq(1, 1), settings=settings, model=small_model(decay=1 - 1e-9)
    )
    step = run.model.loss_and_gradients(run.data)
    autoencoder = run.model.autoencoder.loss_and_gradients(run.data)
    assert run.history[0].reconstruction == pytest.approx(
        autoencoder.losses["reconstruction"], rel=1e-5
    )
    assert run.history[1].reconstruction == pytest.approx(step.losses["reconstruction"], rel=1e-5)
    assert run.history[1].losses["commitment"] == pytest.approx(step.losses["commitment"], rel=1e-4)


def test_perplexity_is_of_the_whole_epoch():
    """Batches of two can show no more than two codes each."""
    model = small_model(n_tokens=16)
    run = small_train(
        model=model, settings=TrainSettings(2, learning_rate=1e-30), schedule=ae_then_vq(0, 1)
    )
    counts = np.bincount(run.model.quantize(run.data).codes, minlength=16)
    assert run.history[0].perplexity == pytest.approx(
        perplexity_of_counts(counts), rel=0.1
    )  # tokens moved a little
    assert run.history[0].perplexity > 8
    assert run.history[0].codes_used > 8


def test_callbacks_see_every_epoch_and_phase():
    seen = []
    history = train(
        small_model(),
        small_data(),
        SCHEDULE,
        SETTINGS,
        on_epoch=lambda run: seen.append(run.history[-1]),
        on_phase=lambda run: seen.append(run.schedule[run.phase]),
    )
    assert seen == [*history[:2], Pretrain(2), InitializeCodebook(), *history[2:], FineTune(2)]


def test_progress_bar_counts_epochs(capsys):
    small_train(progress=True)
    assert "4/4" in capsys.readouterr().err


def test_training_lowers_the_loss():
    history = small_train(schedule=ae_then_vq(60, 20)).history
    assert history[59].reconstruction < 0.9 * history[0].reconstruction
    assert history[-1].reconstruction < history[0].reconstruction


def test_one_token_works_and_more_tokens_than_data_warn():
    assert small_train(model=small_model(n_tokens=1)).history[-1].perplexity == 1
    with pytest.warns(UserWarning, match="n_tokens is 50 for 40 points: 10 tokens are copies"):
        assert small_train(model=small_model(n_tokens=50)).history[-1].codes_used <= 50


# Determinism


@pytest.mark.skipif(config.NUMBA_NUM_THREADS < 2, reason="there is one thread alone")
@pytest.mark.parametrize("parallel_from", [0, 1 << 16])
def test_same_seed_same_bits_for_one_and_two_threads(parallel_from, monkeypatch):
    monkeypatch.setattr("vqnp.quantize.ema.PARALLEL_COORDINATES", parallel_from)
    monkeypatch.setattr(sys.modules["vqnp.quantize.search"], "PARALLEL_DIFFERENCES", parallel_from)
    runs = []
    for number in (1, 2):
        with threads.limit(number):
            runs.append(small_train(data=small_data(n=300), model=small_model(n_tokens=9)))
    assert_same_bits(*runs)


SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
import runs
runs.small_train(checkpoint=sys.argv[2], checkpoint_seconds=0)
"""


@pytest.mark.jit
def test_same_bits_where_a_debugger_steps_through_the_kernels(tmp_path):
    command = [sys.executable, "-c", SCRIPT, str(Path(__file__).parents[1])]
    subprocess.run(
        [*command, tmp_path / "a.npz"], env=os.environ | {"NUMBA_DISABLE_JIT": "1"}, check=True
    )
    small_train(checkpoint=tmp_path / "b.npz", checkpoint_seconds=0)
    interpreted, compiled = load_arrays(tmp_path / "a.npz"), load_arrays(tmp_path / "b.npz")
    assert interpreted.keys() == compiled.keys()
    for name, array in compiled.items():
        np.testing.assert_array_equal(interpreted[name], array, err_msg=name)


def test_seed_decides_the_order():
    first, same, other = (small_train(rng=seed) for seed in (1, 1, 2))
    assert_same_bits(first, same)
    assert first.history != other.history


def test_global_random_state_is_neither_read_nor_changed():
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    small_train()
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_evaluation_on_the_way_does_not_change_the_run():
    def look(run):
        run.model.encode(run.data)
        if run.model.quantizer.initialized:
            run.model.quantize(run.data)
            run.model.reconstruct(run.data)

    assert_same_bits(small_train(on_epoch=look), small_train())
