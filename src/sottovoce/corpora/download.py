"""The official release of a corpus: fetched, checked, unpacked, each archive all or nothing.

A download that was interrupted goes on. What is finished is listed in a file of the folder and not fetched again; the
SHA-256 of files without a published checksum is remembered beside the cache, and has to be the same the next time.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sottovoce.corpora.catalogue import KNOWN
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
    release, corpus = _release(name), KNOWN[name].corpus
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


def _release(name: str) -> Release:
    if name not in RELEASES:
        raise CorpusError(f"{name!r} cannot be fetched; what can: {', '.join(RELEASES)}.")
    return RELEASES[name]


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


@dataclass(frozen=True)
class File:
    """A file of a release: its name, its MD5 as published, its size in bytes; empty and 0 where that is not known."""

    name: str
    md5: str = ""
    size: int = 0


@dataclass(frozen=True)
class Archive:
    """Files that, one after the other, are one archive or a file to be kept as it is; it belongs below `folder`."""

    name: str
    files: tuple[File, ...]
    folder: str = ""


@dataclass(frozen=True)
class Release:
    """The archives of a corpus below the address `base`; it can be read from `root` once they are unpacked.

    Where `base` is empty the archives are not openly served, and `access` says how to come by them.
    """

    base: str
    archives: tuple[Archive, ...]
    root: str = ""
    access: str = ""

    @property
    def size(self) -> int:
        """Bytes of all files whose size is known."""
        return sum(file.size for archive in self.archives for file in archive.files)


def _one(name: str, md5: str = "", size: int = 0, folder: str = "") -> Archive:
    return Archive(name, (File(name, md5, size),), folder)


_EMOTIONS = ("Amused", "Angry", "Disgusted", "Neutral", "Sleepy")
_EMOVDB = {"bea": _EMOTIONS, "jenie": _EMOTIONS, "josh": ("Amused", "Neutral", "Sleepy"), "sam": _EMOTIONS}

# https://www.openslr.org/resources/12/md5sum.txt
_LIBRISPEECH = {  # the subsets of the opt-in paper, and dev-clean for validation
    "test-clean": ("32fa31d27d2e1cad72775fee3f4849a9", 346663984),
    "dev-clean": ("42e2234ba48799c1f50f24a7926300a1", 337926286),
    "train-clean-100": ("2a93770f6d5c6c964bc36631d331a522", 6387309499),
    "train-clean-360": ("c0e676e450a7ff2f54aeade5171606fa", 23049477885),
}

# As the authors' own training code lists them (clovaai/voxceleb_trainer, lists/fileparts.txt).
_VOXCELEB2_DEV = {
    "aa": "da070494c573e5c0564b1d11c3b20577",
    "ab": "17fe6dab2b32b48abaf1676429cdd06f",
    "ac": "1de58e086c5edf63625af1cb6d831528",
    "ad": "5a043eb03e15c5a918ee6a52aad477f9",
    "ae": "cea401b624983e2d0b2a87fb5d59aa60",
    "af": "fc886d9ba90ab88e7880ee98effd6ae9",
    "ag": "d160ecc3f6ee3eed54d55349531cb42e",
    "ah": "6b84a81b9af72a9d9eecbb3b1f602e65",
}

RELEASES: Mapping[str, Release] = MappingProxyType(
    {
        "ravdess": Release(
            "https://zenodo.org/records/1188976/files/",
            (_one("Audio_Speech_Actors_01-24.zip", "bc696df654c87fed845eb13823edef8a", 208468073),),
        ),
        "emodb": Release("http://www.emodb.bilderbar.info/download/", (_one("download.zip"),)),
        "emovdb": Release(
            "https://www.openslr.org/resources/115/",
            tuple(
                _one(f"{speaker}_{emotion}.tar.gz", folder=f"{speaker}_{emotion}")
                for speaker, emotions in _EMOVDB.items()
                for emotion in emotions
            ),
        ),
        "librispeech": Release(
            "https://www.openslr.org/resources/12/",
            tuple(_one(f"{subset}.tar.gz", *known) for subset, known in _LIBRISPEECH.items()),
            root="LibriSpeech",
        ),
        "fsdd": Release(
            "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/",
            (_one("v1.0.9.tar.gz"),),
            root="free-spoken-digit-dataset-1.0.9",
        ),
        "voxceleb2": Release(
            "",
            (
                _one("vox2_meta.csv"),
                _one("vox2_test_aac.zip", "0d2b3ea430a821c33263b5ea37ede312", folder="test"),
                Archive(
                    "vox2_dev_aac.zip",
                    tuple(File(f"vox2_dev_aac_part{letters}", md5) for letters, md5 in _VOXCELEB2_DEV.items()),
                ),
            ),
            access="ask for it at https://mm.kaist.ac.kr/datasets/voxceleb/ and give the address that you get",
        ),
    }
)
