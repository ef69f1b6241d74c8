"""Pictures of anyone's data: functions take arrays and ``axes=None``, and return the axes."""

from vqnp.plots.cloud import draw_cloud
from vqnp.plots.codebook import draw_codebook, draw_spread, draw_usage
from vqnp.plots.history import draw_history
from vqnp.plots.images import draw_images
from vqnp.plots.sweep import draw_sweep

__all__ = [
    "draw_cloud",
    "draw_codebook",
    "draw_history",
    "draw_images",
    "draw_spread",
    "draw_sweep",
    "draw_usage",
]
