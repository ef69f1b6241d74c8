"""Arrays at the door: array-likes are converted once, then each argument is checked and named.

A public function calls :func:`as_points`, :func:`as_floats`, :func:`as_labels` or
:func:`as_array`.
The ``require_`` functions check arrays that are already NumPy's.
An error names the argument, the expected value and the given one.

The types at the top state the shapes of public functions: N points of D dimensions, K tokens.
A parameter of a type that ends in ``Like`` accepts any array-like of this shape.
"""

import math
from collections.abc import Iterator
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Bool, Float, Int64, Shaped, UInt8
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]

Points = Float[np.ndarray, "N D"]
PointsLike = Float[Any, "N D"]
Tokens = Float[np.ndarray, "K D"]
TokensLike = Float[Any, "K D"]
Codes = Int64[np.ndarray, "N"]
CodesLike = Shaped[Any, "N"]
Counts = Int64[np.ndarray, "K"]
CountsLike = Shaped[Any, "K"]
Distances = Float[np.ndarray, "N"]
Mask = Bool[np.ndarray, "N"]
Pixels = UInt8[np.ndarray, "N H W 3"]
Floats = Float[np.ndarray, "*shape"]
FloatsLike = Float[Any, "*shape"]
AnyArray = Shaped[np.ndarray, "..."]
PixelFloats = Float[np.ndarray, "N H W 3"]

Rng = int | np.random.Generator  # a seed, or a generator that goes on

LATENT_BYTES = 2  # of an integer at most, where integers are taken for latents and not for codes
VALUES_A_BLOCK = 1 << 20  # looked at together, so that an array may be larger than memory
# For float32 and float64: the largest number may lie between these.
SQUARABLE = {
    info.dtype.char: (math.sqrt(info.max) / 2, math.sqrt(info.tiny / info.eps))
    for info in (np.finfo(np.float32), np.finfo(np.float64))
}
FLOATS = frozenset(map(np.dtype, (np.float32, np.float64)))  # of the machine's own order of bytes
KINDS = {"integers": "iu", "bool": "b"}  # as NumPy's dtypes name them


class NotFiniteError(ValueError):
    """Numbers that are NaN or infinite."""


def as_array(value: Any, name: str = "value") -> Array:
    """Return an array-like as a NumPy array, without a copy where possible.

    Parameters
    ----------
    value : array-like
        Nested lists or tuples of numbers, a NumPy array, an object with ``__array__``, or a tensor
        that speaks DLPack (PyTorch, JAX). A tensor is detached from its graph and moved to the CPU.
        Bfloat16 becomes float32, because NumPy has no such dtype.
    name : str
        The argument that an error names.

    Returns
    -------
    ndarray
        Floats, integers or bools, of any shape and of the precision given.

    Raises
    ------
    TypeError
        For masked arrays and for anything that is no array of real numbers.
    ValueError
        For nested lists of different lengths.

    Examples
    --------
    >>> as_array([[1, 2], [3, 4]])
    array([[1, 2],
           [3, 4]])
    """
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(
            f"{name} must have no mask, got a masked array: fill or drop its gaps first"
        )
    given = type(value).__name__
    for method in ("detach", "cpu"):  # PyTorch shares neither a graph's nor a GPU's tensors
        value = getattr(value, method)() if callable(getattr(value, method, None)) else value
    if str(getattr(value, "dtype", "")) == "torch.bfloat16":
        value = value.float()
    try:
        array = _through_dlpack(value)
    except ValueError as error:
        raise ValueError(f"{name} must be a rectangular array, got {given}: {error}") from error
    except (TypeError, RuntimeError) as error:
        raise TypeError(f"{name} must be an array of real numbers, got {given}: {error}") from error
    if array.dtype.name == "bfloat16":  # JAX's, of the package ml_dtypes
        array = array.astype(np.float32)
    if array.dtype.kind not in "fiub":
        given = given if array.dtype == object else str(array.dtype)
        raise TypeError(f"{name} must be an array of real numbers, got {given}")
    return array


