"""A reference to hold other implementations against: checks of plain functions, and golden cases.

Every check takes the functions it checks and four options: ``arrays``, the kind of array they take ("numpy", "torch", "jax", or a
function that makes one of a NumPy array); ``dtype``, "float64" or "float32"; ``layout`` where there are images; and ``raises``. It
returns a :class:`Result`, and raises :class:`CheckFailed`, an ``AssertionError``, when the answer is wrong; ``raises=False`` returns
the result of a failure as well. The message names the first mismatch and, when the answer is that of a known mistake, the mistake.
"""

from vqnp.testing.adapter import to_numpy
from vqnp.testing.autograd import jax_vjp, torch_vjp
from vqnp.testing.commitment import check_commitment
from vqnp.testing.conv import check_conv2d, check_conv_transpose2d
from vqnp.testing.ema import check_ema, check_ema_mask, check_ema_unused
from vqnp.testing.ema_start import check_ema_start, check_revival
from vqnp.testing.golden import Case, cases
from vqnp.testing.grads import check_grads
from vqnp.testing.kmeans import check_kmeans_empty, check_kmeans_init
from vqnp.testing.nearest import check_nearest, check_tie_break
from vqnp.testing.optimizer import check_optimizer
from vqnp.testing.perplexity import check_perplexity
from vqnp.testing.pytest_plugin import parametrize_checks
from vqnp.testing.residual import check_residual_blocks
from vqnp.testing.result import CheckFailed, Comparison, Mutant, Result, Tolerance
from vqnp.testing.step_order import check_evaluation, check_quantizer_step
from vqnp.testing.straight_through import check_straight_through
from vqnp.testing.training import check_training

__all__ = [
    "Case",
    "CheckFailed",
    "Comparison",
    "Mutant",
    "Result",
    "Tolerance",
    "cases",
    "check_commitment",
    "check_conv2d",
    "check_conv_transpose2d",
    "check_ema",
    "check_ema_mask",
    "check_ema_start",
    "check_ema_unused",
    "check_evaluation",
    "check_grads",
    "check_kmeans_empty",
    "check_kmeans_init",
    "check_nearest",
    "check_optimizer",
    "check_perplexity",
    "check_quantizer_step",
    "check_residual_blocks",
    "check_revival",
    "check_straight_through",
    "check_tie_break",
    "check_training",
    "jax_vjp",
    "parametrize_checks",
    "to_numpy",
    "torch_vjp",
]
