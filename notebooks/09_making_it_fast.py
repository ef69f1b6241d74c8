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
# # 9. Making it fast
#
# The search for the nearest token is one line of mathematics, equation 1:
# $\text{code}(z) = \arg\min_k \lVert z - t_k \rVert^2$. This lesson writes it five times. Each
# version gives the same answer as the one before it, or is caught not doing so; each is measured on
# the machine that runs the notebook; and each is held against what that machine could do at best.
#
# **After this lesson you can**
#
# - say for a piece of numerical code whether arithmetic or memory holds it back, and by how much;
# - turn a loop into NumPy, into compiled code on one thread and on all, and know what each step
#   buys;
# - explain why a shortcut can be wrong, why a parallel sum can change its last digits, and how to
#   be fast without either.
#
# Forty minutes. Lesson 1 comes before it; nothing else does.
#
# On Colab, run this first: `%pip install -q "vqnp[notebooks]"`

# %% tags=["parameters"]
FAST = False  # True shrinks the work: for a quick look, and for the tests

# %%
import time
import tracemalloc
from functools import partial
from statistics import median

import numba
import numpy as np
from numba import prange
from threadpoolctl import threadpool_info

from vqnp import nearest, threads
from vqnp.lessons import speed
from vqnp.quantize.lloyd import batch_statistics
from vqnp.quantize.search import nearest_loop

# %matplotlib inline

N, K, D = (2048, 1024, 32) if FAST else (16_384, 4096, 32)
rng = np.random.default_rng(0)
points, tokens = (rng.standard_normal((rows, D), np.float32) for rows in (N, K))

# %% [markdown]
# ## What this machine can do
#
# Two numbers bound everything that follows. One is how fast it can calculate; the best there is on
# a processor is a product of large matrices (`sgemm` to those who write it: single precision,
# general matrix-matrix), because every number that is loaded gets used many times. The other is how
# fast numbers come from main memory; a copy of a large array does nothing else.
#
# A time is the median of several runs, after one that is not counted: the first run also pays for
# compiling, and for memory that was never touched before. A limit is the shortest time of many:
# what the machine can do at its best.


# %%
def seconds(work, repeats=5, of=median):
    work()
    taken = []
    for _ in range(repeats):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return of(taken)


shortest = partial(seconds, repeats=20, of=min)


# %%
@numba.njit(parallel=True)
def copy(source, target):
    for i in prange(len(source)):
        target[i] = source[i]


size = 1024 if FAST else 2048
a = rng.standard_normal((size, size), np.float32)
# GFLOP/s: a multiplication and an addition for each of size³ terms
peak = 2 * size**3 / shortest(lambda: a @ a) / 1e9
source, target = np.ones((2, size * size * 8), np.float32)
# GB/s: all is read once and written once
bandwidth = 2 * source.nbytes / shortest(lambda: copy(source, target)) / 1e9
print(
    f"{numba.config.NUMBA_NUM_THREADS} threads: {peak:.0f} GFLOP/s in a product, "
    f"{bandwidth:.1f} GB/s in a copy"
)

# %% [markdown]
# Divide the one by the other: so many operations does the machine have time for while one byte
# arrives. Code that does fewer with each byte waits for memory, however clever its arithmetic.

# %%
print(f"{peak / bandwidth:.0f} operations a byte, {4 * peak / bandwidth:.0f} for each float32")

# %% [markdown]
# ## Version 1: the loop
#
# The definition. It is slow, and it is what all others are compared with.


# %%
def loop(points, tokens, codes, distances):
    for i in range(len(points)):
        codes[i], distances[i] = 0, np.inf
        for k in range(len(tokens)):
            squared = np.float32(0)
            for d in range(points.shape[1]):
                difference = points[i, d] - tokens[k, d]
                squared += difference * difference
            if squared < distances[i]:
                codes[i], distances[i] = k, squared


def answer_of(version, points, tokens):
    codes, distances = np.empty(len(points), np.int64), np.empty(len(points), points.dtype)
    version(points, tokens, codes, distances)
    return codes, distances


def same(these, those):
    return all(np.array_equal(this, that) for this, that in zip(these, those, strict=True))


