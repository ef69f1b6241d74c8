# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3. Through the staircase
#
# A VQ-VAE replaces every embedding by the nearest token before it is decoded. That step has no
# useful derivative, so nothing of lesson 2 gets through it. This lesson is about the three repairs
# that are in use together: a gradient borrowed from the token, a loss that keeps embeddings near
# their tokens, and moving averages that bring the tokens to their embeddings. And about what
# becomes of a token that no embedding chooses, which depends on bookkeeping that papers seldom
# mention.
#
# **After this lesson you can**
#
# - say why the quantizer has no gradient, what straight-through puts in its place, and what the
#   commitment loss is needed for;
# - carry out equations 3 to 5 of the moving averages by hand, and predict how fast a token moves;
# - tell four kinds of bookkeeping apart by what they do to an unused code, and stop a debugger
#   inside a compiled kernel to see for yourself.
#
# About 40 minutes. Before it: lessons 1 and 2.
#
# On Colab, run first: `%pip install -q "vqnp[notebooks]"`

# %% tags=["parameters"]
FAST = False  # True shrinks the work: for a quick look, and for the tests

# %%
import inspect
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from vqnp import EMA, MLPSettings, losses, mlp_vqvae
from vqnp.lessons import staircase
from vqnp.quantize import (
    DIALECTS,
    Codebook,
    ema_update,
    nearest,
    straight_through_backward,
    straight_through_forward,
)
from vqnp.quantize.ema import ema_update_loop, ema_update_numpy
from vqnp.quantize.search import _search_rows
from vqnp.testing import check_grads

# %matplotlib inline

PROBES = 100 if FAST else 1000  # places where the slope of the staircase is measured
rng = np.random.default_rng(0)

# %% [markdown]
# ## No slope anywhere
#
# Equation 1 of the paper: the code of an embedding is the index of the nearest token,
# $\text{code}(z) = \arg\min_k \lVert z - t_k \rVert^2$, the lowest when several are equally near.
# The decoder is given that token.


# %%
def quantize(z, tokens):
    """Return the token of each embedding (N, D), and its code (N,); tokens are (K, D)."""
    squared = ((z[:, None, :] - tokens) ** 2).sum(axis=-1)  # (N, K)
    codes = squared.argmin(axis=1)  # of equal ones the first
    return tokens[codes], codes


some, book = rng.normal(size=(50, 3)), rng.normal(size=(7, 3))
for own, theirs in zip(quantize(some, book), straight_through_forward(some, book), strict=True):
    np.testing.assert_array_equal(own, theirs)

# %% [markdown]
# To see it, let embeddings be single numbers, with four tokens, and let the decoder hand on what it
# gets. The data point is 1.2, and the loss is the squared error between it and what comes out:
# $(t - 1.2)^2$ for the token $t$ nearest to $z$.
#
# **Predict.** Draw the loss as a function of $z$, from −3 to 3. What is its slope?

# %%
stairs, target = np.array([[-2.0], [-0.5], [0.5], [2.0]]), 1.2


def token_of(z):
    return straight_through_forward(z[:, None], stairs)[0][:, 0]


def loss_through(z):
    return (token_of(z) - target) ** 2


z = np.linspace(-3, 3, 2401)
staircase.staircase_and_loss(z, token_of(z), loss_through(z), (z - target) ** 2)

# %% [markdown]
# *Picture: a staircase of four treads, and the loss behind it: flat on every tread, beside the
# parabola it replaces.*

# %% [markdown]
# On a tread nothing changes: the slope is exactly 0. At a riser the loss jumps, and there is no
# slope. Measured with the central difference of lesson 2:

# %%
risers = (stairs[1:, 0] + stairs[:-1, 0]) / 2
probes, h = rng.uniform(-3, 3, PROBES), 1e-5
probes = probes[np.abs(probes[:, None] - risers).min(axis=1) > h]
slopes = (loss_through(probes + h) - loss_through(probes - h)) / (2 * h)
assert risers.tolist() == [-1.25, 0.0, 1.25]
assert not slopes.any()
print(f"{len(probes)} slopes, {np.count_nonzero(slopes)} of them not zero")

# %% [markdown]
# It is no different in a whole model. Below is a small VQ-VAE in float64. We push all its
# parameters a little way in a random direction, those of the decoder and those of the encoder in
# turn, and look at the reconstruction's error.
#
# **Predict.** One of the two numbers printed is exactly zero. Which?

