"""Reading a pickle without running it.

A pickle is a program: it may name any function and call it. Python's own guard is to admit only harmless names; here not even
those are called. An admitted name becomes an :class:`Inert`, which remembers how the file called it, and the array is then built
from that record by :func:`byte_array`. So nothing in the file decides what runs, or how much memory is set aside.

The published CIFAR-10 files are Python 2 pickles, and name ``_reconstruct``, ``ndarray`` and ``dtype``. A file written again by
Python 3 may find the first in ``numpy._core``, and spells its bytes as ``_codecs.encode(text, "latin1")``.
"""

import io
import math
import pickle
from typing import Any

import numpy as np

from vqnp.validation import Array


class Inert:
    """Stands for an admitted name and for what calling it gives: keeps arguments and state, does nothing."""

    def __init__(self) -> None:
        self.arguments: tuple = ()
        self.state: Any = None

    def __call__(self, *arguments: Any) -> "Inert":
        made = Inert()
        made.arguments = arguments
        return made

    def __setstate__(self, state: Any) -> None:
        self.state = state


class Latin1:
    """Stands for ``_codecs.encode``, in the one way pickle itself uses it."""

    __slots__ = ()

    def __call__(self, text: str, encoding: str) -> bytes:
        if encoding not in ("latin1", b"latin1"):
            raise pickle.UnpicklingError("_codecs.encode is admitted with 'latin1' alone")
        return text.encode("latin1")


ADMITTED: dict[tuple[str, str], type] = {
    ("numpy.core.multiarray", "_reconstruct"): Inert,
    ("numpy._core.multiarray", "_reconstruct"): Inert,
    ("numpy", "ndarray"): Inert,
    ("numpy", "dtype"): Inert,
    ("_codecs", "encode"): Latin1,
}


class RestrictedUnpickler(pickle.Unpickler):
    """Knows the admitted names and imports nothing."""

    def find_class(self, module: str, name: str) -> Any:
        """Return a stand-in for an admitted name; raises ``pickle.UnpicklingError`` for any other."""
        if (module, name) not in ADMITTED:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is not admitted")
        return ADMITTED[module, name]()


def read_pickle(raw: bytes, where: str) -> dict[str, Any]:
    """Return the dictionary pickled in ``raw``, its keys as text, its arrays as :class:`Inert`.

    Raises ``ValueError`` naming ``where`` when the pickle is damaged, asks for a name that is not admitted, or holds no dictionary.
    """
    try:
        found = RestrictedUnpickler(io.BytesIO(raw), encoding="bytes").load()
    except (
        Exception
    ) as error:  # the pickle module documents no end to what a damaged or hostile file can raise
        raise ValueError(
            f"{where} is refused: not a pickle that can be read safely ({error!s:.300})"
        ) from error
    if not isinstance(found, dict):
        raise ValueError(f"{where} must hold a pickled dictionary, got {type(found).__name__}")
    return {as_text(key): value for key, value in found.items()}


def as_text(value: Any) -> str:
    """Return a text of either Python, str or ASCII bytes, as str; anything else is no text and becomes the empty one."""
    if isinstance(value, bytes):
        return value.decode("ascii", "replace")
    return value if isinstance(value, str) else ""


def byte_array(found: Any, shape: tuple[int, ...], name: str) -> Array:
    """Return the uint8 array that an unpickled ``found`` stands for, read-only.

    Raises ``ValueError`` naming ``name`` unless it is a C-ordered uint8 array of exactly ``shape``.
    """
    match found:
        case Inert(state=(_, given, Inert(arguments=("u1" | b"u1", *_)), False, bytes(raw))):
            if given == shape and len(raw) == math.prod(shape):
                return np.frombuffer(raw, np.uint8).reshape(shape)
    raise ValueError(f"{name} must be a C-ordered uint8 array of shape {shape}")
