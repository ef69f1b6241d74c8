"""A watch on a codebook: its numbers against those of the whole arrays, and its examples run."""

import inspect
import itertools
import re
import textwrap
import types
import warnings

import numpy as np
import pytest

import vqnp
from vqnp.diagnostics import codes_used, perplexity
from vqnp.watch import spread_and_drift


def rng(seed=0):
    return np.random.default_rng(seed)


def example(number):
    """The indented block after the ``::`` of this number in the docstring of ``Watch``."""
    blocks = re.split(r"::\n\n", inspect.getdoc(vqnp.Watch))[1:]
    lines = itertools.takewhile(
        lambda line: not line or line.startswith("    "), blocks[number].splitlines()
    )
    return textwrap.dedent("\n".join(lines))


def test_window_and_whole_are_those_of_the_codes():
    watch, batches = (
        vqnp.Watch(9, window=4),
        [rng(i).integers(i % 9 + 1, size=20) for i in range(15)],
    )
    for i, batch in enumerate(batches, 1):
        watch.update(batch.reshape(4, 5))  # codes of any shape
        found = watch.summary()
        for suffix, seen in (("", batches[max(0, i - 4) : i]), ("_whole", batches[:i])):
            codes = np.concatenate(seen)
            assert found[f"perplexity{suffix}"] == perplexity(codes, 9)
            assert found[f"dead_tokens{suffix}"] == 9 - codes_used(codes, 9)
            assert found[f"usage{suffix}"] == pytest.approx(codes_used(codes, 9) / 9)
    assert found["batches"] == 15


def test_spread_and_drift_by_hand():
    """The embeddings have variance 4 about 0, the tokens 1 about 3."""
    z, tokens = np.array([[-2.0], [2.0]]), np.array([[2.0], [99.0], [4.0]])
    assert spread_and_drift(z, tokens, np.array([1, 0, 1])) == (0.5, 1.5)
    assert all(map(np.isnan, spread_and_drift(z[:1], tokens, np.array([1, 0, 0]))))
    assert all(map(np.isnan, spread_and_drift(z[:0], tokens, np.zeros(3, int))))


def test_spread_and_drift_are_those_of_the_tokens_chosen():
    z, tokens, codes = (
        rng().normal(size=(50, 4)) + 3,
        rng(1).normal(size=(7, 4)),
        rng(2).integers(7, size=50),
    )
    theirs, variance = tokens[codes], z.var(axis=0).sum()
    expected = theirs.var(axis=0).sum(), np.square((z - theirs).mean(axis=0)).sum()
    found = spread_and_drift(z, tokens, np.bincount(codes, minlength=7))
    assert found == pytest.approx(np.sqrt(np.divide(expected, variance)))


def test_its_tokens_are_those_of_the_moving_averages():
    quantizer, watch, z = (
        vqnp.EMA(5, decay=0.8),
        vqnp.Watch(5, decay=0.8),
        rng().normal(size=(400, 3)),
    )
    codebook = vqnp.Codebook(np.zeros((5, 3)), np.zeros(5), np.zeros((5, 3)))
    quantizer.initialize(z, batch=40)
    expected = []
    for batch in np.split(z, 10):
        codes = vqnp.nearest(batch, quantizer.tokens)[0]
        known = codebook.counts[codes] > 0
        hits = np.bincount(codes[known], minlength=5)
        expected.append(spread_and_drift(batch[known], codebook.tokens, hits))
        vqnp.ema_update(codebook, batch, codes, 0.8)
        watch.update(codes, batch)
    found = watch.summary()
    assert (found["spread"], found["drift"]) == pytest.approx(np.nanmean(expected, axis=0))


RARELY = np.repeat([0, 3], [31, 1])  # 31 of 32 embeddings have code 0


def watched(change, batches=200):
    """A watch on 5 tokens, 4 at the corners of a square; ``change`` makes each batch."""
    watch, corners = vqnp.Watch(5, window=20), np.array([[0.0, 0], [0, 9], [9, 0], [9, 9]])
    for i in range(batches):
        codes = rng(i).integers(4, size=32)
        watch.update(*change(i, codes, corners[codes] + rng(-i % 999).normal(size=(32, 2))))
    return watch.summary()


def test_a_codebook_that_keeps_up_raises_no_warning():
    found = watched(lambda i, codes, z: (codes, z))
    assert found["warning"] == "none"
    assert found["spread"] == pytest.approx(1, abs=0.05)
    assert found["drift"] < 0.05


@pytest.mark.parametrize(
    ("word", "change"),
    [
        ("collapsed", lambda i, codes, z: (codes * 0, z)),
        ("dead tokens", lambda i, codes, z: (codes * 0 + (i == 190), None)),
        ("falling", lambda i, codes, z: (codes if i < 150 else np.minimum(RARELY, codes), z)),
        ("drift", lambda i, codes, z: (codes, z + 0.5 * i)),
    ],
)
def test_each_warning(word, change):
    assert watched(change)["warning"] == word


