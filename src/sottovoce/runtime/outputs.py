"""What is kept about outputs of `protect`: the originals of those with random names, and what each was made of.

A receipt lets a run that was stopped resume, by contents and not by dates. It is a digest, with the key of the cache,
of the contents of an original, of the contents and the name of its output, and of the filter and its settings. Receipts
are kept in the cache, since one beside the outputs would let whoever has a recording test whether it is among the
originals; and whoever lacks the key cannot pass an original off as an output. Without them, everything is protected
anew.
"""

from __future__ import annotations

import csv
import hashlib
import hmac
import json
import os
import re
import secrets
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from sottovoce import private
from sottovoce.corpora.store import cache_folder
from sottovoce.errors import ConfigError, SottovoceError

try:
    import fcntl
except ImportError:  # Windows: two runs that share a table must not be started at once
    fcntl = None  # type: ignore[assignment]

_MOST_BYTES = 1 << 26  # a million receipts; then they are begun anew
_HEADER = ["original", "output"]
_NAME = re.compile(r"[0-9a-f]{16}\.(wav|flac|ogg|csv|jsonl)")


class Receipts:
    """The receipts of what was written to the folder `out`."""

    def __init__(self, out: Path) -> None:
        place = hashlib.sha256(os.fsencode(os.path.realpath(out))).hexdigest()[:32]
        self._lock = threading.Lock()
        self._known: set[str] = set()
        self._path: Path | None = None
        self._key = secrets.token_bytes()
        with suppress(OSError, UnicodeDecodeError, SottovoceError):  # there may be no home, or others may write there
            cache = cache_folder()
            self._key = private.secret(cache)
            path = private.private_folder(cache / "protected") / place
            if path.exists() and path.stat().st_size > _MOST_BYTES:
                path.unlink()
            self._known.update((private.read_private(path) or b"").decode("ascii").split())
            self._path = path

    def has(self, original: str, target: Path, settings: str) -> bool:
        """Whether the file `target` was made by `settings` of an original with the digest `original`."""
        return self._receipt(original, target, settings) in self._known

    def add(self, original: str, target: Path, settings: str) -> None:
        """Keep that it was made so; where that cannot be kept, the file is protected anew next time."""
        if self._path is None:
            return
        with (
            self._lock,
            suppress(OSError),
            open(self._path, "a", encoding="ascii", opener=lambda path, flags: os.open(path, flags, 0o600)) as file,
        ):
            file.write(f"{self._receipt(original, target, settings)}\n")

    def _receipt(self, original: str, target: Path, settings: str) -> str:
        content = json.dumps([original, target.name, digest(target), settings])
        return hmac.new(self._key, content.encode(), hashlib.sha256).hexdigest()


def digest(path: Path) -> str:
    """The digest of a file's contents; OSError where it cannot be read."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
            names = {
                name: (Path(known[path]).stem if (path := paths[name]) in known else secrets.token_hex(8))
                + ending.lower()
                for name, ending in originals
            }
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
