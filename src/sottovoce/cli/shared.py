"""What the commands share: the application, options that recur, printing, and exit statuses."""

from __future__ import annotations

import errno
import itertools
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from sottovoce import __version__, redaction, terminal
from sottovoce.errors import ConfigError, MissingExtraError
from sottovoce.progress import Progress
from sottovoce.training.settings import LARGEST_SEED

__all__ = ["Progress"]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Lets an audio application receive only what its user permitted. Exit status: 0 success; 1 a check "
    "failed (a leak, an invalid audit, a difference); 2 wrong usage or input; 70 an internal error.",
    pretty_exceptions_enable=False,
)


def _print_version(requested: bool) -> None:
    if requested:
        terminal.say(f"sottovoce {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    pass


# The base of all complaints about arguments, ClickException, which has no public name in every version of typer.
_MISUSE: Any = typer.BadParameter.__mro__[2]

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
CORPUS_HELP = "NAME:PATH, such as ravdess:PATH, folder:PATH, csv:FILE; or voices, the built-in synthetic corpus."
Corpus = Annotated[str, typer.Option(help=CORPUS_HELP)]
FilterName = Annotated[str, typer.Argument(metavar="FILTER", help="Filter folder, or the name of a bundled filter.")]
Permit = Annotated[
    str | None, typer.Option(help="Tasks to permit, separated by commas; default: all that the filter can permit.")
]
ShardOption = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="I/N",
        help="Run only part I of N, so that N machines share the work; the same command without this option then "
        "collects the results.",
    ),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        metavar="tcp://HOST:PORT",
        help="Run on the workers of this Dask scheduler instead of this machine; it must be one that you trust with "
        "your recordings.",
    ),
]
Device = Annotated[
    str | None,
    typer.Option(
        help="What networks are trained on: cpu, cuda, cuda:N, or auto, which is a GPU if there is one. Default: auto, "
        "or what SOTTOVOCE_DEVICE says."
    ),
]
Precision = Annotated[
    str | None,
    typer.Option(
        help="float32; or bfloat16, in which products of matrices are faster on GPUs and some processors, and results "
        "differ a little. Default: float32, or what SOTTOVOCE_PRECISION says."
    ),
]
Out = Annotated[Path, typer.Option(help="Folder to write.")]
Seed = Annotated[int, typer.Option(help="Seed of all randomness except the split.", min=0, max=LARGEST_SEED)]
Split = Annotated[
    str | None,
    typer.Option(
        help="utterance, speaker, official, or fragment (pieces of one recording fall on both sides, so scores are "
        "too high; for comparison with the paper only); default: as the corpus suggests."
    ),
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


@contextmanager
def cluster(address: str | None) -> Iterator[None]:
    """Within, calls in parallel run on the workers of a Dask scheduler, if there is an address."""
    from sottovoce.cluster import connected

    with needs("cluster") if address else nullcontext(), connected(address):
        yield


def run() -> int:
    """Do what the arguments of the process say; returns the exit status."""
    # Not as typer does it itself: it ends with 1 also for a reader that leaves, which is no bad finding.
    try:
        status = app(prog_name="sottovoce", standalone_mode=False)
    except typer.Abort:
        raise ConfigError("nothing was done, since the question was not answered.") from None
    except SystemExit as left:
        if left.code != 1:
            raise
        if "--help" in sys.argv:  # whose reader has left
            return 0
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)) from None
    except _MISUSE as error:
        return _misused(error)
    return status if isinstance(status, int) else 0


def _misused(error: Any) -> int:
    """Say what is wrong with the arguments."""
    context = getattr(error, "ctx", None)
    message = error.format_message().strip()
    if context is None or not message or "\n" in message:  # a group without a verb: this is its help
        terminal.note(f"{message}\n" if message else "")
    else:
        terminal.note(terminal.printable(f"{context.get_usage()}\n", keep="\n"))
        terminal.complain(f"sottovoce: {message.rstrip('.')}; `{context.command_path} --help` says more.")
    return 2


def show(result: Any, as_json: bool, text: Callable[[Any], str]) -> None:
    """Print a result: all of it as JSON, or what `text` makes of it."""
    if as_json:
        terminal.say(json.dumps(result, indent=1).replace("\x7f", "\\u007f"))
    else:
        terminal.say(text(terminal.cleaned(result)))


def cut(corpus: str, split: str | None) -> str:
    """The corpus that a split is made of: fragments where it is by fragment."""
    return f"fragments:{corpus}" if split == "fragment" and not corpus.startswith("fragments:") else corpus


def names(text: str | None) -> tuple[str, ...]:
    """What was given with commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip()) if text else ()


def places(text: str | None) -> tuple[Path | str, ...]:
    """Paths that were given with commas; an address stays text.

    ConfigError where a comma after an address may be part of its query or password.
    """
    listed = tuple(name if redaction.is_address(name) else Path(name) for name in names(text))
    after = list(itertools.dropwhile(lambda place: isinstance(place, Path), listed))
    if any(isinstance(place, Path) for place in after) and re.search("[?#;@]", ",".join(map(str, after))):
        raise ConfigError(
            "a comma follows an address with a query or a password; expected a path or another address after it: name "
            "paths before addresses, and write a comma within an address as %2C."
        )
    return listed


def command() -> str:
    """The command line as cards and results keep it: without secrets, user names and folders."""
    return redaction.command(["sottovoce", *sys.argv[1:]])
