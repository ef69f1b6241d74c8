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
# # 2. Forward and backward
#
# A network learns by following the slope of its loss, and the slope is found by going through the
# network backwards. Here both ways are written by hand for the two layers that everything on the
# first floor of this package is made of, the linear layer and the rectifier. Then we distrust what
# we wrote, check it, put the layers in a row, and train a small autoencoder.
#
# **After this lesson you can**
#
# - write the backward pass of a layer from its forward pass, and say what the forward pass must
#   keep for it;
# - check any gradient against differences so that mistakes show, and know how exact such a check
#   can be;
# - train a network of your own layers, and say what one number between encoder and decoder can
#   carry.
#
# About 30 minutes. Before it: lesson 1, though nothing here rests on it.
#
# On Colab, run first: `%pip install -q "vqnp[notebooks]"`

# %% tags=["parameters"]
FAST = False  # True shrinks the work: for a quick look, and for the tests

# %%
import numpy as np

from vqnp import Identity, MLPSettings, clusters, layers, mlp_vqvae
from vqnp.lessons import gradients as plots
from vqnp.losses import mse
from vqnp.networks import mlp
from vqnp.optim import Adam
from vqnp.testing import check_grads

# %matplotlib inline

STEPS = 300 if FAST else 4000  # of the training at the end
NAMES = ("x", "weight", "bias")
rng = np.random.default_rng(0)

# %% [markdown]
# ## A layer is two functions
#
# The linear layer takes a batch of $N$ rows with $I$ numbers each and gives $N$ rows with $O$
# numbers:
#
# $$y_{no} = \sum_i x_{ni} W_{io} + b_o .$$
#
# Somewhere behind it a loss $L$, a single number, is computed from $y$. Suppose we are told how $L$
# changes with every output, $\partial L / \partial y_{no}$: an array of the shape of $y$, called
# `dout` in the code. Then the chain rule says how $L$ changes with everything the layer saw. A
# weight $W_{io}$ acts on $L$ through $y_{no}$ in *every row* $n$, so its gradient is a sum over
# rows; an input $x_{ni}$ acts through *every output* $o$ of its row, so its gradient is a sum over
# outputs:
#
# | gradient | chain rule | as a matrix product |
# |---|---|---|
# | of the input | $\sum_o \frac{\partial L}{\partial y_{no}} W_{io}$ | `dout @ weight.T` |
# | of the weight | $\sum_n x_{ni} \frac{\partial L}{\partial y_{no}}$ | `x.T @ dout` |
# | of the bias | $\sum_n \frac{\partial L}{\partial y_{no}}$ | `dout.sum(axis=0)` |
#
# **Predict.** Let `x` be of shape (5, 3) and the weight of shape (3, 4). Which shapes do the three
# gradients have? And is there any other product of `x` and `dout` that has the shape of the weight?


# %%
def linear_forward(x, weight, bias):
    return x @ weight + bias, (x, weight)  # the output (N, O), and the cache


def linear_backward(dout, cache):
    x, weight = cache
    return dout @ weight.T, x.T @ dout, dout.sum(axis=0)  # of x (N, I), weight (I, O), bias (O,)


x, weight, bias = rng.normal(size=(5, 3)), rng.normal(size=(3, 4)), rng.normal(size=4)
y, cache = linear_forward(x, weight, bias)
dout = rng.normal(size=y.shape)  # as if a loss behind us had sent this back
for name, of, gradient in zip(NAMES, (x, weight, bias), linear_backward(dout, cache), strict=True):
    assert gradient.shape == of.shape
    print(f"{name:6} {of.shape!s:7} its gradient {gradient.shape}")

# %% [markdown]
# A gradient always has the shape of the thing it is the gradient of: one slope for each number.
# With `x` (5, 3) and `dout` (5, 4), only `x.T @ dout` is (3, 4). Shapes alone nearly write a
# backward pass, unless the sizes happen to be equal: test with sizes that differ.
#
# The rectifier, $y = \max(x, 0)$, is easier. Where $x > 0$ the output follows the input and the
# slope is 1; elsewhere nothing moves and it is 0.


# %%
def relu_forward(x):
    out = np.maximum(x, 0)
    return out, out  # the output is also the cache


def relu_backward(dout, cache):
    return dout * (cache > 0)


# %% [markdown]
# These dozen lines are the whole idea. The package has the same functions, with loops that are
# compiled; from here on we use those, once they have been seen to give the same.

