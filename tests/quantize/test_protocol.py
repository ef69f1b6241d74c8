"""The protocol has room: a quantizer defined here needs no change to the package."""

from dataclasses import dataclass

import numpy as np
import pytest
from runs import SCHEDULE, SETTINGS, STEPS, small_data

from vqnp import FSQ, VQVAE, Identity, MLPSettings, diagnose, mlp_vqvae, train
from vqnp.quantize import Quantized, Quantizer, nearest, quantizer_from_json
from vqnp.training import FineTune, Pretrain, TrainSettings, loop


@dataclass(frozen=True)
class LearntCodebook(Quantizer):
    """The original VQ-VAE's: its codebook is moved by the optimizer, and one buffer counts hits."""

    k: int = 4
    beta: float = 0.25

    @property
    def initialized(self):
        return bool(self.params)

    @property
    def tokens(self):
        return self.params["tokens"]

    def initialize(self, z, *, batch, rng=0):
        rows = np.random.default_rng(rng).integers(len(z), size=self.k)
        self.params["tokens"] = z[rows].copy()
        self.buffers["seen"] = np.zeros(self.k)

    def forward(self, z, *, training=False, rng=None):
        codes, _ = nearest(z, self.tokens)
        gap = z - self.tokens[codes]
        value = float((gap**2).mean())
        losses = {"codebook": value, "commitment": value}
        return Quantized(self.tokens[codes], codes, losses), (gap, codes)

    def backward(self, dvectors, cache):
        gap, codes = cache
        dtokens = np.zeros_like(self.tokens)
        np.add.at(dtokens, codes, -2 * gap / gap.size)
        return dvectors + 2 * self.beta * gap / gap.size, {"tokens": dtokens}

    def update(self, z, quantized, *, mask=None, rng=None):
        hits = super().update(z, quantized, mask=mask)
        self.buffers["seen"] += hits
        return hits


def learnt(seed=0):
    return mlp_vqvae(MLPSettings(2, 1, 6, 5), LearntCodebook(k=4), rng=seed)


def test_it_trains_its_own_parameters():
    model = learnt()
    seen = []
    history = train(
        model,
        small_data(),
        SCHEDULE,
        SETTINGS,
        on_phase=lambda run: seen.append(model.quantizer.params.get("tokens", np.zeros(0)).copy()),
    )
    assert list(history[-1].losses) == ["reconstruction", "codebook", "commitment"]
    assert not np.array_equal(seen[1], seen[2])  # placed, and then moved by AdamW
    assert model.quantizer.buffers["seen"].sum() == 80  # two epochs of 40
    assert "quantizer.tokens" in model.params


@pytest.mark.parametrize("number", range(2, STEPS + 1))  # the first leaves no checkpoint yet
def test_it_resumes_to_the_same_bits(tmp_path, monkeypatch, number):
    path, expected = tmp_path / "run.npz", learnt()
    train(expected, small_data(), SCHEDULE, SETTINGS)
    with monkeypatch.context() as patch:
        steps = iter(range(1, STEPS + 2))
        step = loop.take_step

        def stopping(*given):
            step(*given)
            if next(steps) == number:
                raise KeyboardInterrupt

        patch.setattr(loop, "take_step", stopping)
        with pytest.raises(KeyboardInterrupt):
            train(learnt(), small_data(), SCHEDULE, SETTINGS, checkpoint=path, checkpoint_seconds=0)
    model = learnt(seed=99)
    train(model, small_data(), SCHEDULE, SETTINGS, checkpoint=path, resume=True)
    for name, value in expected.params.items():
        np.testing.assert_array_equal(model.params[name], value, err_msg=name)
    np.testing.assert_array_equal(
        model.quantizer.buffers["seen"], expected.quantizer.buffers["seen"]
    )


def test_it_is_saved_and_loaded_with_the_same_bits(tmp_path):
    model, x = learnt(), small_data()
    train(model, x, SCHEDULE, SETTINGS)
    model.save(tmp_path / "model.npz")
    again = VQVAE.load(tmp_path / "model.npz")
    assert again.quantizer == model.quantizer
    np.testing.assert_array_equal(again.reconstruct(x), model.reconstruct(x))
    np.testing.assert_array_equal(again.quantizer.buffers["seen"], model.quantizer.buffers["seen"])


def test_it_is_diagnosed():
    model, x = learnt(), small_data()
    train(model, x, SCHEDULE, SETTINGS)
    view = model.quantizer.view(model.encode(x))
    report = diagnose(view.embeddings, view.tokens)
    assert 1 <= report.codes_used <= 4


@pytest.mark.parametrize("pretrain", [0, 2])
def test_fsq_trains_without_a_codebook_to_place(pretrain):
    model = mlp_vqvae(MLPSettings(2, 1, 6, 5), FSQ((5,)))
    history = train(model, small_data(), (Pretrain(pretrain), FineTune(3)), SETTINGS)
    assert [r.phase for r in history] == ["pretrain"] * pretrain + ["fine-tune"] * 3
    assert 1 <= history[-1].perplexity <= 5


def test_the_identity_is_the_autoencoder():
    quantizer, z = Identity(), small_data()
    quantized, cache = quantizer.forward(z)
    assert quantized.vectors is z
    assert quantized.codes.shape == (40, 0)
    assert quantizer.backward(z, cache) == (z, {})
    assert quantizer.bits == float("inf")
    assert quantizer.update(z, quantized).size == 0


def test_first_phase_gives_the_bits_of_the_whole_schedule():
    """What was pretrained before goes on where pretraining ended."""
    settings = TrainSettings(16)
    whole, parts = learnt(), learnt()
    train(whole, small_data(), SCHEDULE, settings)
    train(parts, small_data(), SCHEDULE[:1], settings)
    history = train(parts, small_data(), SCHEDULE, settings, first_phase=1)
    assert [r.phase for r in history] == ["fine-tune", "fine-tune"]
    for name, value in whole.params.items():
        np.testing.assert_array_equal(parts.params[name], value, err_msg=name)


def test_configuration_goes_to_json_and_back():
    for quantizer in (FSQ((8, 5)), LearntCodebook(k=3), Identity()):
        assert quantizer_from_json(quantizer.to_json()) == quantizer
    with pytest.raises(ValueError, match="no quantizer is called 'Nowhere': import the module"):
        quantizer_from_json({"kind": "Nowhere"})


def test_what_is_drawn_in_a_step_follows_from_its_place():
    """A quantizer that draws gets numbers of its own for every step, the same after a restart."""

    @dataclass(frozen=True)
    class Drawing(Identity):
        draws = True

        def forward(self, z, *, training=False, rng=None):
            seen.append(None if rng is None else rng.random())
            return super().forward(z)

    runs = []
    for _ in range(2):
        seen = []
        model = mlp_vqvae(MLPSettings(2, 1, 6, 5), Drawing())
        train(model, small_data(), (FineTune(2),), SETTINGS)
        runs.append(seen)
    assert runs[0] == runs[1]
    assert len(set(runs[0])) == len(runs[0]) == 6
