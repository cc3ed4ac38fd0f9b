"""Digests of many files: several at once, and remembered, so that an unchanged file is read once.

A digest is remembered by path, size, inode and both times of the file in nanoseconds. A change of the content sets the
change time (ctime), which a program cannot set back; a file that was changed within the last seconds is not remembered,
since a clock may be coarse and the next change might leave the same times.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from pathlib import Path

from sottovoce import private
from sottovoce.corpora.store import cache_folder
from sottovoce.errors import CorpusError
from sottovoce.files import file_sha256
from sottovoce.machine import usable_cores
from sottovoce.progress import Progress

_FEW = 1000  # files that are read in a moment
_AT_ONCE = 256  # files, after which what was found is kept
_SETTLED_NS = 3_000_000_000
_LONG_S = 5.0  # after which progress is reported
_FILE = "digests.sqlite"
_TABLE = (
    "create table if not exists digests (path blob primary key, size int, inode int, mtime int, ctime int, sha256 text)"
    " without rowid"
)

Status = tuple[int, int, int, int]  # size, inode, modified and changed in nanoseconds


def file_digests(paths: Sequence[Path]) -> Iterator[tuple[Path, str | OSError]]:
    """The SHA-256 in hex of each file's content, in the order of `paths`, or why it cannot be read."""
    if len(paths) < _FEW:
        yield from ((path, _digest(path)) for path in paths)
        return
    report, began = Progress(), time.monotonic()
    with ExitStack() as stack:
        memory = _opened(stack)
        pool = stack.enter_context(ThreadPoolExecutor(usable_cores()))
        for i in range(0, len(paths), _AT_ONCE):
            some = paths[i : i + _AT_ONCE]
            yield from zip(some, _digests(some, memory, pool), strict=True)
            if time.monotonic() - began > _LONG_S:
                report(min(i + _AT_ONCE, len(paths)), len(paths), "digests of files")


def _digests(paths: Sequence[Path], memory: sqlite3.Connection | None, pool: ThreadPoolExecutor) -> list[str | OSError]:
    before = [_status(path) for path in paths]
    now = time.time_ns()
    known = [_remembered(memory, path, status) for path, status in zip(paths, before, strict=True)]
    unknown = [i for i, digest in enumerate(known) if digest is None]
    read = dict(zip(unknown, pool.map(_digest, [paths[i] for i in unknown], chunksize=16), strict=True))
    rows = [
        (os.fsencode(os.path.abspath(paths[i])), *status, digest)
        for i, digest in read.items()
        if isinstance(digest, str)
        and (status := before[i]) is not None
        and max(status[2:]) < now - _SETTLED_NS
        and _status(paths[i]) == status
    ]
    if memory is not None and rows:
        with suppress(sqlite3.Error), memory:  # a full disk, or another process that writes for long
            memory.executemany("insert or replace into digests values (?, ?, ?, ?, ?, ?)", rows)
    return [read[i] if digest is None else digest for i, digest in enumerate(known)]


def _digest(path: Path) -> str | OSError:
    try:
        return file_sha256(path)
    except OSError as error:
        return error


def _status(path: Path) -> Status | None:
    try:
        about = os.stat(path)
    except OSError:
        return None
    return about.st_size, about.st_ino, about.st_mtime_ns, about.st_ctime_ns


def _opened(stack: ExitStack) -> sqlite3.Connection | None:
    """What is remembered, begun anew where it is damaged; None where the cache cannot be written."""
    for _ in range(2):
        try:
            path = private.private_folder(cache_folder() / "digests") / _FILE
            memory = stack.enter_context(closing(sqlite3.connect(path, check_same_thread=False)))
            memory.execute(_TABLE)
            return memory
        except sqlite3.OperationalError:  # locked, or the disk is full
            return None
        except sqlite3.DatabaseError:
            with suppress(OSError):
                path.unlink()
        except CorpusError:
            return None
    return None


def _remembered(memory: sqlite3.Connection | None, path: Path, status: Status | None) -> str | None:
    if memory is None or status is None:
        return None
    query = "select sha256 from digests where path = ? and size = ? and inode = ? and mtime = ? and ctime = ?"
    with suppress(sqlite3.Error):
        row = memory.execute(query, (os.fsencode(os.path.abspath(path)), *status)).fetchone()
        return row[0] if row else None
    return None