# %%
package_y, package_cache = layers.linear_forward(x, weight, bias)
np.testing.assert_allclose(
    package_y, y, rtol=1e-13, atol=1e-13
)  # sums in another order round differently
for own, theirs in zip(
    linear_backward(dout, cache), layers.linear_backward(dout, package_cache), strict=True
):
    np.testing.assert_allclose(own, theirs, rtol=1e-13, atol=1e-13)

rectified, kept = layers.relu_forward(y)
np.testing.assert_array_equal(rectified, relu_forward(y)[0])
np.testing.assert_array_equal(layers.relu_backward(dout, kept), relu_backward(dout, kept))

# %% [markdown]
# ## What the cache keeps, and why
#
# Look at the table again: the linear layer's gradients need its input (for the weight) and its
# weight (for the input), and not its output. Nothing else is kept. The rectifier needs one bit for
# each number, whether $x > 0$; it could keep its input, or a mask. It keeps its *output*, which is
# positive in the same places. Why that?
#
# **Predict.** An encoder of three linear layers, 2 → 32 → 32 → 1 with a rectifier between every
# two, sees a batch of 256 rows in float32. How many bytes do all caches hold together, apart from
# the weights? Is that more or less than the parameters themselves?

# %%
encoder = mlp(2, 32, 32, 1, rng=rng)  # Linear, ReLU, Linear, ReLU, Linear
batch = rng.normal(size=(256, 2)).astype(np.float32)
z, caches = encoder.forward(batch)

assert caches[0][0] is batch  # no copy of the input
assert (
    caches[1] is caches[2][0]
)  # a rectifier's output is the next layer's input: one array, kept by both
assert caches[3] is caches[4][0]

activations = {id(kept): kept.nbytes for kept in (caches[0][0], caches[1], caches[3])}
parameters = sum(parameter.nbytes for parameter in encoder.params.values())
assert (sum(activations.values()), parameters) == (67_584, 4_740)
print(f"activations kept {sum(activations.values()):,} bytes, parameters {parameters:,} bytes")

# %% [markdown]
# The caches hold 67,584 bytes and the parameters 4,740. The batch is kept once and each hidden
# layer once, 256 · 32 · 4 bytes each: the linear layer after a rectifier must keep its input
# anyway, and that input *is* the rectifier's output. Keeping the output is free; keeping the input
# would have added an array. What is kept grows with the batch, the parameters do not: this is where
# the memory of training goes, and why evaluation, which never goes backward, can throw its caches
# away at once.
#
# Nothing is remembered inside the layer. `forward` hands its cache to the caller, the caller hands
# it to `backward`. So a layer may be used twice, and looking at a model leaves no trace in it. But
# the cache holds the arrays themselves and not copies.
#
# **Predict.** Between forward and backward somebody sets the batch to zero, in place. Which
# gradients are wrong then?

# %%
rows = x.copy()
_, cache = layers.linear_forward(rows, weight, bias)
right = layers.linear_backward(dout, cache)
rows[:] = 0
wrong = layers.linear_backward(dout, cache)
for name, one, other in zip(NAMES, right, wrong, strict=True):
    print(f"{name:6} {'as before' if np.array_equal(one, other) else 'changed'}")
assert [np.array_equal(one, other) for one, other in zip(right, wrong, strict=True)] == [
    True,
    False,
    True,
]
assert not wrong[1].any()

# %% [markdown]
# Only the weight's gradient reads the input, and it has become zero, without an error. What a cache
# holds must not be changed until the backward pass has been; a rectifier that works *in place*
# breaks this rule for whoever else keeps that array.
#
# ## Distrust
#
# A wrong backward pass raises no error, and often the network still learns, only worse. So we
# compare with something that cannot share the mistake: change a number by $h$ each way, and see
# what the loss does,
#
# $$f'(x) \approx \frac{f(x + h) - f(x - h)}{2h} .$$
#
# **Predict.** Is a smaller $h$ always better? Does it matter whether one looks to both sides or to
# one? How much does float32 lose?


# %%
def errors(slope, dtype):
    """Return the error of ``slope(x, h)`` for sin at x = 1, whose derivative is cos, for each h."""
    x = dtype(1)
    return np.array([abs(slope(x, dtype(h)) - np.cos(1.0)) for h in steps])


def one_sided(x, h):
    return (np.sin(x + h) - np.sin(x)) / h


def central(x, h):
    return (np.sin(x + h) - np.sin(x - h)) / (2 * h)


