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
# # 8. CIFAR-10
#
# Ten clusters in the plane show what a collapse is; whether photographs collapse is another
# question. The paper answers it with CIFAR-10: with 150 + 150 epochs, for codebooks of 16 to 65,536
# tokens. Here a smaller version was run once and its results were kept. This lesson reads them as
# one reads a paper: first what was done, then what came out, then how far it can be believed. At
# the end a model small enough for a minute is trained before your eyes.
#
# **After this lesson you can**
#
# - read the results of `vqnp reproduce`, and recompute a claim from the numbers behind it;
# - name what a comparison leaves open: seeds, length of training, causes that change together,
#   bounds that nothing could exceed;
# - train a VQ-VAE on images, with and without pretraining, and compare what they reconstruct.
#
# Reading takes about 30 minutes. Lessons 4, 5 and 7 come before this one. On Colab, upload the
# folder `results` that lies beside this notebook, and first run
# `%pip install -q "vqnp[notebooks]"`.

# %% tags=["parameters"]
FAST = False  # True shrinks the work: for a quick look, and for the tests

# %%
RESULTS = "results"  # a folder that `vqnp reproduce fig4 fig4b fig6 --out FOLDER` has written

# %%
import json
from itertools import product
from pathlib import Path

import numpy as np
from IPython.display import Markdown
from PIL import Image

from vqnp import EMA, ConvSettings, FineTune, TrainSettings, ae_then_vq, conv_vqvae, train
from vqnp.data import load_patches, pixel_variance, pixels_to_float
from vqnp.diagnostics.usage import perplexity
from vqnp.experiments.fig4 import swept
from vqnp.experiments.measure import as_pixels, evaluate_images
from vqnp.lessons import comparisons as plot
from vqnp.plots.images import cut, draw_images

# %matplotlib inline

# %% [markdown]
# ## What was done
#
# `run.json` says how the results came about, and each figure has a file of numbers. Every sentence
# below that depends on them is computed from these files.
#
# A run of your own may give other numbers, with the same seed. Convolutions multiply with a library
# that has a kernel for each kind of processor. Each kernel adds in another order and rounds
# otherwise, and thousands of steps carry the difference far. So the same seed gives the same bits
# on one kind of processor. Runs on points, as in lessons 4 to 6, add in one order everywhere: their
# bits are the same on every processor.


# %%
def kept(name):
    """Return what the run wrote into one of its files."""
    return json.loads((Path(RESULTS) / f"{name}.json").read_text())


run, claims = kept("run"), kept("claims")
sweep, causes, encoders = (kept(name)["numbers"] for name in ("fig4", "fig4b", "fig6"))
sweep = swept(sweep)  # without the runs that Figure 4 trains for longer
plan = run["images"]
# Earlier runs call the three sizes that have every seed "ends".
compared = plan["n_tokens_all_seeds"] if "n_tokens_all_seeds" in plan else plan["ends"]
sizes = sorted({row["tokens"] for row in sweep})
several = [
    size for size in sizes if len({row["seed"] for row in sweep if row["tokens"] == size}) > 1
]


def listed(numbers):
    """Return numbers as words of a sentence."""
    return ", ".join(f"{number:,}" for number in numbers) or "none"


Markdown(f"""{run["notes"]["fig4"]}

Scale `{run["scale"]}`. Seeds: {listed(run["seeds"])}. Codebooks: {listed(sizes)}; with
more than one seed: {listed(several)}. Runs: {len(run["runs"])}.""")

# %% [markdown]
# Where this names a copy of CIFAR-10 that was compressed as JPEG again, take it at its word: the
# pixels are not quite the published ones, and so the errors are not quite those that others report.
#
# **Predict.** How many steps of training is that, and how many were the paper's?

# %%
steps = plan["epochs"] * plan["data"]["train"] / plan["batch_size"]
paper_steps = 300 * 50_000 / 256  # the paper does not say its batch size; 256 here as there
Markdown(
    f"About {steps:,.0f} here and {paper_steps:,.0f} in the paper: "
    f"**{paper_steps / steps:.0f} times as many**."
)

