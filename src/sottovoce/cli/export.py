"""The verb `export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sottovoce.cli import shared, targets
from sottovoce.cli.shared import FilterName, Json, app
from sottovoce.errors import ConfigError


@app.command()
def export(
    filter_: FilterName,
    to: Annotated[str, typer.Option(help="onnx.")] = "onnx",
    out: Annotated[Path | None, typer.Option(help="Folder to write.")] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="In 8 bits; with a corpus, all of it, else its weights.")
    ] = False,
    corpus: Annotated[str | None, typer.Option(help="Audit the filter and what is made of it on NAME:PATH.")] = None,
    attackers: Annotated[str, typer.Option(help="quick, standard or thorough.")] = "quick",
    target: Annotated[str | None, typer.Option(help="Targets that judge, if the filter's folder holds none.")] = None,
    task: targets.Task = None,
    classes: targets.Classes = None,
    sample_rate: targets.SampleRate = None,
    check: Annotated[bool, typer.Option("--check", help="Only make the golden vectors of an export again.")] = False,
    workers: Annotated[int, typer.Option(help="Attackers side by side, one thread each.", min=1)] = 1,
    json_: Json = False,
) -> None:
    """Write a filter as one folder to take elsewhere: its graphs and golden vectors. Exit status 1 where it is off."""
    from sottovoce.models.codewords import describe
    from sottovoce.runtime import bundled, golden

    if to != "onnx":
        raise ConfigError(f"--to is {to!r}; expected onnx, the only form there is.")
    folder = bundled.find(filter_)
    if check:
        shared.show(
            golden.check(folder), json_, lambda found: f"the same here: off by at most {max(found.values()):.2g}"
        )
        return
    if out is None:
        raise ConfigError("--out is missing; name the folder to write.")
    with shared.needs("audit"):
        from sottovoce.jobs import export as job

        judges = targets.targets(target, task, classes, sample_rate)
        wanted = job.ExportConfig(folder, out, int8, corpus, attackers, judges, workers, shared.command())
        card = job.export(wanted, shared.Progress())
    text = f"{len(card['files'])} files, off by at most {max(card['parity'].values()):.2g}; wrote {out}"
    shared.show(card, json_, lambda _: f"{text}\n{describe(card)}".rstrip())
