"""What the checks say of published quantizers, measured: prints the tables of PUBLISHED.md.

    pip install "vqnp[peers]"
    pip install --no-deps encodec moshi descript-audio-codec
    python tests/testing/published.py

The quantizers compute in float32, and so do the checks of them. Their state is put in and read out
through their buffers. Everything else is called as a user would call it, except k-means and the
replacement of codes, whose random draws are replaced by ours.
"""

import importlib
import sys
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

import torch

from vqnp.quantize import DIALECTS
from vqnp.testing import (
    check_commitment,
    check_cosine,
    check_ema,
    check_ema_mask,
    check_ema_start,
    check_ema_unused,
    check_evaluation,
    check_fsq,
    check_kmeans_empty,
    check_kmeans_init,
    check_lfq,
    check_nearest,
    check_product,
    check_quantizer_step,
    check_residual,
    check_revival,
    check_rotation,
    check_simvq,
    check_straight_through,
    torch_module,
    torch_vjp,
)

# VectorQuantize


def vector_quantize(**settings):
    """Return ``VectorQuantize`` as the checks take it."""
    from vector_quantize_pytorch import VectorQuantize

    names = {"tokens": "embed", "counts": "cluster_size", "sums": "embed_avg"}
    return torch_module(
        lambda n_tokens, dim, decay: VectorQuantize(dim, n_tokens, decay=decay, **settings),
        {ours: f"_codebook.{theirs}" for ours, theirs in names.items()},
    )


def ema(state, embeddings, codes, decay, mask=None):
    mine = vector_quantize()
    made = mine.module(state, decay)
    made.update_indices(embeddings[None], codes[None], mask=None if mask is None else mask[None])
    return mine.read(made, state)


def revive(state, codes, tokens, counts):
    mine = vector_quantize()
    made = mine.module(state)
    for code, token, count in zip(codes, tokens, counts, strict=True):
        dead = torch.zeros(1, len(state["tokens"]), dtype=torch.bool)
        dead[0, code] = True
        made._codebook.reset_cluster_size = count
        made._codebook.replace(token[None, None], dead)
    return mine.read(made, state)


def cluster(points, start, iterations=10):
    from vector_quantize_pytorch.vector_quantize_pytorch import kmeans

    first = lambda samples, k: start[None]  # noqa: E731
    tokens, counts = kmeans(points[None], len(start), iterations, sample_fn=first)
    return tokens[0], counts[0]


def passed_on(z, tokens, **settings):
    """``z`` is (B, D, H, W), as ``accept_image_fmap`` has it."""
    made = vector_quantize(accept_image_fmap=True, **settings).module({"tokens": tokens})
    return made(z, freeze_codebook=True)[0]


def commitment(z, quantized, beta):
    """Each embedding with a codebook of its own token, so that there is nothing to choose."""
    z = z.requires_grad_()
    mine = vector_quantize(commitment_weight=beta)
    losses = [
        mine.module({"tokens": token[None]})(row[None, None])[2]
        for row, token in zip(z, quantized, strict=True)
    ]
    value = torch.stack([loss.reshape(()) for loss in losses]).mean()
    return value.detach(), torch.autograd.grad(value, z)[0], None


def straight(settings):
    forward = partial(passed_on, **settings)
    return partial(check_straight_through, forward, torch_vjp(forward), layout="NCHW")


def checks_of_vector_quantize():
    mine = vector_quantize()
    moving = {
        f"moving averages, `{name}`": partial(check_ema, ema, dialect=name) for name in DIALECTS
    }
    return {
        "nearest token": partial(check_nearest, mine.search),
        **moving,
        "padding left out, `counts-one`": partial(check_ema_mask, ema, dialect="counts-one"),
        **steps_of(mine),
        "revived codes": partial(check_revival, revive),
        "straight-through, `rotation_trick=False`": straight({"rotation_trick": False}),
        "straight-through, default (rotation trick)": straight({}),
        "commitment": partial(check_commitment, commitment),
        "k-means, 10 iterations (default)": partial(check_kmeans_init, cluster),
        "k-means, 100 iterations": partial(check_kmeans_init, partial(cluster, iterations=100)),
        "k-means, empty clusters": partial(check_kmeans_empty, cluster),
    }


