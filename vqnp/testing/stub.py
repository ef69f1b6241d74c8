"""``stub("ema")``: a function to fill in, with the contract of its check as its docstring."""

import re
from inspect import cleandoc
from textwrap import indent

from vqnp.testing.check import find


class Stub(str):
    """Source code that shows as it is, also at the end of a notebook's cell."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Return the source itself."""
        return str(self)


def stub(name: str) -> Stub:
    """Return the source of a function to fill in, for any check.

    Parameters
    ----------
    name : str
        A name of the check, with or without "check_": "ema", "nearest", "adam".

    Returns
    -------
    str
        One function for each that the check takes. Its docstring is the contract, with shapes. Its
        body raises ``NotImplementedError``, and the check then says so in one line.

    Raises
    ------
    ValueError
        For an unknown name.

    Example
    -------
    >>> print(stub("perplexity").splitlines()[0])
    def perplexity(codes, n_tokens):
    >>> print(stub("perplexity").splitlines()[-1])
        raise NotImplementedError
    """
    entry = find(name)
    contract = cleandoc(entry.run.__doc__ or "").partition("\nExample\n")[0].rstrip()
    body = indent(f'"""{contract}\n"""\nraise NotImplementedError\n', "    ", lambda line: True)
    lines = "\n".join(line.rstrip() for line in body.split("\n"))
    names = "|".join(p.name for p in entry.functions)
    headings = re.findall(rf"^    ``((?:{names})\(.*?\)) ->", contract, re.MULTILINE)
    return Stub("\n\n".join(f"def {heading}:\n{lines}" for heading in headings))
