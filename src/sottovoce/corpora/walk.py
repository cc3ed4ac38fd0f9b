"""What lies below a folder: sounds, and by reason everything that is passed over."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from sottovoce.audio.io import ENDINGS
from sottovoce.corpora.table import named

_SYSTEM_FILES = ("thumbs.db", "desktop.ini", "ehthumbs.db")
_SYSTEM_FOLDERS = ("__macosx", "lost+found", "$recycle.bin", "system volume information", "@eadir")
_OF_ANY_RELEASE = ("readme*", "licen[cs]e*", "copying*", "citation*", "changelog*")


@dataclass(frozen=True)
class Walk:
    """The sound files below a folder, sorted; what was passed over, by the reason why; what is a link to elsewhere."""

    sounds: tuple[Path, ...]
    files: Mapping[str, Sequence[str]]  # passed over
    folders: Mapping[str, Sequence[str]]  # passed over, with all that they hold
    outside: tuple[str, ...] = ()  # sounds that are links to files which are not below the folder

    def notes(self) -> list[str]:
        """What was passed over, and what is a link to elsewhere: a sentence for each reason."""
        notes = [*skip_notes(self.folders, "folder"), *skip_notes(self.files)]
        if self.outside:
            notes.append(f"links to files outside of the folder, which are used all the same: {named(self.outside)}")
        return notes


def walk(root: Path, endings: Collection[str] = ENDINGS, companions: Collection[str] = ()) -> Walk:
    """Everything below `root`: its sounds by their endings, in any case; links to folders are not followed.

    Files whose names match `companions` (lower case, with wild cards) belong to a corpus and are not named.
    """
    sounds: list[Path] = []
    outside: list[str] = []
    files: dict[str, list[str]] = defaultdict(list)
    folders: dict[str, list[str]] = defaultdict(list)
    known = (*_OF_ANY_RELEASE, *companions)
    real_root = os.path.realpath(root)
    bare: set[str] = set()  # folders below which no sound was met
    waiting = [str(root)]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as found:
                entries = list(found)
        except OSError as error:
            if folder != str(root):
                folders[f"not to be opened ({error.strerror})"].append(_name(root, folder))
            continue
        for entry in entries:
            if os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir():
                reason = _why_no_folder(entry)
                if reason:
                    folders[reason].append(_name(root, entry.path))
                else:
                    waiting.append(entry.path)
                    bare.add(entry.path)
            elif (reason := _why_no_sound(entry, endings, known)) is None:
                sounds.append(Path(entry.path))
                place = folder
                while place in bare:
                    bare.remove(place)
                    place = os.path.dirname(place)
                if entry.is_symlink() and not os.path.realpath(entry.path).startswith(real_root + os.sep):
                    outside.append(_name(root, entry.path))
            elif reason:
                files[reason].append(_name(root, entry.path))
    if bare:
        folders["without a sound"] = [_name(root, path) for path in bare if os.path.dirname(path) not in bare]
    return Walk(tuple(sorted(sounds)), _in_order(files), _in_order(folders), tuple(sorted(outside)))


def skip_notes(skipped: Mapping[str, Sequence[str]], what: str = "file") -> list[str]:
    """A sentence for each reason: how many were skipped, why, and the first of their names."""
    return [f"{_counted(names, what)} skipped, {why}: {named(names)}" for why, names in sorted(skipped.items())]


def _counted(names: Sequence[str], what: str) -> str:
    return f"{len(names)} {what}{'' if len(names) == 1 else 's'}"


def _in_order(skipped: Mapping[str, list[str]]) -> dict[str, list[str]]:
    return {reason: sorted(names) for reason, names in skipped.items()}


def _name(root: Path, path: str) -> str:
    return Path(path).relative_to(root).as_posix()


def _why_no_folder(entry: os.DirEntry[str]) -> str | None:
    if entry.is_symlink():
        return "a link, which is not followed"
    name = entry.name.lower()
    return "hidden" if name.startswith(".") or name in _SYSTEM_FOLDERS else None


def _why_no_sound(entry: os.DirEntry[str], endings: Collection[str], known: Collection[str]) -> str | None:
    """Why a file is passed over: None if it is not, "" if it is known to belong there."""
    name = entry.name.lower()
    if name.startswith(".") or name in _SYSTEM_FILES:
        return "hidden, or left by an operating system"
    if entry.is_symlink() and not os.path.exists(entry.path):
        return "a link that leads nowhere"
    if not entry.is_file():
        return "neither a file nor a folder"
    if Path(name).suffix in endings:
        return None
    if any(fnmatchcase(name, pattern) for pattern in known):
        return ""
    return f"the ending is none of {', '.join(endings)}"