def checks_of_other_quantizers():
    """The other quantizers of the same package, with straight-through where that is asked for."""
    import vector_quantize_pytorch as package
    from vector_quantize_pytorch.vector_quantize_pytorch import rotate_to

    def fsq(z, levels):
        return [part[0] for part in package.FSQ(list(levels))(z[None])]

    def lfq(z):
        return [part[0] for part in package.LFQ(dim=z.shape[1])(z[None])[:2]]

    def gap(z, sharpness, diversity):
        made = package.LFQ(dim=z.shape[1], entropy_loss_weight=1, diversity_gamma=diversity)
        return made(z[None], inv_temperature=sharpness)[2]

    def entropy(*args):
        value = gap(*args)
        return value.detach(), torch_vjp(gap)(*args, torch.ones(()))[0]

    def several(made, z, beta):
        """Call without moving averages; a loss a stage is averaged."""
        vectors, codes, loss = made(z[None], freeze_codebook=True)
        return vectors[0], codes[0], beta * loss.mean()

    def residual(z, tokens, beta):
        made = residual_vq(tokens)
        return several(made, z, beta)

    def residual_vq(tokens, decay=0.9):
        stages, n_tokens, dim = tokens.shape
        made = package.ResidualVQ(
            dim=dim,
            num_quantizers=stages,
            codebook_size=n_tokens,
            commitment_weight=1.0,
            rotation_trick=False,
            decay=decay,
        )
        for layer, own in zip(made.layers, tokens, strict=True):
            layer._codebook.embed.copy_(own[None])
        return made

    def update(state, z, decay):
        made = residual_vq(state["tokens"], decay)
        for layer, own in zip(made.layers, state["sums"], strict=True):
            layer._codebook.embed_avg.copy_(own[None])
        made(z[None])
        return {"sums": torch.stack([layer._codebook.embed_avg[0] for layer in made.layers])}

    def of_one(z, tokens, beta, **settings):
        settings |= {"commitment_weight": 1.0, "rotation_trick": False}
        made = package.VectorQuantize(z.shape[1], tokens.shape[-2], **settings)
        made._codebook.embed.copy_(tokens)
        return several(made, z, beta)

    def product(z, tokens, beta):
        heads, _, width = tokens.shape
        settings = {"codebook_dim": width, "separate_codebook_per_head": True}
        return of_one(z, tokens, beta, heads=heads, **settings)

    def cosine(z, tokens, beta):
        """Call with tokens of length 1, which the module keeps so."""
        tokens = torch.nn.functional.normalize(tokens.detach())
        return of_one(z, tokens[None], beta, use_cosine_sim=True)

    def simvq_of(cloud, weight, bias, beta=0.25, **settings):
        linear = torch.nn.Linear(*weight.shape)
        settings |= {"codebook_transform": linear, "input_to_quantize_commit_loss_weight": beta}
        made = package.SimVQ(cloud.shape[1], len(cloud), **settings)
        made.frozen_codebook.copy_(cloud.detach())
        del linear.weight, linear.bias  # what is no parameter keeps its own gradient
        linear.weight, linear.bias = weight.T, bias
        return made

    def simvq(settings):
        def forward(z, *book):
            vectors, codes, loss = simvq_of(*book, **settings)(z[None])
            return vectors[0], codes[0], loss

        decode = lambda codes, *book: simvq_of(*book).indices_to_codes(codes)  # noqa: E731
        return partial(check_simvq, forward, pulled(forward), decode)

    return {
        "`FSQ`": partial(
            check_fsq,
            fsq,
            torch_vjp(lambda z, levels: fsq(z, levels)[0]),
            lambda codes, levels: package.FSQ(list(levels)).indices_to_codes(codes),
        ),
        "`LFQ`": partial(check_lfq, lfq, torch_vjp(lambda z: lfq(z)[0]), entropy),
        "`ResidualVQ`": partial(check_residual, residual, pulled(residual), update),
        "`VectorQuantize`, heads": partial(check_product, product, pulled(product)),
        "`VectorQuantize`, cosine": partial(check_cosine, cosine, pulled(cosine)),
        "`SimVQ`, `rotation_trick=False`": simvq({"rotation_trick": False}),
        "`SimVQ`, default (rotation trick)": simvq({}),
        "rotation trick": partial(check_rotation, rotate_to, torch_vjp(rotate_to)),
    }


def pulled(forward):
    """Return the gradients of vectors and loss, by autograd."""
    both = torch_vjp(lambda *args: forward(*args)[::2])
    return lambda *args: both(*args[:-1], (args[-1], torch.ones(())))


def steps_of(mine, dialect="counts-one"):
    step = partial(check_quantizer_step, mine.step, dialect=dialect)
    return {
        f"order of a training step, `{dialect}`": step,
        "evaluation changes nothing": partial(check_evaluation, mine.evaluate),
    }


# Audio codecs


def module(name):
    """Import a module without running the packages above it: those load audio files and models."""
    bare(name.rpartition(".")[0])
    return importlib.import_module(name)