steps = np.logspace(-12, -0.5, 47)
found = {
    "to one side, float64": errors(one_sided, np.float64),
    "central, float64": errors(central, np.float64),
    "central, float32": errors(central, np.float32),
}
plots.difference_errors(steps, found)

# %% [markdown]
# *Picture: errors fall with the step, like h to one side and like h² to both, and rise again where
# rounding takes over.*

# %% [markdown]
# A step too large sees the curvature: the error falls like $h$ to one side and like $h^2$ for the
# central difference. A step too small sees the rounding of $f$, divided by $h$; in float32, $1 + h$
# soon *is* 1, and the slope comes out as 0. In between lies the best step, and how good it is
# depends on the precision:

# %%
best = {name: error.min() for name, error in found.items()}
at = {name: steps[error.argmin()] for name, error in found.items()}
for name in found:
    print(f"{name:21} at best {best[name]:.0e}, with h = {at[name]:.0e}")
assert (
    best["central, float64"] < 1e-9 < best["to one side, float64"] < 1e-7 < best["central, float32"]
)
assert errors(central, np.float64)[np.abs(steps - 1e-5).argmin()] < 1e-9
assert errors(central, np.float32)[0] == np.cos(1.0)  # all of it

# %% [markdown]
# Hence two habits: gradients are checked in float64, with the central difference and $h = 10^{-5}$,
# where it errs by less than $10^{-9}$ here. In float32 no step does better than $10^{-7}$, and a
# small mistake can hide in that. This is why every function of the package lets float64 pass
# through, although training uses float32.
#
# Now for arrays. The output $y$ is not one number, so we make one of it: draw an array $c$ of the
# same shape and let $L = \sum c \cdot y$. Then $\partial L / \partial y$ is just $c$, and calling
# `backward` with `dout = c` must give the slopes of $L$.


# %%
def numerical_gradient(value, array, h=1e-5):
    """Return the slope of ``value()`` for each element of ``array``: two evaluations each."""
    gradient = np.empty_like(array)
    for index in np.ndindex(array.shape):
        before = array[index]
        array[index] = before + h
        above = value()
        array[index] = before - h
        gradient[index] = (above - value()) / (2 * h)
        array[index] = before
    return gradient


def agrees(backward, c):
    """Tell whether ``backward`` gives the slopes of L = Σ c · y for input, weight and bias."""
    gradients = backward(c, layers.linear_forward(x, weight, bias)[1])
    slopes = [
        numerical_gradient(lambda: (layers.linear_forward(x, weight, bias)[0] * c).sum(), array)
        for array in (x, weight, bias)
    ]
    return all(
        np.allclose(one, other, rtol=1e-8, atol=1e-8)
        for one, other in zip(gradients, slopes, strict=True)
    )


c = rng.normal(size=y.shape)
assert agrees(layers.linear_backward, c)

# %% [markdown]
# Why a random $c$? It would be simpler to sum the outputs, that is to take all ones. Here are four
# wrong backward passes: each treats what comes from behind in a way it should not, then goes on
# correctly.
#
# **Predict.** Which of the four are found out with a $c$ of all ones?


# %%
def treating(change):
    return lambda dout, cache: layers.linear_backward(change(dout), cache)


mistakes = {
    "nothing wrong": lambda dout: dout,
    "batch reversed": lambda dout: dout[::-1],
    "outputs reversed": lambda dout: dout[:, ::-1],
    "dout ignored, ones used": np.ones_like,
    "divided by the batch size": lambda dout: dout / len(dout),
}
said = {True: "passes", False: "caught"}
verdicts = {
    name: [agrees(treating(change), upstream) for upstream in (np.ones_like(c), c)]
    for name, change in mistakes.items()
}
for name, (ones, drawn) in verdicts.items():
    print(f"{name:26} with ones: {said[ones]}   with a random c: {said[drawn]}")

assert [ones for ones, _ in verdicts.values()] == [True, True, True, True, False]
assert [drawn for _, drawn in verdicts.values()] == [True, False, False, False, False]

# %% [markdown]
# All ones look the same in every order, so three of the four mistakes pass. A random $c$ catches
# all four. (Ones are what `y.sum().backward()` sends, in frameworks that have it.)
#
# The loop above evaluates the layer twice for *each number*. For large layers the package's
# `check_grads` asks less: along a random direction $v$ the slope of $L$ must be
# $\langle g, v \rangle$, two evaluations for a whole array. A wrong gradient $g$ agrees with that
# only by a coincidence of probability zero. When it fails, it tries known mistakes and names the
# one that fits.


