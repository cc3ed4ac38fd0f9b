"""The verb `bench`."""

from __future__ import annotations

import tempfile
from pathlib import Path

from sottovoce.cli import shared
from sottovoce.cli.shared import Json, app


@app.command()
def bench(json_: Json = False) -> None:
    """Measure how fast filters run on this machine, relative to the obfuscator of Wang et al. in plain PyTorch.

    Takes a minute or two.
    """
    with shared.needs("audit"):
        from sottovoce.experiments import table1

        with tempfile.TemporaryDirectory() as scratch:
            found = table1.everything(Path(scratch))
    shared.show(found, json_, table1.ratios)
