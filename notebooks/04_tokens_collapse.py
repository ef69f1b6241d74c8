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
# # 4. Tokens collapse
#
# So far a codebook was laid among points that stood still. In a VQ-VAE the points are an encoder's
# outputs, and the encoder learns while the tokens follow. This lesson watches the two from the
# first step to the last epoch: a codebook that fits perfectly when it is born, and is left behind
# within one epoch.
#
# **After this lesson you can**
#
# - say why an untrained encoder squeezes whatever it is given, and by how much;
# - explain how tokens that were well placed come to crowd where few embeddings are;
# - measure a codebook in four ways, and say which of them notice a collapse and which do not.
#
# 30 minutes. Lessons 1 (codebooks and Lloyd's steps) and 3 (straight-through, moving averages) come
# before.
#
# On Colab, run this first: `%pip install -q "vqnp[notebooks]"`

# %% tags=["parameters"]
FAST = False  # True shrinks the work: for a quick look, and for the tests

# %%
from itertools import pairwise

import numpy as np
from ipywidgets import SelectionSlider, interact

import vqnp
from vqnp import diagnostics, threads
from vqnp.lessons import collapse
from vqnp.optim import AdamW
from vqnp.training import encode_in_batches

# %matplotlib inline

EPOCHS = 4 if FAST else 200

# %% [markdown]
# ## An encoder that has learned nothing
#
# The data are the paper's: ten Gaussian clusters of 1,000 points, standardized, so that each
# coordinate has standard deviation 1. The encoder is the paper's, too: three linear layers with a
# ReLU between every two, 2 → 32 → 32 → 1. Its weights and biases are drawn evenly from ±1/√I, where
# I is the number of inputs of the layer. That is what the common frameworks do when nobody says
# otherwise.
#
# **Predict.** The points reach from about −3 to 2. How far do the outputs of the untrained encoder
# reach: about as far, ten times farther, or a tenth of it?

# %%
data = vqnp.clusters(dim=2, rng=0)


def untrained_encoder(points, sizes, rng):
    """Send points through fresh layers; return the outputs, and the variance after each layer."""
    variances = []
    for fan_in, fan_out in pairwise(sizes):
        if variances:
            points = np.maximum(points, 0)
        bound = fan_in**-0.5
        weight = rng.uniform(-bound, bound, (fan_in, fan_out))
        points = points @ weight + rng.uniform(-bound, bound, fan_out)  # (N, fan_out)
        variances.append(points.var(axis=0).mean())
    return points, variances


by_hand, _ = untrained_encoder(data.points, (2, 32, 32, 1), np.random.default_rng(0))
model = vqnp.mlp_vqvae(vqnp.MLPSettings(data_dim=2, token_dim=1), rng=0)
untrained = model.encode(data.points)
assert np.allclose(untrained, by_hand, atol=1e-5)  # the package's weights are rounded to float32

print(f"data:    {data.points.min():5.2f} to {data.points.max():.2f}")
print(f"outputs: {untrained.min():5.2f} to {untrained.max():.2f}")
assert np.ptp(untrained) < np.ptp(data.points) / 10

# %% [markdown]
# Less than a tenth. And this is no bad luck with the seed. A number drawn evenly from ±1/√I has
# variance 1/(3I). An output of the layer is a sum of I inputs, each times such a number. So over
# many draws of the weights its variance is **a third** of the mean variance of the inputs. The bias
# moves all points alike and changes nothing. A ReLU brings two numbers closer together or leaves
# them as far apart as they were; it can only lose more.
#
# **Predict.** So at most which share of the variance is left after three layers?

# %%
draws = [
    untrained_encoder(data.points, (2, 32, 32, 1), np.random.default_rng(seed))[1]
    for seed in range(200)
]
after = np.mean(draws, axis=0)
print("variance after each linear layer, mean of 200 encoders:", after.round(3))
assert np.isclose(after[0], 1 / 3, rtol=0.05)  # one standard error of the mean is about 1 %
assert after[2] < 1 / 27

# %% [markdown]
# At most 1/27 of it, and less after the ReLUs. The deeper the encoder, the smaller the place where
# all embeddings start.

# %% [markdown]
# ## Figure 2
#
# For comparison, the same encoder after half of the epochs as a plain autoencoder, without any
# quantization. (How, and what for, is the next lesson.)