# %% [markdown]
# Keep that number in mind. A run that stops early compares how fast two arms learn as much as where
# they end.
#
# ## Figure 4: the codebook grows
#
# The paper's finding: without pretraining, error and perplexity stagnate from 4,096 tokens on; with
# it both go on improving; and with few tokens pretraining is a slight disadvantage.
#
# **Predict.** On logarithmic axes, which of the four curves would be straight lines if every token
# were put to use?

# %% tags=["thumbnail"]
vectors = plan["sample"] * 64  # an image has 8 × 8 embeddings
plot.draw_sweep(sweep, vectors)

# %% [markdown]
# *Picture: error and perplexity over the test set against the size of the codebook, without and
# with pretraining, on logarithmic axes.*
#
# The perplexities: the dotted line is all tokens used evenly. For the errors there is no such line,
# though quantizing more finely must help in the end.
#
# The paper's sentences are kept as claims. A claim has a value for each of its seeds and a bound,
# and holds when the bound is met by all of them. Nobody typed in whether it does.


# %%
def verdicts(figure):
    """Return the claims of a figure as a table."""
    lines = ["| claim | measured | value of each seed | holds |", "|---|---|---|---|"]
    for claim in (claim for claim in claims if claim["figure"] == figure):
        values = ", ".join(f"{value:.3g}" for value in claim["value"])
        verdict = "yes" if claim["holds"] else "**no**"
        lines.append(f"| {claim['statement']} | {claim['bound']} | {values} | {verdict} |")
    return Markdown("\n".join(lines))


verdicts("fig4")

# %% [markdown]
# One of them by hand, from the numbers of all runs: with the largest codebook that has every seed,
# pretraining lowers the error. The comparison is paired: both arms of a seed had the same images
# and the same initial weights.

# %%
claim = next(claim for claim in claims if claim["id"] == "fig4-large-mse")
largest = compared[-1]
error = {(row["seed"], row["pretrained"]): row["mse"] for row in sweep if row["tokens"] == largest}
by_hand = [error[seed, True] / error[seed, False] for seed in claim["seeds"]]
np.testing.assert_allclose(by_hand, claim["value"])
assert all(value < 1 for value in by_hand) == claim["holds"]
by_hand

# %% [markdown]
# Numbers say how large an error is, pictures say which. Below are test images, and what each model
# made of them.

# %%
picture = np.asarray(Image.open(Path(RESULTS) / "fig4.png").convert("RGB"))
images = Image.fromarray(cut(picture, rows=1 + 2 * len(compared)))
images.resize((900, round(900 * images.height / images.width)), Image.Resampling.LANCZOS)

# %% [markdown]
# *Picture: rows of small photographs: the originals, then reconstructions with few, more and many
# tokens, without and with pretraining.*
#
# ## How far can this be believed?
#
# ### One seed or three
#
# **Predict.** Suppose pretraining made no difference at all, and each seed's comparison fell to
# either side like a coin. How often would three seeds agree?

# %%
falls = list(product((False, True), repeat=3))
agree = sum(len(set(fall)) == 1 for fall in falls) / len(falls)
assert agree == 1 / 4
print(
    f"on either side: {agree}; on the side that was named before: "
    f"{sum(all(fall) for fall in falls) / len(falls)}"
)

# %% [markdown]
# Once in four, and once in eight on the side that the paper names. So three seeds that agree are an
# indication; one seed always agrees with itself. Here is every comparison, seed by seed.

# %%
plot.draw_ratios(sweep)

# %% [markdown]
# *Picture: error and perplexity with pretraining divided by those without, against the size of the
# codebook, a mark for each seed.*

# %%
lines = [
    "| tokens | error with / without, a value for each seed | all on one side of 1 |",
    "|---|---|---|",
]
for size in several:
    rows = [row for row in sweep if row["tokens"] == size]
    values = [value for seed in run["seeds"] for value in plot.ratios(rows, "mse", seed)[1]]
    one_side = "yes" if min(values) > 1 or max(values) < 1 else "no"
    lines.append(f"| {size:,} | {', '.join(f'{value:.3f}' for value in values)} | {one_side} |")
Markdown(
    "\n".join(
        [*lines, "", f"Codebooks with one seed only: {len(sizes) - len(several)} of {len(sizes)}."]
    )
)

