"""The verbs of `sottovoce corpora`: list, check and fetch."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from sottovoce import terminal
from sottovoce.cli import shared
from sottovoce.cli.shared import Json, Out, app
from sottovoce.errors import ConfigError

corpora = typer.Typer(no_args_is_help=True, help="List, check or download corpora.")
app.add_typer(corpora, name="corpora")


@corpora.command("list")
def corpora_list(json_: Json = False) -> None:
    """List the corpora that are known by name."""
    from sottovoce.corpora.catalogue import CORPORA

    rows = [
        {"name": name, "title": c.title, "labels": list(c.labels), "licence": c.licence, "layout": c.layout}
        for name, c in CORPORA.items()
    ]
    lines = [
        f"{r['name']:15} {r['title']}; labels: {', '.join(r['labels']) or 'its own'}; {r['licence']}" for r in rows
    ]
    shared.show(rows, json_, lambda _: "\n".join(lines))


@corpora.command("check")
def corpora_check(
    spec: Annotated[
        str,
        typer.Argument(
            help="NAME:PATH, such as folder:recordings or csv:clips.csv; or voices, the built-in synthetic corpus."
        ),
    ],
    all_: Annotated[bool, typer.Option("--all", help="Print every note; --json always does.")] = False,
    json_: Json = False,
) -> None:
    """Decode every file of a corpus and name its defects. Exit with status 1 if a clip is unusable.

    Your own recordings: folder:PATH takes LABEL/*.wav, or a metadata.csv with the column file_name; csv:PATH takes a
    table with the column path. Both may have the columns speaker, gender and any other label; start_s with duration_s
    or end_s, in seconds, for a slice of a recording; and split (train, validation or test).
    """
    from sottovoce.corpora import corpus

    with shared.needs("voices"):
        found, usable = corpus.check(spec, shared.Progress())
    shared.show(found, json_, lambda found: corpus.text(found, every_note=all_))
    if not usable:
        raise typer.Exit(1)


@corpora.command("fetch")
def corpora_fetch(
    name: Annotated[
        str, typer.Argument(help="Name of the corpus, such as ravdess, fsdd or librispeech; an unknown name lists all.")
    ],
    out: Out,
    mirror: Annotated[str | None, typer.Option(help="Address to fetch from, in place of the official one.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Accept the licence without being asked.")] = False,
    json_: Json = False,
) -> None:
    """Download and unpack the official release, after showing its licence. An interrupted download resumes."""
    from sottovoce.corpora import download

    terminal.note(f"{terminal.printable(download.terms(name, mirror), keep=chr(10))}\n")
    if not yes:
        if not sys.stdin.isatty():
            raise ConfigError("the licence has to be accepted: run this in a terminal, or add --yes.")
        if not typer.confirm("Fetch it under this licence?", err=True):
            raise ConfigError("nothing was fetched, since the licence was not accepted.")
    found = download.fetch(name, out, mirror, shared.Progress())
    shared.show(found, json_, lambda _: f"{len(found['archives'])} archives unpacked; use it as {found['spec']}")
