"""The verbs that run a filter; they need nothing of the training parts."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sottovoce import terminal
from sottovoce.cli import shared
from sottovoce.cli.shared import FilterName, Json, app
from sottovoce.errors import ConfigError, SottovoceError

if TYPE_CHECKING:
    from sottovoce.runtime.filter import Filter


filters = typer.Typer(no_args_is_help=True, help="The filters that come along, and all that a filter can say.")
app.add_typer(filters, name="filters")


@app.command()
def protect(
    places: Annotated[
        list[str],
        typer.Argument(
            metavar="[FILTER] IN OUT",
            help="Filter folder (may be left out with --permit), and a sound file, a folder, or - for raw s16le PCM.",
        ),
    ],
    permit: Annotated[str | None, typer.Option(help="What may be heard, with commas; default: all it can.")] = None,
    constant: Annotated[int, typer.Option(help="Blocks for every sound, so that its length is hidden.", min=0)] = 0,
    sample_rate: Annotated[
        int | None,
        typer.Option(
            "--rate", "--sample-rate", help="Hz of every output (and of - as input); default: as its original."
        ),
    ] = None,
    format_: Annotated[
        str | None, typer.Option("--format", help="wav, flac or ogg for every output; default: as its original.")
    ] = None,
    rename: Annotated[
        Path | None,
        typer.Option(metavar="MAPPING.csv", help="Give outputs random names; write here, outside OUT, whose is which."),
    ] = None,
    workers: Annotated[int, typer.Option(help="Files of a folder worked on at once.", min=1)] = 1,
    json_: Json = False,
) -> None:
    """Pass sound through a filter; needs no training parts. Exit status 2 if a sound file could not be protected."""
    from sottovoce.runtime import files

    if len(places) not in (2, 3):
        raise ConfigError(f"got {len(places)} places; expected FILTER IN OUT, or IN OUT with --permit.")
    source, out = map(Path, places[-2:])
    loaded = chosen_filter(places[0] if len(places) == 3 else None, permit, constant)
    if str(source) == "-":
        if str(out) != "-":
            raise ConfigError(f"- as input needs - as output, got {str(out)!r}.")
        if format_ or rename:
            raise ConfigError("raw PCM has no format and no name; leave out --format and --rename.")
        files.protect_stream(loaded, terminal.binary_input(), terminal.binary_output(), sample_rate or 16000)
        return
    progress, began = shared.Progress(), time.monotonic()
    outcome = files.protect(
        loaded,
        source,
        out,
        sample_rate,
        lambda done, total: progress(done, total, "protecting"),
        workers,
        format_,
        rename,
    )
    seconds = time.monotonic() - began
    if not source.is_dir() and outcome.failed:
        raise SottovoceError(*outcome.failed.values())
    skipped: dict[str, list[str]] = {}
    for path, reason in outcome.skipped.items():
        skipped.setdefault(reason, []).append(str(path.relative_to(source)))
    found = {
        "files": len(outcome.done),
        "finished_before": len(outcome.finished),
        "seconds_of_audio": round(outcome.seconds_of_audio, 2),
        "times_real_time": round(outcome.seconds_of_audio / seconds, 1),
        "failed": {str(path): reason for path, reason in outcome.failed.items()},
        "skipped": skipped,
    }
    before = f" ({len(outcome.finished)} were finished before)" if outcome.finished else ""
    text = (
        f"{found['files']} files{before}, {found['seconds_of_audio']} s of sound, "
        f"{found['times_real_time']} times real time"
    )
    shared.show(found, json_, lambda _: text)
    for reason, names in skipped.items():
        terminal.complain(f"sottovoce: {len(names)} left aside, {reason}: {', '.join(map(repr, sorted(names)))}")
    for reason in outcome.failed.values():
        terminal.complain(f"sottovoce: {reason}")
    if outcome.failed:
        raise typer.Exit(2)


@filters.command("list")
def filters_list(json_: Json = False) -> None:
    """The filters that come along, and what they can permit."""
    from sottovoce.runtime import shipped

    shared.show(
        {name: list(tasks) for name, tasks in shipped.known().items()},
        json_,
        lambda found: "\n".join(f"{name:20} permits {', '.join(tasks)}" for name, tasks in found.items()),
    )


@filters.command("show")
def filters_show(
    filter_: FilterName,
    out: Annotated[Path, typer.Option(help="Page to write.")] = Path("words.html"),
    json_: Json = False,
) -> None:
    """Every word that can ever leave a codebook filter, to see and to hear, on one page."""
    with shared.needs("audit"):
        from sottovoce.report.codewords_page import write_codewords_page

        count = write_codewords_page(chosen_filter(filter_, None, 0), out)
    shared.show({"words": count, "page": str(out)}, json_, lambda _: f"{count} words; open {out}")


def chosen_filter(name: str | None, permit: str | None, constant: int) -> Filter:
    """The filter of that name or folder, or else the one that comes along for these tasks, switched to them."""
    from sottovoce.runtime import shipped
    from sottovoce.runtime.filter import Filter

    tasks = shared.names(permit)
    loaded = Filter.load(shipped.for_tasks(tasks) if name is None else shipped.found(name))
    if permit is not None:
        loaded = loaded.permitting(tasks)
    return loaded.constant(constant) if constant else loaded