def test_few_codes_cannot_tell():
    watch = vqnp.Watch(4)
    watch.update(np.arange(4).repeat(9))
    assert watch.summary()["warning"] == "cannot tell"
    watch.update(np.arange(4))
    assert watch.summary()["warning"] == "none"


def test_embeddings_that_grow_lower_the_spread():
    found = watched(lambda i, codes, z: (codes, z * 1.1**i))
    assert found["spread"] < 0.8


def test_memory_stays_constant():
    def bytes_held(watch):
        held = [*vars(watch).values(), *vars(watch._codebook).values()]
        return sum(value.nbytes for value in held if isinstance(value, np.ndarray))

    watch = vqnp.Watch(4, window=3)
    watch.update([0, 1], np.ones((2, 2)))
    before = bytes_held(watch)
    for _ in range(20):
        watch.update([0, 1, 2], rng().normal(size=(3, 2)))
    assert bytes_held(watch) == before


def test_a_refused_batch_changes_nothing():
    watch = vqnp.Watch(4)
    with pytest.raises(RuntimeError, match="call update"):
        watch.summary()
    watch.update([0, 1], np.eye(2))
    before = watch.summary()
    for codes, embeddings, message in (
        ([0, 4], None, r"\[0, 4\)"),
        ([], None, "codes"),
        ([0, 1], np.ones((3, 2)), "embeddings must be"),
        ([0, 1], np.ones((2, 3)), r"\(N, 2\)"),
        ([0, 1], np.eye(2) * np.nan, "NaN"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            watch.update(codes, embeddings)
    assert watch.summary() == before
    for settings in ({"n_tokens": 0}, {"n_tokens": 2, "window": 0}, {"n_tokens": 2, "decay": 1}):
        with pytest.raises(ValueError, match="must"):
            vqnp.Watch(**settings)


def test_the_plain_loop_of_the_docstring_runs_in_pytorch(capsys):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    book = torch.randn(512, 3, generator=torch.Generator().manual_seed(0))
    encoder, decoder = torch.nn.Linear(4, 3), torch.nn.Linear(3, 4)

    def quantizer(z):
        codes = torch.cdist(z, book).argmin(dim=-1)
        return z + (book[codes] - z).detach(), codes

    parameters = [*encoder.parameters(), *decoder.parameters()]
    names = {
        "vqnp": vqnp,
        "torch": torch,
        "loader": [torch.randn(8, 2, 4) for _ in range(100)],
        "encoder": encoder,
        "decoder": decoder,
        "quantizer": quantizer,
        "optimizer": torch.optim.SGD(parameters, lr=0.01),
    }
    exec(example(0), names)
    assert capsys.readouterr().out.startswith("99 {'batches': 100, 'usage': ")
    assert {"spread", "drift"} <= set(names["watch"].summary())


class Module:
    """What the callback asks of a LightningModule."""

    def log_dict(self, numbers):
        self.logged = numbers


def try_callback(lightning):
    names = {"lightning": lightning, "vqnp": vqnp}
    exec(example(1), names)
    callback, module = names["WatchCodebook"](4), Module()
    assert isinstance(callback, lightning.Callback)
    outputs = {"codes": np.array([0, 1, 1]), "embeddings": rng().normal(size=(3, 2))}
    for i in range(2):
        callback.on_train_batch_end(None, module, outputs, batch=None, batch_idx=i)
    assert module.logged["batches"] == 2
    assert all(isinstance(value, int | float) for value in module.logged.values())


def test_the_callback_of_the_docstring_speaks_the_interface_of_lightning():
    try_callback(types.SimpleNamespace(Callback=type("Callback", (), {})))


def test_the_callback_of_the_docstring_runs_in_lightning(tmp_path):
    """Its own trainer calls it after each of ten batches, and keeps what it logs."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    lightning = pytest.importorskip("lightning", reason="Lightning is not installed")
    try_callback(lightning)
    book = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))

    class Model(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.encoder = torch.nn.Linear(5, 3)

        def training_step(self, batch, batch_idx):
            embeddings = self.encoder(batch)
            codes = torch.cdist(embeddings, book).argmin(dim=-1)
            loss = torch.nn.functional.mse_loss(embeddings, book[codes])
            return {"loss": loss, "codes": codes, "embeddings": embeddings}

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.01)

    names = {"lightning": lightning, "vqnp": vqnp}
    exec(example(1), names)
    callback = names["WatchCodebook"](4)
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar"), False)
    trainer = lightning.Trainer(
        default_root_dir=tmp_path, max_epochs=1, accelerator="cpu", callbacks=[callback],
        enable_model_summary=False, **quiet,
    )  # fmt: skip
    batches = torch.utils.data.DataLoader(torch.randn(80, 5), batch_size=8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice on workers and on a run without a logger
        trainer.fit(Model(), batches)
    summary = callback.watch.summary()
    assert summary["batches"] == 10
    assert {"spread", "drift"} <= set(summary)
    summary.pop("warning")
    logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
    assert logged == pytest.approx(summary)
