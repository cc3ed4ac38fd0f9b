"""What was made of what: so that a run that was stopped resumes, by contents and not by dates.

A receipt is a digest, with the key of the cache, of the contents of an original, of the contents and the name of its
output, and of the filter and its settings. Receipts are kept in the cache, since one beside the outputs would let
whoever has a recording test whether it is among the originals; and whoever lacks the key cannot pass an original off as
an output. Without them, everything is made again.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import threading
from contextlib import suppress
from pathlib import Path

from sottovoce import private
from sottovoce.corpora.store import cache_folder
from sottovoce.errors import SottovoceError

_MOST_BYTES = 1 << 26  # a million receipts; then they are begun anew


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
        """Keep that it was made so; where that cannot be kept, the file is made again next time."""
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