# %%
trained = vqnp.mlp_vqvae(vqnp.MLPSettings(data_dim=2, token_dim=1), rng=0)
vqnp.train(trained, data.points, [vqnp.Pretrain(EPOCHS // 2)], rng=0)
after_training = trained.encode(data.points)
print(
    f"the untrained encoder's range is {np.ptp(untrained) / np.ptp(after_training):.0%} of "
    "the trained one's"
)
if not FAST:
    assert np.ptp(untrained) < np.ptp(after_training) / 10
collapse.embedding_densities({"untrained": untrained, "trained": after_training}, data.labels)

# %% [markdown]
# *Picture: densities of the embeddings with their peaks, before and after training; thin lines are
# the ten clusters.*

# %% [markdown]
# ## The codebook is born
#
# Without pretraining the 128 tokens are placed by k-means on the left of these two clouds. Is
# something wrong with them? *Perplexity* is the number of equally used tokens that would be as
# even: with p the share of the embeddings that each token serves, exp(−Σ p ln p).
#
# **Predict.** The embeddings are squeezed into a small range. Is the perplexity of the newborn
# codebook near 1, or near 128?


# %%
def perplexity(codes, n_tokens):
    share = np.bincount(codes, minlength=n_tokens) / len(codes)
    share = share[share > 0]  # 0 ln 0 is 0
    return np.exp(-(share * np.log(share)).sum())


tokens = vqnp.kmeans(untrained, 128, rng=0).tokens
codes, _ = vqnp.nearest(untrained, tokens)
assert np.isclose(perplexity(codes, 128), diagnostics.perplexity(codes, 128))
print(f"perplexity {perplexity(codes, 128):.0f} of 128")
assert perplexity(codes, 128) > 64

# %% [markdown]
# Nothing is wrong. Perplexity asks which token is nearest, and for that the scale does not matter:
# magnify embeddings and tokens alike, and every embedding keeps its token. A small place to be born
# in is no defect. But the encoder will not stay there.

# %% [markdown]
# ## The first epoch, step by step
#
# An epoch is 40 batches of 256 points. Each batch is one step: the optimizer moves the encoder and
# the decoder, then equations 3 to 5 move the tokens that were hit towards the embeddings that hit
# them. Here it is by hand, looking at all points after each step.


# %%
def first_epoch(model, points, batch=256):
    """Yield the embeddings of all points and the tokens: at birth, then after each step."""
    embeddings = encode_in_batches(model, points, batch)
    rng = np.random.default_rng([0, 1, 0])  # seed 0, phase 1, epoch 0
    model.quantizer.initialize(embeddings, batch=batch, rng=rng)
    yield embeddings, model.tokens.copy()
    optimizer = AdamW(model.params, 1e-3)
    order = np.random.default_rng([0, 2, 0]).permutation(len(points))  # seed 0, phase 2, epoch 0
    for start in range(0, len(points), batch):
        step = model.loss_and_gradients(points[order[start : start + batch]])
        optimizer.step(step.gradients)
        model.quantizer.update(step.embeddings, step.quantized)
        yield model.encode(points), model.tokens.copy()


with threads.limit():  # products on one thread, as train does it
    steps = list(first_epoch(model, data.points))

again = vqnp.mlp_vqvae(vqnp.MLPSettings(data_dim=2, token_dim=1), rng=0)
vqnp.train(again, data.points, vqnp.ae_then_vq(pretrain=0, finetune=1), rng=0)
assert np.array_equal(model.tokens, again.tokens)  # to the last bit: this is what train does
assert all(np.array_equal(model.params[name], again.params[name]) for name in model.params)

# %% [markdown]
# The learning rate is 0.001. In one step Adam moves every weight by about as much, and all of them
# work together: the outputs may grow quickly. A token moves only when it is hit, and then towards a
# mean of *its* embeddings.
#
# **Predict.** The embeddings spread out in all directions. Which tokens will be the nearest to
# those that leave: many, or few?

# %%
for i in (0, 5, 10, 20, 40):
    embeddings, tokens = steps[i]
    counts = np.bincount(vqnp.nearest(embeddings, tokens)[0], minlength=128)
    top = np.sort(counts)[-8:].sum() / len(embeddings)
    print(
        f"step {i:2}: embeddings {np.ptp(embeddings):.2f} wide, tokens {np.ptp(tokens):.2f}, "
        f"perplexity {diagnostics.perplexity_of_counts(counts):5.1f}, "
        f"the 8 busiest tokens serve {top:.0%}"
    )
assert diagnostics.perplexity_of_counts(counts) < 32  # a quarter of 128
assert top > 0.5
assert np.ptp(tokens) < np.ptp(embeddings)

# %% [markdown]
# Few: the outermost. Whatever leaves the crowd has one of the tokens at its rim as the nearest, so
# these take nearly everything and are pulled outwards. The others inside are chosen ever more
# rarely, and a token that is not chosen stays where it is. In 40 steps most of the codebook is
# lost.
#
# The next picture follows every token, for this one epoch and then for all of them.


# %% tags=["thumbnail"]
def watch(dim, token_dim):
    """Train without pretraining; return data, model and each epoch's embeddings and tokens."""
    data, moments = vqnp.clusters(dim, rng=0), []
    model = vqnp.mlp_vqvae(vqnp.MLPSettings(dim, token_dim), rng=0)

    def keep(state):
        moments.append((state.model.encode(data.points), state.model.tokens.copy()))

    vqnp.train(
        model, data.points, vqnp.ae_then_vq(pretrain=0, finetune=EPOCHS), rng=0, on_epoch=keep
    )
    return data, model, moments


data, model, epochs = watch(2, 1)
parts = {
    "step of the first epoch": (np.arange(41), steps),
    "epoch": (np.arange(1, EPOCHS + 1), epochs),
}
collapse.token_tracks(
    [
        (name, times, *map(np.stack, zip(*moments, strict=True)))
        for name, (times, moments) in parts.items()
    ]
)

# %% [markdown]
# *Picture: a line for each token over the shaded density of the embeddings: the first epoch step by
# step, then all epochs.*

# %% [markdown]
# The collapse takes one epoch. The other epochs are a slow recovery: while its cell of the line
# holds any embeddings a token moves towards them, and makes room for the next. Where a gap without
# embeddings lies in between, a token has to be the nearest to something on the other side before it
# can cross; on the right some are seen doing so, many epochs later.

# %% [markdown]
# ## 200 epochs in the plane
#
# With tokens of two dimensions the whole of it can be seen. Here are ten clusters in four
# dimensions, quantized to two.

# %%
plane, planar, later = watch(4, 2)
with threads.limit():
    begin = list(first_epoch(vqnp.mlp_vqvae(vqnp.MLPSettings(4, 2), rng=0), plane.points))
frames = {f"step {i}": moment for i, moment in enumerate(begin)}
frames |= {f"epoch {i}": moment for i, moment in enumerate(later, start=1)}
assert np.array_equal(frames["step 40"][1], frames["epoch 1"][1])

last = f"epoch {EPOCHS}"
chosen = [
    "step 0",
    "step 10",
    "epoch 1",
    "epoch 3" if FAST else "epoch 5",
    f"epoch {EPOCHS // 2}",
    last,
]
collapse.moments_side_by_side([(name, *frames[name]) for name in chosen])

# %% [markdown]
# *Picture: six moments in the plane: tokens cover the embeddings at birth, lag behind after ten
# steps, crowd in the end.*

# %% [markdown]
# Where the notebook is running, the slider shows every frame.

# %%
slider = SelectionSlider(options=[name for name in frames if name != "step 40"], description="when")


@interact(when=slider)
def frame(when):
    return collapse.moments_side_by_side([(when, *frames[when])], columns=1)


# %% [markdown]
# *Tokens collapse*, says the paper, when "a disproportionate number of tokens are allocated to only
# a few embeddings". Each cluster has a tenth of the embeddings.
#
# **Predict.** How many of the 128 tokens lie in the three clusters that have most, if the shares
# were fair? How many do?

# %%
embeddings, tokens = frames[last]
owners = plane.labels[
    vqnp.nearest(tokens, embeddings)[0]
]  # the cluster of the embedding nearest to each token
share = np.sort(np.bincount(owners, minlength=10))[::-1]
print(f"tokens in each cluster, most first: {share}; the first three hold {share[:3].sum()}")
if not FAST:
    assert share[:3].sum() > 64  # fair would be 38

# %% [markdown]
# ## What is measured
#
# Perplexity is one number of several. Two more are short enough to write here. The *spread ratio*
# is the standard deviation of the tokens over that of the embeddings. The *effective rank* says in
# how many directions the tokens vary: the same exp(−Σ p ln p), but of the shares of the singular
# values.


# %%
def spread_ratio(tokens, embeddings):
    return np.sqrt(tokens.var(axis=0).sum() / embeddings.var(axis=0).sum())


def effective_rank(points):
    singular = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    share = singular / singular.sum()
    return np.exp(-(share * np.log(share)).sum())


assert np.isclose(
    spread_ratio(tokens, embeddings), diagnostics.spread_ratio(tokens, embeddings), rtol=1e-4
)
assert np.isclose(effective_rank(tokens), diagnostics.effective_rank(tokens), rtol=1e-4)

# %% [markdown]
# **Predict.** Between birth, the end of the first epoch and the end: which of perplexity, codes
# used, spread ratio and effective rank (*token rank* in the table) tell the three moments apart?

# %%
named = {"birth": frames["step 0"], "epoch 1": frames["epoch 1"], last: frames[last]}
diagnoses = {name: vqnp.diagnose(*moment, plane.labels) for name, moment in named.items()}
print(vqnp.side_by_side(diagnoses))
birth, first, end = diagnoses.values()
assert first.perplexity < 32 < 64 < birth.perplexity
assert first.spread_ratio < 0.5 < birth.spread_ratio
if not FAST:
    assert end.perplexity < 96
    assert end.codes_used > 64
    assert end.token_rank > 1.8

# %% [markdown]
# Perplexity and spread ratio do. At the end *codes used* counts more than half of the tokens,
# because it is enough to serve a single embedding; and the effective rank is near 2 at the end: the
# tokens do crowd, but in both directions. Neither is a wrong number. They answer other questions:
# whether tokens are dead, and whether they lie on a line. *Class divergence* compares how tokens
# and how embeddings are shared among the clusters, which is what we counted above.

# %% [markdown]
# ## Figure 3, without pretraining
#
# The paper's three cases: 2 → 1, 3 → 1 and 8 → 4 dimensions. What the tokens decode to is all that
# a reconstruction can be made of.
#
# **Predict.** Which of the three loses most?

# %%
cases = {"2 → 1": (data, model)}
cases |= {f"{dim} → {size}": watch(dim, size)[:2] for dim, size in ((3, 1), (8, 4))}

columns, reports = [], {}
for name, (dataset, trained) in cases.items():
    embeddings, reconstruction = trained.encode(dataset.points), trained.reconstruct(dataset.points)
    reports[name] = vqnp.diagnose(
        embeddings,
        trained.tokens,
        dataset.labels,
        data=dataset.points,
        reconstruction=reconstruction,
    )
    title = f"{name} dimensions: {reports[name].class_spread_ratio:.0%} of spread kept"
    columns.append(
        collapse.Outcome(title, dataset.points, reconstruction, embeddings, trained.tokens)
    )

# %%
collapse.outcomes(columns, same_data=False)

# %% [markdown]
# *Picture: three cases. Above, data in grey and reconstructions in blue; below, embeddings and
# tokens, crosses never chosen.*

# %%
print(vqnp.side_by_side(reports))
if not FAST:
    assert reports["8 → 4"].perplexity < 40  # fewer than a third of 128
    assert reports["8 → 4"].class_spread_ratio < 0.4
    assert reports["8 → 4"].codes_used < 64
    assert all(report.class_spread_ratio < 1 for report in reports.values())
    assert all(report.perplexity < 96 for report in reports.values())

# %% [markdown]
# *Class spread ratio* is the standard deviation within the clusters, of the reconstruction over
# that of the data: 1 is kept, 0 is a point for each cluster. In all three cases the reconstruction
# is narrower than the data. Eight dimensions quantized to four lose most: most tokens stay where
# nothing is, and are not chosen. Less than a third of the codebook is worth anything, and a cluster
# becomes a point or two.
#
# It was no defect of the codebook at birth, but of the time of its birth: before the encoder had
# spread out. So let the encoder spread out first. That is lesson 5.

# %% [markdown]
# ## Exercises
#
# 1. Perplexity did not mind the small range at birth. Multiply `untrained` and the tokens by 1,000
#    and show that no code changes. Which of the numbers in the table changes when only the
#    embeddings are multiplied?
# 2. Give the untrained encoder a wide range without teaching it anything: before training, multiply
#    `model.params["encoder.4.weight"]` and `model.params["encoder.4.bias"]` by 30. Predict the
#    perplexity after the first epoch and after the last, then look. Is it the squeeze that matters,
#    or that the encoder has learned nothing?
# 3. A token that nobody chooses could be moved to where it is needed. Write a rule that does so
#    after each epoch (`on_epoch`), train with it, and report every number of the table. What gets
#    better, does anything get worse, and would you call it a remedy?
#
# Next: *5. Pretrain, then quantize*.
