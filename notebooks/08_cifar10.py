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
# Ten clusters in the plane show what a collapse is; whether photographs collapse is another question. The paper answers it with CIFAR-10: with 150 + 150 epochs, for codebooks of 16 to 65,536 tokens.
# That is days of work for a processor. Here a smaller version was run once and its results were kept. This lesson reads them as one reads a paper: first what was done, then what came out, then how far
# it can be believed. At the end a model small enough for a minute is trained before your eyes.
#
# **After this lesson you can**
#
# - read the results of `vqnp reproduce`, and recompute a claim from the numbers behind it;
# - name what a comparison leaves open: seeds, length of training, causes that change together, bounds that nothing could exceed;
# - train a VQ-VAE on images, with and without pretraining, and compare what they reconstruct.
#
# Reading takes about 30 minutes. Lessons 4, 5 and 7 come before this one. On Colab, run `%pip install -q "vqnp[notebooks]"` first, and upload the folder `results` that lies beside this notebook.

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

from vqnp import VQVAE, ConvSettings, QuantizerSettings, TrainSettings, ae_then_vq, train
from vqnp.data import load_patches, scale, variance
from vqnp.diagnostics.usage import perplexity
from vqnp.experiments.image_run import as_pixels, evaluate
from vqnp.plots import mosaic
from vqnp.plots import on_images as plot
from vqnp.schedule import FineTune

# %matplotlib inline

# %% [markdown]
# ## What was done
#
# `run.json` says how the results came about, and each figure has a file of numbers. Every sentence below that depends on them is computed from these files.


# %%
def kept(name):
    """Return what the run wrote into one of its files."""
    return json.loads((Path(RESULTS) / f"{name}.json").read_text())


run, claims = kept("run"), kept("claims")
sweep, causes, encoders = (kept(name)["numbers"] for name in ("fig4", "fig4b", "fig6"))
plan = run["images"]
sizes = sorted({row["tokens"] for row in sweep})
several = [size for size in sizes if len({row["seed"] for row in sweep if row["tokens"] == size}) > 1]
Markdown(f"""{run["notes"]["fig4"]}

Scale `{run["scale"]}`. Seeds: {", ".join(map(str, run["seeds"]))}. Codebooks: {", ".join(f"{size:,}" for size in sizes)}; with more than one
seed: {", ".join(f"{size:,}" for size in several) or "none"}. Runs: {len(run["runs"])}.""")

# %% [markdown]
# Where this names a copy of CIFAR-10 that was compressed as JPEG again, that is what it says: the pixels are not quite the published ones, and errors of this run are not to be compared with others' in the third digit.
#
# **Predict.** How many steps of training is that, and how many were the paper's?

# %%
steps = plan["epochs"] * plan["data"]["train"] / plan["batch_size"]
paper_steps = 300 * 50_000 / 256  # the paper does not say its batch size; 256 here as there
Markdown(f"About {steps:,.0f} here and {paper_steps:,.0f} in the paper: **{paper_steps / steps:.0f} times as many**.")

# %% [markdown]
# Keep that number in mind. A run that stops early compares how fast two arms learn as much as where they end.
#
# ## Figure 4: the codebook grows
#
# The paper's finding: without pretraining, error and perplexity stagnate from 4,096 tokens on; with it both go on improving; and with few tokens pretraining is a slight disadvantage.
#
# **Predict.** On logarithmic axes, which of the four curves would be straight lines if every token were put to use?

# %% tags=["thumbnail"]
vectors = plan["sample"] * 64  # an image has 8 × 8 embeddings
plot.draw_sweep(sweep, vectors)

# %% [markdown]
# *Picture: error and perplexity over the test set against the size of the codebook, without and with pretraining, on logarithmic axes.*
#
# The perplexities: the dotted line is all tokens used evenly. For the errors there is no such line, though quantizing more finely must help in the end.
#
# The paper's sentences are kept as claims. A claim has a value for each of its seeds and a bound, and holds when the bound is met by all of them. Nobody typed in whether it does.


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
# One of them by hand, from the numbers of all runs: with the largest codebook that has every seed, pretraining lowers the error. The comparison is paired: both arms of a seed had the same images and the same initial weights.

# %%
claim = next(claim for claim in claims if claim["id"] == "fig4-large-mse")
largest = plan["ends"][-1]
error = {(row["seed"], row["pretrained"]): row["mse"] for row in sweep if row["tokens"] == largest}
by_hand = [error[seed, True] / error[seed, False] for seed in claim["seeds"]]
np.testing.assert_allclose(by_hand, claim["value"])
assert all(value < 1 for value in by_hand) == claim["holds"]
by_hand

# %% [markdown]
# Numbers say how large an error is, pictures say which. Below are test images, and what each model made of them.

# %%
picture = np.asarray(Image.open(Path(RESULTS) / "fig4.png").convert("RGB"))
images = Image.fromarray(mosaic.cut(picture, rows=1 + 2 * len(plan["ends"])))
images.resize((1000, round(1000 * images.height / images.width)), Image.Resampling.LANCZOS)

# %% [markdown]
# *Picture: rows of small photographs: the originals, then reconstructions with few, more and many tokens, without and with pretraining.*
#
# ## How far can this be believed?
#
# ### One seed or three
#
# **Predict.** Suppose pretraining made no difference at all, and each seed's comparison fell to either side like a coin. How often would three seeds agree?

# %%
falls = list(product((False, True), repeat=3))
agree = sum(len(set(fall)) == 1 for fall in falls) / len(falls)
assert agree == 1 / 4
print(f"on either side: {agree}; on the side that was named before: {sum(all(fall) for fall in falls) / len(falls)}")

# %% [markdown]
# Once in four, and once in eight on the side that the paper names. So three seeds that agree are an indication; one seed always agrees with itself. Here is every comparison, seed by seed.

# %%
plot.draw_ratios(sweep)

# %% [markdown]
# *Picture: error and perplexity with pretraining divided by those without, against the size of the codebook, a mark for each seed.*

# %%
alone = [size for size in sizes if size not in several]
spread = {size: np.ptp(plot.ratios(sweep, "mse", run["seeds"][0])[1]) for size in ()}
gains = {size: [v for seed in run["seeds"] for s, v in zip(*plot.ratios(sweep, "mse", seed), strict=True) if s == size] for size in sizes}
rows = [f"| {size:,} | {len(v)} | {min(v):.3f} to {max(v):.3f} | {'yes' if (min(v) - 1) * (max(v) - 1) > 0 else 'no'} |" for size, v in gains.items() if len(v) > 1]
Markdown("\n".join(["| tokens | seeds | error with / without | same side of 1 |", "|---|---|---|---|", *rows, "", f"One seed only: {', '.join(f'{size:,}' for size in alone) or 'none'}."]))
