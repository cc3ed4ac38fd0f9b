"""Files that a table names are looked for below the table's folder, and nowhere else."""

from __future__ import annotations

import os
import posixpath
import re
import unicodedata
from pathlib import Path

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_HOME = re.compile(r"~[^/\\]*[/\\]|~$")


class Outside(Exception):
    """A name that no file below the folder can have; the message is the reason."""


class Below:
    """The files below a folder, by the names that a table gives them."""

    def __init__(self, folder: Path) -> None:
        self._folder = os.path.abspath(folder)
        self._given = folder
        self._real = os.path.realpath(folder)
        self._real_parents: dict[str, str] = {}  # a folder holds many files, and links are slow to follow
        self._listed: dict[str, dict[str, str]] = {}
        self._last: tuple[str, tuple[str, Path]] | None = None  # rows of one recording follow each other

    def find(self, name: str) -> tuple[str, Path]:
        """What `name` is relative to the folder, and where it is on the disk, whether or not there is such a file.

        Raises Outside for a name that leads out of the folder, also by a link.
        """
        if self._last is None or self._last[0] != name:
            relative = self._relative(name)
            path = self._on_disk(relative)
            if not self._is_inside(path):
                raise Outside("a link that leads out of the folder of the table")
            self._last = name, (relative, self._given / os.path.relpath(path, self._folder))
        return self._last[1]

    def _relative(self, name: str) -> str:
        if not name or "\0" in name:
            raise Outside("expected the path of a sound file")
        try:
            os.fsencode(name)
        except UnicodeEncodeError as error:
            raise Outside("which is no name of a file") from error
        if _ADDRESS.match(name):
            raise Outside("an address, and nothing is fetched")
        if _HOME.match(name):
            raise Outside("a path from a home folder")
        if "\\" in name and not os.path.lexists(os.path.join(self._folder, name)):
            if _DRIVE.match(name):
                raise Outside("a path with a drive letter")
            name = name.replace("\\", "/")  # as a table that was written on Windows has it
        if _DRIVE.match(name):
            raise Outside("a path with a drive letter")
        if os.path.isabs(name):
            place = os.path.normpath(name)
            inside = [root for root in (self._folder, self._real) if place.startswith(root.rstrip(os.sep) + os.sep)]
            if not inside:
                raise Outside("outside of the folder of the table")
            name = os.path.relpath(place, inside[0])
        relative = posixpath.normpath(name)
        if relative == ".." or relative.startswith("../"):
            raise Outside("outside of the folder of the table")
        return relative

    def _on_disk(self, relative: str) -> str:
        """The path itself, or the one that is spelled with the same letters in another normal form of Unicode."""
        path = os.path.join(self._folder, relative)
        if os.path.lexists(path):
            return path
        here = self._folder
        for part in relative.split("/"):
            here = os.path.join(here, self._names(here).get(unicodedata.normalize("NFC", part), part))
        return here

    def _names(self, folder: str) -> dict[str, str]:
        if folder not in self._listed:
            try:
                names = sorted(os.listdir(folder))
            except OSError:
                names = []
            self._listed[folder] = {unicodedata.normalize("NFC", name): name for name in names}
        return self._listed[folder]

    def _is_inside(self, path: str) -> bool:
        if os.path.islink(path):
            return self._holds(os.path.realpath(path))
        parent = os.path.dirname(path)
        if parent not in self._real_parents:
            self._real_parents[parent] = os.path.realpath(parent)
        return self._holds(self._real_parents[parent])

    def _holds(self, real: str) -> bool:
        return real == self._real or real.startswith(self._real.rstrip(os.sep) + os.sep)