# %%
model = mlp_vqvae(MLPSettings(data_dim=2, token_dim=2), EMA(n_tokens=5), rng=0, dtype=np.float64)
x = rng.normal(size=(40, 2))
model.quantizer.initialize(model.encode(x), batch=len(x), rng=np.random.default_rng(1))


def error_after(part, length):
    """Return the reconstruction's error with ``part`` of the model moved, and put it back."""
    draw = np.random.default_rng(2)
    moved = {
        name: length * draw.normal(size=p.shape)
        for name, p in model.params.items()
        if name.startswith(part)
    }
    for name, change in moved.items():
        model.params[name] += change
    error = losses.mse(model.reconstruct(x), x)[0]
    for name, change in moved.items():
        model.params[name] -= change
    return error


h = 1e-7  # small, so that no embedding crosses a riser
slope = {
    part: (error_after(part, h) - error_after(part, -h)) / (2 * h)
    for part in ("encoder", "decoder")
}
assert slope["encoder"] == 0
assert abs(slope["decoder"]) > 0.01
print(slope)

# %% [markdown]
# The decoder can learn; the encoder cannot, whatever it is worth. Going uphill or downhill, it
# stands on a tread.
#
# ## Straight through
#
# The straight-through estimator gives up the true slope. Forward, the embedding becomes its token;
# backward, the token's gradient is handed to the embedding *as if nothing had happened in between*:


# %%
def straight_through(dtoken):
    return dtoken


dtoken = rng.normal(size=(50, 3))
np.testing.assert_array_equal(straight_through_backward(dtoken), straight_through(dtoken))

# %% [markdown]
# **Predict.** On one tread the true slope is 0 everywhere. Which slope is $z$ told now, at the left
# end of the tread, in its middle and at its right end?

# %% tags=["thumbnail"]
at = np.concatenate(
    [
        np.linspace(low, high, 5)[1:-1]
        for low, high in ((-3, -1.25), (-1.25, 0), (0, 1.25), (1.25, 3))
    ]
)
token, codes = straight_through_forward(at[:, None], stairs)
# the slope of (t − 1.2)² at t, handed on
told = straight_through_backward(2 * (token - target))[:, 0]
staircase.borrowed_slopes(z, token_of(z), loss_through(z), (z - target) ** 2, at, told)

# %% [markdown]
# *Picture: three parallel strokes on every tread, falling to the right before the data point and
# rising beyond it.*

# %% [markdown]
# Everywhere the same: the slope that the smooth loss has at the token. It is a gradient of
# *something*: of the loss in which the quantizer is replaced by a shift, $z + (t - z_0)$, with the
# bracket held fixed at the place $z_0$ where we stand. This is how it is usually written,
# `z + stop_gradient(token - z)`. `check_grads` can tell the two apart: straight-through passes for
# the shift, and fails for the quantizer itself, whose true derivative is zero.

# %%
decoder, book = model.decoder, model.tokens
z0 = model.encode(x)
shift = straight_through_forward(z0, book)[0] - z0


def shifted(z):
    return decoder.forward(z + shift)[0]


def quantized(z):
    return decoder.forward(straight_through_forward(z, book)[0])[0]


def handed_on(z, dout):
    token, _ = straight_through_forward(z, book)
    return straight_through_backward(decoder.backward(dout, decoder.forward(token)[1])[0])


assert check_grads(shifted, handed_on, (z0,)).passed
refused = check_grads(quantized, handed_on, (z0,), raises=False)
assert not refused.passed
assert not refused.comparisons[0].expected.any()  # the differences through the quantizer: all zero

# %% [markdown]
# ## Where the borrowed slope leads
#
# Let a single $z$ walk down its borrowed slope, starting at −2.5:
# $z \leftarrow z - \eta \cdot 2 (t - x)$, with $t$ the token of $z$, $x$ what the decoder should
# see, and η = 0.05. The tokens stand still.
#
# **Predict.** Where does $z$ come to rest if $x = 1.2$, between two tokens? And where if $x = 2.5$,
# beyond the last one?
#
# The commitment loss, $\beta \lVert z - t \rVert^2$ with $t$ held fixed, adds a pull towards the
# token: $2 \beta (z - t)$. What does it change, for β = 0.25 and for β = 1?


