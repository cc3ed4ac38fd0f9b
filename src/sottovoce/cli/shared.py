"""What the verbs of the command line share: the application, options that recur, printing, and the way out."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from sottovoce import redaction
from sottovoce.errors import MissingExtraError
from sottovoce.progress import Progress

__all__ = ["Progress"]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Lets an audio application hear only what was permitted. Exit status: 0 fine, 1 the finding is bad, "
    "2 usage or bad input.",
    pretty_exceptions_enable=False,
)

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Corpus = Annotated[str, typer.Option(help="NAME:PATH, such as ravdess:PATH, folder:PATH, csv:FILE; or voices.")]
FilterName = Annotated[
    str, typer.Argument(metavar="FILTER", help="Filter folder, or the name of one that comes along.")
]
Permit = Annotated[str | None, typer.Option(help="What may be heard, with commas; default: all it can.")]
Out = Annotated[Path, typer.Option(help="Folder to write.")]
Preset = Annotated[str, typer.Option(help="compact (minutes on two cores) or paper (sizes of the paper).")]
Seed = Annotated[int, typer.Option(help="Seed of all randomness but the split.", min=0)]
Split = Annotated[
    str | None,
    typer.Option(help="utterance, speaker, official or fragment (no evidence); default: as the corpus suggests."),
]


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Within, a missing package is answered with how to install it."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"this command needs {error.name}, which is not installed: pip install 'sottovoce[{extra}]'."
        ) from error


def show(found: Any, as_json: bool, text: Any) -> None:
    typer.echo(json.dumps(found, indent=1) if as_json else text(found))


def cut(corpus: str, split: str | None) -> str:
    """The corpus that a split is made of: fragments where it is by fragment."""
    return f"fragments:{corpus}" if split == "fragment" and not corpus.startswith("fragments:") else corpus


def names(text: str | None) -> tuple[str, ...]:
    """What was given with commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip()) if text else ()


def places(text: str | None) -> tuple[Path | str, ...]:
    """Paths that were given with commas; an address stays text."""
    return tuple(name if "://" in name else Path(name) for name in names(text))


def command() -> str:
    """The command line as cards and results keep it: without secrets, user names and folders."""
    return redaction.command(["sottovoce", *sys.argv[1:]])