# %%
few = points[:3]
assert same(answer_of(loop, few, tokens[:50]), nearest_loop(few, tokens[:50]))
assert same(answer_of(loop, few, tokens), nearest(few, tokens))

# %% [markdown]
# Equal to the last bit, both with the package's own loop and with the fast search that its name
# stands for. Now a ledger. Every version enters how long it takes for some number of points; its
# rate counts $2NKD$ operations, a multiplication and an addition for each coordinate of each pair,
# whatever it really does. So a higher rate is a shorter time, and nothing else.

# %%
rates = {}


def enter(name, work, rows, repeats=5):
    rates[name] = 2 * rows * K * D / seconds(lambda: work(points[:rows]), repeats) / 1e9
    print(
        f"{name}: {rates[name]:.3g} GFLOP/s, "
        f"{peak / rates[name]:,.0f} times slower than a matrix product"
    )


enter("the loop", lambda rows: answer_of(loop, rows, tokens), rows=2, repeats=1)

# %% [markdown]
# **Predict.** Each step of the innermost loop subtracts, multiplies and adds, and the machine has
# just shown how fast it can do that. Where does the time go?
#
# Into Python itself: for every number, looking up what `points[i, d]` means, making an object for
# it, finding out what `-` does to such objects, and throwing them away. Arithmetic is a vanishing
# part.
#
# ## Version 2: NumPy, by broadcasting
#
# All differences at once: `(N, 1, D)` minus `(K, D)` is `(N, K, D)`. Python is asked three times
# instead of $NKD$ times.
#
# **Predict.** How much memory does this need for a thousand points?


# %%
def broadcasting(points, tokens):
    squared = np.square(points[:, None] - tokens).sum(axis=2)  # (N, K)
    return squared.argmin(axis=1), squared.min(axis=1)


def megabytes(work):
    tracemalloc.start()
    work()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most / 1e6


rows = 64 if FAST else 256
differences = 4 * rows * K * D / 1e6  # MB
needed = megabytes(lambda: broadcasting(points[:rows], tokens))
print(
    f"{rows} points: {needed:.0f} MB at the most; one array of differences has {differences:.0f} MB"
)
assert needed > 2 * differences  # the differences and their squares are there together
enter("broadcasting", lambda rows: broadcasting(rows, tokens), rows=rows)

# %% [markdown]
# Two arrays of $NKD$ numbers, for the sake of $N$ answers: a thousand points would take four times
# what 256 do. Each number is written to memory, read, squared, written, read and added up: four
# journeys of four bytes for the two operations we count. That is an *arithmetic intensity* of 1/8
# operation a byte. Processors have stopped being fast at that long ago.
#
# The answers agree, but not to the last bit: `sum` adds in an order of its own.

# %%
codes, distances = nearest(points[:rows], tokens)
assert np.array_equal(broadcasting(points[:rows], tokens)[0], codes)
np.testing.assert_allclose(broadcasting(points[:rows], tokens)[1], distances, rtol=1e-5)

# %% [markdown]
# ## Version 3: NumPy, with the square expanded
#
# $\lVert z - t \rVert^2 = \lVert z \rVert^2 - 2\,z \cdot t + \lVert t \rVert^2$, and the first term
# is the same for all tokens. What depends on $k$ is a matrix product, the one thing a machine is
# best at:


# %%
def expanded(points, tokens):
    scores = np.square(tokens).sum(axis=1) / 2 - points @ tokens.T  # (N, K)
    return scores.argmin(axis=1)


rows = N // 4
needed = megabytes(lambda: expanded(points[:rows], tokens))
assert needed < 3 * 4 * rows * K / 1e6  # two arrays of scores, no longer of differences
agree = np.mean(expanded(points[:rows], tokens) == nearest(points[:rows], tokens)[0])
assert agree > 0.999
enter("expanded square", lambda rows: expanded(rows, tokens), rows=rows)

# %% [markdown]
# Many libraries search like this. It has a flaw that no benchmark shows.
#
# **Predict.** Add the same number to all coordinates of all points and tokens. No distance changes.
# What happens to the three terms of the expanded square, and to their sum?

# %%
offsets = [0, 1, 10, 100, 1000]


