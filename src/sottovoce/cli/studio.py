"""The verb `studio`: a local page with the filters and audits of this machine."""

from __future__ import annotations

import secrets
import signal
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from sottovoce import private, terminal
from sottovoce.cli import shared
from sottovoce.cli.shared import CORPUS_HELP, Json, app
from sottovoce.corpora.store import cache_folder


@app.command()
def studio(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[DIR]...",
            help="Folders of audits, filters or protected recordings, or folders of these; default: this folder.",
        ),
    ] = None,
    corpus: Annotated[
        list[str] | None,
        typer.Option(help=f"Recordings that an audit may be started on; repeat for several. {CORPUS_HELP}"),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for audits that are started on the page.")] = Path("audits"),
    port: Annotated[int, typer.Option(help="Port to listen at; 0 takes any free port.", min=0, max=65535)] = 0,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in the standard browser.")] = False,
    runtime: Annotated[
        Path | None, typer.Option(help="The package of onnxruntime-web, as `npm pack` writes it.")
    ] = None,
    json_: Json = False,
) -> None:
    """Show filters, audits and progress on a page of this machine alone, and print its address. Ctrl-C ends it.

    The address holds for one browser, and only once. Audits that were started on the page continue when this ends.
    """
    with shared.needs("audit"):
        from sottovoce.studio.machine import Machine
        from sottovoce.studio.pages import pages
        from sottovoce.studio.server import Studio

        machine = Machine(tuple(folders or [Path()]), tuple(dict.fromkeys([*(corpus or ()), "voices"])), out)
        files, missing = pages(machine.filters(), runtime)
    for sentence in missing:
        terminal.complain(f"sottovoce: {sentence}")
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with Studio(machine, files, port) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = server.access.url
        shared.show({"url": url}, json_, lambda _: f"open {url} in a browser of this machine; Ctrl-C ends the page")
        with _opened(url if open_ else None):
            ended.wait()
        server.shutdown()


@contextmanager
def _opened(url: str | None) -> Iterator[None]:
    """Within, a browser shows the address, by a file for this user alone: others can see the arguments of programs."""
    if url is None:
        yield
        return
    place = cache_folder() / "studio" / f"open-{secrets.token_hex(8)}.html"
    private.write_private(place, f'<!doctype html><meta http-equiv="refresh" content="0; url={url}">'.encode())
    try:
        if not webbrowser.open(place.as_uri()):
            terminal.complain("sottovoce: no browser could be opened; open the address yourself.")
        yield
    finally:
        place.unlink(missing_ok=True)
