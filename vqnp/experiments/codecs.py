"""Compressors without training: k-means on raw patches, and on their principal components.

They have the rate of a VQ-VAE whose latent has one embedding a patch. A learnt model that loses to
them at the same bits has learnt nothing of use.

Such a compressor is a VQ-VAE too, of two linear layers that are one another's transpose. A
convolution with a stride as long as its kernel cuts an image of C = 3 channels into patches of
s × s pixels. Its weight turns each patch into d numbers:

    z = Bᵀ (patch - mean),    patch ≈ B z + mean,    B orthonormal (s² C, d)

B is the identity for raw patches, and holds the d first principal directions otherwise. So PCA
costs s² C · d numbers of side information, and it is optimal among linear maps. The mean is that
of each channel.

Shapes: images ``(N, H, W, 3)`` uint8, patches ``(N · H/s · W/s, s² C)``.
"""

import numpy as np

from vqnp.data.images import require_pixels
from vqnp.layers import Conv2d, ConvTranspose2d
from vqnp.models import VQVAE
from vqnp.quantize import Quantizer
from vqnp.training import encode_in_batches
from vqnp.validation import Array, Pixels, require_integer

IMAGES_A_BATCH = 256


def patch_codec(
    images: Pixels,
    quantizer: Quantizer,
    *,
    components: int | None = None,
    size: int = 4,
    rng: int | np.random.Generator = 0,
) -> VQVAE:
    """Return a model that quantizes patches of images, fitted to ``images`` and ready to use.

    Parameters
    ----------
    images : uint8 array (N, H, W, 3)
        What the means, the principal directions and the tokens are fitted to; H and W are
        multiples of ``size``.
    quantizer : Quantizer
        Initialized here on all patches: ``EMA(K)`` places its tokens by k-means.
    components : int, optional
        d, how many principal components are kept; raw patches unless given.
    size : int
        s, the sides of a patch in pixels.
    rng : int or numpy.random.Generator
        For the quantizer.

    Returns
    -------
    VQVAE
        With patches in place of embeddings.

    Raises
    ------
    TypeError, ValueError
        For images of another type, sides that ``size`` does not divide, or components below 1 or
        above s² C.

    Example
    -------
    >>> from vqnp import EMA
    >>> from vqnp.data import pixels_to_float
    >>> images = np.zeros((2, 8, 8, 3), np.uint8)
    >>> images[1] = 255
    >>> model = patch_codec(images, EMA(2))
    >>> x = pixels_to_float(images)
    >>> bool(np.allclose(model.reconstruct(x), x)), model.quantize(x).codes.shape
    (True, (8,))
    """
    require_integer(size, "size", least=1)
    _, height, width, channels = require_pixels(images, "images").shape
    if height % size or width % size:
        raise ValueError(f"size must divide the images' sides {height} and {width}, got {size}")
    mean = images.mean(axis=(0, 1, 2)) / 255 - 0.5  # as pixels_to_float maps them
    basis = np.eye(size * size * channels)
    model = linear_codec(basis, mean, size, quantizer)
    z = encode_in_batches(model, images, IMAGES_A_BATCH)
    if components is not None:
        if require_integer(components, "components", least=1) > len(basis):
            raise ValueError(f"components must be at most {len(basis)}, got {components}")
        _, directions = np.linalg.eigh(z.T.astype(np.float64) @ z)
        model = linear_codec(directions[:, : -components - 1 : -1], mean, size, quantizer)
        z = encode_in_batches(model, images, IMAGES_A_BATCH)
    quantizer.initialize(z, batch=len(z), rng=rng)
    return model


def linear_codec(basis: Array, mean: Array, size: int, quantizer: Quantizer) -> VQVAE:
    """Return the model of an orthonormal ``basis`` ``(s² C, d)`` and a ``mean`` ``(C,)``."""
    channels, dim = len(mean), basis.shape[1]
    encoder = Conv2d(channels, dim, size, stride=size)
    decoder = ConvTranspose2d(dim, channels, size, stride=size)
    for layer in (encoder, decoder):
        layer.params["weight"][:] = basis.reshape(size, size, channels, dim)
    encoder.params["bias"][:] = -np.tile(mean, size * size) @ basis
    decoder.params["bias"][:] = mean
    return VQVAE(encoder, quantizer, decoder)
