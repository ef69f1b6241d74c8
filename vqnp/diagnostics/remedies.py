"""What to do next: the remedies that apply to a diagnosis, each with the place that explains it."""

from typing import Any, NamedTuple

from vqnp.diagnostics.verdict import FEW, LOW_SHARE, STRAYED


class Remedy(NamedTuple):
    """A remedy, why it helps here, and the lesson or the source file that explains it."""

    name: str
    sentence: str
    where: str


MORE_EMBEDDINGS = Remedy(
    "More embeddings",
    f"Give at least {FEW.value} embeddings a token, of the data that the model is for.",
    "vqnp/diagnostics/diagnosis.py",
)
PRETRAIN = Remedy(
    "Pretrain, then quantize",
    "Train encoder and decoder without the quantizer first. An untrained encoder gives nearly "
    "equal embeddings, and the tokens begin in one corner.",
    "notebooks/05_pretrain_then_quantize.ipynb",
)
MORE_FOR_KMEANS = Remedy(
    "More data for k-means",
    "Place the first tokens by k-means on many embeddings a token. A batch with fewer embeddings "
    "than tokens leaves copies, which start dead.",
    "notebooks/08_cifar10.ipynb",
)
REVIVE = Remedy(
    "Revive dead tokens",
    "During training, move a token that nobody chooses onto a random embedding of the batch.",
    "vqnp/testing/ema_edges.py",
)
FEWER_TOKENS = Remedy(
    "Fewer tokens",
    "K-means itself uses these tokens unevenly, so a smaller codebook loses little.",
    "notebooks/01_a_codebook.ipynb",
)
DIRECTIONS = Remedy(
    "Compare directions",
    "Scale embeddings and tokens to length 1, so that neither can run away from the other. Then "
    "measure with the metric 'cosine'.",
    "vqnp/diagnostics/diagnosis.py",
)
NO_CODEBOOK = Remedy(
    "A quantizer without a codebook",
    "Finite scalar quantization rounds each coordinate, so no token can collapse.",
    "vqnp/quantize/fsq.py",
)
WIDER_ENCODER = Remedy(
    "A wider encoder, or a longer pretraining",
    "A narrow encoder merges what it cannot tell apart, and no codebook separates it again.",
    "notebooks/06_embeddings_collapse.ipynb",
)
BELONG_TOGETHER = Remedy(
    "Check that both belong together",
    "Take embeddings and tokens from the same step of training, and the embeddings after the last "
    "layer or scaling before the quantizer.",
    "vqnp/diagnostics/diagnosis.py",
)
PLACE_ANEW = Remedy(
    "Place the tokens anew",
    "Fit k-means to these embeddings and go on training from its tokens.",
    "vqnp/quantize/lloyd.py",
)


def remedies(diagnosis: Any) -> list[Remedy]:
    """Return the remedies that apply, the first to try first; a healthy codebook needs none."""
    kinds, verdict = diagnosis.signs, diagnosis.verdict
    tokens, beside = "Tokens collapse" in kinds, diagnosis.reference
    uneven = beside and beside.kmeans["perplexity"] < LOW_SHARE.value * diagnosis.n_tokens
    strayed = (diagnosis.tokens_outside or 0) > STRAYED.value
    few = diagnosis.n_embeddings < FEW.value * diagnosis.n_tokens
    applies = {
        MORE_EMBEDDINGS: verdict == "cannot tell" and few,
        WIDER_ENCODER: "Embeddings collapse" in kinds,
        PRETRAIN: tokens or "Embeddings collapse" in kinds,
        MORE_FOR_KMEANS: tokens,
        REVIVE: tokens and diagnosis.dead_tokens,
        FEWER_TOKENS: tokens and uneven,
        DIRECTIONS: tokens and (strayed or diagnosis.directions),
        NO_CODEBOOK: tokens,
        BELONG_TOGETHER: verdict == "bad fit",
        PLACE_ANEW: verdict == "bad fit",
    }
    return [remedy for remedy, holds in applies.items() if holds]
