"""What was made of what: so that a run that was stopped resumes, by contents and not by dates.

A receipt is a digest of the contents of an original, of the contents and the name of its output, and of the filter and
its settings. Receipts are kept in the cache, since one beside the outputs would let whoever has a recording test
whether it is among the originals. Without them, everything is made again.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from contextlib import suppress
from pathlib import Path

from sottovoce.corpora.cache import cache_folder
from sottovoce.errors import SottovoceError

_MOST_BYTES = 1 << 26  # a million receipts; then they are begun anew


class Receipts:
    """The receipts of what was written to the folder `out`."""

    def __init__(self, out: Path) -> None:
        place = hashlib.sha256(os.fsencode(os.path.realpath(out))).hexdigest()[:32]
        self._lock = threading.Lock()
        self._known: set[str] = set()
        self._path: Path | None = None
        with suppress(OSError, UnicodeDecodeError, SottovoceError):  # there may be no home
            self._path = cache_folder() / "protected" / place
            if self._path.stat().st_size > _MOST_BYTES:
                self._path.unlink()
            self._known.update(self._path.read_text(encoding="ascii").split())

    def has(self, receipt: str) -> bool:
        """Whether this was made before."""
        return receipt in self._known

    def add(self, receipt: str) -> None:
        """Keep a receipt; where it cannot be kept, the file is made again next time."""
        if self._path is None:
            return
        with self._lock, suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with open(
                self._path, "a", encoding="ascii", opener=lambda path, flags: os.open(path, flags, 0o600)
            ) as file:
                file.write(f"{receipt}\n")


def receipt(original: str, target: Path, settings: str) -> str:
    """The receipt for the file `target`, made by `settings` of an original with the digest `original`."""
    return hashlib.sha256(json.dumps([original, target.name, digest(target), settings]).encode()).hexdigest()


def digest(path: Path) -> str:
    """The digest of a file's contents; OSError where it cannot be read."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
