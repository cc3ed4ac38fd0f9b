"""The verb `demo`."""

from __future__ import annotations

from pathlib import Path

from sottovoce.cli import shared
from sottovoce.cli.shared import Json, Out, app


@app.command()
def demo(out: Out = Path("demo"), json_: Json = False) -> None:
    """Run a complete example on the built-in corpus: train a target and a filter, audit the filter, protect sounds."""
    with shared.needs("audit"):
        from sottovoce import demo as main_job

        found = main_job.run(out, shared.Progress())
    shared.show(found, json_, main_job.table)
