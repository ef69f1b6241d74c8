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
# # 1. A codebook
#
# **After this lesson you can**
#
# On Colab, run this first: `%pip install -q "vqnp[notebooks]"`

# %% tags=["parameters"]
FAST = False  # True shrinks the work: for a quick look, and for the tests

# %%
import numpy as np
from ipywidgets import interact

from vqnp.plots import style

# %matplotlib inline

# %% tags=["thumbnail"]
figure, axes = style.new_figure(1, 2, 8, 3)
style.cloud(axes[0, 0], np.random.default_rng(0).normal(size=(100, 2)), style.DATA, "data")
figure

# %% [markdown]
# *Picture: points.*


# %%
@interact(step=(0, 3))
def show(step):
    return figure

# %% [markdown]
# ## Exercises
#
# 1. One.
# 2. Two.
# 3. Three.
