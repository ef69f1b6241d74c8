"""Checks of other implementations against golden cases, with the mistakes that each check knows.

``help(check_ema)`` tells what your function must take and return, with shapes. ``stub("ema")``
gives a function to fill in. Every check returns a :class:`Result`, or raises :class:`CheckFailed`,
an ``AssertionError``. The message names the first mismatch. It also names the mistake, or the
dialect, whose answer this is. ``mistakes("ema")`` lists them.

>>> import numpy as np
>>> from vqnp.testing import check_nearest
>>> def search(points, tokens):
...     return np.square(points[:, None] - tokens).sum(axis=2).argmin(axis=1)
>>> print(check_nearest(search))
check_nearest: all 3 comparisons pass
"""

from vqnp.testing.adapter import jax_vjp, to_numpy, torch_module, torch_vjp
from vqnp.testing.backward import check_commitment, check_straight_through
from vqnp.testing.catalog import mistakes, parametrize_checks, stub
from vqnp.testing.codebooks import check_product, check_residual
from vqnp.testing.conv import check_conv2d, check_conv_transpose2d
from vqnp.testing.directions import check_cosine, check_rotation
from vqnp.testing.ema import check_ema, which_dialect
from vqnp.testing.ema_edges import check_ema_mask, check_ema_start, check_ema_unused, check_revival
from vqnp.testing.golden import Case, cases
from vqnp.testing.grads import check_grads
from vqnp.testing.kmeans import check_kmeans_empty, check_kmeans_init
from vqnp.testing.nearest import check_nearest, check_tie_break
from vqnp.testing.optimizer import check_optimizer
from vqnp.testing.perplexity import check_perplexity
from vqnp.testing.residual import check_residual_blocks
from vqnp.testing.result import CheckFailed, Comparison, KnownMistake, Result, Tolerance
from vqnp.testing.rounding import check_fsq, check_lfq
from vqnp.testing.simvq import check_simvq
from vqnp.testing.step_order import check_evaluation, check_quantizer_step
from vqnp.testing.training import check_training

__all__ = [
    "Case",
    "CheckFailed",
    "Comparison",
    "KnownMistake",
    "Result",
    "Tolerance",
    "cases",
    "check_commitment",
    "check_conv2d",
    "check_conv_transpose2d",
    "check_cosine",
    "check_ema",
    "check_ema_mask",
    "check_ema_start",
    "check_ema_unused",
    "check_evaluation",
    "check_fsq",
    "check_grads",
    "check_kmeans_empty",
    "check_kmeans_init",
    "check_lfq",
    "check_nearest",
    "check_optimizer",
    "check_perplexity",
    "check_product",
    "check_quantizer_step",
    "check_residual",
    "check_residual_blocks",
    "check_revival",
    "check_rotation",
    "check_simvq",
    "check_straight_through",
    "check_tie_break",
    "check_training",
    "jax_vjp",
    "mistakes",
    "parametrize_checks",
    "stub",
    "to_numpy",
    "torch_module",
    "torch_vjp",
    "which_dialect",
]