def bare(name):
    """Return a package of which nothing has run."""
    above, _, last = name.rpartition(".")
    if name not in sys.modules:
        made = ModuleType(name)
        made.__path__ = (
            [str(Path(place) / last) for place in bare(above).__path__]
            if above
            else list(find_spec(name).submodule_search_locations)
        )
        sys.modules[name] = made
    return sys.modules[name]


def checks_of_encodec():
    core = module("encodec.quantization.core_vq")
    mine = torch_module(
        lambda n_tokens, dim, decay: core.EuclideanCodebook(
            dim, n_tokens, decay=decay, threshold_ema_dead_code=0
        ),
        {"tokens": "embed", "counts": "cluster_size", "sums": "embed_avg"},
        lambda made, z: made(z),
    )

    def start(tokens, counts):
        made = mine.module({"tokens": tokens})
        made.inited.fill_(0)
        with patch.object(core, "kmeans", lambda *_: (tokens, counts)):
            made.init_embed_(tokens)
        return mine.read(made, {"tokens": tokens, "counts": counts, "sums": tokens, "steps": 0})

    def revive(state, codes, tokens, counts):
        made = mine.module(state)
        everywhere = state["tokens"].clone()
        everywhere[codes] = tokens
        dead = torch.zeros(len(everywhere), dtype=torch.bool)
        dead[codes] = True
        with patch.object(core, "sample_vectors", lambda *_: everywhere):
            made.replace_(tokens, dead)
        return mine.read(made, state)

    return {
        "nearest token": partial(check_nearest, mine.search),
        **steps_of(mine),
        "start after k-means, `paper`": partial(check_ema_start, start),
        "revived codes": partial(check_revival, revive),
    }


def checks_of_moshi():
    core = module("moshi.quantization.core_vq")

    def make(n_tokens, dim, decay):
        made = core.EuclideanCodebook(dim, n_tokens, decay=decay, threshold_usage_ratio=0)
        made._initialized.fill_(1)
        return made

    names = {"tokens": "embedding", "counts": "cluster_usage", "sums": "embedding_sum"}
    mine = torch_module(make, names, lambda made, z: made(z)[:2])
    unused = lambda state, z, codes, decay: mine.step(state, z, decay)[1]  # noqa: E731

    return {
        "nearest token": partial(check_nearest, mine.search),
        **steps_of(mine, "paper"),
        "codes without hits stay, `paper`": partial(check_ema_unused, unused),
    }


def checks_of_dac():
    core = module("dac.nn.quantize")
    mine = torch_module(
        lambda n_tokens, dim, decay: core.VectorQuantize(dim, n_tokens, dim),
        {"tokens": "codebook.weight"},
        lambda made, z: made.decode_latents(z.T[None]),
    )
    return {"nearest token": partial(check_nearest, mine.search)}


PUBLISHED = {
    "vector-quantize-pytorch": lambda: checks_of_vector_quantize() | checks_of_other_quantizers(),
    "encodec": checks_of_encodec,
    "moshi": checks_of_moshi,
    "descript-audio-codec": checks_of_dac,
}


# Tables


def table(package="vector-quantize-pytorch"):
    """Return the rows of one package, as Markdown.

    Ties are left out: whether two roots round to one number depends on the processor.
    """
    rows = [f"| `{package}` {version(package)} | | the answer is that of |", "|---|---|---|"]
    for name, check in PUBLISHED[package]().items():
        result = check(arrays="torch", dtype="float32", raises=False)
        rows.append(f"| {name} | {verdict(result)} | {explained(result)} |")
    return "\n".join(rows)


def verdict(result):
    wrong, cases = (
        {found.where.split(":")[0] for found in part}
        for part in (result.failed, result.comparisons)
    )
    if result.passed:
        return "agrees"
    return f"differs in {len(wrong)} of {len(cases)} cases" if len(cases) > 1 else "differs"


def explained(result):
    """Say whose answer it is, or what there is to say when no mistake gives it."""
    if result.passed:
        return ""
    known = [f"{'dialect ' * s.dialect}`{s.name}`" for s in result.suspects]
    if not known and 0 < len(result.partly) <= 2:
        names = " and ".join(f"`{mistake.name}`" for mistake in result.partly)
        return f"{names}, in half of the cases at least"
    if not known and len(result.alike) == 1:
        return f"none known; `{result.alike[0].name}` fails in the same cases"
    return ", ".join(known) or "none known"


def installed(package):
    try:
        return version(package)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    print("\n\n".join(table(package) for package in PUBLISHED if installed(package)))
