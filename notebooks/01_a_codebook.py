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
# A *codebook* is a list of K vectors, its *tokens*. To quantize a point is to name the token
# nearest to it: a point becomes a whole number, its *code*, and whoever has the codebook can turn
# the code back into a vector, which is not quite the point. This is all that a VQ-VAE does in its
# middle. Here it is done to points in the plane, where every point, token and mistake can be seen.
#
# **After this lesson you can**
#
# - find the nearest token by hand and in NumPy, and say what happens on a tie and why nobody takes
#   the square root;
# - improve a codebook by Lloyd's algorithm, say why it never gets worse, and recognize where it is
#   stuck;
# - read a picture of cells and a curve of distortion against K, and tell what becomes of a token
#   that nobody chooses.
#
# *25 minutes. Needs NumPy, and no lesson before it. On Colab, run this first:*
# `%pip install -q "vqnp[notebooks]"`

# %% tags=["parameters"]
FAST = False  # True shrinks the work: for a quick look, and for the tests

# %%
import numpy as np
from ipywidgets import interact

import vqnp
from vqnp.lessons import plane
from vqnp.quantize.lloyd import lloyd_step

# %matplotlib inline

# %% [markdown]
# ## By hand
#
# Four points and three tokens, with coordinates small enough for mental arithmetic. The squared
# distance of a point $z$ from a token $t$ is $(z_1 - t_1)^2 + (z_2 - t_2)^2$.
#
# **Predict.** Which token does each point choose? One of the points is on the fence: which, and who
# should get it?

# %%
points = np.array([[0.0, 2], [3, 3], [4, 1], [2.5, 2]])
tokens = np.array([[1.0, 1], [4, 3], [5, 0]])
plane.nearest_choices(points, tokens)

# %% [markdown]
# *Picture: four grey points and three vermillion tokens; dotted lines join all pairs, and a thick
# line each point and its nearest token.*

# %% [markdown]
# In NumPy it is a table with one row for each point and one column for each token.
# `points[:, None]` has shape (4, 1, 2) and `tokens` (3, 2), so that their difference holds every
# pair.

# %%
squared = ((points[:, None] - tokens) ** 2).sum(axis=2)  # (N, K)
squared

# %% [markdown]
# Each row's smallest entry wins. Point 3 is as far from token 0 as from token 1. Somebody has to
# decide, and the same way each time: the lowest index wins, which is what `argmin` does.

# %%
assert squared[3, 0] == squared[3, 1] < squared[3, 2]
squared.argmin(axis=1)

# %% [markdown]
# Distances proper would be the square roots of these numbers. The root keeps their order, so it
# could not change the choice, if computers were exact. They are not:
#
# **Predict.** `b` below is the next number after 1 that the computer can hold, so `a < b`. Is
# `np.sqrt(a) < np.sqrt(b)`?

# %%
a, b = 1.0, np.nextafter(1.0, 2.0)
assert a < b
bool(np.sqrt(a) < np.sqrt(b))

# %% [markdown]
# No: both roots are 1. Two different distances have become a tie, and the lowest index would win
# where it was not nearest. So distances stay squared.
#
# ## The nearest token
#
# This is equation 1 of the paper, $\mathrm{code}(z) = \arg\min_k \lVert z - t_k \rVert^2$, for all
# points at once. It is what we did by hand; the package's `vqnp.nearest` gives the same answers
# without making the table, and lesson 9 is about how fast that can be.


# %%
def nearest_token(points, tokens):
    differences = points[:, None] - tokens  # (N, K, D)
    squared = (differences**2).sum(axis=2)  # (N, K)
    return squared.argmin(axis=1), squared.min(axis=1)


# %% [markdown]
# The data for the rest of the lesson: ten round clusters in the plane, as in the paper but
# narrower, so that they hardly touch. The points are standardized: each coordinate has mean 0 and
# variance 1.

# %%
data = vqnp.clusters(dim=2, rng=41, per_class=60 if FAST else 300, spread=0.6)
points, labels = data.points.astype(np.float64), data.labels
rng = np.random.default_rng(3)
tokens = rng.choice(points, size=10, replace=False)

