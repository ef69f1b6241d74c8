"""The quantizers of the checks as loops over numbers, in the words of the contracts."""

import math

import numpy as np

ROUND = 1e-3  # ε of FSQ


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def nearest(z, tokens):
    """Return the first token nearer than all before it."""
    best, found = math.inf, 0
    for k, token in enumerate(tokens):
        distance = sum((x - t) ** 2 for x, t in zip(z, token, strict=True))
        if distance < best:
            best, found = distance, k
    return found


# FSQ and LFQ


def fsq_number(x, count):
    """Return b, round(b) + ⌊L/2⌋, and the slope of the value."""
    h, o = (count - 1) * (1 - ROUND) / 2, 0.5 if count % 2 == 0 else 0.0
    t = math.tanh(x + math.atanh(o / h))
    return round(h * t - o) + count // 2, h * (1 - t * t) / (count // 2)


def fsq_forward(z, levels):
    steps = [[fsq_number(x, c)[0] for x, c in zip(row, levels, strict=True)] for row in z]
    codes = [sum(i * math.prod(levels[:d]) for d, i in enumerate(row)) for row in steps]
    return fsq_decode(codes, levels), codes


def fsq_vjp(z, levels, dvectors):
    return [
        [g * fsq_number(x, c)[1] for x, c, g in zip(row, levels, grow, strict=True)]
        for row, grow in zip(z, dvectors, strict=True)
    ]


