"""Names of outputs that tell nothing, and the table that says which original each was made from."""

from __future__ import annotations

import csv
import os
import re
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from sottovoce.errors import ConfigError

try:
    import fcntl
except ImportError:  # Windows: two runs that share a table must not be started at once
    fcntl = None  # type: ignore[assignment]

_HEADER = ["original", "output"]
_NAME = re.compile(r"[0-9a-f]{16}\.(wav|flac|ogg)")


def renamed(table: Path, source: Path, originals: Sequence[tuple[str, str]], out: Path) -> dict[str, str]:
    """A random name in place of each of `originals`, (name in the folder `source`, ending of its output).

    Names that `table` has are kept. It is a CSV file, readable by its owner alone, of the whole paths of originals, and
    is written, whole or not at all, before this returns. ConfigError if it is inside `out`, is not such a table, or
    cannot be written.
    """
    if os.path.realpath(table).startswith(os.path.join(os.path.realpath(out), "")):
        raise ConfigError(f"{str(table)!r}: inside the folder of the outputs, which it would undo; keep it elsewhere.")
    paths = {name: os.path.join(os.path.realpath(source), name) for name, _ in originals}
    try:
        with _locked(table.parent):
            known = _read(table) if os.path.lexists(table) else {}
            names = {name: f"{_stem(known, paths[name])}{ending.lower()}" for name, ending in originals}
            _write(table, known | {paths[name]: output for name, output in names.items()})
    except OSError as error:
        raise ConfigError(
            f"{str(table)!r}: cannot be read or written ({error.strerror}); choose another file."
        ) from error
    return names


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let no other run change a table in `folder`: the table itself is replaced, and a lock on it with it."""
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some file systems have no locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _stem(known: dict[str, str], original: str) -> str:
    return Path(known[original]).stem if original in known else secrets.token_hex(8)


def _read(table: Path) -> dict[str, str]:
    handle = os.open(table, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # opening a pipe would wait for ever
    with open(handle, encoding="utf-8", errors="surrogateescape", newline="") as file:  # for any name of a file
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise ConfigError(f"{str(table)!r}: a folder, pipe or device; choose a file.")
        try:
            rows = list(csv.reader(file, strict=True))
        except csv.Error as error:
            raise ConfigError(f"{str(table)!r}: not a table of names ({error}); choose a new file.") from error
    if not rows or rows[0] != _HEADER or any(len(row) != 2 or not _NAME.fullmatch(row[1]) for row in rows[1:]):
        raise ConfigError(f"{str(table)!r}: not a table of names that `protect --rename` wrote; choose a new file.")
    return {original: output for original, output in rows[1:]}


def _write(table: Path, names: dict[str, str]) -> None:
    scratch = table.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        handle = os.open(scratch, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with open(handle, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            csv.writer(file).writerows([_HEADER, *sorted(names.items())])
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, table)
    finally:
        scratch.unlink(missing_ok=True)
