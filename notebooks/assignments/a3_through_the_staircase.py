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
# # Assignment 3. Through the staircase
#
# You write what a VQ-VAE does around its codebook: the gradient that passes the look-up, the
# commitment loss, the moving averages in two dialects, the order of a training step, and the
# revival of dead tokens. Then you find a bug, and derive how long a token remembers.
#
# *Read lesson 3 first. The work takes 6 to 7 hours; the notebook runs in 1 minute.*
#
# **How it is graded.** The cells that begin with `check_` are public: they say what is wrong, and
# where. Hidden tests decide the grade. The table tells what each of them looks at. Every question
# is graded by itself: where a question needs an earlier one, it is given the package's own version.
#
# **Rules.** Write your functions with NumPy alone, and with what a question gives you. Functions of
# other libraries lose the points of the question, and so does a changed package. You may ask people
# and programs about concepts and messages; say so where you did. Counterexamples, derivations and
# readings are yours alone.
#
# {table}

# %% tags=["parameters"]
course = "demo"
student = "ada@example.edu"  # your e-mail address, as the course knows it: it picks your variant

# %%
import numpy as np

import vqnp
from vqnp.teaching import variant
from vqnp.testing import (
    check_commitment,
    check_ema,
    check_ema_mask,
    check_ema_start,
    check_ema_unused,
    check_evaluation,
    check_quantizer_step,
    check_revival,
    check_straight_through,
    mistakes,
)


# %%
def given_search(points, tokens):
    """Return codes (N,) and squared distances (N,): the package's search."""
    return vqnp.nearest(points, tokens)


def given_update(state, embeddings, codes, decay):
    """Return the state after the package's moving averages, in the dialect of the paper."""
    book = vqnp.Codebook(
        state["tokens"].copy(), state["counts"].copy(), state["sums"].copy(), state["steps"]
    )
    vqnp.ema_update(book, embeddings, codes, decay)
    return {"tokens": book.tokens, "counts": book.counts, "sums": book.sums, "steps": book.steps}


# %% [markdown]
# ## Question 1. Straight through (6 points)
#
# Write the straight-through estimator for latents in *your* layout. In `NHWC` the embeddings are
# `(B, H, W, D)`, in `NCHW` they are `(B, D, H, W)`. `forward` returns the nearest token of each
# embedding, in the shape of the embeddings. `vjp` returns the gradients for the gradient of the
# output: the embeddings get it as it is, the tokens get zeros.

# %%
layout = ("NHWC", "NCHW")[variant(course, "a3 layout", student, 2)]
print("your layout is", layout)


# %% tags=["answer"] given=["vqnp.nearest"]
def forward(embeddings, tokens):
    """Return the quantized embeddings, in the shape of the embeddings; tokens are (K, D)."""
    # BEGIN SOLUTION
    last = embeddings if layout == "NHWC" else np.moveaxis(embeddings, 1, 3)  # (B, H, W, D)
    codes, _ = given_search(last.reshape(-1, last.shape[3]), tokens)
    quantized = tokens[codes].reshape(last.shape)
    return quantized if layout == "NHWC" else np.moveaxis(quantized, 3, 1)
    # END SOLUTION


def vjp(embeddings, tokens, dquantized):
    """Return (dembeddings, dtokens)."""
    # BEGIN SOLUTION
    return dquantized, np.zeros_like(tokens)
    # END SOLUTION


# %% tags=["check"]
check_straight_through(forward, vjp, layout=layout, raises=False)


# %% tags=["hidden"] points=4
def test_public(forward, vjp, student):
    """The public check, in your layout"""
    layout = ("NHWC", "NCHW")[variant(COURSE, "a3 layout", student, 2)]
    check_straight_through(forward, vjp, layout=layout)


# %% tags=["hidden"] points=2
def test_fresh(forward, vjp, student):
    """Fresh latents in float32, in your layout"""
    layout = ("NHWC", "NCHW")[variant(COURSE, "a3 layout", student, 2)]
    check_straight_through(forward, vjp, layout=layout, dtype="float32", seed=SEED)