def wrong(search, offset):
    cloud = np.random.default_rng(1)
    near = (offset + 0.1 * cloud.standard_normal((512, 64))).astype(np.float32)
    far = (offset + 0.1 * cloud.standard_normal((300, 64))).astype(np.float32)
    exact = np.square(far.astype(float)[:, None] - near).sum(axis=2)  # (N, K), in double precision
    chosen = exact[np.arange(len(far)), search(far, near)]
    # Farther than the nearest by more than any rounding of the loop:
    return np.mean(chosen > 1.001 * exact.min(axis=1))


# %%
shares = {
    "expanded square": [wrong(expanded, offset) for offset in offsets],
    "the package's search": [
        wrong(lambda *arrays: nearest(*arrays)[0], offset) for offset in offsets
    ],
}
assert shares["expanded square"][0] == 0
assert shares["expanded square"][3] > 0.5
assert not any(shares["the package's search"])
speed.wrong_tokens(offsets, shares)

# %% [markdown]
# *Picture: the share of wrong tokens rises with the distance from the origin for the expanded
# square, and stays 0 for the package.*
#
# With 64 coordinates near 100, $\lVert z \rVert^2$ and $2\,z \cdot t$ are near 640,000 and more. A
# float32 has 24 binary digits:

# %%
assert np.spacing(np.float32(640_000)) == 0.0625
typical = 64 * 2 * 0.1**2  # of two points drawn with a deviation of 0.1 in each of 64 coordinates
print(
    f"the distances that are compared are near {typical:.2f}, "
    "the terms they are made of are multiples of 0.0625"
)

# %% [markdown]
# Two large numbers are subtracted, their leading digits cancel, and what is left is mostly the
# rounding of what came before. Encoders do put embeddings far from the origin. A quantizer that
# searches like this trains on wrong tokens and reports nothing.
#
# ## Version 4: the loop, compiled
#
# Back to the definition. Numba compiles the very function of version 1 to machine code: same text,
# same bits. That happens at the first call, and takes longer than the search; the package keeps the
# machine code on disk, so that it is paid for once (`vqnp/jit.py`).

