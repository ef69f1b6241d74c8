"""A run is drawn epoch by epoch: dashed before there are tokens, whole afterwards."""

import pytest

from vqnp.plots import style
from vqnp.plots.history import draw_history, draw_quantity
from vqnp.training import EpochRecord

RECORDS = [
    EpochRecord("pretrain", 1, {"reconstruction": 0.5}),
    EpochRecord("pretrain", 2, {"reconstruction": 0.25}),
    EpochRecord("fine-tune", 3, {"reconstruction": 0.4, "commitment": 0.1}, 9.0, 12),
    EpochRecord("fine-tune", 4, {"reconstruction": 0.2, "commitment": 0.05}, 10.0, 12),
]


def drawn(axes):
    return [(line.get_linestyle(), line.get_xydata().tolist()) for line in axes.lines]


def test_losses_and_perplexity_by_epoch():
    losses, perplexity = draw_history(RECORDS)
    assert drawn(losses) == [
        ("--", [[1, 0.5], [2, 0.25]]),
        ("-", [[3, 0.4], [4, 0.2]]),
        ("-", [[3, 0.1], [4, 0.05]]),
    ]
    assert drawn(perplexity) == [("-", [[3, 9], [4, 10]])]
    assert losses.get_xlim() == perplexity.get_xlim()
    assert losses.get_yscale() == "log"


def test_an_autoencoder_has_no_perplexity():
    losses, perplexity = draw_history(RECORDS[:2])
    assert not perplexity.lines
    assert [text.get_text() for text in losses.get_legend().get_texts()] == ["reconstruction"]


def test_a_line_of_two_parts_has_one_entry(axes):
    draw_quantity(axes, RECORDS, "reconstruction", style.TOKEN, label="mine")
    assert axes.get_legend_handles_labels()[1] == ["mine"]


def test_no_epoch_is_refused():
    with pytest.raises(ValueError, match="records"):
        draw_history([])
