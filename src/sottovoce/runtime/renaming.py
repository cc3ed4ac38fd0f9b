"""Names of outputs that tell nothing, and the table that says which original each was made from."""

from __future__ import annotations

import csv
import os
import re
import secrets
from collections.abc import Sequence
from pathlib import Path

from sottovoce.errors import ConfigError

_HEADER = ["original", "output"]
_NAME = re.compile(r"[0-9a-f]{16}\.(wav|flac|ogg)")


def renamed(table: Path, originals: Sequence[tuple[str, str]], out: Path) -> dict[str, str]:
    """A random name in place of each of `originals`, (name, ending of its output); names that `table` has are kept.

    `table` is a CSV file, readable by its owner alone, and is written, whole or not at all, before this returns.
    ConfigError if it is inside `out`, is not such a table, or cannot be written.
    """
    if os.path.realpath(table).startswith(os.path.join(os.path.realpath(out), "")):
        raise ConfigError(f"{str(table)!r}: inside the folder of the outputs, which it would undo; keep it elsewhere.")
    try:
        known = _read(table) if os.path.lexists(table) else {}
        names = {name: f"{_stem(known, name)}{ending.lower()}" for name, ending in originals}
        _write(table, known | names)
    except OSError as error:
        raise ConfigError(
            f"{str(table)!r}: cannot be read or written ({error.strerror}); choose another file."
        ) from error
    return names


def _stem(known: dict[str, str], name: str) -> str:
    return Path(known[name]).stem if name in known else secrets.token_hex(8)


def _read(table: Path) -> dict[str, str]:
    with open(table, encoding="utf-8", errors="surrogateescape", newline="") as file:  # for any name of a file
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
