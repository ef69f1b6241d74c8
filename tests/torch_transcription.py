"""The MLP VQ-VAE once more, in plain eager PyTorch with autograd: what the hand-written one is held
against.

Written from the equations, not from vqnp: token = nearest, straight-through as z + (token −
z).detach(), commitment loss with the token detached, moving averages of eqs. 3 to 5 where a code
without hits keeps its token, AdamW. It also runs the whole protocol (pretrain, k-means, fine-tune)
as the opponent of the speed benchmark, written the way one usually does.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F


def mlp(*sizes: int) -> nn.Sequential:
    """Linear layers with a ReLU between every two."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class AutoEncoder(nn.Module):
    """Three linear layers each way; its state dict has the names of ``vqnp``'s parameters, the
    weights transposed.
    """

    def __init__(self, data_dim: int, token_dim: int, hidden: int = 32) -> None:
        super().__init__()
        self.encoder = mlp(data_dim, hidden, hidden, token_dim)
        self.decoder = mlp(token_dim, hidden, hidden, data_dim)

    def load(self, params: dict) -> "AutoEncoder":
        """Take the weights of a ``vqnp`` model, and its dtype."""
        state = {name: torch.tensor(value.T.copy()) for name, value in params.items()}
        self.to(next(iter(state.values())).dtype).load_state_dict(state)
        return self

    def weights(self) -> dict:
        """Return the weights as ``vqnp`` lays them out."""
        return {name: value.numpy().T for name, value in self.state_dict().items()}


@dataclass
class Codebook:
    """Tokens (K, D), L (K,) and M (K, D)."""

    tokens: torch.Tensor
    counts: torch.Tensor
    sums: torch.Tensor

    def nearest(self, z: torch.Tensor) -> torch.Tensor:
        return torch.cdist(z, self.tokens).argmin(dim=1)

    @torch.no_grad()
    def update(self, z: torch.Tensor, codes: torch.Tensor, decay: float) -> None:
        hits, sums = hits_and_sums(z, codes, len(self.tokens))
        self.counts.mul_(decay).add_(hits, alpha=1 - decay)
        self.sums.mul_(decay).add_(sums, alpha=1 - decay)
        moved = hits > 0
        self.tokens[moved] = self.sums[moved] / self.counts[moved, None]


def hits_and_sums(
    z: torch.Tensor, codes: torch.Tensor, k: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """How many embeddings chose each code, and their sums."""
    hits = torch.bincount(codes, minlength=k).to(z.dtype)
    return hits, z.new_zeros(k, z.shape[1]).index_add_(0, codes, z)


def autoencoder_step(
    model: AutoEncoder, optimizer: torch.optim.Optimizer, x: torch.Tensor
) -> float:
    loss = F.mse_loss(model.decoder(model.encoder(x)), x)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def vq_step(
    model: AutoEncoder,
    codebook: Codebook,
    optimizer: torch.optim.Optimizer,
    x: torch.Tensor,
    beta: float = 0.25,
    decay: float = 0.9,
) -> tuple[float, float]:
    """Return the reconstruction and the commitment loss."""
    z = model.encoder(x)
    codes = codebook.nearest(z.detach())
    tokens = codebook.tokens[codes]
    reconstruction = F.mse_loss(model.decoder(z + (tokens - z).detach()), x)
    commitment = F.mse_loss(z, tokens)
    optimizer.zero_grad()
    (reconstruction + beta * commitment).backward()
    optimizer.step()
    codebook.update(z.detach(), codes, decay)
    return reconstruction.item(), commitment.item()


@torch.no_grad()
def kmeans(z: torch.Tensor, k: int, iterations: int = 100) -> tuple[torch.Tensor, torch.Tensor]:
    """K-means++ and Lloyd's algorithm until no point changes its token; return the tokens and the
    counts.
    """
    tokens = z[torch.randint(len(z), (1,))]
    nearest = torch.cdist(z, tokens).squeeze(1).square()
    while len(tokens) < k:
        new = z[torch.multinomial(nearest, 1)]
        tokens = torch.cat([tokens, new])
        nearest = torch.minimum(nearest, torch.cdist(z, new).squeeze(1).square())
    codes = torch.cdist(z, tokens).argmin(dim=1)
    for _ in range(iterations):
        hits, sums = hits_and_sums(z, codes, k)
        tokens = torch.where(hits[:, None] > 0, sums / hits.clamp(min=1)[:, None], tokens)
        before, codes = codes, torch.cdist(z, tokens).argmin(dim=1)
        if torch.equal(codes, before):
            break
    return tokens, torch.bincount(codes, minlength=k).to(z.dtype)


def two_phases(
    data: torch.Tensor,
    token_dim: int,
    pretrain: int,
    finetune: int,
    k: int = 128,
    batch: int = 256,
    rate: float = 1e-3,
) -> tuple[AutoEncoder, Codebook, list[float]]:
    """Pretrain without VQ, place the codebook, fine-tune with VQ; return the model, the codebook
    and the mean loss of each epoch.
    """
    model = AutoEncoder(data.shape[1], token_dim)
    history = []

    def epoch(step) -> None:
        losses = [step(data[rows]) for rows in torch.randperm(len(data)).split(batch)]
        history.append(sum(losses) / len(losses))

    optimizer = torch.optim.AdamW(model.parameters(), rate)
    for _ in range(pretrain):
        epoch(lambda x: autoencoder_step(model, optimizer, x))
    with torch.no_grad():
        tokens, counts = kmeans(model.encoder(data), k)
    counts = counts * batch / len(data)
    codebook = Codebook(tokens, counts, counts[:, None] * tokens)
    optimizer = torch.optim.AdamW(model.parameters(), rate)
    for _ in range(finetune):
        epoch(lambda x: vq_step(model, codebook, optimizer, x)[0])
    return model, codebook, history