# %% [markdown]
# Look at how far the seeds of one codebook lie apart before you read anything into the difference
# of two neighbors that have one seed each.
#
# ### How long they trained
#
# Both arms have the same number of epochs, but not the same epochs: the pretrained arm's codebook
# exists for half of them only. A token is a moving average, and with decay γ it remembers about 1 /
# (1 − γ) steps.
#
# **Predict.** How many times over has a codebook forgotten its beginning when training ends?

# %%
memory = 1 / (1 - plan["decay"])
lines = ["| | steps | memories without pretraining | with |", "|---|---|---|---|"]
for name, length in (("here", steps), ("in the paper", paper_steps)):
    lines.append(f"| {name} | {length:,.0f} | {length / memory:.1f} | {length / 2 / memory:.1f} |")
Markdown("\n".join([*lines, "", f"A memory is {memory:.0f} steps."]))

# %% [markdown]
# A token that embeddings choose forgets where it was born, and the fewer memories the run has, the
# less of that has happened; a token that none chooses stays there for good (lesson 3). So a claim
# that fails in a short run may hold in a longer one, or the other way round. The small run at the
# end of this lesson asks whether training was over.
#
# ### More tokens than vectors
#
# k-means places the tokens among the embeddings of a sample of images. An image has 64 embeddings.
#
# **Predict.** From which size on are there more tokens than vectors to place them among? What if a
# first batch holds 64 images?

# %%
beyond = [size for size in sizes if size > vectors]
assert 64 * 64 == 4096
Markdown(f"""k-means saw {plan["sample"]} images, {vectors:,} vectors. Codebooks larger than that:
{listed(beyond)}. A batch of 64 images would hold {64 * 64:,}.""")

# %% [markdown]
# In a larger codebook the tokens that are left over start as copies and unused, in both arms. 4,096
# is where the paper's baseline begins to stagnate. It does not say what k-means was given, so
# nobody can tell whether that is a coincidence; Figure 4b below takes the two causes apart.
#
# ### What perplexity can be
#
# Perplexity is that of the codes of the whole test set, and a set of N embeddings cannot show more
# than min(K, N), however good the codebook.
#
# **Predict.** Let the test set's codes be drawn evenly from all K. For the largest codebook, which
# part of K does perplexity reach?

# %%
embeddings = plan["data"]["test"] * 64
rng = np.random.default_rng(0)
evenly = {size: perplexity(rng.integers(size, size=embeddings), size) for size in sizes}
assert all(row["perplexity"] <= min(row["tokens"], embeddings) for row in sweep)
assert evenly[sizes[-1]] < sizes[-1]
lines = ["| tokens | drawn evenly | best of all runs |", "|---|---|---|"]
for size in sizes:
    best = max(row["perplexity"] for row in sweep if row["tokens"] == size)
    lines.append(f"| {size:,} | {evenly[size]:,.0f} ({evenly[size] / size:.0%}) | {best:,.0f} |")
Markdown("\n".join([*lines, "", f"The test set has {embeddings:,} embeddings."]))

# %% [markdown]
# A finite test set cannot reach the dotted line of the picture even when all tokens are used
# evenly: with few embeddings for each token, chance alone leaves some out. The largest codebooks
# should be read against the second column. Over a batch the bound is lower still, and a mean over
# batches says more about the batch than about the codebook.
#
# ## Figure 4b: which cause?
#
# The paper's two arms differ in the encoder that the codebook is born on. Two more things could
# leave a large codebook unused: the sample that k-means sees, and the bookkeeping of the moving
# averages (lesson 3). Here each is changed alone, without and with pretraining.
#
# **Predict.** Which bar is the longest, and which dialect, if any, undoes what pretraining won?

# %%
causes = [row for row in causes if row["tokens"] == max(row["tokens"] for row in causes)]
plot.draw_causes(causes)

# %% [markdown]
# *Picture: bars of perplexity and error, for nothing changed, more images for k-means, and each
# dialect, without and with pretraining.*

# %%
verdicts("fig4b")

# %% [markdown]
# **Predict.** If the causes were independent, each would multiply the perplexity by a factor of its
# own. What would the last column of this table look like?

