"""Private folders, such as the cache: what is kept there is trusted, so nobody else may have put it there."""

from __future__ import annotations

import os
import secrets
import shlex
import stat
from contextlib import suppress
from pathlib import Path

from sottovoce.errors import CorpusError
from sottovoce.files import replace_file

_OTHERS = stat.S_IWGRP | stat.S_IWOTH
KEY = "key"  # the file of the secret of a folder
_KEY_BYTES = 32


def private_folder(folder: Path) -> Path:
    """Make `folder` for its owner alone (mode 0700) unless it is there; returns it.

    CorpusError where it cannot be made, is a link, belongs to somebody else, or may be written by others.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        about = folder.lstat()
    except OSError as error:
        raise unwritable(folder, error) from error
    _check(folder, about)
    return folder


def unwritable(folder: Path, error: OSError) -> CorpusError:
    """What to raise where a private folder cannot be written."""
    return CorpusError(
        f"the folder {folder} could not be written ({error.strerror}); "
        "free some space, set SOTTOVOCE_CACHE to another folder, or choose another --out."
    )


def check_private(folder: Path) -> None:
    """CorpusError where `folder` or anything below it is a link, belongs to others or may be written by others."""
    _check(folder, folder.lstat())
    for place, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(place, name)
            with suppress(FileNotFoundError):  # what another process was writing is done
                _check(path, path.lstat())


def make_private(folder: Path) -> None:
    """Take from everybody but the owner every right to `folder` and what is below it, whatever the umask gave them."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode & 0o700)


def read_private(path: Path) -> bytes | None:
    """The content of a file, None where there is none; CorpusError as for `check_private`."""
    try:
        _check(path, path.lstat())
        with open(os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)), "rb") as file:
            _check(path, os.fstat(file.fileno()))  # what was opened, in case it was exchanged in between
            return file.read()
    except FileNotFoundError:
        return None
    except IsADirectoryError as error:
        raise CorpusError(f"{path} is a folder, expected a file of the cache; delete it.") from error


def write_private(path: Path, content: bytes) -> None:
    """Write a file that its owner alone may read (mode 0600), all or nothing; CorpusError where that fails."""
    private_folder(path.parent)
    try:
        replace_file(path, content, 0o600)
    except OSError as error:
        raise CorpusError(f"{path} could not be written ({error.strerror}); free some space.") from error


def secret(folder: Path) -> bytes:
    """The 32 random bytes of a private folder, made at the first use: who lacks them cannot seal what is kept there."""
    place = private_folder(folder) / KEY
    key = read_private(place)
    if key is None:
        scratch = place.with_name(f".key-{secrets.token_hex(8)}")
        write_private(scratch, secrets.token_bytes(_KEY_BYTES))
        try:
            os.link(scratch, place)  # of two who make it at once, the earlier one wins, and both have the same
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            os.replace(scratch, place)
        finally:
            scratch.unlink(missing_ok=True)
        key = read_private(place)
    assert key is not None
    if len(key) != _KEY_BYTES:
        raise CorpusError(f"{place} has {len(key)} bytes, expected {_KEY_BYTES}: copy it once more, or delete it.")
    if hasattr(os, "geteuid") and place.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise CorpusError(
            f"{place} can be read by others, who could then forge results; run `chmod 600 {shlex.quote(str(place))}` "
            "if you trust them, or delete it, and all results are computed again."
        )
    return key


def _check(path: Path, about: os.stat_result) -> None:
    if not hasattr(os, "geteuid"):  # modes do not show rights there
        return
    remedy = "or use another folder: set SOTTOVOCE_CACHE, or choose another --out"
    if stat.S_ISLNK(about.st_mode):
        raise CorpusError(f"{path} is a link, expected a file or folder of the cache itself; delete it, {remedy}.")
    if about.st_uid not in (0, os.geteuid()):
        raise CorpusError(
            f"{path} belongs to another user (number {about.st_uid}), who can decide what is read there; "
            f"expected it to be yours: delete it, {remedy}."
        )
    if about.st_mode & _OTHERS:
        repair = f"`chmod -R go-w {shlex.quote(str(path))}`"
        raise CorpusError(
            f"{path} may be written by others (mode {stat.S_IMODE(about.st_mode):o}), who can decide what is read "
            f"there; expected that only you may: delete it, or run {repair} if you trust them, {remedy}."
        )
