"""Fetching CIFAR-10 once: the published archive, its published checksum, a cache.

A download goes to a temporary name and is moved to its place after its checksum is verified.
So an archive in its place is whole.
"""

from os import PathLike
from pathlib import Path
from typing import Literal

BASE_URL = "https://www.cs.toronto.edu/~kriz"
ARCHIVES = {
    "python": ("cifar-10-python.tar.gz", "md5:c58f30108f718f92721af3b95e74349a"),
    "binary": ("cifar-10-binary.tar.gz", "md5:c32a1d4ab5d03f1284b67883e8d87530"),
}


def fetch_cifar10(
    data_dir: str | PathLike[str] | None = None,
    layout: Literal["python", "binary"] = "python",
    progress: bool = True,
    base_url: str = BASE_URL,
) -> Path:
    """Return the path of CIFAR-10's archive, after downloading it (about 170 MB) if necessary.

    Parameters
    ----------
    data_dir : str or path, optional
        The folder of the archive. By default the user's cache folder for ``vqnp``.
    layout : "python" or "binary"
        The published layout. The second holds no pickles.
    progress : bool
        Show a bar.
    base_url : str
        The address that the archive is downloaded from.

    Raises
    ------
    ConnectionError
        Without a network. The message says how to download the archive by hand.
    ValueError
        For a download with another checksum, and for another ``layout``.

    Examples
    --------
    >>> fetch_cifar10().name  # doctest: +SKIP
    'cifar-10-python.tar.gz'
    """
    if layout not in ARCHIVES:
        raise ValueError(f"layout must be one of {', '.join(ARCHIVES)}, got {layout!r}")
    name, checksum = ARCHIVES[layout]
    return fetch(f"{base_url}/{name}", checksum, data_folder(data_dir) / name, progress)


def data_folder(data_dir: str | PathLike[str] | None = None) -> Path:
    """Return ``data_dir`` as a path; for ``None`` the user's cache folder for ``vqnp``."""
    import pooch

    return Path(data_dir).expanduser() if data_dir is not None else Path(pooch.os_cache("vqnp"))


def fetch(url: str, checksum: str, target: Path, progress: bool = True) -> Path:
    """Return ``target``, downloaded from ``url`` unless it is there with the right checksum.

    ``checksum`` reads ``"md5:..."``. Raises ``ValueError`` for a download with another checksum,
    which is deleted. Raises ``ConnectionError`` without a network.
    """
    import pooch
    from requests.exceptions import RequestException

    try:
        pooch.retrieve(url, checksum, fname=target.name, path=target.parent, progressbar=progress)
    except RequestException as error:
        wrong = " (the file there now has another checksum)" if target.exists() else ""
        raise ConnectionError(
            f"cannot download {url} ({error}). Download it on another machine, "
            f"check that its checksum is {checksum}, and put it at {target}{wrong}."
        ) from error
    except ValueError as error:
        raise ValueError(f"{url} was refused, and {target} not written: {error}") from error
    return target