def _through_dlpack(value: Any) -> Array:
    if hasattr(value, "__dlpack__") and not isinstance(value, np.ndarray | np.generic):
        try:
            return np.from_dlpack(value)
        except (BufferError, TypeError, RuntimeError, ValueError):  # a dtype that DLPack lacks
            pass
    return np.asarray(value)


def as_floats(value: Any, name: str, *, of_lists: DTypeLike | None = None) -> Array:
    """Return an array-like of any shape as native-endian float32 or float64.

    Parameters
    ----------
    value : array-like
        An array is returned as it is where no conversion is needed. Float16 becomes float32.
        Arrays of integers are refused, because a gradient would be rounded to 0.
    name : str
        The argument that an error names.
    of_lists : float32 or float64, optional
        The precision that lists and tuples get. By default, that of the arrays in them; Python's
        numbers become float64.

    Returns
    -------
    ndarray
        Treat it as read-only.

    Raises
    ------
    TypeError, ValueError
        As :func:`as_array`, and for anything but floating-point numbers.

    Examples
    --------
    >>> as_floats([[1, 2], [3, 4]], "x").dtype, as_floats(np.ones(2, np.float16), "x").dtype
    (dtype('float64'), dtype('float32'))
    """
    if type(value) is np.ndarray and value.dtype in FLOATS:
        return value
    array = as_array(value, name)
    if isinstance(value, list | tuple) and array.dtype.kind in "iuf":
        own = array.dtype if array.dtype.kind == "f" else np.float64
        array = array.astype(of_lists or own, copy=False)
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype == np.float16:
        array = array.astype(np.float32)
    require_float(array, name)
    return array


def as_points(
    x: Any,
    name: str = "points",
    *,
    dim: int | None = None,
    finite: bool = True,
    dtype: DTypeLike | None = None,
) -> Points:
    """Return an array-like as points: C-contiguous, native-endian float32 or float64 ``(N, D)``.

    Parameters
    ----------
    x : array-like (..., D)
        All axes but the last are flattened into one of N points. Float16 becomes float32.
        Python's integers in lists become float64. Arrays of integers are refused, because they are
        more often codes or pixels than points.
    name : str
        The argument that an error names.
    dim : int, optional
        The D that is expected.
    finite : bool
        ``False`` skips the search for NaN, for callers that can make it on a smaller result.
    dtype : float32 or float64, optional
        The precision to return. By default the one that was given.

    Returns
    -------
    ndarray (N, D)
        The memory of ``x`` itself where no conversion is needed. Treat it as read-only.

    Raises
    ------
    TypeError
        For anything that is no array of floating-point numbers; masked arrays are refused as well.
    ValueError
        For no or one axis, an empty array, another D, and for NaN or infinity. Numbers whose
        squares the precision cannot hold are refused, too: distances are made of squares.

    Examples
    --------
    >>> as_points([[1, 2], [3, 4]]).dtype
    dtype('float64')
    >>> as_points(np.zeros((8, 4, 4, 64), np.float16), "latents").shape
    (128, 64)
    """
    array = as_floats(x, name)
    if array.ndim > 2:
        array = array.reshape(math.prod(array.shape[:-1]), array.shape[-1])
    if 0 in array.shape:
        raise ValueError(f"{name} is empty: shape {array.shape}")
    if array.ndim < 2 or dim not in (None, array.shape[1]):
        raise ValueError(f"{name} must have shape (N, {dim or 'D'}), got {array.shape}")
    with np.errstate(over="ignore"):  # infinities are named below
        array = np.ascontiguousarray(array, dtype)
    if finite:
        require_squares(array, name)
    return array


def as_latents(x: Any, name: str, *, dim: int | None = None) -> Points:
    """Return points as :func:`as_points` does, and take the integers of quantized latents, too.

    Integers of 8 or 16 bits become float32, which holds each of them exactly. Raises ``TypeError``
    for wider ones and for another shape, because such arrays are most often codes.
    """
    array = as_array(x, name)
    if array.dtype.kind not in "iu" or isinstance(x, list | tuple):
        return as_points(x, name, dim=dim)
    if array.dtype.itemsize > LATENT_BYTES or array.ndim < 2 or dim not in (None, array.shape[-1]):
        raise TypeError(
            f"{name} must be floats, or integers of 8 or 16 bits, of shape (N, {dim or 'D'}), got "
            f"{array.dtype} of shape {array.shape}: give codes to diagnose_usage (--codes), and "
            "other integers as float32"
        )
    return as_points(array.astype(np.float32), name)