# %% [raw] tags=["bug"]
# name: no-gradient
# old: return dquantized, np.zeros_like(tokens)
# new: return np.zeros_like(dquantized), np.zeros_like(tokens)

# %% [raw] tags=["bug"]
# name: all-ones
# old: return dquantized, np.zeros_like(tokens)
# new: return np.ones_like(dquantized), np.zeros_like(tokens)

# %% [raw] tags=["bug"]
# name: batch-reversed
# old: return dquantized, np.zeros_like(tokens)
# new: return dquantized[::-1], np.zeros_like(tokens)

# %% [raw] tags=["bug"]
# name: sign
# old: return dquantized, np.zeros_like(tokens)
# new: return -dquantized, np.zeros_like(tokens)

# %% [raw] tags=["bug"]
# name: averaged
# old: return dquantized, np.zeros_like(tokens)
# new: return dquantized / (dquantized.size / tokens.shape[1]), np.zeros_like(tokens)

# %% [raw] tags=["bug"]
# name: channels-misread
# old: codes, _ = given_search(last.reshape(-1, last.shape[3]), tokens)
# new: |-
#   codes, _ = given_search(embeddings.reshape(-1, tokens.shape[1]), tokens)
#       return tokens[codes].reshape(embeddings.shape)

# %% [raw] tags=["bug"]
# name: not-quantized
# old: tokens[codes].reshape(last.shape)
# new: last

# %% [markdown]
# ## Question 2. Commitment (4 points)
#
# The commitment loss is $\beta\,\lVert z - \mathrm{sg}(t) \rVert^2 / (N D)$. It pulls embeddings
# towards their tokens. The stop-gradient sg lets nothing reach the tokens. Return the value and
# both gradients.


# %% tags=["answer"]
def commitment(embeddings, quantized, beta):
    """Return (value, dembeddings, dquantized) for embeddings and their tokens, both (N, D)."""
    # BEGIN SOLUTION
    difference = embeddings - quantized
    value = (difference**2).mean()
    slope = 2 * difference / difference.size
    return beta * value, beta * slope, np.zeros_like(quantized)
    # END SOLUTION


# %% tags=["check"]
check_commitment(commitment, raises=False)


# %% tags=["hidden"] points=3
def test_public(commitment):
    """The public check, and the same in float32 on fresh numbers"""
    check_commitment(commitment)
    check_commitment(commitment, dtype="float32", seed=SEED)


# %% tags=["hidden"] points=1
def test_ends(commitment):
    """β = 0 switches it off, and β = 1 leaves the mean of squares"""
    z = np.random.default_rng(SEED).normal(size=(6, 3))
    value, dz, _ = commitment(z, np.zeros((6, 3)), 0.0)
    assert value == 0, f"at β = 0 the value is {value}, expected 0"
    assert not np.any(dz), "at β = 0 the embeddings get a gradient"
    value = commitment(z, np.zeros((6, 3)), 1.0)[0]
    assert np.isclose(value, np.square(z).mean()), f"at β = 1 the value is {value}"


# %% [raw] tags=["bug"]
# name: beta-forgotten
# old: beta * value, beta * slope, np.zeros_like(quantized)
# new: value, slope, np.zeros_like(quantized)

# %% [raw] tags=["bug"]
# name: beta-on-the-codebook
# old: beta * value, beta * slope, np.zeros_like(quantized)
# new: (1 + beta) * value, slope, -beta * slope

# %% [raw] tags=["bug"]
# name: codebook-term
# old: beta * value, beta * slope, np.zeros_like(quantized)
# new: (1 + beta) * value, beta * slope, -slope

# %% [raw] tags=["bug"]
# name: no-stop-gradient
# old: beta * value, beta * slope, np.zeros_like(quantized)
# new: beta * value, beta * slope, -beta * slope

# %% [raw] tags=["bug"]
# name: stop-on-the-embeddings
# old: beta * value, beta * slope, np.zeros_like(quantized)
# new: beta * value, 0 * slope, -beta * slope

