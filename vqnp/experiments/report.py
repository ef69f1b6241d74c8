"""Self-contained pages: Jinja fills in templates and embeds pictures. A page fetches nothing."""

from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vqnp.experiments import FIGURES, figure_module
from vqnp.experiments.claims import Claim


def page(directory: Path, claims: Sequence[Claim], records: Sequence[dict[str, Any]]) -> str:
    """Return the report: each figure of ``directory`` with its claims, and the ``records``.

    ``DIR/NAME.html``, where there is one, stands below the claims of its figure.
    """
    record_of = {name: record for record in records for name in record["figures"]}
    shown = [
        {
            "name": name,
            "title": figure_module(name).TITLE,
            "about": figure_module(name).ABOUT,
            "record": record_of[name],
            "note": record_of[name].get("notes", {}).get(name),
            "picture": embedded(directory / f"{name}.png"),
            "claims": [claim for claim in claims if claim.figure == name],
            "section": beside.read_text("utf-8") if beside.exists() else "",
        }
        for name in FIGURES
        if name in record_of
        for beside in [directory / f"{name}.html"]
    ]
    return render(
        "report.html",
        title="Representation collapse in vector quantization",
        figures=shown,
        held=sum(claim.holds for claim in claims),
        total=len(claims),
        records=records,
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
