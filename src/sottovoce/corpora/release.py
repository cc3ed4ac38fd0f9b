"""Where the official release of a corpus is served, and what it consists of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class File:
    """A file of a release: its name, its MD5 as published, its size in bytes; empty and 0 where that is not known."""

    name: str
    md5: str = ""
    size: int = 0


@dataclass(frozen=True)
class Archive:
    """Files that, one after the other, are one archive or a file to be kept as it is; it belongs below `folder`."""

    name: str
    files: tuple[File, ...]
    folder: str = ""


@dataclass(frozen=True)
class Release:
    """The archives of a corpus below the address `base`; it can be read from `root` once they are unpacked.

    Where `base` is empty the archives are not openly served, and `access` says how to come by them.
    """

    base: str
    archives: tuple[Archive, ...]
    root: str = ""
    access: str = ""

    @property
    def size(self) -> int:
        """Bytes of all files whose size is known."""
        return sum(file.size for archive in self.archives for file in archive.files)


def one_file(name: str, md5: str = "", size: int = 0, folder: str = "") -> Archive:
    """The archive that is one file."""
    return Archive(name, (File(name, md5, size),), folder)