# %% [raw] tags=["bug"]
# name: no-gradient
# old: beta * value, beta * slope, np.zeros_like(quantized)
# new: beta * value, 0 * slope, np.zeros_like(quantized)

# %% [raw] tags=["bug"]
# name: mean-over-rows
# old: |-
#   value = (difference**2).mean()
#       slope = 2 * difference / difference.size
# new: |-
#   value = (difference**2).sum() / len(difference)
#       slope = 2 * difference / len(difference)

# %% [raw] tags=["bug"]
# name: factor-two-lost
# old: 2 * difference
# new: difference

# %% [raw] tags=["bug"]
# name: sign
# old: 2 * difference
# new: -2 * difference

# %% [markdown]
# ## Question 3. Moving averages (7 points)
#
# Write one step of the paper's moving averages. A batch gives each code $k$ its hits $l_k$ and the
# sum $m_k$ of their embeddings:
#
# $$M \leftarrow \gamma M + (1 - \gamma)\,m, \qquad L \leftarrow \gamma L + (1 - \gamma)\,l,
# \qquad t \leftarrow M / L$$
#
# The state is a dictionary: `tokens` (K, D), `counts` L (K,), `sums` M (K, D) and `steps`. A token
# without hits stays exactly where it is; M and L fade nevertheless. Where a mask is given, its
# False entries are padding: they count for nothing.


# %% tags=["answer"]
def ema_step(state, embeddings, codes, decay, mask=None):
    """Return the state after a batch of embeddings (N, D) with codes (N,)."""
    # BEGIN SOLUTION
    if mask is not None:
        embeddings, codes = embeddings[mask], codes[mask]
    chosen = codes[:, None] == np.arange(len(state["tokens"]))  # (N, K)
    hits = chosen.sum(axis=0)  # l
    counts = decay * state["counts"] + (1 - decay) * hits
    sums = decay * state["sums"] + (1 - decay) * (chosen.T @ embeddings)
    tokens = state["tokens"].copy()
    tokens[hits > 0] = sums[hits > 0] / counts[hits > 0, None]
    return {"tokens": tokens, "counts": counts, "sums": sums, "steps": state["steps"] + 1}
    # END SOLUTION


# %% tags=["check"]
check_ema(ema_step, raises=False)

# %% tags=["check"]
check_ema_unused(ema_step, raises=False)

# %% tags=["check"]
check_ema_mask(ema_step, raises=False)


# %% tags=["hidden"] points=3
def test_public(ema_step):
    """The public check"""
    check_ema(ema_step)


# %% tags=["hidden"] points=1
def test_fresh(ema_step):
    """Fresh batches in float32"""
    check_ema(ema_step, dtype="float32", seed=SEED)


# %% tags=["hidden"] points=2
def test_unused(ema_step):
    """Tokens that are not used for forty steps stay where they are, to the bit"""
    check_ema_unused(ema_step)


# %% tags=["hidden"] points=1
def test_mask(ema_step):
    """Padding counts for nothing"""
    check_ema_mask(ema_step)


# %% [raw] tags=["bug"]
# name: decay-swapped
# old: hits = chosen.sum(axis=0)  # l
# new: hits, decay = chosen.sum(axis=0), 1 - decay

# %% [raw] tags=["bug"]
# name: no-average
# old: hits = chosen.sum(axis=0)  # l
# new: hits, decay = chosen.sum(axis=0), 0.0

# %% [raw] tags=["bug"]
# name: batch-mean
# old: (chosen.T @ embeddings)
# new: (chosen.T @ embeddings) / np.maximum(hits, 1)[:, None]

# %% [raw] tags=["bug"]
# name: batch-share
# old: (1 - decay) * hits
# new: (1 - decay) * hits / len(codes)

# %% [raw] tags=["bug"]
# name: codes-reversed
# old: codes[:, None] == np.arange(len(state["tokens"]))
# new: codes[::-1, None] == np.arange(len(state["tokens"]))

# %% [raw] tags=["bug"]
# name: zeros-without-hits
# old: tokens = state["tokens"].copy()
# new: tokens = np.zeros_like(state["tokens"])