# %%
def walk(x, beta, steps=200, eta=0.05):
    z, path = np.array([[-2.5]]), [-2.5]
    for _ in range(steps):
        token, _ = straight_through_forward(z, stairs)
        z = z - eta * (2 * (token - x) + 2 * beta * (z - token))
        path.append(z[0, 0])
    return np.array(path)


between, beyond = ({f"β = {beta}": walk(x, beta) for beta in (0.25, 0, 1)} for x in (1.2, 2.5))
staircase.descents([
    ("x between two tokens", 1.2, stairs[:, 0], between),
    ("x beyond the last token", 2.5, stairs[:, 0], beyond),
])  # fmt: skip

# %% [markdown]
# *Picture: left, z shivers at a riser or settles at x; right, it runs away for β = 0 and bends to a
# limit otherwise.*

# %% [markdown]
# Left: on the lower tread $z$ is told to go up, on the upper one to go down. So it is driven *to
# the riser*, 1.25, the place that is farthest from both tokens, and shivers there. A weak pull does
# not help.
#
# Right: beyond the last riser the token is always the same, and so is the slope: $z$ walks off at
# constant speed, and its loss never changes. With commitment it stops where push and pull balance,
# $\beta (z - t) = x - t$. The smaller β, the farther out.

# %%
assert (np.abs(between["β = 0"][100:] - 1.25) < 0.1).all()  # a step is 0.05 · 2 · 0.8 at most
assert (np.abs(between["β = 0.25"][100:] - 1.25) < 0.1).all()
assert abs(between["β = 1"][-1] - 1.2) < 1e-3

assert np.ptp(np.diff(beyond["β = 0"][100:])) < 1e-12  # a constant speed, and no end
balance = 2 + (2.5 - 2) / 0.25
assert balance == 4
assert 0 < balance - beyond["β = 0.25"][-1] < 0.05
assert abs(beyond["β = 1"][-1] - 2.5) < 1e-3

# %% [markdown]
# ## Commitment, value and gradient
#
# For a batch of $N$ embeddings of $D$ numbers the norms are means over all $ND$ numbers, and the
# gradient has the same factor:
#
# $$
# \frac{1}{ND} \sum \lVert z - t \rVert^2, \qquad
# \frac{\partial}{\partial z} = \frac{2 (z - t)}{ND}, \qquad
# \text{and nothing for } t.
# $$


# %%
def commitment(z, token):
    return ((z - token) ** 2).mean(), 2 * (z - token) / z.size


token, codes = straight_through_forward(z0, book)
value, gradient = commitment(z0, token)
np.testing.assert_allclose(losses.commitment(z0, token)[0], value, rtol=1e-13)
np.testing.assert_allclose(losses.commitment(z0, token)[1], gradient, rtol=1e-13)
judged = check_grads(
    lambda z: np.array(commitment(z, token)[0]),
    lambda z, dout: dout * commitment(z, token)[1],
    (z0,),
)
assert judged.passed

# %% [markdown]
# The whole gradient that the encoder receives is the sum of both, the decoder's handed straight
# through and $2 \beta (z - t) / (ND)$. β weighs the commitment and nothing else. To see the second
# part alone, take a decoder that ignores its input.
#
# **Predict.** With the decoder's first weights at zero, the reconstruction cannot depend on $z$.
# What is left of the encoder's gradient? And has the codebook a gradient?

# %%
deaf = mlp_vqvae(MLPSettings(data_dim=2, token_dim=2), EMA(n_tokens=5), rng=0, dtype=np.float64)
deaf.quantizer.use(model.quantizer.codebook)
deaf.params["decoder.0.weight"][:] = 0
step = deaf.loss_and_gradients(x)

z0, cache = deaf.encoder.forward(x)
pull = 2 * deaf.quantizer.beta * (z0 - straight_through_forward(z0, deaf.tokens)[0]) / z0.size
_, expected = deaf.encoder.backward(pull, cache)
for name, gradient in expected.items():
    np.testing.assert_allclose(step.gradients[f"encoder.{name}"], gradient, rtol=1e-10, atol=1e-15)
assert deaf.quantizer.beta == 0.25
assert {name.split(".")[0] for name in step.gradients} == {"encoder", "decoder"}

