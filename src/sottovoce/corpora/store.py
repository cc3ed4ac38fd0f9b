"""Folders in the cache: made whole or not at all, for their owner alone, and rebuilt where they are damaged."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from sottovoce import private
from sottovoce.corpora.table import quoted
from sottovoce.errors import CorpusError

_CONTENTS = ".contents.json"  # of a cache folder: size and digest of every file, so that damage shows
_PIECE_BYTES = 1 << 16
_PIECES = 64  # of a larger file, evenly spaced from its first byte to its last, that its digest covers


def cache_folder() -> Path:
    """Where decoded and synthesised sound is kept: `$SOTTOVOCE_CACHE`, or `~/.cache/sottovoce`; for its owner alone.

    CorpusError where neither is known, as in a container whose user has no home, where the path is relative, or where
    others may write there.
    """
    chosen = os.environ.get("SOTTOVOCE_CACHE")
    folder = Path(chosen or "~/.cache/sottovoce")
    if folder.parts[:1] == ("~",):
        folder = _home().joinpath(*folder.parts[1:])
    if not folder.is_absolute():
        raise CorpusError(
            f"SOTTOVOCE_CACHE is {quoted(str(chosen))}, which is another folder for each place that a command is run "
            "from; set it to a full path."
        )
    private.private_folder(folder.resolve())  # the folder itself may be reached by a link
    return folder


def copies_folder() -> Path:
    """The folder of the cache with copies of folders of another machine."""
    return private.private_folder(cache_folder() / "copies")


def on_this_machine(folder: Path) -> Path:
    """`folder` where it exists, or where the copy is that a worker of a cluster has received of it."""
    return folder if folder.is_dir() else copies_folder() / folder.name


def _home() -> Path:
    """The home folder of this user; CorpusError where there is none."""
    with suppress(RuntimeError):
        home = Path.home()
        # With an empty HOME, Python takes the root of all files for the home.
        if home.is_absolute() and os.environ.get("HOME") != "":
            return home
    raise CorpusError(
        "this user has no home folder, so there is no place for the cache; set SOTTOVOCE_CACHE to the full path of a "
        "folder."
    )


def build_once(folder: Path, build: Callable[[Path], None], notes: list[str] | None = None) -> Path:
    """`folder`, filled by `build` unless it is there already; it appears complete or not at all.

    A folder that has lost a file, or part of one, is built again, and a sentence is added to `notes`. Two processes may
    build at the same time; the first to finish wins. Raises CorpusError when it cannot be written, or when others may
    write what is there.
    """
    private.private_folder(folder.parent)
    if folder.is_dir():
        private.check_private(folder)
        reason = _damage(folder)
        if reason is None:
            return folder
        discard(folder, reason, notes)
    try:
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".building-") as scratch:
            unfinished = Path(scratch) / folder.name
            unfinished.mkdir()
            build(unfinished)
            (unfinished / _CONTENTS).write_text(json.dumps(_contents(unfinished)), encoding="utf-8")
            _to_disk(unfinished)
            private.make_private(unfinished)
            if not folder.is_dir():
                os.replace(unfinished, folder)
    except OSError as error:
        if not folder.is_dir():  # another process may have been faster
            raise private.unwritable(folder, error) from error
    return folder


def _contents(folder: Path) -> dict[str, str]:
    """Size and digest of every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): _fingerprint(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != _CONTENTS
    }


def _fingerprint(path: Path) -> str:
    """The size of a file and a SHA-256 in hex: of all of it, or of pieces where it is large.

    The pieces of a large file are read in a moment, and show a write that stopped or never reached the disk.
    """
    digest = hashlib.sha256()
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= _PIECES * _PIECE_BYTES:
            digest.update(file.read())
        else:
            for piece in range(_PIECES):
                file.seek(piece * (size - _PIECE_BYTES) // (_PIECES - 1))
                digest.update(file.read(_PIECE_BYTES))
    return f"{size}-{digest.hexdigest()}"


def _to_disk(folder: Path) -> None:
    """Wait until every file below a folder is on the disk: a power cut could leave its name without its content."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb+") as file:
                os.fsync(file.fileno())


def _damage(folder: Path) -> str | None:
    """What is wrong with a cache folder; None if all its files are there and have the digests that were written.

    "" for one without digests of its files, as earlier versions left them: it is replaced without a word.
    """
    try:
        written = json.loads((folder / _CONTENTS).read_text(encoding="utf-8"))
        if written and all(type(size) is int for size in written.values()):
            return ""
        found = _contents(folder)
        changed = sorted(name for name, fingerprint in written.items() if found.get(name) != fingerprint)
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, AttributeError, RecursionError):
        return "the list of its files cannot be read"
    return f"{changed[0]!r} is missing or altered" if changed else None


def discard(folder: Path, reason: str = "", notes: list[str] | None = None) -> None:
    """Make room for another cache folder, with a note where this one is damaged; CorpusError if that is not allowed."""
    try:
        scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".damaged-"))
        with suppress(FileNotFoundError):  # another process has met the damage, too
            os.replace(folder, scratch / folder.name)
        shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        raise CorpusError(
            f"the cache folder {folder} is damaged or of an earlier version and cannot be replaced "
            f"({error.strerror}); delete it or set SOTTOVOCE_CACHE to another folder."
        ) from error
    if reason and notes is not None:
        notes.append(f"what the cache held of this was damaged ({reason}) and was made anew")