# %% [raw] tags=["bug"]
# name: unused-divided
# old: tokens[hits > 0] = sums[hits > 0] / counts[hits > 0, None]
# new: tokens = sums / counts[:, None]

# %% [raw] tags=["bug"]
# name: padding-counted
# old: if mask is not None
# new: if False

# %% [raw] tags=["bug"]
# name: mask-inverted
# old: embeddings[mask], codes[mask]
# new: embeddings[~mask], codes[~mask]

# %% [raw] tags=["bug"]
# name: padding-zeroed
# old: embeddings, codes = embeddings[mask], codes[mask]
# new: embeddings = embeddings * mask[:, None]

# %% [markdown]
# ## Question 4. Your dialect (5 points)
#
# Published programs start and read the averages differently. With $\varepsilon = 10^{-5}$ and
# $S = (L + \varepsilon) / (\sum L + K \varepsilon) \cdot \sum L$ they do this:
#
# | dialect | at the start | kept in L | token |
# |---|---|---|---|
# | counts-one | L = 1, M = token | L | M / S |
# | smoothed-state | L = 0, M = standard normal noise | S, stored back | M / S |
# | debiased | L = 0, M = 0 | L | (M / b) / S(L / b), with b = 1 − γᵗ at step t |
#
# All tokens are read at every step, with or without hits. `steps` counts the steps before this one.
# Write the start and the step of *your* dialect.

# %%
dialect = ("counts-one", "smoothed-state", "debiased")[variant(course, "a3 dialect", student, 3)]
print("your dialect is", dialect)


# %% tags=["answer"]
def dialect_start(tokens, counts):
    """Return the first state: a dictionary of tokens (K, D), counts (K,) and sums (K, D)."""
    # BEGIN SOLUTION
    if dialect == "counts-one":
        return {"tokens": tokens, "counts": np.ones_like(counts), "sums": tokens.copy()}
    sums = np.zeros_like(tokens)
    if dialect == "smoothed-state":
        sums = np.random.default_rng(0).normal(size=tokens.shape)
    return {"tokens": tokens, "counts": np.zeros_like(counts), "sums": sums}
    # END SOLUTION


def dialect_step(state, embeddings, codes, decay):
    """Return the state after a batch of embeddings (N, D) with codes (N,)."""
    # BEGIN SOLUTION
    chosen = codes[:, None] == np.arange(len(state["tokens"]))  # (N, K)
    hits, steps = chosen.sum(axis=0), state["steps"] + 1
    counts = decay * state["counts"] + (1 - decay) * hits
    sums = decay * state["sums"] + (1 - decay) * (chosen.T @ embeddings)
    bias = 1 - decay**steps if dialect == "debiased" else 1.0
    total = counts.sum() / bias
    smoothed = (counts / bias + 1e-5) / (total + len(counts) * 1e-5) * total
    tokens = sums / bias / smoothed[:, None]
    kept = smoothed if dialect == "smoothed-state" else counts
    return {"tokens": tokens, "counts": kept, "sums": sums, "steps": steps}
    # END SOLUTION


# %% tags=["check"]
check_ema_start(dialect_start, dialect=dialect, raises=False)

# %% tags=["check"]
check_ema(dialect_step, dialect=dialect, raises=False)


# %% tags=["hidden"] points=3
def test_step(dialect_step, student):
    """The step of your dialect"""
    names = ("counts-one", "smoothed-state", "debiased")
    dialect = names[variant(COURSE, "a3 dialect", student, 3)]
    check_ema(dialect_step, dialect=dialect)
    check_ema(dialect_step, dialect=dialect, seed=SEED)


# %% tags=["hidden"] points=2
def test_start(dialect_start, student):
    """The start of your dialect"""
    names = ("counts-one", "smoothed-state", "debiased")
    dialect = names[variant(COURSE, "a3 dialect", student, 3)]
    check_ema_start(dialect_start, dialect=dialect)