# %%
lines = [
    "| changed | perplexity without pretraining | with | with / without |",
    "|---|---|---|---|",
]
for change in dict.fromkeys(row["change"] for row in causes):
    arms = [
        [row["perplexity"] for row in causes if (row["change"], row["pretrained"]) == (change, arm)]
        for arm in (False, True)
    ]
    without, with_ = map(np.median, arms)
    name = "nothing else" if change == "paper" else change
    lines.append(f"| {name} | {without:.0f} | {with_:.0f} | {with_ / without:.2f} |")
seeds = sorted({row["seed"] for row in causes})
Markdown("\n".join([*lines, "", f"Medians over {len(seeds)} seed{'s' * (len(seeds) > 1)}."]))

# %% [markdown]
# It would hold the same number in every row. Where it does not, a cause does more for one encoder
# than for the other, and no single bar is *the* effect of pretraining. Three cautions. The line
# above says how many seeds there are, and one seed is an anecdote. What is changed here is one
# thing at a time from two starting points, not every combination. And pretraining itself changes
# two things, the encoder at the codebook's birth and the number of steps that the codebook moves
# afterwards; no bar separates those.
#
# ## Figure 6: the encoder shrinks
#
# The decoder keeps its width, the encoder loses channels. The paper: the error rises, and that is
# embeddings collapse.
#
# **Predict.** The encoder's last layer maps its channels to the 64 numbers of an embedding, pixel
# by pixel. In how many directions can the embeddings of an encoder with two channels vary?

# %%
plot.draw_encoders(encoders)

# %% [markdown]
# *Picture: error and effective rank of the embeddings against the encoder's channels; a dotted line
# is a rank of as many.*

# %%
verdicts("fig6")

# %%
slack = 1.001  # what rounding in float32 adds in other directions
assert all(row["embedding_rank"] <= slack * row["channels"] for row in encoders)
narrow, wide = (pick(row["channels"] for row in encoders) for pick in (min, max))
ranks = [row["embedding_rank"] for row in encoders if row["channels"] == wide]
shown = ", ".join(f"{rank:.1f}" for rank in ranks)
Markdown(f"""Effective rank with {wide} channels: {shown}. With {narrow} it cannot exceed {narrow}.
The claim that it falls to less than half could only have failed if the wide encoder had
stayed below {2 * narrow}.""")

# %% [markdown]
# In at most two. A linear map of two channels fills a plane, whatever is learnt, so the loss of
# rank is arithmetic more than discovery. What is not arithmetic is the error: how much of an image
# can be said in so few directions. And a narrow encoder is narrow everywhere: it has fewer
# directions *and* fewer weights to find good ones with. The figure does not tell which of the two
# costs more (exercise 3).
#
# ## A small run of your own
#
# Patches of two photographs, a narrow model, a few epochs: enough to see the machinery at work, too
# little to settle anything. Both arms start from the same weights.

# %%
width, tokens, epochs, shots = (8, 64, 4, 160) if FAST else (16, 256, 10, 1_000)
photographs = load_patches(train=shots, test=256)
settings = TrainSettings(batch_size=16, learning_rate=1e-3, optimizer="amsgrad")