# %% [markdown]
# Exactly the pull is left, with the paper's β = 0.25; and among the gradients there is none for the
# codebook. Tokens are moved by other means.
#
# ## The moving averages, code by code
#
# Each batch gives, for code $k$, the number $l_k$ of embeddings that chose it and their sum $m_k$.
# Their quotient would be the mean of those embeddings, the best place for the token as far as this
# batch goes. To average over many batches the paper keeps both, fading with the decay γ:
#
# $$
# \begin{aligned}
# M_k &\leftarrow \gamma M_k + (1 - \gamma)\, m_k && (3) \\
# L_k &\leftarrow \gamma L_k + (1 - \gamma)\, l_k && (4) \\
# t_k &= M_k / L_k && (5)
# \end{aligned}
# $$


# %%
def update(tokens, L, M, z, codes, decay):
    """Equations 3 to 5; returns the new tokens (K, D), L (K,) and M (K, D)."""
    hits = np.bincount(codes, minlength=len(tokens))  # l, (K,)
    sums = np.zeros_like(M)  # m, (K, D)
    np.add.at(sums, codes, z)
    M = decay * M + (1 - decay) * sums
    L = decay * L + (1 - decay) * hits
    hit, tokens = hits > 0, tokens.copy()
    tokens[hit] = M[hit] / L[hit, None]  # the others stay
    return tokens, L, M


# %% [markdown]
# Three groups of embeddings, and four tokens: three beside a group each, and number 3 where nothing
# is. The averages start as if the batch had been seen for ever, $L_k = l_k$ and $M_k = L_k t_k$. We
# watch one step with γ = 0.9.

# %%
sizes = [60, 30, 10]
z = np.repeat([[0.0, 0.0], [6.0, 0.0], [3.0, 4.0]], sizes, axis=0) + 0.4 * rng.normal(size=(100, 2))
tokens = np.array([[-1.0, 2.0], [7.0, -1.5], [1.5, 4.5], [7.0, 4.5]])
codes = nearest(z, tokens)[0]
assert np.bincount(codes, minlength=4).tolist() == [*sizes, 0]

codebook = Codebook.start(tokens, np.array([*sizes, 0]), rng=rng)
state = tokens, codebook.counts.copy(), codebook.sums.copy()
after = update(*state, z, codes, decay=0.9)
print("code  hits  token before  mean of its z  token after")
for k, hits in enumerate([*sizes, 0]):
    mean = z[codes == k].mean(axis=0).round(2) if hits else "none"
    print(f"{k}     {hits:4}  {tokens[k]!s:12}  {mean!s:13}  {after[0][k].round(2)}")

for package_update in (ema_update_loop, ema_update_numpy, ema_update):
    codebook = Codebook.start(tokens, np.array([*sizes, 0]))
    package_update(codebook, z, codes, decay=0.9)
    for own, theirs in zip(after, (codebook.tokens, codebook.counts, codebook.sums), strict=True):
        np.testing.assert_allclose(own, theirs, rtol=1e-13, atol=1e-13)

# %% [markdown]
# The package has the three equations three times in `vqnp/quantize/ema.py`: as a loop, in NumPy and
# compiled. All three agree with yours. From here on we use the compiled `ema_update`. Each token
# has moved a little towards the mean of its embeddings, except for number 3.
#
# **Predict.** Let the same batch come again and again. After how many steps has a token gone half
# of its way? Does the code with 60 hits get there sooner than the one with 10?

# %%
means = np.array([z[codes == k].mean(axis=0) for k in range(3)])
path = [tokens, codebook.tokens.copy()]
for _ in range(24):
    codes = nearest(z, codebook.tokens)[0]
    ema_update(codebook, z, codes, decay=0.9)
    path.append(codebook.tokens.copy())
path = np.array(path)  # (26, 4, 2)

distance = np.linalg.norm(path[:, :3] - means, axis=-1)
left = distance / distance[0]  # (26, 3)
staircase.token_paths(z, path, {f"code {k}: {sizes[k]} hits": left[:, k] for k in range(3)})

# %% [markdown]
# *Picture: left, three tokens walk to their groups and one stays; right, one straight line for all
# three, on a log axis.*

# %%
assert np.allclose(left, 0.9 ** np.arange(26)[:, None], rtol=1e-9)
assert left[6].min() > 0.5 > left[7].max()
np.testing.assert_array_equal(path[-1, 3], tokens[3])