# %% [raw] tags=["bug"]
# name: decay-swapped
# old: hits, steps = chosen.sum(axis=0), state["steps"] + 1
# new: hits, steps, decay = chosen.sum(axis=0), state["steps"] + 1, 1 - decay

# %% [raw] tags=["bug"]
# name: of-another-dialect
# says: this is the dialect
# old: |-
#   bias = 1 - decay**steps if dialect == "debiased" else 1.0
# new: |-
#   bias = 1.0 if dialect == "debiased" else 1 - decay**steps

# %% [raw] tags=["bug"]
# name: start-of-k-means
# says: from-k-means
# old: |-
#   if dialect == "counts-one":
# new: |-
#   if True:
#           return {"tokens": tokens, "counts": counts, "sums": counts[:, None] * tokens}
#       if dialect == "counts-one":

# %% [markdown]
# ## Question 5. The order of a step (6 points)
#
# A training step searches with the old tokens, looks the old tokens up, and only then updates. An
# evaluation looks up and changes nothing. Write both with `given_search` and `given_update`.


# %% tags=["answer"] given=["vqnp.nearest", "vqnp.ema_update", "vqnp.Codebook"]
def quantizer_step(state, embeddings, decay):
    """Return (quantized, state): the token of each embedding (N, D), and the state after it."""
    # BEGIN SOLUTION
    codes, _ = given_search(embeddings, state["tokens"])
    quantized = state["tokens"][codes]
    return quantized, given_update(state, embeddings, codes, decay)
    # END SOLUTION


def evaluate(state, embeddings):
    """Return (quantized, state), and leave the state alone."""
    # BEGIN SOLUTION
    found, _ = given_search(embeddings, state["tokens"])
    return state["tokens"][found], state
    # END SOLUTION


# %% tags=["check"]
check_quantizer_step(quantizer_step, raises=False)

# %% tags=["check"]
check_evaluation(evaluate, raises=False)


# %% tags=["hidden"] points=3
def test_step(quantizer_step):
    """A training step, also on fresh embeddings"""
    check_quantizer_step(quantizer_step)
    check_quantizer_step(quantizer_step, seed=SEED)


# %% tags=["hidden"] points=3
def test_evaluation(evaluate):
    """An evaluation, also on fresh embeddings"""
    check_evaluation(evaluate)
    check_evaluation(evaluate, seed=SEED)


# %% [raw] tags=["bug"]
# name: updated-before-lookup
# old: |-
#   quantized = state["tokens"][codes]
#       return quantized, given_update(state, embeddings, codes, decay)
# new: |-
#   after = given_update(state, embeddings, codes, decay)
#       return after["tokens"][codes], after

# %% [raw] tags=["bug"]
# name: updated-before-search
# old: |-
#   quantized = state["tokens"][codes]
#       return quantized, given_update(state, embeddings, codes, decay)
# new: |-
#   after = given_update(state, embeddings, codes, decay)
#       return after["tokens"][given_search(embeddings, after["tokens"])[0]], after

# %% [raw] tags=["bug"]
# name: not-updated
# old: return quantized, given_update(state, embeddings, codes, decay)
# new: return quantized, state

# %% [raw] tags=["bug"]
# name: updated-twice
# old: return quantized, given_update(state, embeddings, codes, decay)
# new: |-
#   state = given_update(state, embeddings, codes, decay)
#       return quantized, given_update(state, embeddings, codes, decay)

# %% [raw] tags=["bug"]
# name: updates-in-evaluation
# old: return state["tokens"][found], state
# new: return state["tokens"][found], given_update(state, embeddings, found, 0.9)

# %% [raw] tags=["bug"]
# name: initialized-in-evaluation
# old: found, _ = given_search(embeddings, state["tokens"])
# new: |-
#   state = state | {"tokens": embeddings[: len(state["tokens"])]}
#       found, _ = given_search(embeddings, state["tokens"])

# %% [markdown]
# ## Question 6. Revival (2 points)
#
# A token that nobody chooses can be put elsewhere. Token, L and M belong together: for a revived
# code, M = L · token. Write `revive`.


