"""What the checks say of a published quantizer, measured: prints the table of PUBLISHED.md.

    pip install vector-quantize-pytorch
    python tests/testing/published.py

``VectorQuantize`` computes in float32, and so do the checks of it. Its state is put in and read out through its buffers; everything
else is called as a user would call it, but for k-means and the replacement of codes, whose random draws are replaced by ours.
"""

from functools import partial
from importlib.metadata import version

import torch
from vector_quantize_pytorch import VectorQuantize
from vector_quantize_pytorch.vector_quantize_pytorch import kmeans

from vqnp.quantize import DIALECTS
from vqnp.testing import (
    check_commitment,
    check_ema,
    check_ema_mask,
    check_evaluation,
    check_kmeans_empty,
    check_kmeans_init,
    check_nearest,
    check_quantizer_step,
    check_revival,
    check_straight_through,
    torch_vjp,
)

BUFFERS = {"tokens": "embed", "counts": "cluster_size", "sums": "embed_avg"}


def quantizer(state, decay=0.9, **settings):
    """Return a quantizer in ``state``, or one that only has its tokens."""
    made = VectorQuantize(state["tokens"].shape[1], len(state["tokens"]), decay=decay, **settings)
    for ours, theirs in BUFFERS.items():
        if ours in state:
            getattr(made._codebook, theirs).data.copy_(state[ours][None])
    return made


def state_of(made, steps=0):
    return {
        ours: getattr(made._codebook, theirs)[0].detach().clone()
        for ours, theirs in BUFFERS.items()
    } | {"steps": steps}


def search(points, tokens):
    return quantizer({"tokens": tokens}).eval()(points)[1]


def ema(state, embeddings, codes, decay, mask=None):
    made = quantizer(state, decay)
    made.update_indices(embeddings[None], codes[None], mask=None if mask is None else mask[None])
    return state_of(made, state["steps"] + 1)


def step(state, embeddings, decay):
    made = quantizer(state, decay)
    return made(embeddings[None])[0][0], state_of(made)


def evaluate(state, embeddings):
    made = quantizer(state).eval()
    return made(embeddings[None])[0][0], state_of(made)


def revive(state, codes, tokens, counts):
    made = quantizer(state)
    for code, token, count in zip(codes, tokens, counts, strict=True):
        dead = torch.zeros(1, len(state["tokens"]), dtype=torch.bool)
        dead[0, code] = True
        made._codebook.reset_cluster_size = count
        made._codebook.replace(token[None, None], dead)
    return state_of(made)


def cluster(points, start, iterations=10):
    tokens, counts = kmeans(
        points[None], len(start), iterations, sample_fn=lambda samples, k: start[None]
    )
    return tokens[0], counts[0]


def passed_on(z, tokens, **settings):
    """``z`` is (B, D, H, W), as ``accept_image_fmap`` has it."""
    return quantizer({"tokens": tokens}, accept_image_fmap=True, **settings)(
        z, freeze_codebook=True
    )[0]


def commitment(z, quantized, beta):
    """Each embedding with a codebook of its own token, so that there is nothing to choose."""
    z = z.requires_grad_()
    losses = [
        quantizer({"tokens": token[None]}, commitment_weight=beta)(row[None, None])[2]
        for row, token in zip(z, quantized, strict=True)
    ]
    value = torch.stack([loss.reshape(()) for loss in losses]).mean()
    return value.detach(), torch.autograd.grad(value, z)[0], None


def straight(settings):
    forward = partial(passed_on, **settings)
    return partial(check_straight_through, forward, torch_vjp(forward), layout="NCHW")


CHECKS = {
    "nearest token": partial(check_nearest, search),
    **{
        f"moving averages, `{dialect}`": partial(check_ema, ema, dialect=dialect)
        for dialect in DIALECTS
    },
    "padding left out, `counts-one`": partial(check_ema_mask, ema, dialect="counts-one"),
    "order of a training step, `counts-one`": partial(
        check_quantizer_step, step, dialect="counts-one"
    ),
    "evaluation changes nothing": partial(check_evaluation, evaluate),
    "revived codes": partial(check_revival, revive),
    "straight-through, `rotation_trick=False`": straight({"rotation_trick": False}),
    "straight-through, default (rotation trick)": straight({}),
    "commitment": partial(check_commitment, commitment),
    "k-means, 10 iterations (default)": partial(check_kmeans_init, cluster),
    "k-means, 100 iterations": partial(check_kmeans_init, partial(cluster, iterations=100)),
    "k-means, empty clusters": partial(check_kmeans_empty, cluster),
}


def table():
    """Return the rows, as Markdown. Ties are left out: whether two roots round to one number depends on the processor."""
    rows = [
        f"| `vector-quantize-pytorch` {version('vector-quantize-pytorch')} | | the answer is that of |",
        "|---|---|---|",
    ]
    for name, check in CHECKS.items():
        result = check(arrays="torch", dtype="float32", raises=False)
        wrong, cases = (
            {found.where.split(":")[0] for found in part}
            for part in (result.failed, result.comparisons)
        )
        verdict = (
            "agrees"
            if result.passed
            else f"differs in {len(wrong)} of {len(cases)} cases"
            if len(cases) > 1
            else "differs"
        )
        known = ", ".join(f"`{mutant.name}`" for mutant in result.suspects)
        rows.append(
            f"| {name} | {verdict} | {'' if result.passed else known or explained(result)} |"
        )
    return "\n".join(rows)


def explained(result):
    """What there is to say when no mutant gives the answer."""
    return (
        f"none known; wrong where `{result.alike[0].name}` is"
        if len(result.alike) == 1
        else "none known"
    )


if __name__ == "__main__":
    print(table())