codes, squared = vqnp.nearest(points, tokens)
assert np.array_equal(codes, nearest_token(points, tokens)[0])
assert np.array_equal(squared, nearest_token(points, tokens)[1])
codes

# %% [markdown]
# Three thousand points have become three thousand whole numbers below ten, four bits each. The
# price is the *distortion*: the mean squared distance between a point and the token that stands for
# it.


# %%
def distortion(points, tokens):
    return nearest_token(points, tokens)[1].mean()


if not FAST:
    assert len(points) == 3000
assert 2**3 < len(tokens) <= 2**4

# %% [markdown]
# **Predict.** A codebook with a single token, at the origin. What is its distortion on these
# points? And if the token moves to (0.5, 0)?

# %%
at_origin, moved = (
    distortion(points, np.array([[0.0, 0]])),
    distortion(points, np.array([[0.5, 0]])),
)
assert np.isclose(at_origin, 2, atol=1e-5)  # the points were standardized in single precision
assert np.isclose(moved, 2.25, atol=1e-5)
print(f"{at_origin:.3f}, {moved:.3f}")

# %% [markdown]
# At the mean of the points, the distortion is their variance: 1 for each of two coordinates. Away
# from it, the squared distance from the mean is added: $0.5^2 = 0.25$. So **the best place for a
# token is the mean of its points**. This one fact drives all that follows.
#
# ## Cells
#
# Ten of the points, drawn at random, were made tokens above.
#
# **Predict.** Ten clusters, ten tokens drawn at random. How many of the clusters get exactly one?

# %%
plane.voronoi_cells(points, {"tokens drawn at random, distortion": tokens})

# %% [markdown]
# *Picture: the plane cut into ten cells by straight lines, one around each token. Some cells hold
# several clusters; the darker the blue of a cell, the more of the distortion is made there.*

# %%
drawn = np.array([labels[(points == token).all(axis=1)][0] for token in tokens])
costs = np.sort(np.bincount(codes, squared))[::-1]
assert FAST or round(costs[:2].sum() / costs.sum(), 1) == 0.9
print("tokens drawn from each cluster:", np.bincount(drawn, minlength=10))
print(f"made in the two worst cells: {costs[:2].sum() / costs.sum():.0%} of the distortion")

# %% [markdown]
# A token's *cell* is all places nearer to it than to any other token; it is bounded by the lines
# half-way between neighbors. The two darkest cells, each with several clusters and one token, make
# nine tenths of the distortion.
#
# ## Lloyd's steps
#
# Two facts are on the table. With the tokens fixed, the best code for a point is its nearest token.
# With the codes fixed, the best place for a token is the mean of its points. Lloyd's algorithm
# alternates the two.


# %%
def step(points, tokens):
    codes, _ = nearest_token(points, tokens)
    means = tokens.copy()
    for k in range(len(tokens)):
        if (codes == k).any():
            means[k] = points[codes == k].mean(axis=0)
    return means


np.testing.assert_allclose(step(points, tokens), lloyd_step(points, tokens, codes, squared))

# %% [markdown]
# **Predict.** Each half of a step can only lower the distortion or leave it. Does the algorithm
# have to stop? Why?

# %%
history = [tokens]
while len(history) == 1 or not np.array_equal(history[-1], history[-2]):
    history.append(step(points, history[-1]))
history = np.array(history[:-1])  # (steps + 1, K, 2)
fall = [distortion(points, tokens) for tokens in history]
assert (np.diff(fall) < 0).all()
print(f"{len(history) - 1} steps:", *np.round(fall, 4))

# %% [markdown]
# It stops: there are finitely many ways to give codes to the points, and as the distortion falls at
# each step, none of them comes twice.

