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
    to: Annotated[str, typer.Option(help="Form of the export: onnx, or web for a page in a browser.")] = "onnx",
    out: Annotated[Path | None, typer.Option(help="Folder to write.")] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="Store 8-bit weights. With --corpus, the computation is in 8 bits as well.")
    ] = False,
    corpus: Annotated[
        str | None, typer.Option(help="Audit both the filter and its export on this corpus (NAME:PATH).")
    ] = None,
    attackers: Annotated[str, typer.Option(help="How many attackers to try: quick, standard or thorough.")] = "quick",
    target: Annotated[
        str | None, typer.Option(help="Targets that measure the permitted tasks, if the filter folder holds none.")
    ] = None,
    task: targets.Task = None,
    classes: targets.Classes = None,
    sample_rate: targets.SampleRate = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Recompute the reference outputs of an exported folder (given as FILTER) on this machine, and "
            "compare them. Writes nothing.",
        ),
    ] = False,
    runtime: Annotated[
        Path | None,
        typer.Option(help="With --to web: the package of onnxruntime-web, as `npm pack` writes it."),
    ] = None,
    workers: Annotated[int, typer.Option(help="Number of attackers that run in parallel, one thread each.", min=1)] = 1,
    json_: Json = False,
) -> None:
    """Write a filter as a folder for other machines, with its graphs and golden vectors.

    Golden vectors are a reference input and its outputs.
    Exit with status 1 if the exported filter does not reproduce the reference outputs.
    """
    from sottovoce.models.codewords import describe
    from sottovoce.runtime import bundled, golden

    if to not in ("onnx", "web"):
        raise ConfigError(f"--to is {to!r}; expected onnx, or web for a page that runs the filter in a browser.")
    folder = bundled.find(filter_)
    if to == "web":
        if check or int8 or corpus:
            raise ConfigError("--to web takes no --check, --int8 or --corpus; export to a folder with them, then that.")
        _page(folder, out, runtime, json_)
        return
    if runtime:
        raise ConfigError("--runtime is for browsers; expected it with --to web alone.")
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
        config = job.ExportConfig(folder, out, int8, corpus, attackers, judges, workers, shared.command())
        card = job.export(config, shared.Progress())
    text = f"{len(card['files'])} files, off by at most {max(card['parity'].values()):.2g}; wrote {out}"
    shared.show(card, json_, lambda _: f"{text}\n{describe(card)}".rstrip())


def _page(folder: Path, out: Path | None, runtime: Path | None, json_: bool) -> None:
    """Write the page that runs this filter in a browser."""
    if out is None:
        raise ConfigError("--out is missing; name the folder to write.")
    with shared.needs("audit"):
        from sottovoce.jobs.web import export_web

        card = export_web([folder], out, runtime)
    megabytes = sum((out / name).stat().st_size for name in card["files"]) / 1e6
    serve = f"to open it: python -m http.server --bind 127.0.0.1 --directory {out}"
    shared.show(card, json_, lambda _: f"{len(card['files'])} files, {megabytes:.1f} MB; wrote {out}\n{serve}")
