"""How the command line names targets: where each is, and what it recognises where it does not state that itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from sottovoce.cli import shared
from sottovoce.errors import ConfigError
from sottovoce.files import LARGEST_JSON_BYTES, read_bytes

T = TypeVar("T")

PLACES = "a target folder, an ONNX file, MODULE:FUNCTION in Python, or an address http://"
_EACH = "For several targets one each, in order, with"
Task = Annotated[str | None, typer.Option(help=f"What a target recognises, if it does not state that. {_EACH} commas.")]
Classes = Annotated[
    str | None,
    typer.Option(help=f"Its classes in the order of its scores: a,b,c or a file of one a line. {_EACH} semicolons."),
]
SampleRate = Annotated[str | None, typer.Option(help=f"Rate of the sound that it takes, in Hz. {_EACH} commas.")]


def targets(
    text: str | None, task: str | None, classes: str | None, sample_rate: str | None, tasks: Sequence[str] = ()
) -> tuple[Path | str, ...]:
    """The targets that were named, each with the metadata that were given for it.

    `tasks` are what targets have to recognise for which no task was given. ConfigError for metadata that fit no target.
    """
    places = shared.places(text)
    count = len(places)
    named = _each("--task", task, ",", count, str) if task else [*tasks, *[None] * count][:count]
    listed = _each("--classes", classes, ";", count, _classes)
    rates = _each("--sample-rate", sample_rate, ",", count, _rate)
    if not any([*named, *listed, *rates]):
        return places
    from sottovoce.models.target_metadata import TargetMetadata, TargetName

    names = shared.names(text)
    return tuple(
        TargetName.of(name, TargetMetadata(*metadata))
        for name, metadata in zip(names, zip(named, listed, rates, strict=True), strict=True)
    )


def _each(option: str, text: str | None, separator: str, count: int, read: Callable[[str], T]) -> list[T | None]:
    """What an option gives for each of `count` targets; nothing between two separators is nothing for that target."""
    if text is None:
        return [None] * count
    values = [part.strip() for part in text.split(separator)]
    if len(values) != count:
        raise ConfigError(f"{option} names {len(values)} values for {count} targets; expected one each, in order.")
    return [read(value) if value else None for value in values]


def _classes(text: str) -> tuple[str, ...]:
    """Names with commas, or the lines of a file."""
    if os.path.isfile(text):
        try:
            names = tuple(read_bytes(Path(text), LARGEST_JSON_BYTES).decode("utf-8-sig").splitlines())
        except UnicodeDecodeError as error:
            raise ConfigError(f"{text} is not UTF-8; expected a text file of one class a line: save it so.") from error
        names = tuple(name.strip() for name in names if name.strip())
    else:
        names = shared.names(text)
    if len(set(names)) != len(names) or len(names) < 2:
        raise ConfigError(f"--classes is {text!r}; expected two different names or more, or a file of one a line.")
    return names


def _rate(text: str) -> int:
    from sottovoce.models.target_metadata import checked_rate

    try:
        return checked_rate(int(text))
    except ValueError as error:
        raise ConfigError(f"--sample-rate is {text!r}; expected whole Hz, 4000 to 384000, such as 16000.") from error
