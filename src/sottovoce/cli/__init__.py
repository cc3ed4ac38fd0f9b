"""The command line: one thin verb per capability. Exit status: 0 fine, 1 the finding is bad, 2 usage or bad input."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import NoReturn

import typer

from sottovoce.cli import auditing, live, making, running, serving
from sottovoce.cli.shared import app
from sottovoce.corpora.cache import cache_folder
from sottovoce.errors import ParityError, SottovoceError

__all__ = ["auditing", "live", "main", "making", "running", "serving"]  # importing them is what makes the verbs known


def main() -> NoReturn:
    """Run the command line; a mistake of the caller is one sentence and exit status 2, a bad finding 1."""
    signal.signal(signal.SIGINT, _stopped)
    with suppress(RuntimeError):  # without a home folder, matplotlib takes a temporary one
        os.environ.setdefault(
            "MPLCONFIGDIR", str(cache_folder() / "matplotlib")
        )  # and not beside it in the home folder
    try:
        app(standalone_mode=True)
    except SottovoceError as error:
        typer.echo(f"sottovoce: {error}", err=True)
        sys.exit(1 if isinstance(error, ParityError) else 2)
    sys.exit(0)


def _stopped(number: int, frame: FrameType | None) -> NoReturn:
    typer.echo("sottovoce: stopped; repeat the command, and the work goes on where it was.", err=True)
    sys.exit(130)
