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
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from reprlib import repr as short
from typing import Any
from urllib.parse import quote

from sottovoce import __version__
from sottovoce.errors import ModelError
from sottovoce.files import file_sha256, read_bytes, read_json

SCHEMA = 1
CARD = "card.json"
_LARGEST_BYTES = 1 << 30
_NAMED = 8  # of many names in a message
_LITTER = {
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "icon\r",
    "__macosx",
    "@eadir",
    "#recycle",
    "$recycle.bin",
    "system volume information",
    "lost+found",
    "__pycache__",
}
_MARK_OF_A_DOWNLOAD = ":zone.identifier"  # what Windows keeps beside a file, as Linux shows it


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
        present = read_json(folder / CARD).get("kind")
    except ModelError:
        present = None
    if present != kind:
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
    """The card of a folder whose every file is there and unaltered; ModelError otherwise."""
    if not folder.is_dir():
        raise ModelError(f"{folder} is not a folder; expected a {kind} folder, as `sottovoce` writes it.")
    try:
        card = read_json(folder / CARD)
    except ModelError as error:
        raise ModelError(f"{folder} has no readable {CARD}; expected a {kind} folder: {error}") from error
    if lacks := [name for name in ("kind", "schema", "files") if name not in card]:
        raise ModelError(f"{folder} has no readable {CARD}: it lacks {' and '.join(lacks)}; train it again.")
    if card["kind"] != kind:
        raise ModelError(f"{folder} is a {short(card['kind'])} folder; expected a {kind} folder.")
    if card["schema"] != SCHEMA:
        raise ModelError(f"{folder} has schema {short(card['schema'])}, this version reads {SCHEMA}: train it again.")
    for name, form in _FORMS.items():
        if name in card and not form(card[name]):
            raise ModelError(f"{folder} has no readable {CARD}: {name} is {short(card[name])}; train it again.")
    expected = card["files"]
    present = _present(folder, expected)
    for word, names in (("missing", expected.keys() - present), ("extra", present - expected.keys())):
        if names:
            some = ", ".join(sorted(names)[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
            raise ModelError(f"{folder} has {word} files: {some}; restore it or train it again.")
    for name, digest in expected.items():
        if (folder / name).stat().st_size > _LARGEST_BYTES or file_sha256(folder / name) != digest:
            raise ModelError(f"{folder} was altered: {name} does not match its card; restore it or train it again.")
    return card


def _present(folder: Path, expected: Collection[str]) -> set[str]:
    """The ordinary files below `folder`, and the other things in it, by relative name; no link to a folder is followed.

    What systems leave in any folder, such as .DS_Store, is passed over, unless `expected` names it.
    """
    present = set()
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not _is_litter(name)]
        below = Path(place).relative_to(folder)
        for name in [*files, *(name for name in folders if (Path(place) / name).is_symlink())]:
            path = (below / name).as_posix()
            if path in expected:
                present |= {path} if (folder / path).is_file() else set()
            elif not _is_litter(name):
                present.add(path)
    return present - {CARD}


def _is_litter(name: str) -> bool:
    return name.startswith(".") or name.lower() in _LITTER or name.lower().endswith(_MARK_OF_A_DOWNLOAD)


def _is_text_table(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(each, str) for each in value.values())


def _is_corpus(value: Any) -> bool:
    kinds = {"digest": str, "split": str, "split_seed": int}
    return value is None or (
        isinstance(value, dict) and all(isinstance(value.get(name), kind) for name, kind in kinds.items())
    )


def _are_tables(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def folder_digest(card: Mapping[str, Any]) -> str:
    """One SHA-256 in hex for all files of a folder, from its card."""
    return hashlib.sha256(json.dumps(card["files"], sort_keys=True).encode()).hexdigest()


def path_part(name: str) -> str:
    """Any name, such as that of a task, as one part of a path: without separators, and never "." or ".."."""
    return quote(name, safe="").replace(".", "%2E")


def copy_files(folder: Path, prefix: str) -> dict[str, bytes]:
    """The card of `folder` and the files that it names, as they would be named under `prefix`, for `write_folder`."""
    names = sorted([CARD, *read_json(folder / CARD)["files"]])
    return {f"{prefix}/{name}": read_bytes(folder / name, _LARGEST_BYTES) for name in names}


_FORMS: dict[str, Callable[[Any], bool]] = {  # of what is used of a card, where it has it
    "files": _is_text_table,
    "permit": _is_texts,
    "classes": lambda value: _is_texts(value) or (isinstance(value, dict) and all(map(_is_texts, value.values()))),
    "corpus": _is_corpus,
    "targets": _are_tables,
    "transfer": lambda value: isinstance(value, dict) and all(map(_are_tables, value.values())),
}
