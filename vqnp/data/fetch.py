"""Fetching CIFAR-10 once: the published archive, its published checksum, a cache.

A download goes to a temporary name and is moved into place only when its checksum is right, so a file that is in place is whole.
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
    """Return the path of the published archive in ``data_dir``, downloading it (about 170 MB) when it is not there yet.

    ``data_dir`` is the user's cache folder for ``vqnp`` unless given. Raises as :func:`fetch` does, and ``ValueError`` for another
    ``layout``.
    """
    if layout not in ARCHIVES:
        raise ValueError(f"layout must be one of {', '.join(ARCHIVES)}, got {layout!r}")
    name, checksum = ARCHIVES[layout]
    return fetch(f"{base_url}/{name}", checksum, data_folder(data_dir) / name, progress)


def data_folder(data_dir: str | PathLike[str] | None = None) -> Path:
    """Return the folder meant: ``data_dir``, or the user's cache folder for ``vqnp``."""
    import pooch

    return Path(data_dir).expanduser() if data_dir is not None else Path(pooch.os_cache("vqnp"))


def fetch(url: str, checksum: str, target: Path, progress: bool = True) -> Path:
    """Return ``target`` once it holds the content of ``url``; a file already there with the right checksum is not fetched again.

    ``checksum`` reads ``"md5:..."``. Raises ``ValueError`` when what was downloaded has another checksum (it is thrown away), and
    ``ConnectionError`` saying what to download by hand, and to where, when there is no network.
    """
    import pooch
    from requests.exceptions import RequestException

    try:
        pooch.retrieve(url, checksum, fname=target.name, path=target.parent, progressbar=progress)
    except RequestException as error:
        wrong = " (the file there now has another checksum)" if target.exists() else ""
        raise ConnectionError(
            f"cannot download {url} ({error}). Download it on another machine, check that its checksum is {checksum}, "
            f"and put it at {target}{wrong}."
        ) from error
    except ValueError as error:
        raise ValueError(f"{url} was refused, and {target} not written: {error}") from error
    return target
