"""Files: digests, writing that is whole or not at all, and bounded reading of files and JSON from others."""

from __future__ import annotations

import hashlib
import json
import math
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sottovoce.errors import ConfigError, ModelError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LARGEST_JSON_BYTES = 1 << 22
_DEEPEST = 64  # tables and lists in one another
_CLAIM = ".claimed"  # the file of a folder that is locked


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def replace_file(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Write a file, whole or not at all, with the rights of `mode` that the umask leaves; OSError where that fails."""
    scratch = path.with_name(f".writing-{secrets.token_hex(8)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        with os.fdopen(os.open(scratch, flags, mode), "wb") as file:
            file.write(content)
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def write_file(path: Path, content: bytes) -> None:
    """Write a file and the folders above it, whole or not at all; ModelError where that fails."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, content)
    except OSError as error:
        raise ModelError(f"{path} could not be written ({error.strerror}); nothing was changed.") from error


@contextmanager
def claimed(folder: Path, shared: bool = False) -> Iterator[None]:
    """Within, no other process may claim `folder`; those that claim it `shared` do not exclude each other.

    ConfigError where another process has claimed it. A claim ends with its process, however that ends.
    """
    if fcntl is None:
        yield
        return
    handle = _claim(folder, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
    try:
        yield
    finally:
        if not shared:
            (folder / _CLAIM).unlink(missing_ok=True)
        os.close(handle)
        with suppress(OSError):  # it holds something
            folder.rmdir()


def _claim(folder: Path, lock: int) -> int:
    """The descriptor of the locked file of a folder."""
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(folder / _CLAIM, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise ConfigError(f"{folder} cannot be written ({error.strerror}); choose another folder.") from error
        try:
            fcntl.flock(handle, lock | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise ConfigError(
                f"another process is writing to {folder}; wait until it ends, or choose another folder."
            ) from None
        except OSError:  # a file system without locks
            return handle
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), os.stat(folder / _CLAIM)):
                return handle
        os.close(handle)  # whoever had locked it has deleted it in between


def read_bytes(path: Path, largest_bytes: int) -> bytes:
    """The content of an ordinary file; ModelError for a larger one, and for a pipe or a device, which may never end."""
    try:
        # Without O_NONBLOCK, opening a pipe waits until somebody writes to it.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as file:
            about = os.fstat(descriptor)
            if not stat.S_ISREG(about.st_mode):
                raise ModelError(f"{path} is not an ordinary file; expected one: replace it.")
            content = file.read(about.st_size + 1) if about.st_size <= largest_bytes else None
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}); check that it is a file you may read.") from error
    except ValueError as error:  # a NUL in the name
        raise ModelError(f"{str(path)!r} is no name of a file; check it.") from error
    if content is None or len(content) > largest_bytes:
        raise ModelError(f"{path} has more than the {largest_bytes} bytes that such a file may have; replace it.")
    return content


def read_json(source: Path | bytes | str, largest_bytes: int = LARGEST_JSON_BYTES) -> dict[str, Any]:
    """The table that a JSON file holds, or its content; a byte order mark in front of it is left out.

    ModelError for what is no table in JSON, is too large or too deep, has a key twice, text that is not Unicode, or a
    number that is not finite or does not fit 64 bits.
    """
    content = read_bytes(source, largest_bytes) if isinstance(source, Path) else source
    name = str(source) if isinstance(source, Path) else "it"
    if len(content) > largest_bytes:
        raise ModelError(f"{name} has more than the {largest_bytes} bytes that it may have; replace it.")
    try:
        text = content.decode("utf-8-sig") if isinstance(content, bytes) else content.removeprefix("\ufeff")
        table = json.loads(text, object_pairs_hook=_table, parse_int=_whole)
        _check(table)
    except UnicodeError as error:
        raise ModelError(f"{name} holds text that is not UTF-8; save it as UTF-8 or restore the file.") from error
    except RecursionError as error:
        raise ModelError(f"{name} is more than {_DEEPEST} levels deep; restore the file.") from error
    except ValueError as error:
        raise ModelError(f"{name} is not usable JSON ({error}); restore the file.") from error
    if not isinstance(table, dict):
        raise ModelError(f"{name} holds a {type(table).__name__}; expected a table: restore the file.")
    return table


def _table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in table if names.count(name) > 1)[:80]!r} is there twice")
    for name, value in pairs:
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{name[:80]} is {value}, not a finite number")
    return table


def _whole(text: str) -> int:
    if len(text) > 20 or not -(1 << 63) <= int(text) < 1 << 64:
        raise ValueError(f"the whole number {text[:24]} does not fit 64 bits")
    return int(text)


def _check(table: Any) -> None:
    """RecursionError for what is too deep, UnicodeError for text with half of a character."""
    level = [table]
    for _ in range(_DEEPEST):
        inner: list[Any] = []
        for value in level:
            if isinstance(value, str):
                value.encode()
            elif isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{value} is not a finite number")
            elif isinstance(value, dict):
                inner += [*value, *value.values()]
            elif isinstance(value, list):
                inner += value
        level = inner
    if level:
        raise RecursionError
