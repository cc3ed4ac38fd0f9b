"""The official release of a corpus: fetched, checked, unpacked, each archive all or nothing.

An interrupted download resumes. What is finished is listed in a file of the folder and not fetched again; the
SHA-256 of files without a published checksum is remembered beside the cache, and has to be the same the next time.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sottovoce.corpora.catalogue import CORPORA
from sottovoce.corpora.release import Archive, File, Release
from sottovoce.corpora.store import cache_folder
from sottovoce.corpora.transfer import transfer
from sottovoce.corpora.unpack import is_archive, unpack
from sottovoce.errors import CorpusError, ModelError
from sottovoce.files import read_json

_DONE = ".fetched.json"
_SCRATCH = ".fetching"
_PIECE = 1 << 20


def terms(name: str, mirror: str | None = None) -> str:
    """What the user has to know before a corpus is fetched; CorpusError for one that is not offered."""
    release, corpus = _release(name), CORPORA[name]
    base = _base(name, release, mirror)
    size = f"about {release.size / 1e9:.1f} GB" if release.size else "of a size that the server will say"
    count = sum(len(archive.files) for archive in release.archives)
    return "\n".join(
        [
            f"{corpus.title}: {count} files, {size}, from {base.partition('?')[0]}",
            f"Licence: {corpus.licence}",
            f"Cite: {corpus.citation}",
            f"More: {corpus.homepage}",
        ]
    )


def fetch(name: str, out: Path, mirror: str | None, report: Callable[[int, int, str], None]) -> dict[str, Any]:
    """Fetch the release of the corpus `name` into the folder `out`; returns what came and how it is read.

    `mirror` is an address to which the names of files are added, in place of the official one. CorpusError says what
    went wrong; the command can be repeated.
    """
    release = _release(name)
    base = _base(name, release, mirror)
    try:
        (out / _SCRATCH).mkdir(parents=True, exist_ok=True)
        done = _read(out / _DONE)
        for archive in release.archives:
            if archive.name not in done:
                done[archive.name] = _archive(archive, base, out, report)
                _write(out / _DONE, done)
        shutil.rmtree(out / _SCRATCH, ignore_errors=True)
    except OSError as error:
        raise CorpusError(
            f"{out} could not be written ({error.strerror}); free some space or choose another."
        ) from error
    return {"corpus": name, "spec": f"{name}:{out / release.root}", "archives": done}


def releases() -> dict[str, Release]:
    """The releases of the corpora that have one, by the name of the corpus."""
    return {name: corpus.release for name, corpus in CORPORA.items() if corpus.release is not None}


def _release(name: str) -> Release:
    offered = releases()
    if name not in offered:
        raise CorpusError(f"{name!r} cannot be fetched; what can: {', '.join(offered)}.")
    return offered[name]


def _base(name: str, release: Release, mirror: str | None) -> str:
    base = mirror or release.base
    if not base:
        raise CorpusError(f"{name} is not openly served: {release.access} with --mirror.")
    return base if base.endswith(("/", "=")) else f"{base}/"


def _archive(archive: Archive, base: str, out: Path, report: Callable[[int, int, str], None]) -> dict[str, Any]:
    """Fetch, check and unpack one archive; returns what is worth remembering of it."""
    scratch = out / _SCRATCH
    digests = [_file(file, base + file.name, scratch, report) for file in archive.files]
    whole = scratch / archive.name
    if len(archive.files) > 1:
        with whole.open("wb") as joined:
            for file in archive.files:
                with (scratch / file.name).open("rb") as part:
                    shutil.copyfileobj(part, joined, _PIECE)
    new = scratch / "unpacked"
    shutil.rmtree(new, ignore_errors=True)
    if is_archive(whole):
        report(0, 1, f"unpacking {archive.name}")
        files = unpack(whole, new)
        report(1, 1, f"unpacked {archive.name}")
    else:
        new.mkdir()
        shutil.copy(whole, new / archive.name)
        files = 1
    _merge(new, out / archive.folder)
    for name in {archive.name, *(file.name for file in archive.files)}:
        (scratch / name).unlink(missing_ok=True)
    return {"files": files, "sha256": digests}


def _file(file: File, url: str, scratch: Path, report: Callable[[int, int, str], None]) -> str:
    """Fetch and check one file, unless it is there and checked; returns its SHA-256."""
    path, unchecked = scratch / file.name, scratch / f"{file.name}.part"
    if not path.is_file():
        transfer(url, unchecked, file.size, lambda done, total: report(done, total, f"MiB of {file.name}"))
        _check(file, url, unchecked)
        os.replace(unchecked, path)
        (scratch / f"{unchecked.name}.validator").unlink(missing_ok=True)
    return _digest(path, "sha256")


def _check(file: File, url: str, path: Path) -> None:
    if file.md5:
        got, expected, by = _digest(path, "md5"), file.md5, "its publisher's MD5"
    else:
        seen = cache_folder() / "fetched.json"
        known = _read(seen)
        key = f"{url.partition('?')[0]} {file.name}"
        got, by = _digest(path, "sha256"), f"the SHA-256 of what came from there before, which {seen} remembers"
        expected = known.setdefault(key, got)
        _write(seen, known)
    if got != expected:
        path.unlink()
        raise CorpusError(f"{file.name} has the checksum {got}, expected {expected} ({by}); it was deleted: try again.")


def _digest(path: Path, kind: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()


def _merge(new: Path, place: Path) -> None:
    """Move what is in the folder `new` into `place`, folders whole where they are not there yet."""
    place.mkdir(parents=True, exist_ok=True)
    for entry in sorted(new.iterdir()):
        target = place / entry.name
        if entry.is_dir() and target.is_dir():
            _merge(entry, target)
        else:
            os.replace(entry, target)


def _read(path: Path) -> dict[str, Any]:
    try:
        return read_json(path) if path.is_file() else {}
    except ModelError as error:
        raise CorpusError(f"{path} is damaged; delete it and repeat the command: {error}") from error


def _write(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.new")
    new.write_text(json.dumps(content, indent=1), encoding="utf-8")
    os.replace(new, path)
