"""The numbers of a collapse, one measure a file; ``diagnose`` takes them all and reads them out.

Reading order: sample, usage, spread, assignment, distances, classes, modes, reading,
reference, verdict, diagnosis, levels.
"""

from vqnp.diagnostics.assignment import quantization_error
from vqnp.diagnostics.classes import class_divergence, class_spread_ratio
from vqnp.diagnostics.diagnosis import Diagnosis, Reference, diagnose, diagnose_usage
from vqnp.diagnostics.distances import energy_distance, outside, share_outside
from vqnp.diagnostics.levels import Levels, diagnose_levels
from vqnp.diagnostics.modes import count_modes
from vqnp.diagnostics.reading import Comparison, answer, readings, side_by_side
from vqnp.diagnostics.spread import effective_dimension, effective_rank, spread_ratio
from vqnp.diagnostics.usage import codes_used, perplexity, perplexity_of_counts

__all__ = [
    "Comparison",
    "Diagnosis",
    "Levels",
    "Reference",
    "answer",
    "class_divergence",
    "class_spread_ratio",
    "codes_used",
    "count_modes",
    "diagnose",
    "diagnose_levels",
    "diagnose_usage",
    "effective_dimension",
    "effective_rank",
    "energy_distance",
    "outside",
    "perplexity",
    "perplexity_of_counts",
    "quantization_error",
    "readings",
    "share_outside",
    "side_by_side",
    "spread_ratio",
]
