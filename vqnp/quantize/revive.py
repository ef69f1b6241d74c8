"""Revival: a code that is hardly used is put where there are embeddings.

A token far from every embedding gets no hits, and without hits the averages do not move it. After
the update of the averages, each code whose L is below a threshold is dead and is given a new token.
The variants differ in the threshold and in the token's origin. N are the batch's embeddings, and
N / K is what even use would give each code.

===========  ===========  ===============================  =======================  ==============
variant      dead below   the new token                    its L                    from
===========  ===========  ===============================  =======================  ==============
relative     N / (16 K)   an embedding of the batch        N / K                    this package
soundstream  2            an embedding of the batch        N / K                    Zeghidour 2021
jukebox      1            an embedding of the batch        as it was, and M too     Jukebox's code
split        N / (16 K)   a most used token, with noise    half of the donor's      UViM
===========  ===========  ===============================  =======================  ==============

M follows: M = L · token. Where L and M stay, the code is dead again at the next step unless it is
hit often at once. With L = N / K it has time: without hits L fades by γ a step, so at γ = 0.9 a
code lives ln(16) / −ln(0.9) = 26 steps.

A fixed threshold does not know how many hits are usual. In SoundStream's setting N / K is large;
where it is 2, half of an evenly used codebook is below 2 at any moment.

Shapes: embeddings ``(N, D)``, tokens ``(K, D)``.
"""

from typing import Literal

import numpy as np
from jaxtyping import Int64

from vqnp.quantize.codebook import Codebook
from vqnp.validation import Array, Points

Revived = Int64[np.ndarray, "R"]
Revival = Literal["none", "relative", "soundstream", "jukebox", "split"]
SHARE = 1 / 16  # of even use: 2 hits at the 32 a code that 16,384 embeddings give to 512 codes
HITS: dict[str, float] = {"soundstream": 2.0, "jukebox": 1.0}
NOISE = 0.01  # of the batch's standard deviation, so that donor and copy part


def revive(
    codebook: Codebook,
    embeddings: Points,
    revival: Revival,
    *,
    rng: np.random.Generator,
    bias: float = 1.0,
) -> Revived:
    """Give dead codes new tokens, in place, and return the codes.

    Call it after the averages have moved. Embeddings are drawn without replacement, so that no two
    codes share one; of more dead codes than embeddings, the last stay dead. ``bias`` is 1 − γᵗ in
    the dialect that divides L and M by it, and else 1.

    Example
    -------
    >>> codebook = Codebook.start(np.array([[0.0], [9.0]]), np.array([4.0, 0.1]))
    >>> revive(codebook, np.full((4, 1), 3.0), "soundstream", rng=np.random.default_rng(0))
    array([1])
    >>> codebook.tokens.tolist(), codebook.counts.tolist()
    ([[0.0], [3.0]], [4.0, 2.0])
    """
    even = len(embeddings) / len(codebook.tokens)
    below = HITS.get(revival, SHARE * even)
    counts = codebook.counts / bias
    dead = np.flatnonzero(counts < below)
    if not len(dead):
        return dead
    if revival == "split":
        return _split(codebook, dead, counts, below, NOISE * embeddings.std(axis=0), rng)
    dead = dead[: len(embeddings)]
    drawn = embeddings[rng.choice(len(embeddings), len(dead), replace=False)]
    if revival == "jukebox":
        codebook.tokens[dead] = drawn
    else:
        codebook.set_tokens(dead, drawn, np.full(len(dead), even * bias))
    return dead


def _split(
    codebook: Codebook,
    dead: Array,
    counts: Array,
    below: float,
    noise: Array,
    rng: np.random.Generator,
) -> Array:
    """Give each dead code half of a living one, the most used first.

    Only a code whose halves both live is a donor; where there are too few, the last stay dead.
    """
    most_used = np.argsort(-counts, kind="stable")  # of equally used codes, the first
    donors = most_used[counts[most_used] >= 2 * below][: len(dead)]
    dead = dead[: len(donors)]
    if not len(dead):
        return dead
    codebook.counts[donors] /= 2
    codebook.sums[donors] /= 2
    moved = codebook.tokens[donors] + noise * rng.standard_normal((len(dead), len(noise)))
    codebook.set_tokens(dead, moved, codebook.counts[donors])
    return dead