# %% [markdown]
# At every step a tenth of the remaining way, $1 - \gamma$; what is left is $\gamma^s$ after $s$
# steps, half of it after 7. The number of hits cancels in $M / L$, as long as $L$ is what the hits
# say. It is only an average's memory that γ sets: about $1 / (1 - \gamma)$ batches, 10 here, 100
# with the γ = 0.99 that is used for images.
#
# With no memory at all, γ = 0, a token jumps to the mean of its embeddings: a step of Lloyd's
# algorithm from lesson 1, on a batch.

# %%
forgetful = Codebook.start(tokens, np.array([*sizes, 0]), rng=rng)
ema_update(forgetful, z, nearest(z, tokens)[0], decay=0.0)
np.testing.assert_allclose(forgetful.tokens[:3], means, rtol=1e-12, atol=1e-12)

# %% [markdown]
# Now the two halves together. Before, $z$ shivered at a riser because tokens stood still. Let the
# same walk go on while each step also moves the token that $z$ chose.
#
# **Predict.** $x = 1.2$, γ = 0.9, β = 0.25: where do $z$ and its token end?

# %%
line = Codebook.start(stairs, np.ones(4), rng=rng)
z_now, z_path, token_path = np.array([[-2.5]]), [-2.5], [line.tokens[:, 0].copy()]
for _ in range(200):
    token, codes = straight_through_forward(z_now, line.tokens)
    z_now = z_now - 0.05 * (2 * (token - 1.2) + 2 * 0.25 * (z_now - token))
    ema_update(line, z_now, codes, decay=0.9)
    z_path.append(z_now[0, 0])
    token_path.append(line.tokens[:, 0].copy())

assert abs(z_path[-1] - 1.2) < 1e-3
assert np.abs(line.tokens - 1.2).min() < 1e-3
staircase.descents(
    [("the tokens move, too", 1.2, np.array(token_path), {"β = 0.25": np.array(z_path)})]
)

# %% [markdown]
# *Picture: z climbs past the tokens, carrying each a little way; the last goes with it to the data
# point.*

# %% [markdown]
# Both end at 1.2. A borrowed slope is true where the token is; and the token comes to where its
# embeddings are.
#
# ## A code that nobody hits
#
# Only the chosen tokens moved. What of the others? Equations 3 and 4 let both averages of an unused
# code fade, $L \leftarrow \gamma L$ and $M \leftarrow \gamma M$, and their quotient stays. On a
# computer even that goes wrong in the end.
#
# **Predict.** A token at 0.3, with float32 averages $L = 256$ and $M = 0.3 \cdot 256$, is not hit
# for 1,200 steps; γ = 0.9. What is $M / L$ then?

# %%
decay, L, M = np.float32(0.9), np.float32(256), np.float32(0.3) * np.float32(256)
fading = []
for _ in range(1200):
    L, M = decay * L, decay * M
    fading.append((L, M / L))
