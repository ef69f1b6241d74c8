"""One instance of each quantizer, for the tests that all of them share.

They take embeddings of four dimensions. To add one, add a line.
"""

from vqnp.quantize import (
    BSQ,
    CVQ,
    DVAE,
    EMA,
    FSQ,
    LFQ,
    Cosine,
    EdVAE,
    EntropyVQ,
    GradientCodebook,
    HyperVQ,
    LatentKMeans,
    LatentQuantizer,
    Projected,
    SimVQ,
    SoftConvex,
    WassersteinVQ,
)

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
    Cosine(EMA(6)),
    Cosine(EMA(6, revival="relative"), radial=True),
    Cosine(GradientCodebook(6, start="normal")),
    Projected(EMA(6), dim=3),
    Projected(Cosine(CVQ(6)), dim=2),
    LFQ(16),
    BSQ(16, group_bits=2),
    EntropyVQ(6),
    SimVQ(6),
    SimVQ(6, cloud="k-means"),
    LatentQuantizer((3, 2, 4, 3)),
    LatentQuantizer((3, 2, 4, 3), start="k-means"),
    SoftConvex(6, hard=True),
    SoftConvex(6, hard=True, exact=True),
    DVAE(4, token_dim=4),
    EdVAE(4, token_dim=4),
    HyperVQ(6),
    WassersteinVQ(6),
    LatentKMeans(EMA(6)),
]

# Their embeddings are as wide as the number of tokens asks.
AS_WIDE_AS_TOKENS = LFQ, BSQ, DVAE, EdVAE
