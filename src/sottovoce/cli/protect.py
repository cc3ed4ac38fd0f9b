"""The verb `protect`; it needs nothing of the training parts."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from sottovoce import terminal
from sottovoce.cli import shared
from sottovoce.cli.filters import chosen_filter
from sottovoce.cli.shared import Json, app
from sottovoce.errors import ConfigError, SottovoceError


@app.command()
def protect(
    places: Annotated[
        list[str],
        typer.Argument(
            metavar="[FILTER] IN OUT",
            help="Filter (optional with --permit), input (a sound file, a folder, or - for raw s16le PCM), and output.",
        ),
    ],
    permit: Annotated[
        str | None, typer.Option(help="Tasks to permit, separated by commas; default: all that the filter can permit.")
    ] = None,
    constant: Annotated[
        int,
        typer.Option(
            help="Send this many blocks for every sound, so that its length is hidden; 0 sends as many as the sound "
            "has.",
            min=0,
        ),
    ] = 0,
    sample_rate: Annotated[
        int | None,
        typer.Option(
            "--rate",
            "--sample-rate",
            help="Sample rate of outputs (and of - as input), in Hz; default: that of the original.",
        ),
    ] = None,
    output: Annotated[
        str, typer.Option(help="What to write: sound, or labels: a row of time, task and class for each block.")
    ] = "sound",
    format_: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="Format of outputs: wav, flac or ogg (default: that of the original); csv or jsonl for labels "
            "(default: by the name OUT, or csv; jsonl for -).",
        ),
    ] = None,
    rename: Annotated[
        Path | None,
        typer.Option(
            metavar="MAPPING.csv",
            help="Give outputs random names, and write the table of originals to this file outside OUT.",
        ),
    ] = None,
    workers: Annotated[int, typer.Option(help="How many files of a folder to process at once.", min=1)] = 1,
    json_: Json = False,
) -> None:
    """Pass sound files, a folder or raw PCM through a filter. Exit with status 2 if a file could not be protected."""
    from sottovoce.runtime import files

    if len(places) not in (2, 3):
        raise ConfigError(f"got {len(places)} places; expected FILTER IN OUT, or IN OUT with --permit.")
    if output not in files.FORMATS:
        raise ConfigError(f"--output is {output!r}; expected {' or '.join(files.FORMATS)}.")
    source, out = map(Path, places[-2:])
    loaded = chosen_filter(places[0] if len(places) == 3 else None, permit, constant)
    if str(source) == "-":
        if str(out) != "-":
            raise ConfigError(f"- as input needs - as output, got {str(out)!r}.")
        if (output == "sound" and format_) or rename:
            raise ConfigError("raw PCM has no format and no name; leave out --format and --rename.")
        into, rate = terminal.binary_input(), sample_rate or 16000
        files.protect_stream(loaded, into, terminal.binary_output(), rate, _stream_format(output, format_))
        return
    progress, began = shared.Progress(), time.monotonic()

    def report(done: int, total: int) -> None:
        progress(done, total, "protecting")

    outcome = files.protect(loaded, source, out, sample_rate, report, workers, format_, rename, output)
    seconds = time.monotonic() - began
    if not source.is_dir() and outcome.failed:
        raise SottovoceError(*outcome.failed.values())
    skipped: dict[str, list[str]] = {}
    for path, reason in outcome.skipped.items():
        skipped.setdefault(reason, []).append(str(path.relative_to(source)))
    result = {
        "files": len(outcome.done),
        "finished_before": len(outcome.finished),
        "seconds_of_audio": round(outcome.seconds_of_audio, 2),
        "times_real_time": round(outcome.seconds_of_audio / seconds, 1),
        "failed": {str(path): reason for path, reason in outcome.failed.items()},
        "skipped": skipped,
    }
    before = f" ({len(outcome.finished)} were finished before)" if outcome.finished else ""
    text = (
        f"{result['files']} files{before}, {result['seconds_of_audio']} s of sound, "
        f"{result['times_real_time']} times real time"
    )
    shared.show(result, json_, lambda _: text)
    for reason, names in skipped.items():
        terminal.complain(f"sottovoce: {len(names)} left aside, {reason}: {', '.join(map(repr, sorted(names)))}")
    for reason in outcome.failed.values():
        terminal.complain(f"sottovoce: {reason}")
    if outcome.failed:
        raise typer.Exit(2)


def _stream_format(output: str, format_: str | None) -> str:
    """In what format a stream leaves; ConfigError for one that labels do not have."""
    from sottovoce.runtime import files

    if output == "sound":
        return "s16le"
    if format_ not in (None, *files.FORMATS[output]):
        raise ConfigError(f"--format is {format_!r}; expected {' or '.join(files.FORMATS[output])} for {output}.")
    return format_ or "jsonl"
