"""Reading a diagnosis: a sentence for each number, the verdict, and tables of one or several.

Nothing here knows which numbers there are. A number is a field that says how it is measured, shown
and read; see :func:`number`. ``diagnosis.py`` lists them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from html import escape
from typing import Any


def number(
    shown: str,
    measure: Callable[[Any], Any],
    sentence: str | Callable[[Any], str] = "",
    *,
    needs: str = "tokens",
) -> Any:
    """Declare a field: its format, its measure of the arrays given, and its sentence.

    It is None unless the arrays include the one that it ``needs``. The sentence is a text with the
    names of fields in braces, or a function of the diagnosis. Without one it is in no table.
    """
    return field(
        default=None,
        metadata={"shown": shown, "measure": measure, "sentence": sentence, "needs": needs},
    )


@dataclass(frozen=True)
class Reading:
    """Numbers declared by :func:`number`. ``print`` shows the verdict and a table."""

    def signs(self) -> dict[str, list[str]]:
        """Return the signs of each kind of trouble; a kind without a sign has no entry."""
        raise NotImplementedError

    def __str__(self) -> str:
        return f"{verdict(self)}\n\n{self._table('simple')}"

    def _repr_html_(self) -> str:
        return f"<p><strong>{escape(verdict(self))}</strong></p>\n{self._table('html')}"

    def _table(self, form: str) -> str:
        return _table(lines(self), ["number", "value", "reading"], ["left", "right"], form)


def verdict(diagnosis: Reading) -> str:
    """Answer "is my codebook collapsing?".

    Returns
    -------
    str
        "Yes." and the signs, "Perhaps." where points only lie outside, or "No sign of collapse."

    Examples
    --------
    >>> from vqnp import diagnose
    >>> verdict(diagnose([[0], [2], [10], [12]], [[1], [11]]))
    'No sign of collapse.'
    """
    found = diagnosis.signs()
    if not found:
        return "No sign of collapse."
    answer = "Perhaps." if list(found) == ["Outside"] else "Yes."
    return " ".join([answer, *(f"{kind}: {', '.join(signs)}." for kind, signs in found.items())])


def readings(diagnosis: Reading) -> dict[str, str]:
    """Return one sentence for each number that was measured, by the name of its field.

    Examples
    --------
    >>> from vqnp import diagnose
    >>> readings(diagnose([[0], [2], [10], [12]], [[1], [11]]))["codes_used"]
    'Every token is chosen at least once.'
    """
    said = {spec.name: spec.metadata["sentence"] for spec in fields(diagnosis)}
    return {
        name: sentence(diagnosis) if callable(sentence) else sentence.format(**vars(diagnosis))
        for name, sentence in said.items()
        if sentence and getattr(diagnosis, name) is not None
    }


def lines(diagnosis: Reading) -> list[tuple[str, str, str]]:
    """Return the title, the value and the sentence of each number that was measured."""
    said = readings(diagnosis).items()
    return [(_title(name), _shown(diagnosis, name), sentence) for name, sentence in said]


@dataclass(frozen=True, repr=False)
class Comparison:
    """Diagnoses side by side. ``print`` shows a table, and a notebook's cell shows it too."""

    diagnoses: Mapping[str, Reading]

    def __repr__(self) -> str:
        return self._table("simple")

    def _repr_html_(self) -> str:
        return self._table("html")

    def _table(self, form: str) -> str:
        columns = self.diagnoses.values()
        measured = {name for one in columns for name in readings(one)}
        names = [spec.name for one in columns for spec in fields(one) if spec.name in measured]
        rows = [[_title(n), *(_shown(one, n) for one in columns)] for n in dict.fromkeys(names)]
        rows.append(["signs", *(", ".join(one.signs()).lower() or "none" for one in columns)])
        return _table(rows, ["", *self.diagnoses], ["left"] + ["right"] * len(columns), form)


def side_by_side(diagnoses: Mapping[str, Reading]) -> Comparison:
    """Compare diagnoses: one column for each, one row for each number that any of them has.

    Parameters
    ----------
    diagnoses : mapping of str to Diagnosis
        At least one, by the name above its column.

    Returns
    -------
    Comparison
        ``print`` it, or leave it at the end of a notebook's cell.

    Raises
    ------
    ValueError
        For an empty mapping.

    Examples
    --------
    >>> from vqnp import diagnose
    >>> one = diagnose([[0], [2], [10], [12]], [[1], [11]])
    >>> two = diagnose([[0], [2], [10], [12]], [[6]])
    >>> for line in str(side_by_side({"two tokens": one, "one token": two})).splitlines()[:6]:
    ...     print(line)
                           two tokens    one token
    -------------------  ------------  -----------
    embeddings                      4            4
    tokens                          2            1
    codes used                      2            1
    perplexity                    2.0          1.0
    """
    if not diagnoses:
        raise ValueError("diagnoses must hold at least one, got an empty mapping")
    return Comparison(diagnoses)


def _table(rows: list, headers: list[str], align: list[str], form: str) -> str:
    from tabulate import tabulate

    return str(tabulate(rows, headers, tablefmt=form, disable_numparse=True, colalign=align))


def _title(name: str) -> str:
    return name.removeprefix("n_").replace("_", " ")


def _shown(diagnosis: Reading, name: str) -> str:
    value = getattr(diagnosis, name)
    shown = {spec.name: spec.metadata["shown"] for spec in fields(diagnosis)}
    return "–" if value is None else format(value, shown[name])
