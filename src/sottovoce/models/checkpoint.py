"""Folders that hold what was trained: complete or not there, and unaltered or refused. No torch, no pickle.

A folder holds its files and `card.json`, which names every one of them with its SHA-256.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sottovoce import __version__
from sottovoce.corpora.manifest import file_sha256
from sottovoce.errors import ModelError

SCHEMA = 1
CARD = "card.json"
_LARGEST_BYTES = 1 << 30


def write_folder(folder: Path, kind: str, files: Mapping[str, bytes], card: Mapping[str, Any]) -> dict[str, Any]:
    """Write `files` (relative name to content) and their card, all or nothing; returns the card as written.

    A folder of the same kind is replaced; ModelError for anything else in the way, or where writing fails.
    """
    folder = folder.resolve()
    check_place(folder, kind)
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())}
    complete = {"schema": SCHEMA, "kind": kind, "sottovoce": __version__, **card, "files": digests}
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
            new = Path(scratch) / "new"
            for name, content in {**files, CARD: json.dumps(complete, indent=1).encode()}.items():
                (new / name).parent.mkdir(parents=True, exist_ok=True)
                (new / name).write_bytes(content)
            _swap(new, folder)
    except OSError as error:
        raise ModelError(f"{folder} could not be written ({error.strerror}); nothing was changed.") from error
    return complete


def check_place(folder: Path, kind: str) -> None:
    """ModelError where `write_folder` would refuse `folder`: something that is not a `kind` folder is there."""
    folder = folder.resolve()
    if folder == Path.cwd().resolve():
        raise ModelError(f"{folder} is the current folder, which cannot be replaced; choose another --out.")
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    try:
        found = json.loads((folder / CARD).read_text(encoding="utf-8"))["kind"]
    except (OSError, ValueError, KeyError, TypeError):
        found = None
    if found != kind:
        raise ModelError(f"{folder} is in the way: it is not a {kind} folder; choose another --out or remove it.")


def _swap(new: Path, folder: Path) -> None:
    """Put `new` in the place of `folder`, or leave `folder` as it was."""
    old = folder.with_name(f".{folder.name}-{secrets.token_hex(4)}.old")
    if folder.exists():
        os.replace(folder, old)
    try:
        os.replace(new, folder)
    except OSError:
        if old.exists():
            os.replace(old, folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def read_folder(folder: Path, kind: str) -> dict[str, Any]:
    """The card of a folder whose every file is there and unaltered; ModelError says what is wrong otherwise."""
    if not folder.is_dir():
        raise ModelError(f"{folder} is not a folder; expected a {kind} folder, as `sottovoce` writes it.")
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        found_kind, schema, expected = card["kind"], card["schema"], dict(card["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder} has no readable {CARD}; expected a {kind} folder: train it again.") from error
    if found_kind != kind:
        raise ModelError(f"{folder} is a {found_kind!r} folder; expected a {kind} folder.")
    if schema != SCHEMA:
        raise ModelError(f"{folder} has schema {schema!r}, this version reads {SCHEMA}: train it again.")
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {CARD}
    for word, names in (("missing", expected.keys() - present), ("extra", present - expected.keys())):
        if names:
            raise ModelError(f"{folder} has {word} files: {', '.join(sorted(names))}; restore it or train it again.")
    for name, digest in expected.items():
        if (folder / name).stat().st_size > _LARGEST_BYTES or file_sha256(folder / name) != digest:
            raise ModelError(f"{folder} was altered: {name} does not match its card; restore it or train it again.")
    return dict(card)


def folder_digest(card: Mapping[str, Any]) -> str:
    """One SHA-256 in hex for all files of a folder, from its card."""
    return hashlib.sha256(json.dumps(card["files"], sort_keys=True).encode()).hexdigest()


def write_file(path: Path, content: bytes) -> None:
    """Write one file, all or nothing; ModelError where that fails."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
        try:
            scratch.write_bytes(content)
            os.replace(scratch, path)
        finally:
            scratch.unlink(missing_ok=True)
    except OSError as error:
        raise ModelError(f"{path} could not be written ({error.strerror}); nothing was changed.") from error


def path_part(name: str) -> str:
    """Any name, such as that of a task, as one part of a path: without separators, and never "." or ".."."""
    return quote(name, safe="").replace(".", "%2E")


def copy_files(folder: Path, prefix: str) -> dict[str, bytes]:
    """The files of `folder`, named as they would be under `prefix`, for `write_folder`."""
    return {
        f"{prefix}/{path.relative_to(folder).as_posix()}": path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
