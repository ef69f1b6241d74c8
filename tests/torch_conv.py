"""The convolutional VQ-VAE in plain eager PyTorch with autograd, to compare the package with.

It is written from section 5.2 of the paper and its equations, not from vqnp. Images are
channels-first here, as PyTorch has them.
"""

import torch
from torch import nn
from torch.nn import functional as F


class Residual(nn.Module):
    """x + conv 1×1(ReLU(conv 3×3(ReLU(x))))."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.wide = nn.Conv2d(channels, hidden, 3, padding=1)
        self.narrow = nn.Conv2d(hidden, channels, 1)

    def forward(self, x):
        return x + self.narrow(F.relu(self.wide(F.relu(x))))


class ConvVQVAE(nn.Module):
    """Encoder and decoder of widths h and r each; two residual blocks in either."""

    def __init__(self, token_dim: int, encoder: tuple[int, int], decoder: tuple[int, int]) -> None:
        super().__init__()
        h, r = encoder
        self.encoder = nn.Sequential(
            nn.Conv2d(3, h // 2, 4, 2, 1), nn.ReLU(), nn.Conv2d(h // 2, h, 4, 2, 1), nn.ReLU(),
            nn.Conv2d(h, h, 3, 1, 1),
            Residual(h, r), Residual(h, r), nn.ReLU(), nn.Conv2d(h, token_dim, 1),
        )  # fmt: skip
        h, r = decoder
        self.decoder = nn.Sequential(
            nn.Conv2d(token_dim, h, 3, 1, 1), Residual(h, r), Residual(h, r), nn.ReLU(),
            nn.ConvTranspose2d(h, h // 2, 4, 2, 1), nn.ReLU(),
            nn.ConvTranspose2d(h // 2, 3, 4, 2, 1),
        )  # fmt: skip

    def load(self, params: dict) -> "ConvVQVAE":
        """Take the weights of a ``vqnp`` model, and its dtype.

        Both list their parameters in the order of the layers.
        """
        self.to(torch.float64)
        with torch.no_grad():
            for ours, theirs in zip(params.values(), self.parameters(), strict=True):
                theirs.copy_(torch.tensor(channels_first(ours)))
        return self

    def weights(self) -> list:
        """Return the parameters as ``vqnp`` lays them out, in order."""
        return [channels_last(parameter.detach().numpy()) for parameter in self.parameters()]


def channels_first(weight):
    """(kh, kw, in, out) to (out, in, kh, kw).

    Of the transposed convolution (kh, kw, out, in) to (in, out, kh, kw).
    """
    return weight.transpose(3, 2, 0, 1).copy() if weight.ndim == 4 else weight


def channels_last(weight):
    return weight.transpose(2, 3, 1, 0) if weight.ndim == 4 else weight


def exact_search(points, tokens):
    return torch.cdist(points, tokens, compute_mode="donot_use_mm_for_euclid_dist").argmin(dim=1)


def autoencoder_step(model, optimizer, images, *, variance) -> float:
    """Train on ``images`` (B, H, W, 3) without VQ. Return the plain MSE."""
    x = images.permute(0, 3, 1, 2)
    error = F.mse_loss(model.decoder(model.encoder(x)), x)
    optimizer.zero_grad()
    (error / variance).backward()
    optimizer.step()
    return error.item()


def vq_step(
    model, codebook, optimizer, images, *, variance, beta, decay, search=exact_search
) -> tuple[float, float]:
    """Train on ``images`` (B, H, W, 3), and return the plain MSE and the commitment loss.

    ``codebook`` holds tokens, L and M.
    """
    tokens, counts, sums = codebook
    x = images.permute(0, 3, 1, 2)
    z = model.encoder(x).permute(0, 2, 3, 1)  # (B, H, W, D)
    points = z.reshape(-1, z.shape[-1])
    codes = search(points.detach(), tokens)
    quantized = tokens[codes].reshape(z.shape)
    error = F.mse_loss(model.decoder((z + (quantized - z).detach()).permute(0, 3, 1, 2)), x)
    commitment = F.mse_loss(z, quantized)
    optimizer.zero_grad()
    (error / variance + beta * commitment).backward()
    optimizer.step()
    with torch.no_grad():
        hits = torch.bincount(codes, minlength=len(tokens)).to(z.dtype)
        counts.mul_(decay).add_(hits, alpha=1 - decay)
        sums.mul_(decay).add_(
            torch.zeros_like(sums).index_add_(0, codes, points.detach()), alpha=1 - decay
        )
        moved = hits > 0
        tokens[moved] = sums[moved] / counts[moved, None]
    return error.item(), commitment.item()