def fsq_decode(codes, levels):
    vectors = []
    for code in codes:
        vectors.append([])
        for count in levels:
            code, step = divmod(code, count)
            vectors[-1].append((step - count // 2) / (count // 2))
    return vectors


def lfq_forward(z):
    return (
        [[1.0 if x > 0 else -1.0 for x in row] for row in z],
        [sum(2**d for d, x in enumerate(row) if x > 0) for row in z],
    )


def lfq_vjp(z, dvectors):
    return dvectors


def entropy(z, sharpness, diversity):
    """Differentiate by dH(p)/dl = −p (ln p + H) of a softmax p of l."""
    n, bits = z.shape
    tokens = [np.array([1 if k >> d & 1 else -1 for d in range(bits)]) for k in range(2**bits)]
    rows, mean = [], [0.0] * len(tokens)
    for row in z.astype(float):
        squares = [sum((row - token) ** 2) for token in tokens]
        logits = [-sharpness * square for square in squares]
        total = sum(math.exp(a - max(logits)) for a in logits)
        rows.append([math.exp(a - max(logits)) / total for a in logits])
        mean = [m + p / n for m, p in zip(mean, rows[-1], strict=True)]
    entropies = [-sum(p * math.log(p) for p in row) for row in rows]
    gap = sum(entropies) / n + diversity * sum(m * math.log(m) for m in mean)
    gradient = np.zeros(z.shape)
    for i, p in enumerate(rows):
        cross = sum(a * math.log(m) for a, m in zip(p, mean, strict=True))
        for k, token in enumerate(tokens):
            of_sample = -p[k] * (math.log(p[k]) + entropies[i])
            of_batch = -p[k] * (math.log(mean[k]) - cross)
            for d in range(bits):
                slope = 2 * sharpness * token[d]
                gradient[i, d] += slope * (of_sample - diversity * of_batch) / n
    return gap, gradient


# Codebooks


def residual_row(z, tokens):
    """Return the codes of one embedding, and what each stage leaves of it."""
    rest, codes, left = np.array(z), [], []
    for stage in tokens:
        codes.append(nearest(rest, stage))
        rest = rest - stage[codes[-1]]
        left.append(rest)
    return codes, left


def residual_forward(z, tokens, beta):
    rows = [residual_row(row, tokens) for row in z]
    vectors = [sum(tokens[t][k] for t, k in enumerate(codes)) for codes, _ in rows]
    loss = sum(dot(rest, rest) for _, left in rows for rest in left)
    return vectors, [codes for codes, _ in rows], beta * loss / z.size / len(tokens)


def residual_vjp(z, tokens, beta, dvectors):
    scale = 2 * beta / z.size / len(tokens)
    pairs = zip(z, dvectors, strict=True)
    return [g + scale * sum(residual_row(row, tokens)[1]) for row, g in pairs], None


def residual_update(state, z, decay):
    sums = decay * state["sums"]
    for row in z:
        codes, left = residual_row(row, state["tokens"])
        for t, k in enumerate(codes):
            sums[t, k] += (1 - decay) * (row if t == 0 else left[t - 1])
    return state | {"sums": sums}


def product_forward(z, tokens, beta):
    width = tokens.shape[2]
    codes = [
        [nearest(row[h * width : (h + 1) * width], book) for h, book in enumerate(tokens)]
        for row in z
    ]
    vectors = [[x for h, k in enumerate(row) for x in tokens[h][k]] for row in codes]
    return vectors, codes, beta * ((z - vectors) ** 2).mean()


def product_vjp(z, tokens, beta, dvectors):
    return dvectors + 2 * beta * (z - product_forward(z, tokens, beta)[0]) / z.size, None


# Directions


def unit(row):
    length = math.sqrt(dot(row, row))
    return (row / length if length else 0 * row), length


def cosine_forward(z, tokens, beta):
    units = np.array([unit(token)[0] for token in tokens])
    codes = [max(range(len(units)), key=lambda k: dot(unit(row)[0], units[k])) for row in z]
    directions = np.array([unit(row)[0] for row in z])
    return units[codes], codes, beta * ((directions - units[codes]) ** 2).mean()


def cosine_vjp(z, tokens, beta, dvectors):
    vectors, _, _ = cosine_forward(z, tokens, beta)
    dz = np.zeros(z.shape)
    for i, row in enumerate(z):
        direction, length = unit(row)
        u = dvectors[i] + 2 * beta * (direction - vectors[i]) / z.size
        dz[i] = (u - direction * dot(direction, u)) / length if length else 0
    return dz, None


def rotation_vjp(z, tokens, dvectors):
    """Build R as a matrix, in the plane of z and the part of the token at right angles to it."""
    dz = np.zeros(z.shape)
    for i, (row, token, g) in enumerate(zip(z.astype(float), tokens, dvectors, strict=True)):
        u, length = unit(row)
        v, wanted = unit(token.astype(float))
        across, _ = unit(v - u * dot(u, v))
        if not length or (row == token).all():
            dz[i] = g
            continue
        sine, cosine = dot(v, across), dot(v, u)
        plane = np.stack([u, across])  # (2, D)
        turn = np.array([[cosine, sine], [-sine, cosine]])  # row vectors: û turn = v̂
        matrix = np.eye(len(u)) + plane.T @ (turn - np.eye(2)) @ plane
        dz[i] = wanted / length * matrix @ g
    return dz, None


# SimVQ


def simvq_forward(z, cloud, weight, bias, beta):
    tokens = simvq_decode(range(len(cloud)), cloud, weight, bias)
    codes = [nearest(row, tokens) for row in z]
    return tokens[codes], codes, (1 + beta) * ((z - tokens[codes]) ** 2).mean()


def simvq_vjp(z, cloud, weight, bias, beta, dvectors):
    vectors, codes, _ = simvq_forward(z, cloud, weight, bias, beta)
    dweight, dbias = np.zeros(weight.shape), np.zeros(bias.shape)
    for row, vector, code in zip(z, vectors, codes, strict=True):
        slope = 2 * (vector - row) / z.size
        dweight += np.outer(cloud[code], slope)
        dbias += slope
    return dvectors + 2 * beta * (z - vectors) / z.size, None, dweight, dbias


def simvq_decode(codes, cloud, weight, bias):
    return np.array([[dot(cloud[k], column) for column in weight.T] + bias for k in codes])


LOOPS = {
    "fsq": (fsq_forward, fsq_vjp, fsq_decode),
    "lfq": (lfq_forward, lfq_vjp, entropy),
    "residual": (residual_forward, residual_vjp, residual_update),
    "product": (product_forward, product_vjp),
    "cosine": (cosine_forward, cosine_vjp),
    "rotation": (lambda z, tokens: tokens, rotation_vjp),
    "simvq": (simvq_forward, simvq_vjp, simvq_decode),
}
