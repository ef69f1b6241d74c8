"""Self-contained pages: templates filled in by Jinja, pictures embedded, nothing fetched when a page is opened."""

from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vqnp.experiments.claims import Claim


def page(
    directory: Path,
    figures: Sequence[tuple[str, Any]],
    claims: Sequence[Claim],
    account: dict[str, Any],
) -> str:
    """Return the report: each figure of ``directory`` with its claims beside it, settings, timings and versions."""
    shown = [
        {
            "name": name,
            "title": module.TITLE,
            "about": " ".join(module.__doc__.split("\n\n", 1)[1].split()),
            "note": account["notes"].get(name),
            "picture": embedded(directory / f"{name}.png"),
            "claims": [claim for claim in claims if claim.figure == name],
        }
        for name, module in figures
    ]
    held = sum(claim.holds for claim in claims)
    title = "Representation collapse in vector quantization"
    return render(
        "report.html", title=title, figures=shown, held=held, total=len(claims), account=account
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
