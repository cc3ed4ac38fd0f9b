"""How far long commands have come, as one small file for each output folder, in the cache.

A command that is done removes its file. A file that stays says how far a command came that was stopped.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sottovoce import private
from sottovoce.corpora.store import cache_folder
from sottovoce.errors import ConfigError, SottovoceError
from sottovoce.files import read_json
from sottovoce.progress import Report, duration

_EVERY_S = 1.0  # between two writings
_SILENT_S = 600.0  # after which a process counts as gone where the system cannot be asked
_LONGEST = 300  # letters of a note
_KEPT_S = 30 * 86400.0


class ProgressFile:
    """Passes what is reported on to `report`, and keeps the last of it in a file while its `with` block lasts."""

    def __init__(self, verb: str, out: Path, report: Report) -> None:
        self._verb, self._out, self._report = verb, out.resolve(), report
        self._written = self._began = float("-inf")
        self._first = self._done = self._total = 0  # steps of the present work: when it began here, now, and in all

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: BaseException | TracebackType | None) -> None:
        if kind is None or issubclass(kind, ConfigError):  # nothing is left to resume
            forget(self._out)

    def __call__(self, done: int, total: int, note: str) -> None:
        self._report(done, total, note)
        now = time.monotonic()
        if total != self._total or done < self._done:  # other work
            self._total, self._first, self._began = total, done, now
        self._done = done
        if now - self._written > _EVERY_S or done == total:
            self._written = now
            write(self._verb, self._out, os.getpid(), f"{self._left(now)}{note}", done, total)

    def _left(self, now: float) -> str:
        seen = self._done - self._first
        left = self._total - self._done
        return f"{duration((now - self._began) / seen * left)} left: " if seen and left else ""


def write(verb: str, out: Path, pid: int, note: str, done: int = 0, total: int = 0) -> None:
    """Write how far the command of a process has come; where that fails, the command continues without."""
    facts = {"verb": verb, "out": str(out), "pid": pid, "done": done, "total": total, "note": note[:_LONGEST]}
    with suppress(SottovoceError, OSError, ValueError):
        private.write_private(_place(out), json.dumps({**facts, "updated": time.time()}).encode())


def forget(out: Path) -> None:
    """Remove the file of an output folder, if there is one."""
    with suppress(SottovoceError, OSError):
        _place(out).unlink()


def known() -> list[dict[str, Any]]:
    """What each file holds, the latest first, with whether its process is still `running`."""
    found = []
    for path in _folder().glob("*.json"):
        with suppress(SottovoceError, OSError, KeyError, TypeError, ValueError):  # damaged, or removed meanwhile
            facts = read_json(private.read_private(path) or b"{}")
            if 0 <= time.time() - float(facts["updated"]) < _KEPT_S and path == _place(Path(facts["out"])):
                found.append({**facts, "running": _runs(int(facts["pid"]), float(facts["updated"]))})
    return sorted(found, key=lambda facts: -float(facts["updated"]))


def _folder() -> Path:
    return private.private_folder(cache_folder() / "progress")


def _place(out: Path) -> Path:
    return _folder() / f"{hashlib.sha256(os.fsencode(out)).hexdigest()[:32]}.json"


def _runs(pid: int, updated: float) -> bool:
    if os.name != "posix":  # where this question would end the process
        return time.time() - updated < _SILENT_S
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return pid > 1