def as_labels(labels: Any, name: str, count: int) -> Array:
    """Return an array-like of ``count`` integers, of any shape, as ``(count,)``.

    Raises ``TypeError`` for other dtypes and ``ValueError`` for another number of them.
    """
    array = as_array(labels, name)
    return require_labels(array.reshape(-1) if array.size == count else array, name, count)


def require_float(array: Array, name: str) -> None:
    """Raise ``TypeError`` unless ``array`` is a float32 or float64 NumPy array."""
    require_plain(array, name)
    if array.dtype not in FLOATS:
        raise TypeError(f"{name} must be float32 or float64, got {array.dtype}")


def require_plain(array: Array, name: str) -> None:
    """Raise ``TypeError`` unless ``array`` is NumPy's, without a mask: kernels do not see masks."""
    if type(array) is np.ndarray:
        return  # the usual case, asked some forty times a training step
    if not isinstance(array, np.ndarray) or isinstance(array, np.ma.MaskedArray):
        raise TypeError(f"{name} must be a NumPy array without a mask, got {type(array).__name__}")


def require_like(array: Array, name: str, shape: tuple[int, ...], dtype: Any) -> None:
    """Raise ``ValueError`` or ``TypeError`` unless ``array`` has the shape and the dtype."""
    require_plain(array, name)
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
    if array.dtype != dtype:
        raise TypeError(f"{name} must be {dtype}, got {array.dtype}")


def require_finite(array: Array, name: str) -> None:
    """Raise ``NotFiniteError``, a ``ValueError``, naming the first index of NaN or infinity."""
    for rows in row_blocks(array):
        finite = np.isfinite(array[rows])
        if not finite.all():
            row, *rest = map(int, np.argwhere(~finite)[0])
            raise NotFiniteError(
                f"{name} holds NaN or infinity, first at index {(rows.start + row, *rest)}"
            )


def require_squares(points: Points, name: str) -> None:
    """Raise ``NotFiniteError`` unless squared distances of ``points`` are finite, and not all 0.

    The largest number decides. Beyond the limits all distances would be infinite, or vanish.
    """
    largest = max(points.max(), -points.min())  # NaN stays NaN
    most, least = SQUARABLE[points.dtype.char]
    if not (least <= largest <= most / math.sqrt(points.shape[1]) or largest == 0):
        require_finite(points, name)
        raise NotFiniteError(
            f"{name} must have squares that {points.dtype} can hold, and reach to {largest:.1e}: "
            "multiply all data by one factor"
        )


