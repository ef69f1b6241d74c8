"""Reading a diagnosis: the answer, a sentence for each number, and tables of one or several.

Nothing here knows which numbers there are. A number is a field that says how it is measured, shown
and read; see :func:`number`. ``diagnosis.py`` lists them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any


def number(
    shown: str,
    measure: Callable[[Any], Any],
    sentence: str | Callable[[Any], str] = "",
    *,
    needs: str = "tokens",
    compared: bool = False,
) -> Any:
    """Declare a field: its format, its measure of the arrays given, and its sentence.

    It is None unless the arrays include the one that it ``needs``. The sentence is a text with the
    names of fields in braces, or a function of the diagnosis. Without one it is in no table. A
    number that is ``compared`` is measured for k-means as well.
    """
    return field(
        default=None,
        metadata={
            "shown": shown,
            "measure": measure,
            "sentence": sentence,
            "needs": needs,
            "compared": compared,
        },
    )


def answer(diagnosis: Any) -> str:
    """Say the verdict of a diagnosis and its signs.

    Returns
    -------
    str
        The verdict, then the signs of each kind of trouble.

    Examples
    --------
    >>> from vqnp import diagnose
    >>> answer(diagnose([[0], [2], [10], [12]], [[1], [11]]))
    'Cannot tell: 4 embeddings; 2 tokens need 20.'
    """
    said = [f"{kind}: {'; '.join(signs)}." for kind, signs in diagnosis.signs.items()]
    verdict = diagnosis.verdict.capitalize()
    return " ".join(said if said and said[0].startswith(verdict) else [f"{verdict}.", *said])


def readings(diagnosis: Any) -> dict[str, str]:
    """Return one sentence for each number that was measured, by the name of its field.

    Examples
    --------
    >>> from vqnp import diagnose
    >>> readings(diagnose([[0], [2], [10], [12]], [[1], [11]]))["codes_used"]
    'Every token is chosen at least once.'
    """
    said = {x.name: x.metadata["sentence"] for x in fields(diagnosis) if x.metadata}
    return {
        name: sentence(diagnosis) if callable(sentence) else sentence.format(**vars(diagnosis))
        for name, sentence in said.items()
        if sentence and getattr(diagnosis, name) is not None
    }


def lines(diagnosis: Any) -> list[tuple[str, str, str, str]]:
    """Return the title, the value, that of k-means and the sentence of each number measured."""
    theirs = diagnosis.reference.kmeans if diagnosis.reference else {}
    return [
        (_title(name), _shown(diagnosis, name), _format(name, theirs.get(name), diagnosis), text)
        for name, text in readings(diagnosis).items()
    ]


def table_of(diagnosis: Any, form: str) -> str:
    """Return the numbers as a table: yours, those of k-means, and a sentence each."""
    heads = ["number", "yours", "k-means", "reading"]
    return _table(lines(diagnosis), heads, ["left", "right", "right", "left"], form)


@dataclass(frozen=True, repr=False)
class Comparison:
    """Diagnoses side by side. ``print`` shows a table, and a notebook's cell shows it too."""

    diagnoses: Mapping[str, Any]

    def __repr__(self) -> str:
        return self._table("simple")

    def _repr_html_(self) -> str:
        return self._table("html")

    def _table(self, form: str) -> str:
        columns = self.diagnoses.values()
        measured = {name for one in columns for name in readings(one)}
        names = [spec.name for one in columns for spec in fields(one) if spec.name in measured]
        rows = [[_title(n), *(_shown(one, n) for one in columns)] for n in dict.fromkeys(names)]
        rows.append(["verdict", *(one.verdict for one in columns)])
        return _table(rows, ["", *self.diagnoses], ["left"] + ["right"] * len(columns), form)


def side_by_side(diagnoses: Mapping[str, Any]) -> Comparison:
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


def _shown(diagnosis: Any, name: str) -> str:
    return _format(name, getattr(diagnosis, name), diagnosis)


def _format(name: str, value: Any, diagnosis: Any) -> str:
    shown = {x.name: x.metadata["shown"] for x in fields(diagnosis) if x.metadata}
    return "–" if value is None else format(value, shown[name])