# %%
def forward(x, weight, bias):
    return layers.linear_forward(x, weight, bias)[0]


def backward(x, weight, bias, dout):
    return layers.linear_backward(dout, layers.linear_forward(x, weight, bias)[1])


def careless(x, weight, bias, dout):
    return backward(x, weight, bias, dout[::-1])


assert check_grads(forward, backward, (x, weight, bias)).passed
result = check_grads(forward, careless, (x, weight, bias), raises=False)
assert [suspect.name for suspect in result.suspects] == ["batch-reversed"]
print(result)

# %% [markdown]
# Differences have a blind spot of their own.
#
# **Predict.** What is the central difference of the rectifier at exactly $x = 0$, and what does our
# backward pass say there?

# %%
zero, one = np.zeros(1), np.ones(1)
difference = numerical_gradient(lambda: layers.relu_forward(zero)[0].sum(), zero)
ours = layers.relu_backward(one, layers.relu_forward(zero)[1])
assert difference == 0.5
assert ours == 0
print("difference", difference[0], " backward pass", ours[0])

# %% [markdown]
# At the kink there is no derivative: a difference averages the two sides, and we take 0, as the
# common frameworks do. A check must stay away from kinks by more than $h$; random numbers nearly
# always do.
#
# ## In a row
#
# Put layers one after the other and the chain rule becomes a relay: every layer receives `dout`
# from the one behind it and passes its own input's gradient on to the one before it. Read the left
# column downwards, then the right column upwards:
#
# | forward | shape | backward |
# |---|---|---|
# | `h, c1 = linear(x, W1, b1)` | (N, 32) | `dx, dW1, db1 = linear_backward(dh, c1)` |
# | `r, c2 = relu(h)` | (N, 32) | `dh = relu_backward(dr, c2)` |
# | `y, c3 = linear(r, W2, b2)` | (N, 2) | `dr, dW2, db2 = linear_backward(dy, c3)` |
# | `L, dy = mse(y, x)` | a number | `dy` is where it starts |
#
# The loss is the mean of the squared errors, $L = \frac{1}{ND} \sum (y - x)^2$, and its gradient
# $\frac{2}{ND}(y - x)$ is computed beside it.

# %%
x = rng.normal(size=(7, 2))
net = mlp(2, 32, 2, rng=rng, dtype=np.float64)
W1, b1, W2, b2 = (net.params[name] for name in ("0.weight", "0.bias", "2.weight", "2.bias"))

h, c1 = layers.linear_forward(x, W1, b1)
r, c2 = layers.relu_forward(h)
y, c3 = layers.linear_forward(r, W2, b2)
loss, dy = mse(y, x)

dr, dW2, db2 = layers.linear_backward(dy, c3)
dh = layers.relu_backward(dr, c2)
dx, dW1, db1 = layers.linear_backward(dh, c1)

# %% [markdown]
# `Sequential`, which `mlp` returned, is this relay and no more: forward in order, backward in
# reverse, each layer given its own cache.

# %%
np.testing.assert_allclose(loss, ((y - x) ** 2).mean(), rtol=1e-14)
np.testing.assert_allclose(dy, 2 * (y - x) / y.size, rtol=1e-14)
out, caches = net.forward(x)
dinput, gradients = net.backward(mse(out, x)[1], caches)
by_hand = {"0.weight": dW1, "0.bias": db1, "2.weight": dW2, "2.bias": db2}
assert gradients.keys() == by_hand.keys()
for name, gradient in by_hand.items():
    np.testing.assert_array_equal(gradient, gradients[name])
np.testing.assert_array_equal(dx, dinput)

# %% [markdown]
# What does the gradient promise? Take one step against it, of length η: every parameter
# $\theta \leftarrow \theta - \eta g$. To first order the loss should fall by $\eta \sum g^2$, since
# each parameter contributes its slope times its change.
#
# **Predict.** If η grows, does the loss fall faster or slower than promised?

# %%
lengths = np.linspace(-0.1, 0.45, 56)
start = {name: parameter.copy() for name, parameter in net.params.items()}


def loss_after(length):
    for name, parameter in net.params.items():
        parameter[:] = start[name] - length * gradients[name]
    return mse(net.forward(x)[0], x)[0]


slope = -sum((gradient**2).sum() for gradient in gradients.values())
assert abs((loss_after(1e-5) - loss_after(-1e-5)) / 2e-5 - slope) < 1e-8
plots.along_the_gradient(
    lengths, np.array([loss_after(length) for length in lengths]), loss_after(0), slope
)