def row_blocks(array: Array) -> Iterator[slice]:
    """Yield slices that cover the rows of ``array`` ``(N, ...)`` in order.

    Each slice holds at most ``VALUES_A_BLOCK`` numbers, and at least one row.
    """
    rows = max(1, VALUES_A_BLOCK * len(array) // max(1, array.size))
    for start in range(0, len(array), rows):
        yield slice(start, min(start + rows, len(array)))


def require_labels(
    labels: Array, name: str, count: int, kind: Literal["integers", "bool"] = "integers"
) -> Array:
    """Return ``labels`` once they are known to be ``count`` integers, or bools, on one axis.

    Raises ``TypeError`` or ``ValueError``.
    """
    require_plain(labels, name)
    if labels.dtype.kind not in KINDS[kind]:
        raise TypeError(f"{name} must be a NumPy array of {kind}, got {labels.dtype}")
    if labels.shape != (count,):
        raise ValueError(f"{name} must have shape ({count},), got {labels.shape}")
    return labels


def require_codes(codes: Array, name: str, n_tokens: int, count: int | None = None) -> Array:
    """Return ``codes`` once they are known to be ``count`` integers in ``[0, n_tokens)``.

    By default there may be any number of them. Raises ``TypeError`` or ``ValueError``.
    """
    require_labels(codes, name, np.size(codes) if count is None else count)
    if codes.size and not (codes.min() >= 0 and codes.max() < n_tokens):
        raise ValueError(f"{name} must lie in [0, {n_tokens}), got {codes.min()} to {codes.max()}")
    return codes


def require_integer(value: Any, name: str, *, least: int) -> int:
    """Return ``value`` once it is known to be an integer of at least ``least``.

    Raises ``TypeError`` or ``ValueError``.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    return int(value)


def require_integers(settings: Any, *names: str, least: int) -> None:
    """Raise as :func:`require_integer` does unless all named fields of ``settings`` are such."""
    for name in names:
        require_integer(getattr(settings, name), name, least=least)


def as_seed(rng: Rng, name: str = "rng") -> int:
    """Return an int seed of at least 0 as it is, and from a generator a seed drawn.

    For functions that start several random streams from one seed.
    Raises ``TypeError`` or ``ValueError``.
    """
    if isinstance(rng, np.random.Generator):
        return int(rng.integers(1 << 32))
    return require_integer(rng, name, least=0)


def as_rng(rng: Rng, name: str = "rng") -> np.random.Generator:
    """Return a generator as it is, and for an int seed a new one.

    Raises ``TypeError`` or ``ValueError`` for anything else: no seed would give another answer
    each time.
    """
    if isinstance(rng, np.random.Generator):
        return rng
    return np.random.default_rng(require_integer(rng, name, least=0))


def require_rng(rng: Any, reason: str) -> None:
    """Raise ``ValueError`` with the ``reason`` unless there is something to draw from."""
    if rng is None:
        raise ValueError(f"rng is needed: {reason}")


def require_number(value: float, name: str) -> float:
    """Return ``value`` once it is known to be a real number; raises ``TypeError``."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{name} must be a number, got {value!r:.80}")
    return float(value)


def require_share(value: float, name: str) -> float:
    """Return ``value`` once it is known to lie in [0, 1); raises ``TypeError``, ``ValueError``."""
    if not 0 <= require_number(value, name) < 1:
        raise ValueError(f"{name} must lie in [0, 1), got {value}")
    return float(value)


def require_weight(value: float, name: str) -> float:
    """Return ``value`` once it is known to be at least 0 and finite; raises as for a share."""
    if not 0 <= require_number(value, name) < math.inf:
        raise ValueError(f"{name} must be at least 0 and finite, got {value}")
    return float(value)


def require_positive(value: float, name: str) -> float:
    """Return ``value`` once it is known to be positive and finite; raises as for a share."""
    if not 0 < require_number(value, name) < math.inf:
        raise ValueError(f"{name} must be positive and finite, got {value}")
    return float(value)


def require_one_of(value: Any, names: Any, name: str) -> None:
    """Raise ``ValueError`` unless ``value`` is one of ``names``, a ``Literal``."""
    if value not in get_args(names):
        raise ValueError(f"{name} must be one of {', '.join(get_args(names))}, got {value!r}")


def require_instance(value: Any, kind: Any, name: str) -> Any:
    """Return ``value`` once it is known to be of ``kind``, a class; raises ``TypeError``."""
    if not isinstance(value, kind):
        raise TypeError(
            f"{name} must be of {getattr(kind, '__name__', kind)}, got {type(value).__name__}"
        )
    return value


def require_float_dtype(dtype: Any) -> None:
    """Raise ``TypeError`` unless ``dtype`` is float32 or float64."""
    try:
        known = dtype is not None and np.dtype(dtype) in (np.float32, np.float64)
    except TypeError:
        known = False
    if not known:
        raise TypeError(f"dtype must be float32 or float64, got {dtype!r:.80}")


def require_flag(value: bool, name: str) -> bool:
    """Return ``value`` once it is known to be True or False; raises ``TypeError``."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {value!r:.80}")
    return bool(value)
