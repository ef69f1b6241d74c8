"""Self-contained pages: Jinja fills in templates and embeds pictures. A page fetches nothing."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vqnp.experiments import figure_module
from vqnp.experiments.claims import Claim


def page(
    directory: Path,
    figures: Sequence[str],
    claims: Sequence[Claim],
    record: dict[str, Any],
    sections: Mapping[str, str],
) -> str:
    """Return the report: each figure of ``directory`` with its claims, and the ``record``.

    ``sections`` are more HTML of some figures.
    """
    shown = [
        {
            "name": name,
            "title": figure_module(name).TITLE,
            "about": figure_module(name).ABOUT,
            "note": record["notes"].get(name),
            "picture": embedded(directory / f"{name}.png"),
            "claims": [claim for claim in claims if claim.figure == name],
            "section": sections.get(name, ""),
        }
        for name in figures
    ]
    return render(
        "report.html",
        title="Representation collapse in vector quantization",
        figures=shown,
        held=sum(claim.holds for claim in claims),
        total=len(claims),
        record=record,
    )


def render(template: str, **values: Any) -> str:
    """Fill in a template that lies beside this file; values are escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("vqnp.experiments", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)


def embedded(picture: Path) -> str:
    """Return a picture's bytes as text for a ``data:`` address."""
    return b64encode(picture.read_bytes()).decode()
