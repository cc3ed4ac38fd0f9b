"""The verb `doctor`."""

from __future__ import annotations

from sottovoce.cli import shared
from sottovoce.cli.shared import Json, app


@app.command()
def doctor(json_: Json = False) -> None:
    """What is installed, and what to do about what is not."""
    from sottovoce import doctor as installation

    found = installation.examine()
    shared.show(found, json_, installation.text)
