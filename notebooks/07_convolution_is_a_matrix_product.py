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
# # 7. Convolution is a matrix product
#
# Written out, a convolution is six nested loops. What a computer does best is to multiply matrices,
# and one can be turned into the other. *im2col* copies each window that the kernel sees into a row
# of a matrix, and from there on a convolution is the linear layer of lesson 2, gradients included.
# One thing is new, the way from the columns back to the pixels: *col2im*. It is not the inverse of
# im2col but its adjoint. As a layer of its own it is the transposed convolution, with which the
# decoder of the VQ-VAE makes its images large again.
#
# **After this lesson you can**
#
# - write a convolution, its three gradients and a transposed convolution, each around one matrix
#   product;
# - say what an adjoint is, check one with two inner products, and tell it from an inverse;
# - stop inside a compiled kernel and watch it copy a window.
#
# Reading takes about 35 minutes. Lesson 2 comes before this one. On Colab, run
# `%pip install -q "vqnp[notebooks]"` first.

# %% tags=["parameters"]
FAST = False  # True shrinks the work: for a quick look, and for the tests

# %%
import numpy as np
from sklearn.datasets import load_sample_image

from vqnp.layers import ResidualBlock, conv2d_backward, conv2d_forward, conv_transpose2d_forward
from vqnp.layers.im2col import col2im, im2col
from vqnp.lessons import windows as plot
from vqnp.testing import check_grads

# %matplotlib inline

rng = np.random.default_rng(0)

# %% [markdown]
# ## Windows become rows
#
# Images are stored with their channels last: a batch is `(B, H, W, C)`. Take one image of 3 × 3
# pixels with one channel, and a kernel of 2 × 2 that moves one pixel at a time.
#
# **Predict.** At how many places does the kernel stop? How many of the windows contain the pixel in
# the middle?

# %% tags=["thumbnail"]
image = np.arange(1.0, 10.0).reshape(1, 3, 3, 1)  # (B, H, W, C)
columns = im2col(image, 2)  # (4, 4): a row for each stop, an entry for each tap of the kernel
assert (columns == 5).sum() == 4  # the pixel in the middle, once in every row
plot.draw_windows(image[0, :, :, 0], 2, 1, 0, columns)

# %% [markdown]
# *Picture: a 3 × 3 image with one of its four windows in color each time, and the four windows as
# the rows of a matrix.*
#
# It stops at four places, and all four windows contain the 5. im2col copies: nine pixels became
# sixteen entries.
#
# Two numbers more describe a walk. The *stride* is how far the kernel moves from stop to stop.
# *Padding* is a margin of zeros around the image, so that the kernel can also stand half outside.
#
# **Predict.** A kernel of 3 × 3 walks over 4 × 4 pixels with stride 2 and padding 1. How many
# stops, and how many zeros from the margin does the first window see?

# %%
larger = np.arange(1.0, 17.0).reshape(1, 4, 4, 1)
columns_larger = im2col(larger, 3, stride=2, padding=1)  # (4, 9)
assert (columns_larger[0] == 0).sum() == 5
plot.draw_windows(larger[0, :, :, 0], 3, 2, 1, columns_larger)

# %% [markdown]
# *Picture: a 4 × 4 image in a margin of zeros, windows of 3 × 3 two pixels apart; the columns have
# four rows of nine.*
#
# Four stops again, and five zeros in the first window. In general there are
# `(H + 2·padding − kernel) // stride + 1` stops along an axis. Here is all of im2col:


# %%
def windows_as_rows(images, size, stride=1, padding=0):  # images (B, H, W, C)
    """Return each window of a square kernel as a row."""
    padded = np.pad(images, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    _, height, width, _ = padded.shape
    rows = [
        picture[y : y + size, x : x + size].reshape(-1)  # (size·size·C,)
        for picture in padded
        for y in range(0, height - size + 1, stride)
        for x in range(0, width - size + 1, stride)
    ]
    return np.stack(rows)  # (B·Ho·Wo, size·size·C)


# %% [markdown]
# **Predict.** Two images of 6 × 7 pixels with three channels, a kernel of 3 × 3, stride 2, padding
# 1: which shape do the columns have?

# %%
x = rng.normal(size=(2, 6, 7, 3))
own = windows_as_rows(x, 3, stride=2, padding=1)
np.testing.assert_array_equal(own, im2col(x, 3, stride=2, padding=1))
own.shape

# %% [markdown]
# Two images with 3 × 4 stops are 24 rows, and 3 · 3 · 3 entries are a row. Ours is the package's
# im2col, number for number. Because the channels come last, a row of a window is one run of memory:
# `vqnp/layers/im2col.py` copies such runs, and is fast because it does nothing else.
#
# What it costs is memory. A kernel of 3 × 3 that stops at every pixel sees each pixel nine times.

# %%
batch = rng.normal(size=(1, 32, 32, 8))
entries = {
    "3 × 3, stride 1, padding 1": im2col(batch, 3, 1, 1).size / batch.size,
    "4 × 4, stride 2, padding 1": im2col(batch, 4, 2, 1).size / batch.size,
}
assert list(entries.values()) == [9, 4]
entries

# %% [markdown]
# The columns of 3 × 3 windows are nine times as large as the image. That is why the package makes
# the columns of a few images at a time, multiplies them while they are still in the cache, and
# forgets them (`vqnp/fast/correlate.py`). The second line is the first layer of the model for
# CIFAR-10.
#
# ## The product
#
# A kernel with one output channel has a weight for each tap: a column of numbers, as many as a row
# of the columns has entries. The convolution is the inner product of every row with it, and that is
# a matrix product.

# %%
kernel = np.array([[1.0, -1.0], [0.0, 2.0]]).reshape(2, 2, 1, 1)  # (kh, kw, C_in, C_out)
weights = kernel.reshape(-1, 1)  # (kh·kw·C_in, C_out)
plot.draw_product(columns, weights, columns @ weights, (2, 2))

# %% [markdown]
# *Picture: the 4 × 4 columns times a column of four weights gives four numbers, which stand as a 2
# × 2 image again.*
#
# With more output channels the weight has more columns, and nothing else changes. With a bias, this
# is the whole layer:


# %%
def convolve(x, weight, bias, stride, padding):  # weight (k, k, C_in, C_out)
    """Return the convolution, as one matrix product."""
    size, _, _, channels = weight.shape
    rows, cols = ((side + 2 * padding - size) // stride + 1 for side in x.shape[1:3])
    out = windows_as_rows(x, size, stride, padding) @ weight.reshape(-1, channels) + bias
    return out.reshape(len(x), rows, cols, channels)


weight, bias = rng.normal(size=(3, 3, 3, 5)), rng.normal(size=5)
out, cache = conv2d_forward(x, weight, bias, stride=2, padding=1)
np.testing.assert_allclose(convolve(x, weight, bias, 2, 1), out, rtol=1e-12, atol=1e-12)
out.shape

# %% [markdown]
# What does such a sum see? Take three kernels and a photograph: the difference of right and left,
# the difference of below and above, and the second with the first, which asks how the one changes
# along the other.
#
# **Predict.** On which of the pictures are the edges of a roof, which run across, and on which are
# the pillars?

# %%
photograph = load_sample_image("china.jpg")[100:340, 200:500] / 255  # (240, 300, 3)
photograph = photograph[:: 4 if FAST else 1, :: 4 if FAST else 1]
across, smooth = np.array([-1.0, 0.0, 1.0]), np.array([1.0, 2.0, 1.0])
kernels = [
    np.outer(smooth, across),
    np.outer(across, smooth),
    np.outer(across, across),
]  # each (3, 3)
edges = np.stack(kernels, axis=-1)[:, :, None, :]  # (3, 3, 1, 3): one channel in, three out
grey = photograph.mean(axis=2)[None, :, :, None]  # (1, H, W, 1)
response, _ = conv2d_forward(grey, edges, np.zeros(3))  # (1, H - 2, W - 2, 3)
names = ["right minus left", "below minus above", "the one along the other"]
plot.draw_filtered(photograph, list(zip(names, np.moveaxis(response[0], 2, 0), strict=True)))

# %% [markdown]
# *Picture: a temple, and three grey pictures of its edges: upright ones, level ones, and corners.*
#
# One product gave all three pictures. The kernel that takes differences from left to right finds
# what stands upright, the pillars; the other finds the lines of the roof; the third answers only
# where both change, at corners and slanted lines. An encoder's kernels are not chosen, they are
# learnt. For that it needs gradients.
#
# ## The way back
#
# Write all pixels of the image as one vector, and all entries of the columns as another. im2col
# copies, so it is linear, and a linear map is a matrix. Its columns are what it does to images that
# are 1 in one pixel and 0 elsewhere.
#
# **Predict.** What do the rows of that matrix look like? And what does the sum of one of its
# columns count?

# %%
unit_images = np.eye(9).reshape(9, 3, 3, 1)
copying = im2col(unit_images, 2).reshape(9, 16).T  # (16 entries, 9 pixels)
np.testing.assert_array_equal(copying @ image.ravel(), columns.ravel())
assert (copying.sum(axis=1) == 1).all()
plot.draw_matrix(copying, "abcdefghi")

# %% [markdown]
# *Picture: a matrix of 16 rows and 9 columns with one black cell in every row, and beside it the
# same matrix transposed.*
#
# Each entry is the copy of one pixel, so each row holds a single 1; with padding some rows would
# hold none. A column of the matrix has a 1 for every copy of its pixel, and the middle one, *e*,
# has four.
#
# Now say a loss depends on the columns and its gradient there is $g$. Move the image a little, by
# $h$: the columns move by $Ah$ if $A$ is the matrix, the loss by
# $\langle g, Ah\rangle = \langle A^\top g, h\rangle$. So the gradient of the image is $A^\top g$.
# The transposed matrix has a row for each pixel, with a 1 for each of its copies: **every entry is
# added to the pixel it was copied from.** That is col2im.


# %%
def add_back(columns, shape, size, stride=1, padding=0):  # shape (B, H, W, C)
    """Add each row of the columns to the window it was copied from."""
    batch, height, width, channels = shape
    padded = np.zeros((batch, height + 2 * padding, width + 2 * padding, channels))
    rows = iter(columns.reshape(-1, size, size, channels))
    for picture in padded:
        for y in range(0, len(picture) - size + 1, stride):
            for x in range(0, picture.shape[1] - size + 1, stride):
                picture[y : y + size, x : x + size] += next(rows)
    return padded[:, padding : padding + height, padding : padding + width]


c = rng.normal(size=own.shape)
np.testing.assert_allclose(
    add_back(c, x.shape, 3, 2, 1), col2im(c, x.shape, 3, 2, 1), rtol=1e-12, atol=1e-12
)
d = rng.normal(size=columns.shape)
np.testing.assert_allclose(
    copying.T @ d.ravel(), col2im(d, image.shape, 2).ravel(), rtol=1e-12, atol=1e-12
)

# %% [markdown]
# A map and its transpose are each other's *adjoint*:
# $\langle Ax, c\rangle = \langle x, A^\top c\rangle$ for every $x$ and $c$. No matrix is needed to
# check it, only two inner products: one among the columns, one among the pixels.

# %%
among_columns = np.vdot(im2col(x, 3, 2, 1), c)
among_pixels = np.vdot(x, col2im(c, x.shape, 3, 2, 1))
np.testing.assert_allclose(among_columns, among_pixels, rtol=1e-9)
print(f"⟨im2col x, c⟩ = {among_columns:.12f}\n⟨x, col2im c⟩ = {among_pixels:.12f}")

# %% [markdown]
# **Predict.** Copy an image into columns and add it back at once. Do you get the image?


# %%
def copies(side, size, stride, padding):
    """Return how often each pixel is copied: an image of ones, there and back."""
    ones = np.ones((1, side, side, 1))
    return col2im(im2col(ones, size, stride, padding), ones.shape, size, stride, padding)[
        0, :, :, 0
    ]


there_and_back = col2im(im2col(larger, 3, 1, 1), larger.shape, 3, 1, 1)
np.testing.assert_array_equal(there_and_back[0, :, :, 0], copies(4, 3, 1, 1) * larger[0, :, :, 0])
walks = {
    "3 × 3, stride 1": (7, 3, 1, 0),
    "3 × 3, stride 2": (7, 3, 2, 0),
    "4 × 4, stride 2, padding 1": (8, 4, 2, 1),
}
assert np.unique(copies(8, 4, 2, 1)[1:-1, 1:-1]) == 4
plot.draw_counts([(name, copies(*walk)) for name, walk in walks.items()])

# %% [markdown]
# *Picture: three grids of how often each pixel is copied: rising to 9 in the middle, alternating,
# and 4 everywhere but at the edge.*
#
# You get every pixel as many times as it was copied. An adjoint is not an inverse. The second grid
# will come back: when the stride does not divide the kernel, neighbors are not treated alike.
#
# ## Three gradients
#
# With columns $X$ and the weight as a matrix $W$ the layer is $Y = XW + b$, the linear layer of
# lesson 2. Its gradients are known:
#
# $$\frac{\partial L}{\partial W} = X^\top \frac{\partial L}{\partial Y}, \qquad
# \frac{\partial L}{\partial b} = \sum_{\text{rows}} \frac{\partial L}{\partial Y}, \qquad
# \frac{\partial L}{\partial X} = \frac{\partial L}{\partial Y} W^\top ,$$
#
# and col2im takes the last one from the columns to the pixels.


# %%
def convolve_backward(dout, x, weight, stride, padding):  # dout (B, Ho, Wo, C_out)
    """Return the gradients of input, weight and bias."""
    size, _, _, channels = weight.shape
    dout = dout.reshape(-1, channels)  # (B·Ho·Wo, C_out)
    dweight = windows_as_rows(x, size, stride, padding).T @ dout  # (k·k·C_in, C_out)
    dcolumns = dout @ weight.reshape(-1, channels).T  # (B·Ho·Wo, k·k·C_in)
    return (
        add_back(dcolumns, x.shape, size, stride, padding),
        dweight.reshape(weight.shape),
        dout.sum(axis=0),
    )


dout = rng.normal(size=out.shape)
ours, theirs = convolve_backward(dout, x, weight, 2, 1), conv2d_backward(dout, cache)
for own_gradient, gradient in zip(ours, theirs, strict=True):
    np.testing.assert_allclose(own_gradient, gradient, rtol=1e-12, atol=1e-12)

# %% [markdown]
# Equal to the package's, but both could be wrong in the same way. The judge is the definition of a
# derivative: `check_grads` moves an argument a little along random directions and compares the
# difference with what the gradient says.
#
# **Predict.** If the upstream gradient had its height and width swapped by mistake, would a test
# with an upstream gradient of all ones notice? `check_grads` draws a random one, and our images are
# not square.

# %%
print(
    check_grads(
        lambda x, weight, bias: convolve(x, weight, bias, 2, 1),
        lambda x, weight, bias, dout: convolve_backward(dout, x, weight, 2, 1),
        (x, weight, bias),
    )
)

# %% [markdown]
# It passes. And now with the mistake built in: height and width of the upstream gradient change
# places.


# %%
def swapped(dout):
    """The mistake: another order of the same numbers."""
    return convolve_backward(dout.swapaxes(1, 2), x, weight, 2, 1)


def differ(upstream):
    """Tell which gradients the mistake changes."""
    right, wrong = convolve_backward(upstream, x, weight, 2, 1), swapped(upstream)
    return [not np.allclose(a, b) for a, b in zip(right, wrong, strict=True)]


assert differ(np.ones_like(dout)) == [False, False, False]
assert differ(dout) == [True, True, False]

# %% [markdown]
# With ones everywhere no gradient changes, and a test would pass. With random numbers those of the
# input and of the weight do. (The bias only ever sees a sum.)
#
# ## The transposed convolution
#
# The encoder's first layers have stride 2: 32 × 32 pixels become 16 × 16, then 8 × 8. The decoder
# must go the other way. The gradient of the input already does that: it takes something of the
# small size and gives something of the large one. Run forward, as a layer, it is called a
# *transposed convolution*. Each input pixel stamps the kernel, times its own value, on the output,
# and where stamps overlap they add up.

# %%
small = np.array([[1.0, 2.0], [3.0, 4.0]])
stamp = np.array([[1.0, 2.0, 1.0], [2.0, 3.0, 2.0], [1.0, 2.0, 1.0]]).reshape(
    3, 3, 1, 1
)  # (kh, kw, C_out, C_in)
alone = small * np.eye(4).reshape(4, 2, 2)  # (4, 2, 2): each pixel on its own
stamps, _ = conv_transpose2d_forward(alone[..., None], stamp, np.zeros(1), stride=2)  # (4, 5, 5, 1)
together, _ = conv_transpose2d_forward(small[None, :, :, None], stamp, np.zeros(1), stride=2)
np.testing.assert_allclose(stamps.sum(axis=0), together[0])
plot.draw_stamps(small, stamps[..., 0], together[0, :, :, 0])

# %% [markdown]
# *Picture: four pixels, the 3 × 3 stamps they leave two pixels apart on a 5 × 5 output, and their
# sum; where stamps overlap it is grey.*
#
# In matrices: multiply every pixel by the transposed weight, which gives a row of the columns, and
# let col2im put the rows where they belong.


# %%
def stamp_out(x, weight, size, stride, padding):  # x (B, H, W, C_in), weight (k, k, C_out, C_in)
    """Return the transposed convolution ``(B, *size, C_out)``."""
    kernel_size, _, channels_out, channels_in = weight.shape
    columns = x.reshape(-1, channels_in) @ weight.reshape(-1, channels_in).T  # (B·H·W, k·k·C_out)
    return add_back(columns, (len(x), *size, channels_out), kernel_size, stride, padding)


y = rng.normal(size=(2, 8, 8, 6))
# A convolution's C_in = 3, C_out = 6; a transposed one's the other way round.
weight = rng.normal(size=(4, 4, 3, 6))
enlarged, _ = conv_transpose2d_forward(y, weight, np.zeros(3), stride=2, padding=1)
np.testing.assert_allclose(stamp_out(y, weight, (16, 16), 2, 1), enlarged, rtol=1e-12, atol=1e-12)
enlarged.shape

# %% [markdown]
# The package stores the weight of a transposed convolution as `(kh, kw, C_out, C_in)`, so that one
# array serves both directions: a convolution with it maps three channels to six, a transposed
# convolution with the same array maps six to three.
#
# **Predict.** Three statements about a convolution `f` and the transposed convolution `t` with the
# same weight. Which are true? (1) `t` is the backward pass of `f`. (2) ⟨f(x), y⟩ = ⟨x, t(y)⟩. (3)
# t(f(x)) = x.

# %%
x = rng.normal(size=(2, 16, 16, 3))
small, cache = conv2d_forward(x, weight, np.zeros(6), stride=2, padding=1)  # (2, 8, 8, 6)
backward, _, _ = conv2d_backward(y, cache)
np.testing.assert_allclose(enlarged, backward, rtol=1e-12, atol=1e-12)  # (1)
left, right = np.vdot(small, y), np.vdot(x, enlarged)
np.testing.assert_allclose(left, right, rtol=1e-9)  # (2)
back, _ = conv_transpose2d_forward(small, weight, np.zeros(3), stride=2, padding=1)
print(f"⟨f(x), y⟩ = {left:.10f}\n⟨x, t(y)⟩ = {right:.10f}")
correlation = np.corrcoef(back.ravel(), x.ravel())[0, 1]
# (3): a random kernel mixes neighbors, and 8 × 8 × 6 numbers cannot hold 16 × 16 × 3.
assert correlation < 0.9
print(f"correlation of t(f(x)) with x: {correlation:.2f}")

# %% [markdown]
# The first two. Transposing is not undoing: the decoder has weights of its own, and has to learn
# what undoes the encoder.
#
# One practical matter. Give a transposed convolution a constant image and a constant kernel: the
# output is how many stamps reach each pixel, the numbers of the three grids above.

# %%
for name, size, stride, padding, side in (
    ("3 × 3, stride 2", 3, 2, 0, 3),
    ("4 × 4, stride 2, padding 1", 4, 2, 1, 4),
):
    flat, _ = conv_transpose2d_forward(
        np.ones((1, side, side, 1)), np.ones((size, size, 1, 1)), np.zeros(1), stride, padding
    )
    np.testing.assert_array_equal(flat[0, :, :, 0], copies(flat.shape[1], size, stride, padding))
    print(f"{name}: {np.unique(flat[0, 1:-1, 1:-1, 0])} stamps on a pixel inside")

# %% [markdown]
# A 3 × 3 kernel with stride 2 reaches neighboring pixels 1, 2 or 4 times: a checkerboard, which
# training has to work against. With 4 × 4 and stride 2 all of them are reached four times. That is
# why the model has 4 × 4 kernels where it changes size.
#
# ## The residual block
#
# Between the convolutions stand residual blocks, $y = x + f(x)$ with $f$ = ReLU, 3 × 3 convolution,
# ReLU, 1 × 1 convolution. A block starts as a small change to its input, and the gradient has a way
# around the branch: $\partial L/\partial x = \partial L/\partial y\,$ plus what comes back through
# $f$.


# %%
def branch(x, params, rectify):
    """Return f(x): rectify, 3 × 3, rectify, 1 × 1."""
    hidden, _ = conv2d_forward(rectify(x), params["1.weight"], params["1.bias"], padding=1)
    return conv2d_forward(rectify(hidden), params["3.weight"], params["3.bias"])[0]


def relu(x):
    """Return a new array, max(x, 0)."""
    return np.maximum(x, 0)


block = ResidualBlock(8, 4, rng=rng, dtype=np.float64)
x = rng.normal(size=(1, 6, 7, 8))
y, cache = block.forward(x)
np.testing.assert_allclose(x + branch(x, block.params, relu), y, rtol=1e-12, atol=1e-12)

# %% [markdown]
# Frameworks offer a rectifier that saves memory by writing its result over its input. It looks like
# the same function.
#
# **Predict.** The branch begins with such a rectifier. What does the skip add?


# %%
def relu_in_place(x):
    """Overwrite x with max(x, 0), and return it."""
    return np.maximum(x, 0, out=x)


overwritten = x.copy()
wrong = branch(overwritten, block.params, relu_in_place) + overwritten
np.testing.assert_allclose(wrong, relu(x) + branch(x, block.params, relu), rtol=1e-12, atol=1e-12)
assert not np.isclose(wrong, y)[x < 0].any()
plot.draw_skip(x, overwritten)

# %% [markdown]
# *Picture: what the skip carries against its input: on the left a straight line, on the right zero
# for every negative input.*
#
# Nothing fails. No shape is wrong and the model trains, as $\mathrm{ReLU}(x) + f(x)$: every
# negative number is gone, half of what normally distributed inputs hold. The backward pass written
# for $x + f(x)$ is then wrong, too:

# %%
fraction = (x < 0).mean()
# 336 fair coins: their mean is within 0.1 of a half, but for one in thousands.
assert abs(fraction - 0.5) < 0.1
right = check_grads(
    lambda x: block.forward(x)[0],
    lambda x, dout: block.backward(dout, block.forward(x)[1])[0],
    (x,),
)
wrong = check_grads(
    lambda x: relu(x) + branch(x, block.params, relu),
    lambda x, dout: block.backward(dout, block.forward(x)[1])[0],
    (x,),
    raises=False,
)
print(right, wrong, sep="\n")

# %% [markdown]
# In `vqnp/layers/relu.py` both passes return new arrays, and a test in the package fails when the
# block's input is changed.
#
# ## Stopping inside a kernel
#
# The package's loops are compiled by Numba, and a debugger does not see compiled code. With the
# environment variable `NUMBA_DISABLE_JIT=1` each kernel is again the Python function it is written
# as: slow, and open to be looked at. The variable is read when Numba is imported, so it must be set
# before Python starts. Here a small program in a process of its own copies the windows of our 3 × 3
# image. `breakpoint()` opens Python's debugger in it, which reads the commands that you would type.

# %%
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import vqnp
from vqnp.fast.windows import gather_windows

PROGRAM = """
import numpy as np
from vqnp.fast.windows import gather_windows
from vqnp.layers.im2col import im2col
image = np.arange(1.0, 10.0).reshape(1, 3, 3, 1)
breakpoint()
columns = im2col(image, 2)
print("the program ends, columns:", columns.shape)
"""


def debug(commands, disable_jit):
    """Run the program, type ``commands`` into its debugger, and return the whole session."""
    environment = {**os.environ, "NUMBA_DISABLE_JIT": disable_jit}
    command, typed = [sys.executable, "-c", PROGRAM], "\n".join(commands)
    output = subprocess.run(
        command, input=typed, env=environment, stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    # Folders differ between machines, and an edit moves the lines of a file: leave both out.
    folder = Path(inspect.getfile(vqnp)).parents[1]
    output = output.replace(f"{folder}{os.sep}", "")
    answers = re.sub(r"(?<=\.py[:(])\d+", "…", output).split("(Pdb) ")
    typed = [re.sub(r"break \d+", "break <the copy>", command) for command in commands]
    return answers[0] + "".join(
        f"(Pdb) {command}\n{answer}" for command, answer in zip(typed, answers[1:], strict=True)
    )


# %% [markdown]
# The kernel to look at is `gather_windows` in `vqnp/fast/windows.py`: open the file beside this
# page. Stop where it begins, and ask for what it was given. An edit of the file moves its lines, so
# their numbers are left out here.

# %%
print(
    debug(
        [
            "tbreak gather_windows",
            "continue",
            "p image",
            "p step, margin",
            "p columns.shape",
            "continue",
        ],
        "1",
    )
)

# %% [markdown]
# `tbreak` stops once. The image has lost its last axis: with one channel, `(H, W·C)` is `(3, 3)`.
# The kernel moves one number at a time, `step`, and there is no `margin`. The columns are
# `(Ho, Wo, kh, kw·C)` and hold as yet whatever was in memory.
#
# Now to the innermost line, which copies one number. A breakpoint can have a condition; this one
# waits for the third stop, the second row of windows.
#
# **Predict.** What does `source` hold when the third window's first row is copied? And the columns,
# of which two windows are done?

# %%
lines, first = inspect.getsourcelines(getattr(gather_windows, "py_func", gather_windows))
# Or read it in the file.
(number,) = (first + i for i, line in enumerate(lines) if "target[k] = source[k]" in line)
commands = [
    "tbreak gather_windows",
    "continue",
    f"tbreak {number}, (y, x, i) == (1, 0, 0)",
    "continue",
    "p source",
    "p columns[0]",
    "next",
    "next",
    "p k, target[:k]",
    "continue",
]
session = debug(commands, "1")
assert "array([4., 5.])" in session
assert "(1, array([4.]))" in session
print(session)

# %% [markdown]
# `source` holds the 4 and the 5, the upper row of the third window in the first picture of this
# lesson. `columns[0]` holds the two windows of the upper row, complete. Two times `next` is one
# number copied and the loop gone on: `k` is 1, and `target` begins with 4.
#
# **Predict.** The same commands, without `NUMBA_DISABLE_JIT`. Where does it stop?

# %%
compiled = debug(["tbreak gather_windows", "continue"], "0")
assert "-> height, width" not in compiled
assert "the program ends" in compiled
print(compiled)

# %% [markdown]
# Nowhere. The debugger accepts the breakpoint, but the line it stands at is never interpreted.
#
# ## Exercises
#
# 1. By hand: an image of 5 × 5 pixels, a kernel of 3 × 3, stride 2, padding 0. How many stops are
#    there, which pixels are copied more than once, and how many times is the middle one? Check
#    yourself with `copies`.
# 2. A convolution multiplies and adds `kh · kw · C_in · C_out` times at each stop. Count them layer
#    by layer for an image of 32 × 32 pixels in the paper's model, `vqnp.conv_vqvae()`. Its
#    `encoder` and `decoder` can be iterated over, and a residual block has a `branch`. A transposed
#    convolution counts as the convolution whose backward pass it is. Where is most of the work?
# 3. With stride 1, a transposed convolution can be had without col2im: as a convolution with
#    another padding and another arrangement of the same weight. Find them, and let a test with
#    random arrays tell whether you are right. What would you have to do to the input to make it
#    work with stride 2, and what would that cost?
#
# Next: [lesson 8, *CIFAR-10*](08_cifar10.ipynb), where these layers see photographs.
