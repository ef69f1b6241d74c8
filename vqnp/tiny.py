"""A whole VQ-VAE, and AE-then-VQ, in plain NumPy. Run it: ``python -m vqnp.tiny``.

    x (B, 2) → encoder → z (B, 1) → nearest of K tokens → v (B, 1) → decoder → y (B, 2)

The tokens of an untrained encoder crowd together. AE-then-VQ trains it without tokens first.
"""

import numpy as np

K, BATCH = 128, 256  # tokens, and points in a batch
RATE, SHRINK, DECAY, BETA = 1e-3, 0.01, 0.9, 0.25  # AdamW's rate and weight decay, γ, β


def clusters(seed):
    """Draw ten Gaussian clusters of 1,000 points in the plane, standardized: (10000, 2)."""
    rng = np.random.default_rng(seed)
    points = rng.normal(rng.uniform(-10, 10, (10, 2)).repeat(1000, axis=0))  # around ten centers
    return ((points - points.mean(axis=0)) / points.std(axis=0)).astype(np.float32)


def network(rng, *sizes):
    """Draw linear layers from each size to the next, W, b, W, b, ..., uniform in ±1/√inputs."""
    shapes = [(n, shape) for n, out in zip(sizes, sizes[1:]) for shape in ((n, out), out)]
    return [rng.uniform(-(n**-0.5), n**-0.5, shape).astype(np.float32) for n, shape in shapes]


def forward(net, x):
    """Send x through the layers; the cache is what backward needs."""
    W1, b1, W2, b2, W3, b3 = net
    h1 = np.maximum(x @ W1 + b1, 0)  # (B, 32): linear, then ReLU
    h2 = np.maximum(h1 @ W2 + b2, 0)  # (B, 32)
    return h2 @ W3 + b3, (x, h1, h2)


def backward(net, cache, dout):
    """Turn the gradient of the output into those of x and of W, b, W, b, W, b."""
    (W1, _, W2, _, W3, _), (x, h1, h2) = net, cache
    dh2 = (dout @ W3.T) * (h2 > 0)  # (B, 32): the ReLU passes a gradient where it was open
    dh1 = (dh2 @ W2.T) * (h1 > 0)
    return dh1 @ W1.T, [x.T @ dh1, dh1.sum(0), h1.T @ dh2, dh2.sum(0), h2.T @ dout, dout.sum(0)]


def adamw(params, gradients, averages, t):
    """Move the params in place, each by its averages m and v, at step t = 1, 2, ..."""
    for p, g, (m, v) in zip(params, gradients, averages):
        m[:] = 0.9 * m + 0.1 * g  # the mean gradient so far
        v[:] = 0.999 * v + 0.001 * g**2  # its mean square
        p *= 1 - RATE * SHRINK  # weight decay, apart from m and v: the W of AdamW
        p -= RATE * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)  # m, v began at 0


def nearest(z, tokens):
    """Return the code of each embedding z (N, D), the index of its nearest token: (N,)."""
    return np.square(z[:, None] - tokens).sum(axis=2).argmin(axis=1)  # eq. 1, over (N, K)


def move_tokens(codebook, z, decay):
    """Move the codebook, tokens (K, D) with averages L (K,) and M (K, D), in place."""
    tokens, L, M = codebook
    chose = np.eye(K)[nearest(z, tokens)]  # (N, K): 1 where an embedding chose a token
    hits, sums = chose.sum(axis=0), chose.T @ z  # l (K,) and m (K, D) of this batch
    M[:] = decay * M + (1 - decay) * sums  # eq. 3
    L[:] = decay * L + (1 - decay) * hits  # eq. 4
    tokens[hits > 0] = M[hits > 0] / L[hits > 0, None]  # eq. 5; without hits, M / L stays


def kmeans(z, rng):
    """Place a codebook among embeddings z (N, D)."""
    rows, squared = [int(rng.random() * len(z))], np.inf  # the first token is any embedding
    while len(rows) < K:  # k-means++: the next is likely to be far from all before it
        squared = np.minimum(squared, np.square(z - z[rows[-1]]).sum(axis=1))
        reach = squared.cumsum(dtype=float)
        rows.append(np.searchsorted(reach, rng.random() * reach[-1], side="right"))
    codebook = tokens, L, M = z[rows], np.zeros(K, z.dtype), np.zeros_like(z[rows])
    for _ in range(100):  # eq. 2, by Lloyd's algorithm: with γ = 0, eq. 5 is the mean
        move_tokens(codebook, z, decay=0)
    L[:] = np.bincount(nearest(z, tokens), minlength=K) * (BATCH / len(z))  # hits of a batch
    M[:] = L[:, None] * tokens  # so that eq. 5 holds from the start
    return codebook


def step(encoder, decoder, x, tokens=None):
    """Return the losses and gradients of a batch x; without tokens it is an autoencoder's."""
    z, encoder_cache = forward(encoder, x)
    v = z if tokens is None else tokens[nearest(z, tokens)]
    y, decoder_cache = forward(decoder, v)
    losses = np.square(y - x).mean(), np.square(z - v).mean()  # reconstruction and commitment
    dv, decoder_gradients = backward(decoder, decoder_cache, 2 * (y - x) / x.size)
    dz = dv + BETA * 2 * (z - v) / z.size  # straight through: z takes the gradient of v
    _, encoder_gradients = backward(encoder, encoder_cache, dz)
    return losses, encoder_gradients + decoder_gradients, z


def run_epochs(encoder, decoder, codebook, x, epochs, seeds):
    """Train in place, with a codebook (tokens, L, M) or, for an autoencoder, with None."""
    averages = [(np.zeros_like(p), np.zeros_like(p)) for p in encoder + decoder]
    orders = (np.random.default_rng([*seeds, i]).permutation(len(x)) for i in range(epochs))
    batches = (rows for order in orders for rows in np.split(order, range(BATCH, len(x), BATCH)))
    for t, rows in enumerate(batches, 1):
        _, gradients, z = step(encoder, decoder, x[rows], codebook and codebook[0])
        adamw(encoder + decoder, gradients, averages, t)
        if codebook:  # last, because the loss belongs to the tokens as they were
            move_tokens(codebook, z, DECAY)


def train(x, pretrain, finetune, seed=0):
    """Follow the schedule: pretrain without VQ, place the tokens, fine-tune with VQ."""
    rng = np.random.default_rng(seed)
    encoder, decoder = network(rng, 2, 32, 32, 1), network(rng, 1, 32, 32, 2)
    run_epochs(encoder, decoder, None, x, pretrain, (seed, 0))
    z, _ = forward(encoder, x)
    codebook = kmeans(z, np.random.default_rng([seed, 1, 0]))
    run_epochs(encoder, decoder, codebook, x, finetune, (seed, 2))
    return encoder, decoder, codebook, np.ptp(z)


if __name__ == "__main__":
    x = clusters(seed=0)
    print(f"{K} tokens   AE + VQ epochs   range of z at start   tokens used   perplexity   MSE")
    for name, ae, vq in (("baseline", 0, 100), ("AE-then-VQ", 50, 50)):
        encoder, decoder, (tokens, _, _), start = train(x, ae, vq)
        (mse, _), _, z = step(encoder, decoder, x, tokens)
        p = np.unique_counts(nearest(z, tokens)).counts / len(x)
        row = f"{name:12} {ae:3} + {vq:3} {start:24.2f} {len(p):16}"
        print(f"{row} {np.exp(-p @ np.log(p)):12.1f} {mse:9.4f}")
