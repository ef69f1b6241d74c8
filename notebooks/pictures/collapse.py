"""Draw the picture under the README's title: ``python notebooks/pictures/collapse.py``.

It trains the two arms of the README's first example and writes ``collapse.png`` beside this file.
The perplexities are stored in the picture, so a test can hold it against the example.
"""

from pathlib import Path
from typing import Any

import numpy as np

import vqnp
from vqnp.files import whole
from vqnp.plots import style

PICTURE = Path(__file__).with_name("collapse.png")
ARMS = {"Baseline": (0, style.BASELINE), "Pretrained first": (100, style.PRETRAINED)}


def arm(pretrain: int) -> tuple[Any, Any, Any]:
    """Return embeddings (10,000, 4), tokens (128, 4) and codes (10,000,) of one arm."""
    data = vqnp.clusters(dim=8)
    model = vqnp.mlp_vqvae(vqnp.MLPSettings(data_dim=8, token_dim=4), vqnp.EMA(n_tokens=128))
    vqnp.train(model, data.points, vqnp.ae_then_vq(pretrain=pretrain, finetune=200 - pretrain))
    return model.encode(data.points), model.tokens, model.quantize(data.points).codes


def in_the_plane(embeddings: Any, tokens: Any) -> tuple[Any, Any]:
    """Return both in the plane of the embeddings' first two principal axes."""
    center = embeddings.mean(axis=0)
    axes = np.linalg.svd(embeddings - center, full_matrices=False)[2][:2]
    return (embeddings - center) @ axes.T, (tokens - center) @ axes.T


def clouds(axes: Any, embeddings: Any, tokens: Any) -> None:
    """Draw embeddings and tokens in the plane."""
    points, marks = in_the_plane(embeddings, tokens)
    axes.scatter(*points.T, s=3, color=style.EMBEDDING, alpha=0.35, linewidths=0)
    axes.scatter(*marks.T, s=16, color=style.TOKEN, edgecolors="white", linewidths=0.4)
    axes.scatter([], [], s=16, color=style.EMBEDDING, label="embeddings")
    axes.scatter([], [], s=16, color=style.TOKEN, label="tokens")
    axes.set(xticks=[], yticks=[], xlabel="first principal axis", ylabel="second principal axis")
    axes.set_aspect("equal", adjustable="datalim")


@style.styled
def draw(arms: dict[str, tuple[Any, Any, Any]]) -> tuple[Any, list[float]]:
    """Return the figure, and the perplexity of each arm."""
    figure, axes = style.new_figure(1, 3, 10, 3.6)
    *places, usage = axes[0]
    perplexities = []
    for place, (name, (embeddings, tokens, codes)) in zip(places, arms.items(), strict=True):
        shares = np.sort(np.bincount(codes, minlength=len(tokens)))[::-1] / len(codes)
        perplexities.append(vqnp.diagnostics.perplexity(codes, len(tokens)))
        clouds(place, embeddings, tokens)
        place.set_title(f"{name}: perplexity {perplexities[-1]:.0f} of {len(tokens)}")
        used = shares[shares > 0]
        usage.plot(np.arange(1, len(used) + 1), 100 * used, color=ARMS[name][1], label=name)
    places[0].legend(loc="lower left")
    usage.set(title="How often each token is chosen", yscale="log")
    usage.set_yticks([0.5, 1, 2, 5, 10, 20], ["0.5", "1", "2", "5", "10", "20"])
    usage.minorticks_off()
    usage.set(xlabel="token, most chosen first", ylabel="share of the points (%)")
    usage.legend()
    return figure, perplexities


def main() -> None:
    """Train both arms and write the picture."""
    figure, perplexities = draw({name: arm(pretrain) for name, (pretrain, _) in ARMS.items()})
    said = "perplexity " + " and ".join(f"{value:.1f}" for value in perplexities)
    with whole(PICTURE) as file:
        figure.savefig(
            file, format="png", dpi=150, metadata={"Software": None, "Description": said}
        )
    print(f"{PICTURE.name}: {said}")


if __name__ == "__main__":
    main()
