"""How the command line names targets: where each is, and what it recognises where it does not state that itself."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from sottovoce.cli import shared
from sottovoce.errors import ConfigError
from sottovoce.files import LARGEST_JSON_BYTES, read_bytes

PLACES = "a target folder, an ONNX file, MODULE:FUNCTION in Python, or an address http://"
_EACH = "For several targets, give one value each, in order, separated by"
Task = Annotated[
    str | None, typer.Option(help=f"Task of the target, where the target does not state it. {_EACH} commas.")
]
Classes = Annotated[
    str | None,
    typer.Option(
        help=f"Classes of the target in the order of its scores: a,b,c, or a file with one on each line. {_EACH} "
        "semicolons."
    ),
]
SampleRate = Annotated[
    str | None, typer.Option(help=f"Sample rate that the target expects, in Hz; default 16000. {_EACH} commas.")
]


def targets(
    text: str | None,
    task: str | None,
    classes: str | None,
    sample_rate: str | None,
    tasks: Sequence[str] = (),
    judges: Sequence[str] = (),
) -> tuple[Path | str, ...]:
    """The targets that were named, then the judges, each with the metadata that were given for it.

    `tasks` are what targets have to recognise where no task is given. ConfigError for metadata that fit no target.
    """
    texts = [text, *judges]
    places = tuple(place for each in texts for place in shared.places(each))
    if len(tasks) not in (0, len(places)) or not (task or classes or sample_rate or tasks):
        return places  # where the numbers differ, training says so
    from sottovoce.models.target_metadata import TargetMetadata, TargetName, checked_rate

    rows = zip(
        [name for each in texts for name in shared.names(each)],
        _each("--task", task or ",".join(tasks), ",", len(places)),
        _each("--classes", classes, ";", len(places)),
        _each("--sample-rate", sample_rate, ",", len(places)),
        strict=True,
    )
    try:
        return tuple(
            TargetName.of(name, TargetMetadata(what or None, _classes(some), checked_rate(int(hz)) if hz else None))
            for name, what, some, hz in rows
        )
    except ValueError as error:
        raise ConfigError(f"--sample-rate is {sample_rate!r}; expected whole Hz, such as 16000 ({error}).") from error


def _each(option: str, text: str | None, separator: str, count: int) -> list[str]:
    """What an option gives for each of `count` targets; empty where it gives nothing for one."""
    values = text.split(separator) if text else [""] * count
    if len(values) != count:
        raise ConfigError(f"{option} names {len(values)} values for {count} targets; expected one each, in order.")
    return [value.strip() for value in values]


def _classes(text: str) -> tuple[str, ...] | None:
    """Names with commas, or the lines of a file."""
    if os.path.isfile(text):
        lines = read_bytes(Path(text), LARGEST_JSON_BYTES).decode("utf-8-sig", "replace").splitlines()
        names = tuple(line.strip() for line in lines if line.strip())
    else:
        names = shared.names(text)
    if text and (len(set(names)) != len(names) or len(names) < 2):
        raise ConfigError(f"--classes is {text!r}; expected two different names or more, or a file of one a line.")
    return names or None
