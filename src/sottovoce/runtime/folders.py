"""The sound files of a folder, and what else is in it: nothing is left out of the account."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from sottovoce.audio import io

SOUND_ENDINGS = {
    *(".wav", ".wave", ".bwf", ".rf64", ".w64", ".flac", ".ogg", ".oga", ".opus", ".spx", ".mp3", ".mp2", ".mpga"),
    *(".m4a", ".m4b", ".mp4", ".mov", ".3gp", ".aac", ".ac3", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf"),
    *(".webm", ".mka", ".mkv", ".wma", ".asf", ".amr", ".ape", ".wv", ".voc", ".sph", ".pcm", ".gsm"),
}
_SOUND_BEGINNINGS = (b"RIFF", b"RIFX", b"RF64", b"fLaC", b"OggS", b"ID3")


@dataclass
class Contents:
    """The sound files of a folder, sorted; what could not be looked at, and what was left aside, each with why."""

    sounds: list[Path] = field(default_factory=list)
    failed: dict[Path, str] = field(default_factory=dict)
    skipped: dict[Path, str] = field(default_factory=dict)


def contents(folder: Path) -> Contents:
    """All that is in `folder` and in the folders in it.

    A sound file is what has the ending of one, or begins like one. A linked folder is followed once, after all others,
    unless it is done already or holds `folder` itself. What is hidden is left aside.
    """
    listed, done = Contents(), {os.path.realpath(folder)}
    waiting, linked = deque([folder]), deque[Path]()
    while waiting or linked:
        place = waiting.popleft() if waiting else linked.popleft()
        real = os.path.realpath(place)
        if place != folder and (real in done or os.path.realpath(folder).startswith(os.path.join(real, ""))):
            listed.skipped[place] = "links to folders that are done already, or that hold this one"
            continue
        done.add(real)
        try:
            entries = sorted(os.scandir(place), key=lambda entry: entry.name)
        except OSError as error:
            listed.failed[place] = f"{io.file_name(place)}: a folder that cannot be read ({error.strerror})."
            continue
        for entry in entries:
            path = place / entry.name
            if entry.name.startswith("."):
                listed.skipped[path] = "hidden"
            elif os.path.isdir(path):
                (linked if entry.is_symlink() else waiting).append(path)
            elif path.suffix.lower() in SOUND_ENDINGS or _begins_like_sound(path):
                listed.sounds.append(path)
            else:
                listed.skipped[path] = "not sound"
    listed.sounds.sort()
    return listed


def _begins_like_sound(path: Path) -> bool:
    if not path.is_file():  # opening a pipe would wait for ever
        return False
    try:
        with open(path, "rb") as file:
            return file.read(4).startswith(_SOUND_BEGINNINGS)
    except OSError:
        return False
