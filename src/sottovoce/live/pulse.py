"""What PulseAudio, or PipeWire in its place, lists of its microphones and of who listens to them, by `pactl`."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from dataclasses import dataclass
from typing import Any

from sottovoce.errors import AudioError

# Numbers with decimal commas are no JSON, and translated listings cannot be read.
ENVIRONMENT = {"LC_ALL": "C"}
PIPE_MODULE = "module-pipe-source"
_NO_MODULE = ("4294967295", "n/a", "None")
_NUMBERED = re.compile(r"[A-Z][A-Za-z ]* #(\d+)")
_PROPERTY = re.compile(r'\t\t([^\s=]+) = "(.*)"')
_FIELD = re.compile(r"\t([A-Z][A-Za-z ]*): ?(.*)")


@dataclass(frozen=True)
class Source:
    """A microphone of the form "s16le 1ch 16000Hz", which `module` reads from `pipe`.

    `module` is "" where no module made it, None where the server does not list it.
    """

    index: str
    name: str
    form: str
    module: str | None
    pipe: str


def sources() -> list[Source]:
    """All microphones, virtual ones too; AudioError where the server does not answer."""
    return [
        Source(
            one["index"],
            one["name"],
            one.get("sample_specification", ""),
            "" if (module := one.get("owner_module")) in _NO_MODULE else module,
            one["properties"].get("device.string", ""),
        )
        for one in _listed("sources")
        if "name" in one
    ]


def listeners(source: str, but_process: int = 0) -> list[str]:
    """The programs that listen to a source now, but for one process; AudioError where that is not known."""
    numbers = _numbers(source)
    return sorted(
        f"{about.get('application.name', 'a program')} ({about.get('application.process.id', '?')})"
        for about in (one["properties"] for one in _listed("source-outputs") if one.get("source") in numbers)
        if about.get("application.process.id") != str(but_process)
    )


def hold(source: str, process: int) -> None:
    """Keep a process that records at a source: a server moves it where the default changes, even to what it feeds."""
    numbers = _numbers(source)
    for one in _listed("source-outputs"):
        if one["properties"].get("application.process.id") == str(process) and one.get("source") not in numbers:
            pactl("move-source-output", one["index"], source)


def default_source() -> str:
    """The name of the microphone that programs get when they do not choose."""
    return pactl("get-default-source").strip()


def is_pipewire() -> bool:
    """Whether the server that answers is PipeWire."""
    return "PipeWire" in pactl("info")


def pipe_modules() -> list[tuple[str, dict[str, str]]]:
    """The number and the arguments of each module that reads a microphone from a pipe."""
    # Other modules' arguments have several lines, and the JSON of modules lacks their numbers.
    lines = re.findall(rf"^(\d+)\t{PIPE_MODULE}\t(.*)$", pactl("list", "short", "modules"), re.MULTILINE)
    return [(number, dict(_assignments(arguments))) for number, arguments in lines]


def _assignments(arguments: str) -> list[tuple[str, str]]:
    try:
        words = shlex.split(arguments)
    except ValueError:  # an open quotation mark
        words = arguments.split()
    return [(key, value) for key, equal, value in (word.partition("=") for word in words) if equal]


def pactl(*words: str) -> str:
    """What the sound server's own tool prints; AudioError where it fails."""
    try:
        done = subprocess.run(
            ["pactl", *words], capture_output=True, timeout=10, check=False, env={**os.environ, **ENVIRONMENT}
        )
    except OSError as error:
        raise AudioError(
            "there is no program `pactl`, which controls PulseAudio and PipeWire; install pulseaudio-utils."
        ) from error
    except subprocess.TimeoutExpired as error:
        raise AudioError("the sound server does not answer within 10 s; start it again.") from error
    if done.returncode:
        reason = " ".join(done.stderr.decode(errors="replace").split())
        raise AudioError(f"the sound server refused '{' '.join(words[:2])}' ({reason}); is it running?")
    return done.stdout.decode(errors="replace")


def _numbers(source: str) -> set[str]:
    """The indices of the sources of this name, of which there are some."""
    numbers = {one.index for one in sources() if one.name == source}
    if not numbers:
        raise AudioError(f"the sound server does not list a source {source!r}; see `pactl list short sources`.")
    return numbers


def _listed(what: str) -> list[dict[str, Any]]:
    """Entries as text by key, but for `properties`; from JSON, else from text, which older servers' tools print."""
    try:
        entries = json.loads(pactl("--format=json", "list", what), strict=False)
        if isinstance(entries, list):
            return [_plain(one) for one in entries]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, AudioError):
        pass
    return _parsed(pactl("list", what))


def _plain(one: dict[str, Any]) -> dict[str, Any]:
    """An entry of `pactl`'s JSON, with numbers as text."""
    properties = {key: str(value) for key, value in (one.get("properties") or {}).items()}
    return {key: str(value) for key, value in one.items()} | {"index": str(one["index"]), "properties": properties}


def _parsed(text: str) -> list[dict[str, Any]]:
    """Entries of `pactl list` in English; what a program writes into its own properties changes no other line."""
    entries: list[dict[str, Any]] = []
    for line in text.splitlines():
        if number := _NUMBERED.fullmatch(line):
            entries.append({"index": number[1], "properties": {}})
        elif entries and (about := _PROPERTY.fullmatch(line)):
            entries[-1]["properties"].setdefault(about[1], about[2])
        elif entries and (field := _FIELD.fullmatch(line)):
            entries[-1].setdefault(field[1].lower().replace(" ", "_"), field[2])
    return entries
