"""Vector quantization by hand, in NumPy and Numba: how representations collapse, and a remedy.

The names are those of ``__init__.pyi``. Each loads with its module when you first use it, so
``import vqnp`` takes milliseconds.
"""

import lazy_loader

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