# %% tags=["answer"]
def revive(state, codes, tokens, counts):
    """Return the state with R dead codes (R,) at their new tokens (R, D) and counts (R,)."""
    # BEGIN SOLUTION
    state["tokens"][codes] = tokens
    state["counts"][codes] = counts
    state["sums"][codes] = counts[:, None] * tokens
    return state
    # END SOLUTION


# %% tags=["check"]
check_revival(revive, raises=False)


# %% tags=["hidden"] points=2
def test_revival(revive):
    """The public check, also on fresh tokens"""
    check_revival(revive)
    check_revival(revive, seed=SEED)


# %% [raw] tags=["bug"]
# name: token-only
# old: |-
#   state["counts"][codes] = counts
#       state["sums"][codes] = counts[:, None] * tokens
# new: pass

# %% [raw] tags=["bug"]
# name: sums-forgotten
# old: state["sums"][codes] = counts[:, None] * tokens
# new: pass

# %% [raw] tags=["bug"]
# name: counts-forgotten
# old: state["counts"][codes] = counts
# new: pass

# %% [markdown]
# ## Question 7. Find the bug (4 points)
#
# `mystery(state, embeddings, codes, decay)` is a step of the moving averages with one mistake. Your
# e-mail address picks it. Give its name, and a small input on which its tokens, counts or sums are
# wrong: at most two tokens and three embeddings. Some inputs hide the mistake. With γ = 0.5, for
# instance, nobody can tell γ from 1 − γ.

# %%
names = [mistake.name for mistake in mistakes("ema", dialect="paper")]
mystery = mistakes("ema", dialect="paper")[
    variant(course, "a3 mystery", student, len(names))
].functions[0]

# %% tags=["desk"]
for mistake in mistakes("ema", dialect="paper"):
    print(f"{mistake.name}: {mistake.sentence}")


# %% tags=["answer"] given="all"
def counterexample():
    """Return the mistake's name, and state, embeddings (N, D), codes (N,) and decay to show it."""
    # BEGIN SOLUTION
    name = names[variant(course, "a3 mystery", student, len(names))]
    tokens = np.array([[1.0], [4.0]])
    state = {"tokens": tokens, "counts": np.ones(2), "sums": tokens.copy(), "steps": 1}
    # Code 1 must go without hits where that is the point.
    codes = [0, 0, 0] if name == "zeros-without-hits" else [0, 0, 1]
    return name, state, np.array([[0.0], [2.0], [5.0]]), np.array(codes), 0.9
    # END SOLUTION


# %% tags=["desk"]
name, *shown = counterexample()
print(f"{name}: tokens {mystery(*shown)['tokens'].ravel()}")
print(f"right are {given_update(*shown)['tokens'].ravel()}")


# %% tags=["hidden"] points=1
def test_name(counterexample, student):
    """The name of the mistake"""
    expected = mistakes("ema", dialect="paper")[variant(COURSE, "a3 mystery", student, 6)].name
    assert counterexample()[0] == expected, "the mistake has another name"


# %% tags=["hidden"] points=3
def test_shows_it(counterexample, student):
    """Your input shows the mistake"""
    wrong = mistakes("ema", dialect="paper")[variant(COURSE, "a3 mystery", student, 6)]
    _, state, embeddings, codes, decay = counterexample()
    state = {name: np.array(value, dtype=np.float64) for name, value in state.items()}
    embeddings, codes = np.asarray(embeddings, dtype=np.float64), np.asarray(codes)
    assert len(state["tokens"]) <= 2, f"at most two tokens, got {len(state['tokens'])}"
    assert len(embeddings) <= 3, f"at most three embeddings, got {len(embeddings)}"
    assert 0 < decay < 1, f"the decay must lie between 0 and 1, got {decay}"
    book = vqnp.Codebook(state["tokens"].copy(), state["counts"].copy(), state["sums"].copy(), 1)
    vqnp.ema_update(book, embeddings, codes, decay)
    with np.errstate(all="ignore"):
        made = wrong.functions[0](state | {"steps": 1}, embeddings, codes, decay)
    same = all(
        np.allclose(made[name], getattr(book, name)) for name in ("tokens", "counts", "sums")
    )
    assert not same, "on this input the mystery step is right"


