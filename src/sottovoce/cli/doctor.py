"""The verb `doctor`."""

from __future__ import annotations

from sottovoce.cli import shared
from sottovoce.cli.shared import Json, app


@app.command()
def doctor(json_: Json = False) -> None:
    """List what is installed, and how to add what is missing."""
    from sottovoce import doctor as installation

    found = installation.examine()
    shared.show(found, json_, installation.text)