# %%
last = len(history) - 1
shown = sorted({0, 1, 2, 3, (3 + last) // 2, last})
plane.voronoi_cells(points, {f"step {s}": history[: s + 1] for s in shown})

# %% [markdown]
# *Picture: the cells at the start, after one, two and three steps, half-way and at the end. A line
# behind each token shows where it came from; the number above is the distortion. The dark cells
# pale as their tokens move.*

# %% [markdown]
# With a kernel running, the next cell is a slider over all the steps.


# %%
@interact(taken=(0, last))
def watch(taken=0):
    return plane.voronoi_cells(points, {f"step {taken}": history[: taken + 1]})


# %% [markdown]
# ## Stuck
#
# **Predict.** The last panel stands still. Has each cluster now a token of its own? What would the
# distortion be if it had?

# %%
means = np.array([points[labels == c].mean(axis=0) for c in range(10)])
stuck, goal = fall[-1], distortion(points, means)
assert stuck > 1.5 * goal
served = np.bincount(nearest_token(means, history[-1])[0], minlength=10)  # clusters by token
assert FAST or sorted(served) == [0, 0, 1, 1, 1, 1, 1, 1, 1, 3]
print(f"{stuck:.3f} where Lloyd stops, {goal:.3f} with a token on the mean of each cluster")

# %% tags=["thumbnail"]
plane.voronoi_cells(points, {"where Lloyd stops": history[-1], "a token for each cluster": means})

# %% [markdown]
# *Picture: left, one dark cell holds three clusters and a token between them, while two other
# clusters are cut in two; right, ten cells of one cluster each.*

# %% [markdown]
# No. A token that serves three clusters stands between them, at the mean of its points; two tokens
# that share a cluster are each at the mean of its half. Nothing *near by* is better, and Lloyd's
# steps look no further: nothing tells a crowded token that it is needed elsewhere.
#
# So it matters where tokens start. *k-means++* draws the first token among the points, and every
# further one with a probability proportional to the squared distance from the tokens so far: where
# the distortion is, a token is likely to appear. `vqnp.kmeans` knows both starts and then takes
# Lloyd's steps.
#
# **Predict.** A hundred runs from either start. How many find a token for each cluster?

# %%
runs = 20 if FAST else 100
distortions = {}
for start in ("random", "k-means++"):
    found = [vqnp.kmeans(points, 10, rng=seed, start=start) for seed in range(runs)]
    distortions[start] = np.array([clustering.inertia / len(points) for clustering in found])
plane.kmeans_endpoints(distortions, goal, "a token for each cluster")

# %% [markdown]
# *Picture: two histograms of the distortion at the end of each run on one scale. From random starts
# nearly all runs end well above the goal; from k-means++ a large part ends at the goal.*

# %%
reached = {start: int((values < 1.05 * goal).sum()) for start, values in distortions.items()}
assert reached["k-means++"] > reached["random"]
assert np.median(distortions["k-means++"]) < np.median(distortions["random"])
reached

# %% [markdown]
# The ends come in clumps, one for each way of getting some of the clusters wrong. Careful seeding
# makes the right end far more likely, and still not certain: people run k-means several times and
# keep the best.
#
# ## The staircase
#
# **Predict.** The best of several runs for K = 1, 2, 3, …: where does the curve start? Where does
# it bend? What does it do far to the right, when K doubles?

# %%
sizes = np.array([*range(1, 21), 32, 64, 128])
best = np.array(
    [min(vqnp.kmeans(points, k, rng=seed).inertia for seed in range(10)) for k in sizes]
)
curve = best / len(points)
assert np.isclose(curve[0], 2, atol=1e-5)
plane.distortion_by_size(sizes, curve, mark=10)

# %% [markdown]
# *Picture: left, distortion falls from 2 in steps that grow smaller, down to K = 10, and is nearly
# flat from there; right, on logarithmic axes, it goes on falling along a straight line that halves
# the distortion when K doubles.*

# %%
before, after = (
    curve[8] - curve[9],
    curve[9] - curve[10],
)  # what the tenth and the eleventh token buy
assert before > 5 * after
halved = curve[-2] / curve[-1]  # from 64 tokens to 128
assert FAST or 1.8 < halved < 2.3
print(
    f"the tenth token buys {before:.4f}, the eleventh {after:.4f}; "
    f"from 64 to 128 the distortion falls {halved:.2f} times"
)

# %% [markdown]
# One token costs the variance, 2. Up to ten, each token frees a cluster from sharing; the eleventh
# can only cut a cluster in two. From there on, the distortion falls about as $1 / K$: twice the
# tokens, half the area for each cell, half the squared width. In $D$ dimensions the width of a cell
# shrinks as $K^{-1/D}$ and the distortion as $K^{-2/D}$: **in many dimensions, more tokens buy
# little**.
#
# ## Tokens that nobody chooses
#
# **Predict.** One of ten tokens starts at (4, 4), far from all points. What do Lloyd's steps do
# with it?

# %%
astray = [np.vstack([means[:9], [4.0, 4.0]])]
for _ in range(30):
    astray.append(step(points, astray[-1]))
assert np.array_equal(astray[-1][9], [4, 4])
assert 9 not in nearest_token(points, astray[-1])[0]
print(
    f"distortion {distortion(points, astray[-1]):.3f} with ten tokens, "
    f"{distortion(points, astray[-1][:9]):.3f} without the last"
)

# %% [markdown]
# Nothing. Its cell is empty, the mean of no points is not defined, and it stays where it is, for
# ever. Only a *rule* can bring it back, and programs differ in theirs: some leave it, some put it
# at the origin by dividing zero by something small, some draw it anew. The package's k-means moves
# it onto the point that is farthest from its own token.

# %%
codes, squared = nearest_token(points, astray[-1])
rescued = lloyd_step(points, astray[-1], codes, squared)
assert np.array_equal(rescued[9], points[squared.argmax()])
for _ in range(30):
    rescued = step(points, rescued)
assert np.isclose(distortion(points, rescued), goal, rtol=0.05)
print(f"distortion {distortion(points, rescued):.3f} after the rescue")

# %% [markdown]
# One token astray is an accident. Here is the accident that this whole project is about.
#
# **Predict.** Sixty-four tokens, all of them crowded into a small spot in the middle of the data.
# How many get any points? And after Lloyd's steps, until nothing moves?

# %%
crowd = [np.random.default_rng(0).normal(scale=0.05, size=(64, 2))]
while len(crowd) == 1 or not np.array_equal(crowd[-1], crowd[-2]):
    crowd.append(step(points, crowd[-1]))
spread_out = vqnp.kmeans(points, 64, rng=0).tokens
plane.voronoi_cells(
    points, {"crowded": crowd[0], "after Lloyd's steps": crowd[-1], "k-means++": spread_out}
)

# %% [markdown]
# *Picture: left, all tokens in one spot, too close to tell apart, and long cells that run outwards
# from it; middle, after Lloyd's steps, a few tokens have left for the clusters and the rest make
# the spot still; right, from k-means++, tokens everywhere in the data.*

# %%
used = [
    len(np.unique(nearest_token(points, tokens)[0])) for tokens in (crowd[0], crowd[-1], spread_out)
]
price = [distortion(points, tokens) for tokens in (crowd[-1], spread_out)]
assert used[0] < used[1] < 32 < used[2] == 64
assert price[0] > 4 * price[1]
print(
    f"tokens with points: {used[0]}, {used[1]} and {used[2]} of 64; "
    f"distortion {price[0]:.4f} against {price[1]:.4f}"
)

# %% [markdown]
# The tokens on the rim of the spot shield those inside from the points. Some of them leave, a few
# more come to the rim, and then it is over: most of the codebook is never used, though nothing is
# wrong with any single step. That is a **tokens collapse**. Lesson 4 shows how a network brings it
# about by itself: before it is trained, its encoder squeezes all data into a small spot, and that
# is where its codebook is born.
#
# ## Exercises
#
# 1. Read ten places for tokens off the first picture of cells and type them in. Compare their
#    distortion, before and after Lloyd's steps, with the best of the hundred runs.
# 2. Replace the squared distance by $|z_1 - t_1| + |z_2 - t_2|$. Which place is now best for a
#    token, given its points, so that the sum of distances never rises? Change `nearest_token` and
#    `step`, and check that it does not.
# 3. Take 5,000 points uniform in a square and 64 tokens. What shape do the cells take after many of
#    Lloyd's steps, and is it that shape everywhere? Find a rule for empty cells that does better
#    than the farthest point, and data on which yours does worse.
#
# Next: *2. Forward and backward*, how a network learns, so that the points can come out of one.