# %% [raw] tags=["bug"]
# name: another-name
# says: has another name
# old: return name, state,
# new: return names[names.index(name) - 1], state,

# %% [raw] tags=["bug"]
# name: shows-nothing
# says: the mystery step is right
# old: np.array([[0.0], [2.0], [5.0]]), np.array(codes), 0.9
# new: np.array([[1.0], [4.0]]), np.array([0, 1]), 0.5

# %% [markdown]
# ## Question 8. How long a token remembers (6 points)
#
# A token stands at $a$, with L = n and M = n a. From now on every batch sends it n embeddings, all
# at $b$. Write `walk`: the places of the token before the first step and after each of `steps`
# steps. Write `half_life`: the number of steps, an integer, after which at most half of the way
# from $a$ to $b$ is left.

# %%
decay = (0.8, 0.9, 0.95, 0.99)[variant(course, "a3 decay", student, 4)]
print("your decay is", decay)


# %% tags=["answer"]
def walk(decay, a, b, steps):
    """Return the places of the token, (steps + 1,)."""
    # BEGIN SOLUTION
    t = np.arange(steps + 1)
    return b + decay**t * (a - b)
    # END SOLUTION


def half_life(decay):
    """Return the number of steps after which at most half of the way is left, an integer."""
    # BEGIN SOLUTION
    return int(np.ceil(np.log(0.5) / np.log(decay)))
    # END SOLUTION


# %% tags=["desk"]
print(*np.round(walk(decay, -1.0, 1.0, 10), 3))
print("half of the way is left after", half_life(decay), "steps")


# %% tags=["hidden"] points=1
def test_walk(walk):
    """The walk of a token, as the moving averages make it"""
    rng = np.random.default_rng(SEED)
    for decay in (*rng.uniform(0.5, 0.99, 4), 0.9):
        a, b = rng.normal(size=2)
        book = vqnp.Codebook(np.array([[a]]), np.array([3.0]), np.array([[3 * a]]))
        expected = [a]
        for _ in range(30):
            vqnp.ema_update(book, np.full((3, 1), b), np.zeros(3, dtype=np.int64), decay)
            expected.append(book.tokens[0, 0])
        got = np.asarray(walk(decay, a, b, 30))
        assert got.shape == (31,), f"expected 31 places, got shape {got.shape}"
        assert np.allclose(got, expected), f"the walk with decay {decay:.3f} goes elsewhere"


# %% tags=["hidden"] points=1
def test_half_life(half_life):
    """The half-life of any decay"""
    for decay in (0.6, 0.8, 0.9, 0.95, 0.99, 0.999):
        expected = next(t for t in range(10_000) if decay**t <= 0.5)
        got = half_life(decay)
        assert got == expected, f"the half-life of decay {decay} is not {got}"


# %% [raw] tags=["bug"]
# name: weights-swapped
# says: goes elsewhere
# old: b + decay**t * (a - b)
# new: b + (1 - decay) ** t * (a - b)

# %% [raw] tags=["bug"]
# name: mean-life
# says: the half-life of decay
# old: np.log(0.5) / np.log(decay)
# new: 1 / (1 - decay)

# %% [markdown] tags=["written"] points=4 rubric="the derivation; your decay and its half-life"
# L stays n, because γ n + (1 − γ) n = n. M goes from n a to γ n a + (1 − γ) n b. So the token,
# M / L, goes from a to γ a + (1 − γ) b, and the way that is left, token − b, is multiplied by γ at
# each step. After t steps it is γ^t (a − b). It is half when γ^t = 1/2, so t = ln(1/2) / ln γ, and
# the first whole number of steps is the next integer. For my γ = 0.99 this is 68.97, so 69 steps;
# my walk printed −0.809 after 10 steps, so 0.9 of the way from −1 to 1 is left: 0.99^10 = 0.904.
# This says nothing about a token whose hits change from batch to batch, because then L moves too.