def untrained():
    """Return the model both arms start from."""
    channels = ConvSettings(16, width, width, width // 2, width // 2)
    quantizer = EMA(tokens, decay=0.99)
    return conv_vqvae(channels, quantizer, variance=pixel_variance(photographs.train), rng=0)


models, histories, numbers = {}, {}, {}
for arm in (False, True):
    before = epochs // 2 if arm else 0
    models[arm] = untrained()
    schedule = ae_then_vq(before, epochs - before, sample=32)
    histories[arm] = train(models[arm], photographs.train, schedule, settings, rng=0)
    numbers[arm], _ = evaluate_images(models[arm], photographs.test)

# %% [markdown]
# `evaluate_images` gives the numbers of the kept results. By hand, they are these:

# %%
x = pixels_to_float(photographs.test)  # (256, 32, 32, 3), float32 in [-0.5, 0.5]
for arm, model in models.items():
    vectors, codes, _ = model.quantize(x)  # (256, 8, 8, 16), (16384,)
    error = np.mean((model.decode(vectors) - x) ** 2, dtype=np.float64)
    shares = np.bincount(codes, minlength=tokens) / len(codes)
    even = np.exp(-sum(p * np.log(p) for p in shares if p > 0))
    np.testing.assert_allclose(
        [error, even], [numbers[arm]["mse"], numbers[arm]["perplexity"]], rtol=1e-3
    )
    batches = [
        perplexity(codes[i : i + 256], tokens) for i in range(0, len(codes), 256)
    ]  # four images each
    assert np.mean(batches) < even
    name = "with pretraining" if arm else "without"
    print(
        f"{name:16}  error {error:.5f}  perplexity {even:6.1f}  (mean over batches of four "
        f"images: {np.mean(batches):.1f})"
    )

# %% [markdown]
# The last column is the same codes looked at four images at a time: one more number that cannot be
# compared with the others.
#
# **Predict.** What is lost first when 3,072 numbers are said in 64 tokens: colors, edges or
# texture?

# %%
few = x[:12]
reconstructions = {arm: as_pixels(model.reconstruct(few)) for arm, model in models.items()}
axes = draw_images(
    [
        ("original", photographs.test[:12]),
        ("without pretraining", reconstructions[False]),
        ("with pretraining", reconstructions[True]),
    ]
)

# %% [markdown]
# *Picture: twelve patches of two photographs, and below each what either model reconstructs from
# its tokens.*
#
# The eye answers, and so does a sum: split a pixel into its brightness, the mean of its channels,
# and its color, what is left, and ask for each which part of its variance the reconstruction
# explains.

# %%
for arm, model in models.items():
    reconstruction = model.reconstruct(x)
    brightness, seen = x.mean(axis=3, keepdims=True), reconstruction.mean(axis=3, keepdims=True)
    light = 1 - np.mean((seen - brightness) ** 2) / np.var(brightness)
    color = 1 - np.mean((reconstruction - seen - x + brightness) ** 2) / np.var(x - brightness)
    assert FAST or light > color  # in FAST nothing has been learnt yet
    print(
        f"{'with pretraining' if arm else 'without':16}  brightness {light:.2f}  color {color:.2f}"
    )

# %% [markdown]
# Light and dark are said best, color less well, and what is finer than a token's 4 × 4 pixels the
# eye looks for in vain.
#
# **Predict.** Is the training of these models over?

# %%
names = {"without pretraining": False, "with pretraining": True}
plot.arm_histories({name: (arm, histories[arm]) for name, arm in names.items()})

# %% [markdown]
# *Picture: training error and perplexity by epoch for both arms; dashed as long as the pretrained
# arm has no tokens.*

# %%
for arm, model in models.items():
    train(model, photographs.train, [FineTune(epochs)], settings, rng=1)
    longer, _ = evaluate_images(model, photographs.test)
    assert longer["mse"] < numbers[arm]["mse"]
    name = "with pretraining" if arm else "without"
    print(
        f"{name:16}  error after twice as long: "
        f"{longer['mse'] / numbers[arm]['mse']:.2f} of what it was"
    )

# %% [markdown]
# It is not. As many epochs again make either model better, so the comparison above was one of two
# unfinished models. The same question has to be put to the kept results, and what was kept cannot
# answer it: that would take the longer run.
#
# ## Exercises
#
# 1. From `fig4.json` alone: for which codebooks is a larger share of the tokens used
#    (`codes_used / tokens`) with pretraining than without? Is it the same list as for perplexity?
# 2. Run the small experiment with seeds 0, 1 and 2 and codebooks of 64 and 256 tokens. Which of the
#    differences between the arms have the same sign for all three seeds? Write the answer down
#    before you look at the pictures.
# 3. Design the run that would decide something this lesson leaves open: whether pretraining helps
#    by the better encoder or by the shorter life of the codebook, or whether a narrow encoder fails
#    for want of directions or of weights. Say beforehand which outcome would convince you of which
#    answer, how many seeds it takes, and how long it would run.
#
# Next: [lesson 9, *Making it fast*](09_making_it_fast.ipynb): most of what was left undone here was
# left undone for want of time.