first = next(
    step for step, (weight, _) in enumerate(fading, start=1) if weight < np.finfo(np.float32).tiny
)
print(
    f"L is too small for a full float32 from step {first} on; "
    f"after 1,200 steps M / L = {fading[-1][1]}"
)
assert first == 882
assert 200 * -(-10_000 // 256) == 8000  # epochs times batches
assert fading[-1][1] == 1.0

# %% [markdown]
# From step 882 on, $L$ is below the smallest ordinary float32, and the *denormal* numbers beyond
# have fewer and fewer digits. In the end both are the same few last bits, which times 0.9 round to
# themselves, and the token 0.3 has become 1. The paper's runs on synthetic data take 8,000 steps.
# So the package's dialect `paper` says it outright: a code without hits stays exactly where it is.
#
# Others smooth the weights so that none is ever zero:
# $S_k = \frac{L_k + \epsilon}{\sum L + K \epsilon} \sum L$, with $\epsilon = 10^{-5}$, and
# $t_k = M_k / S_k$ for all codes. Published code differs in the rest:
#
# | dialect | at the start | kept in $L$ | token |
# |---|---|---|---|
# | `paper` | $L$, $M$ from k-means | eq. 4 | $M / L$ if hit |
# | `counts-one` | $L = 1$, $M = t$ | eq. 4 | $M / S$ |
# | `smoothed-state` | $L = 0$, $M$ random | $S$, stored back | $M / S$ |
# | `debiased` | $L = M = 0$ | eq. 4; read divided by $1 - \gamma^s$ | $M / S$ |
#
# **Predict.** Eight codes, seven of them hit equally by every batch, γ = 0.99. For each dialect:
# where is the eighth token after one step, after 1,000, after 2,000?

# %%
start = np.random.default_rng(3).normal(size=(8, 2))
z = np.repeat(start[:7], 32, axis=0)
codes = np.repeat(np.arange(7), 32)


def eighth(dialect, steps=2000):
    """Return the eighth token at every step (steps + 1, 2), and its M at the start."""
    codebook = Codebook.start(start, np.full(8, 28.0), dialect, rng=np.random.default_rng(4))
    path, first_sum = [codebook.tokens[7].copy()], codebook.sums[7].copy()
    for _ in range(steps):
        ema_update(codebook, z, codes, decay=0.99, dialect=dialect)
        path.append(codebook.tokens[7].copy())
    return np.array(path), first_sum


paths = {dialect: eighth(dialect) for dialect in DIALECTS}
far = {
    name: np.linalg.norm(path, axis=1) / np.linalg.norm(start[7])
    for name, (path, _) in paths.items()
}
fates = {
    "paper": "stays",
    "counts-one": "slides to the origin",
    "smoothed-state": "thrown out, then in",
    "debiased": "0 at once",
}
staircase.unused_code(far, fates)

# %% [markdown]
# *Picture: an unused token's distance from the origin: constant; sliding in; leaping out, then
# falling; zero at once.*

# %%
for name, distance in far.items():
    print(
        f"{name:14} after 1 step {distance[1]:10.3g}   1,000 {distance[1000]:9.3g}   2,000 "
        f"{distance[2000]:9.3g}"
    )
assert (paths["paper"][0] == start[7]).all()
assert abs(far["counts-one"][1000] - 0.812) < 0.0005
assert abs(far["counts-one"][2000] - 1.9e-4) < 5e-6

thrown, noise = paths["smoothed-state"]
leap = np.linalg.norm(thrown[1]) / np.linalg.norm(noise)
assert abs(leap / (0.99 / 1e-5) - 1) < 1e-3  # γ M / S, and S is ε but for one part in 28,000
assert far["smoothed-state"][2000] < 1e-5
assert not paths["debiased"][0][1:].any()

# %% [markdown]
# - `paper`: exactly where it was, after any number of steps.
# - `counts-one`: the token is multiplied by about $L / (L + \epsilon)$ with $L = \gamma^s$. While
#   $L$ is large against ε nothing is seen; after 1,000 steps the factor is 0.812, after 2,000 it is
#   0.00019. The token has slid into the origin.
# - `smoothed-state`: at the first step $M$, which is noise, is divided by a weight of about ε: the
#   token is about $10^5 \cdot M$, in a direction that means nothing. Then $M$ fades and the stored
#   weight does not, and it falls in, ending nearer to the origin than it began by more than five
#   orders of magnitude.
# - `debiased`: $M$ was zero and no hit has changed that. Zero after the first step; where k-means
#   had put it is forgotten.
#
# Three of four dialects end with unused tokens at, or close to, the origin. When a picture shows
# tokens crowded at the center, it may show the data, the initialization, or only this. Later
# lessons use `paper`, so that what collapses there is not the bookkeeping's doing.
#
# ## Look inside
#
# Every loop that must be fast is compiled by Numba, and a debugger cannot stop in compiled code.
# With the environment variable `NUMBA_DISABLE_JIT=1` the same loops run as the plain Python they
# are written in: slowly, and with all their variables in sight. Here is a script of six lines to be
# watched: one point, at 0.75, and three tokens.

# %%
folder = Path(tempfile.mkdtemp())
(folder / "watch.py").write_text("""\
import numpy as np
from vqnp.quantize.search import _search_rows, nearest

points = np.array([[0.75]])
tokens = np.array([[0.0], [1.0], [3.0]])
codes, distances = nearest(points, tokens)
""")


def session(commands, jit):
    """Run ``watch.py`` in pdb, type ``commands``, and return the screen without directories."""
    environment = os.environ | {"NUMBA_DISABLE_JIT": "0" if jit else "1"}
    program = [sys.executable, "-m", "pdb", str(folder / "watch.py")]
    done = subprocess.run(
        program,
        input="\n".join(commands),
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    screen = re.sub(r"\S*/(?=vqnp/|watch\.py)", "", done.stdout)
    for command in [*commands, ""]:  # what is typed into a pipe is not echoed
        screen = screen.replace("(Pdb) ", f"(pdb) {command}\n", 1)
    screen = re.sub(r"(?<=search\.py[:(])\d+", "…", screen)  # an edit of the file moves its lines
    screen = re.sub(r"(?<=\nbreak )\d+|(?<=\) break )\d+", "<the comparison>", screen)
    return screen.replace("(pdb)", "(Pdb)").rstrip()


# %% [markdown]
# `_search_rows` in `vqnp/quantize/search.py` is the kernel of the search. It takes two tokens at a
# time, number `k` and number `after`. From either it measures all points of a block, in `one` and
# `two`. Then `_keep_nearer` compares them with the `least` so far. We go to the last line of the
# script (`until 6`), so that the kernel is imported, and stop once when it is entered (`tbreak`).
# We set a breakpoint at the comparison, and continue from one pair of tokens to the next. An edit
# of the file moves its lines, so their numbers are left out here. Number 0 of each array belongs to
# our only point; the block has room for 128.
#
# **Predict.** The squared distances from 0.75 to the tokens 0, 1 and 3 are 0.5625, 0.0625 and
# 5.0625. What is seen at the two stops? And what makes a pair with the last of three tokens?

# %%
lines, first = inspect.getsourcelines(getattr(_search_rows, "py_func", _search_rows))
(comparison,) = (number for number, text in enumerate(lines, first) if "_keep_nearer(" in text)
look = ["continue", "p k, one[0], after, two[0], least[0]"]
inside = session(
    ["until 6", "tbreak _search_rows", "continue", f"break {comparison}", *look, *look, "quit"],
    jit=False,
)
assert "(0, np.float64(0.5625), 1, np.float64(0.0625), np.float64(inf))" in inside
assert "(2, np.float64(5.0625), 2, np.float64(5.0625), np.float64(0.0625))" in inside
print(inside)

# %% [markdown]
# Token 0 is nearer than infinity and token 1 nearer than token 0. The last of an odd number makes a
# pair with itself: looking twice changes nothing, and token 2 is not nearer than token 1. It is the
# definition, watched at work in the fast version. The answer will be code 1.
#
# **Predict.** The same without the environment variable: will the debugger complain, stop, or
# neither?

# %%
compiled = session(["until 6", "tbreak _search_rows", "continue", "quit"], jit=True)
assert "Breakpoint 1 at vqnp/quantize/search.py" in compiled
assert "The program finished" in compiled
assert "_search_rows()" not in compiled
print(compiled)

# %% [markdown]
# Neither: it accepts the breakpoint and never gets there. If a breakpoint in a kernel is passed
# over, this is why.
#
# To do it yourself, in a terminal: `NUMBA_DISABLE_JIT=1 python -m pdb watch.py`, or any script of
# yours with `breakpoint()` in it. You may write `breakpoint()` into a kernel's source as well, as
# long as the variable is set; Numba refuses to compile it. In Jupyter, restart the kernel and set
# the variable *before* anything imports the package:
#
# ```python
# import os
#
# os.environ["NUMBA_DISABLE_JIT"] = "1"
# ```
#
# Then `%debug nearest(points, tokens)` steps into the call (`s` steps into, `n` to the next line,
# `q` quits). A bare `%debug` after an error opens the place where it happened. What is worth a
# look: in `_search_rows`, `least[:3]` and `code[:3]` as `k` grows; in `batch_statistics_loop` of
# `vqnp/quantize/lloyd.py` and `_move_codes` of `vqnp/fast/averages.py`, `hits` and `sums` filling
# up, and `counts[k]` before and after equation 4. Keep the arrays small: interpreted loops are
# slow.
#
# ## Exercises
#
# 1. Repeat the walk of the three tokens with γ = 0.5 and with γ = 0.99. After how many steps is
#    half of the way gone? Derive it, then measure.
# 2. Write `breakpoint()` into `_move_codes` of `vqnp/fast/averages.py`, run with the variable set,
#    and follow $L$ of one code through three calls of `ema_update`; compare with your own
#    arithmetic. Which code's $L$ changes although nothing chose it?
# 3. Give unused codes another chance: `Codebook.set_tokens` puts codes at new places with weights
#    of your choice. Find a rule (when is a code dead? where should it go? with which weight?),
#    build a case in which it helps, and one in which it does harm.
#
# Next: lesson 4, *Tokens collapse*: an untrained encoder squeezes its embeddings together, and a
# codebook is born inside them.
