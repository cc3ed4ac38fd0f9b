"""The verb `demo`."""

from __future__ import annotations

from pathlib import Path

from sottovoce.cli import shared
from sottovoce.cli.shared import Json, Out, app


@app.command()
def demo(out: Out = Path("demo"), json_: Json = False) -> None:
    """The main job from nothing: built-in corpus, target, filter, audit, protected sound, report."""
    with shared.needs("audit"):
        from sottovoce import demo as main_job

        found = main_job.run(out, shared.Progress())
    shared.show(found, json_, main_job.table)