# %%
compiled = numba.njit(error_model="numpy")(loop)
assert same(answer_of(compiled, points, tokens[:50]), nearest(points, tokens[:50]))
enter("compiled loop", lambda rows: answer_of(compiled, rows, tokens), rows=N // 8)

# %% [markdown]
# A processor adds eight or sixteen float32 in one instruction, and this does not. It must not: the
# sum over `d` has an order, floating-point sums depend on it, and a compiler that keeps its
# promises keeps the order. (Switches that allow it to break the promise exist, and then the answer
# depends on the machine.)
#
# **Predict.** Is there another loop, one in which nothing is summed, that could run innermost?
#
# The one over points. Neighboring points do not wait for each other: let eight or sixteen of them
# walk through the same tokens together. For that their coordinates must lie side by side in memory,
# so a block of points is turned on its side, `(D, 64)`.


# %%
@numba.njit(error_model="numpy")
def search_block(block, tokens, codes, distances):
    side = np.ascontiguousarray(block.T)  # (D, points)
    distances[:] = np.inf
    for k in range(len(tokens)):
        squared = np.zeros(len(block), block.dtype)
        for d in range(len(side)):
            for i in range(len(block)):
                difference = side[d, i] - tokens[k, d]
                squared[i] += difference * difference
        for i in range(len(block)):
            if squared[i] < distances[i]:
                codes[i], distances[i] = k, squared[i]


# %%
@numba.njit(error_model="numpy")
def in_blocks(points, tokens, codes, distances, size=64):
    for start in range(0, len(points), size):
        block = slice(start, start + size)
        search_block(points[block], tokens, codes[block], distances[block])


assert same(answer_of(in_blocks, points, tokens), nearest(points, tokens))
enter("compiled, turned", lambda rows: answer_of(in_blocks, rows, tokens), rows=N // 4)

# %% [markdown]
# Each distance is still summed in the order of its coordinates, so the bits are those of the loop.
# The block stays in the processor's nearest memory while all tokens pass by: nothing but points,
# tokens and answers ever comes from far away.
#
# Blocks do not wait for each other either, so they can run on all threads. One word changes,
# `prange`:


# %%
@numba.njit(error_model="numpy", parallel=True)
def on_all_threads(points, tokens, codes, distances, size=64):
    for b in prange((len(points) + size - 1) // size):
        block = slice(b * size, (b + 1) * size)
        search_block(points[block], tokens, codes[block], distances[block])


assert same(answer_of(on_all_threads, points, tokens), nearest(points, tokens))
enter("compiled, all threads", lambda rows: answer_of(on_all_threads, rows, tokens), rows=N)

# %% [markdown]
# ## Version 5: a product rules out, the definition decides
#
# The matrix product is fastest and rounds in its own way; the definition is exact and slower. One
# can have both. Let $e$ bound how far a score of the product can be off. A token whose score
# exceeds the least one by more than $2e$ is not the nearest, whatever the rounding. Only the others
# are searched by the definition, and they are few.
#
# The bound grows with the size of the numbers, and that is the cancellation of version 3 again,
# this time seen coming. So measure from the tokens' mean: far from the origin that changes no
# distance, and the numbers are small again.


# %%
@numba.njit(error_model="numpy", parallel=True)
def decide(points, tokens, possible, codes, distances):
    for i in prange(len(points)):
        distances[i] = np.inf
        for k in range(len(tokens)):
            if possible[i, k]:
                squared = points.dtype.type(0)
                for d in range(points.shape[1]):
                    difference = points[i, d] - tokens[k, d]
                    squared += difference * difference
                if squared < distances[i]:
                    codes[i], distances[i] = k, squared


# %%
def candidates(points, tokens):
    center = tokens.mean(axis=0)
    x, t = points - center, tokens - center
    scores = np.square(t).sum(axis=1) / 2 - x @ t.T  # (N, K)
    reach = np.linalg.norm(x, axis=1) + np.linalg.norm(t, axis=1).max()
    error = 2 * (x.shape[1] + 8) * np.finfo(x.dtype).eps * reach**2  # (N,)
    return scores <= (scores.min(axis=1) + 2 * error)[:, None]


def screened(points, tokens, codes, distances):
    decide(points, tokens, candidates(points, tokens), codes, distances)


rows = N // 4
assert same(answer_of(screened, points[:rows], tokens), nearest(points[:rows], tokens))
far, near = points[:rows] + np.float32(100), tokens + np.float32(100)
assert same(answer_of(screened, far, near), nearest(far, near))

# %% [markdown]
# **Predict.** How many of the tokens must the definition look at, for one point?

# %%
left = candidates(points[:rows], tokens).sum(axis=1).mean()
print(f"{left:.3f} of {K} tokens")
assert left < 2

# %% [markdown]
# Hardly ever more than one. The package does this a block of points and a block of tokens at a time
# inside one parallel loop, so that no array of all scores is ever made:

# %%
enter("product, then decide", lambda rows: answer_of(screened, rows, tokens), rows=N // 4)
enter("the package", lambda rows: nearest(rows, tokens), rows=N)
assert rates["the package"] > 100 * rates["the loop"]  # a hundred leaves room for any machine

# %% [markdown]
# ## The ladder

# %%
speed.rate_ladder(list(rates), list(rates.values()), peak)

# %% [markdown]
# *Picture: a bar for each version with its factor over the loop, on a logarithmic scale; a line
# marks the machine's matrix product.*
#
# A version need not be faster than the one before it. Expanding the square bought speed and paid
# with right answers; compiling went back to the definition, and from there on nothing of it is
# given away.
#
# ## The roof
#
# The same rates once more, each above its arithmetic intensity. What a version moves through main
# memory can be read off its text: bytes written and read for arrays that do not fit the processor's
# own memories, and at the very least the points, the tokens and the answers.

# %% tags=["thumbnail"]
operations = 2 * N * K * D
least = 4 * (N + K) * D + 12 * N  # points, tokens, codes of eight bytes and distances of four
moved = dict.fromkeys(rates, least) | {
    "broadcasting": 4 * 4 * N * K * D,  # differences written and read, squares written and read
    "expanded square": 4 * 4 * N * K,  # the product written and read, scores written and read
    # Scores are read once more, and for each a yes or no is written and read.
    "product, then decide": (5 * 4 + 2) * N * K,
}
intensities = [operations / moved[name] for name in rates]
speed.roofline(list(rates), intensities, list(rates.values()), peak, bandwidth)

# %% [markdown]
# *Picture: each version's rate above its intensity, under a roof that first rises with memory's
# speed and then is flat.*
#
# A point under the slope can only get faster by moving fewer bytes; a point under the flat part
# only by better arithmetic. Both happened here: expanding the square and working in blocks moved
# versions to the right, compiling and vectors moved them up. Part of what is left between the
# definition's versions and the roof is its third operation, the subtraction. Another part is that
# it may not use the instruction that multiplies and adds at once: that rounds once instead of
# twice, to other bits.
#
# ## Threads: one owner
#
# A matrix product inside a parallel loop is a trap: the library behind it (BLAS) starts threads of
# its own, from every thread of the loop, and they all fight for the same cores. Somebody must own
# the threads. Here it is Numba: `vqnp.threads.limit` holds BLAS to one thread while a kernel runs,
# and lets it go afterwards.


# %%
def blas_threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


before = blas_threads()
with threads.limit():
    assert blas_threads() == {1}
assert blas_threads() == before

# %% [markdown]
# ## Determinism: who adds what, in which order
#
# There is a second reason. Floating-point addition is not associative, so a sum that is cut into
# one part for each thread depends on how many threads there are. Here is what a parallel sum does,
# one part after the other so that you can watch:


# %%
@numba.njit
def sum_in_parts(values, parts):
    total = np.float32(0)
    size = (len(values) + parts - 1) // parts
    for start in range(0, len(values), size):
        part = np.float32(0)
        for value in values[start : start + size]:
            part += value
        total += part
    return total


values = points.reshape(-1)
totals = {parts: sum_in_parts(values, parts) for parts in (1, 2, 3, 4, 8, 16)}
for parts, total in totals.items():
    print(f"{parts:2d} parts: {total:.6f}")
assert len(set(totals.values())) > 1

# %% [markdown]
# One of these is what you would publish from a laptop, another from a server; and training feeds
# the difference back into itself at every step.
#
# **Predict.** How can several threads add up the embeddings of each code, as equation 3 needs, so
# that the bits do not depend on their number?
#
# Divide the *answers* among the threads, not the terms: each code belongs to one thread, which adds
# that code's embeddings in the order of the batch.

# %%
codes, _ = nearest(points, tokens)


def results(number):
    with threads.limit(number):
        return (*nearest(points, tokens), *batch_statistics(points, codes, K))


first, *others = (results(number) for number in range(1, numba.config.NUMBA_NUM_THREADS + 1))
assert all(same(first, other) for other in others)
print(f"the same bits on 1 to {numba.config.NUMBA_NUM_THREADS} threads")

# %% [markdown]
# The search keeps its bits for the same reason: each point's distance is summed by one thread, in
# one order, and ties go to the lowest index wherever the blocks begin. And the product, which does
# round differently for every block size, is never asked for more than its error bound can answer
# for.
#
# The number of threads is one thing, the kind of processor another. The library's product has a
# kernel for each kind, and each adds in its own order. A convolution uses this product, so a
# training on images has the same bits on one kind of processor alone. The small products of a
# training on points are loops like ours, and have the same bits on every processor.
#
# What to take away: write the loop first, and keep it; know the two numbers of your machine; move
# less before you calculate faster; and let the fast version prove, bit by bit, that it is still the
# loop.
#
# This is the last lesson. The README's *The tree* says where to go on, and its *Speed* what the
# package's own measurements are. What was tried for speed, and with what result, is in
# `tests/benchmarks/LOG.md`.

# %% [markdown]
# ## Exercises
#
# 1. Change `size=64` in `on_all_threads` to 8, 256 and 4096. Which is fastest on your machine, and
#    why do very small and very large blocks lose?
# 2. Version 2 can be written with a loop over `d` in Python that adds `(N, K)` arrays. Predict its
#    intensity, place it under the roof, measure it, and show that its bits are those of the loop.
# 3. For `D = 1` a sort makes the search cost about $(N + K) \log K$. Write that version. Ties must
#    go to the lowest index, and the answer must equal `nearest` to the last bit: what about two
#    tokens whose distances round to the same float32, where sorting sees them apart? Is it worth
#    it, and from which K on?