# %% [markdown]
# *Picture: the loss touches the promised line at step 0, falls less than promised, and rises
# again.*

# %% [markdown]
# The assert compared the slope, one number, with a difference in which *all* parameters moved at
# once: a check of the whole relay for two evaluations. The promise holds at the point itself.
# Further on the loss falls less than promised and then rises: a step can be too long. Hence
# learning rates, and optimizers. Ours is Adam (`vqnp/optim.py`), which divides each parameter's
# step by the recent size of its gradient.
#
# ## A tiny autoencoder
#
# Two coordinates become one number $z$, and $z$ becomes two coordinates again. Encoder and decoder
# are three linear layers each, the loss is the mean squared error between the reconstruction and
# the data. The training loop is four lines.
#
# **Predict.** The decoder sees nothing but one number. What shape can the set of all its
# reconstructions have in the plane? What will it do about ten clusters?

# %%
data = clusters(dim=2, rng=0).points  # (10000, 2) float32, ten clusters
model = mlp_vqvae(MLPSettings(data_dim=2, token_dim=1), Identity(), rng=2)
optimizer = Adam(model.params, learning_rate=3e-3)


def snapshot(steps):
    """Return a title and the curve of what the decoder makes of every z that the data reach."""
    z = model.encode(data)
    along = np.linspace(z.min(), z.max(), 1000, dtype=np.float32)[:, None]
    return f"{steps:,} steps: error {mse(model.reconstruct(data), data)[0]:.3f}", model.decode(
        along
    )


snapshots = [snapshot(0)]
for step in range(1, STEPS + 1):
    batch = data[rng.integers(len(data), size=256)]
    gradients = model.loss_and_gradients(batch).gradients
    optimizer.step(gradients)
    if step in (STEPS // 40, STEPS // 8, STEPS):
        snapshots.append(snapshot(step))

# %% tags=["thumbnail"]
plots.curves_through_data(data, snapshots)

# %% [markdown]
# *Picture: reconstructions among ten grey clusters: a point when untrained, then a path from
# cluster to cluster.*

# %% [markdown]
# A decoder of one number draws a curve: a bent wire in the plane. Untrained, the wire is nearly a
# point, because the untrained encoder sends all data to nearly the same $z$ and the untrained
# decoder makes little of the difference. Training stretches the wire and threads it through the
# clusters. It must cross the empty space between them too, but hardly any data are decoded there.
# The seed of the weights was chosen: it is the best of three that were tried, and how typical its
# wire is you can find out in exercise 3.

# %%
untrained = mlp_vqvae(MLPSettings(data_dim=2, token_dim=1), Identity(), rng=2)
reach = [float(np.ptp(one.encode(data))) for one in (untrained, model)]
error = [mse(one.reconstruct(data), data)[0] for one in (untrained, model)]
print(
    f"embeddings reach over {reach[0]:.2f} untrained, {reach[1]:.2f} trained; "
    f"error {error[0]:.2f} and {error[1]:.3f}"
)
assert reach[0] < 0.5
assert reach[1] > 10 * reach[0]
# The data's variance is 1, and the untrained model says the same of every point.
assert 0.9 < error[0] < 1.1
assert error[1] < (0.3 if FAST else 0.03)  # of the variance 1: 70 % explained, and 97 %

# %% [markdown]
# Keep one thing in mind for later lessons: the untrained encoder's outputs fill a range of less
# than 0.5, the trained one's more than ten times that. A codebook that is born in the small range
# starts crowded. That is where this project's story begins.
#
# ## Exercises
#
# 1. Write `square_forward` and `square_backward` for $y = x^2$. What must the cache keep? Let
#    `check_grads` judge it.
# 2. The same for $y = \tanh x$, whose slope is $1 - y^2$: which one array does the cache need, the
#    input or the output? Write it as a layer with `params`, `forward` and `backward` (see
#    `vqnp/layers/layer.py`), and build the autoencoder's `Sequential` with it. Check the gradient
#    of the whole model with a single difference, as we did for the step of length η.
# 3. Train the autoencoder from ten different seeds. How much do the final errors differ, and what
#    do the wires look like that are worst? Can you find out when, during training, it is decided?
#
# Next: lesson 3, *Through the staircase*: what happens to all this when $z$ is replaced by the
# nearest of a few tokens, and the slope is gone.
