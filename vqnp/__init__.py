"""Vector quantization, by hand, in NumPy and Numba: why representations collapse, and what mends it.

The names are those of ``__init__.pyi``; each loads with its module when it is first used, so that ``import vqnp`` costs nothing.
"""

import lazy_loader

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
