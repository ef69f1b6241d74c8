"""One instance of each quantizer, for the tests that all of them share.

They take embeddings of four dimensions. To add one, add a line.
"""

from vqnp.quantize import CVQ, EMA, FSQ, GradientCodebook

FAMILY = [
    EMA(6),
    EMA(6, dialect="counts-one", start="normal"),
    EMA(6, estimator="rotation", start="uniform"),
    EMA(6, revival="relative", start="normal"),
    EMA(6, revival="soundstream", dialect="debiased", decay=0.99),
    EMA(6, revival="jukebox", start="uniform"),
    EMA(6, revival="split", start="normal"),
    FSQ((4, 3, 5, 3)),
    GradientCodebook(6),
    GradientCodebook(6, estimator="rotation", start="normal"),
    GradientCodebook(6, orthogonal=10.0),
    CVQ(6),
    CVQ(6, anchor="random", start="normal"),
]
