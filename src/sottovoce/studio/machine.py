"""What the local page offers: filters, audits, recordings and progress, read from files whenever somebody asks."""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sottovoce.audit import compare, record
from sottovoce.errors import ConfigError, SottovoceError
from sottovoce.files import read_bytes, read_json
from sottovoce.jobs import progress_file
from sottovoce.models.checkpoint import CARD
from sottovoce.runtime import bundled

LOG = "studio.log"  # what an audit said that was started here
REPORT = "report.html"
_LARGEST_REPORT = 1 << 27  # bytes
_LARGEST_LOG = 1 << 24
_MOST_FOLDERS = 1000
_MOST_FILES = 1000
_SOUNDS = (".wav", ".flac", ".ogg", ".mp3", ".m4a")


@dataclass(frozen=True)
class Machine:
    """Folders that were named, specifications of corpora, and the folder of audits that are started here.

    A folder that holds no audit and no filter offers the audits and filters in the folders directly below it.
    """

    folders: tuple[Path, ...]
    corpora: tuple[str, ...]
    out: Path

    def __post_init__(self) -> None:
        for folder in self.folders:
            if not folder.is_dir():
                raise ConfigError(f"{folder} is no folder; name folders of audits or filters, or folders of these.")

    def filters(self) -> dict[str, Path]:
        """Folders of filters by name: those that are bundled, then others, of which each name is taken once."""
        found = {name: bundled.PLACE / name for name in bundled.known()}
        for folder in self._offered():
            if _is_filter(folder):
                found.setdefault(folder.name, folder)
        return found

    def systems(self) -> dict[str, str]:
        """What may be audited, as `audit` takes it, by name: filters, and named folders of protected recordings."""
        found = {name: str(path.resolve()) for name, path in self.filters().items()}
        for folder in self.folders:
            if not _is_filter(folder) and not (folder / record.RESULTS).is_file() and _sounds(folder):
                found.setdefault(f"recordings in {folder.resolve().name}", str(folder.resolve()))
        return found

    def audits(self) -> dict[str, Path]:
        """Folders of complete audits, each by an identifier for addresses."""
        return {identifier(folder): folder for folder in self._offered() if (folder / record.RESULTS).is_file()}

    def state(self) -> dict[str, Any]:
        """All that the page shows: audits, work that is running or unfinished, and what may be audited."""
        return {
            "audits": [_audit(key, folder) for key, folder in self.audits().items()],
            "work": self._work(),
            "systems": list(self.systems()),
            "corpora": list(self.corpora),
            "out": str(self.out),
        }

    def report(self, key: str) -> bytes:
        """The page of an audit; ConfigError where there is none."""
        folder = self.audits().get(key)
        if folder is None or (folder / REPORT).is_symlink():
            raise ConfigError("there is no such audit; load the page again.")
        return read_bytes(folder / REPORT, _LARGEST_REPORT)

    def compared(self, keys: Sequence[str]) -> dict[str, Any]:
        """Audits side by side: lines of cells, the first cell of each names it, and sentences of warning."""
        known = self.audits()
        if unknown := [key for key in keys if key not in known]:
            raise ConfigError(f"there is no audit {unknown[0][:20]!r}; load the page again.")
        comparison = compare.compared([known[key] for key in keys])
        return {"lines": compare.lines(comparison), "warnings": comparison["warnings"]}

    def _offered(self) -> Iterator[Path]:
        """Each folder that is looked at, once."""
        seen: set[Path] = set()
        for folder in (*self.folders, self.out):
            if not folder.is_dir():
                continue
            own = [folder] if _holds_something(folder) else list(_below(folder))
            for path in own:
                if (whole := path.resolve()) not in seen:
                    seen.add(whole)
                    yield path

    def _work(self) -> list[dict[str, Any]]:
        """Commands that are running or were stopped, and audits that were started here and have failed."""
        work = progress_file.known()
        told = {facts["out"] for facts in work}
        for folder in _below(self.out) if self.out.is_dir() else ():
            if (
                (folder / LOG).is_file()
                and not (folder / record.RESULTS).is_file()
                and str(folder.resolve()) not in told
            ):
                facts = {"verb": "audit", "out": str(folder.resolve()), "done": 0, "total": 0, "running": False}
                work.append({**facts, "updated": (folder / LOG).stat().st_mtime, "note": ""})
        return [{**facts, "said": _last_line(Path(facts["out"]) / LOG)} for facts in work]


def identifier(folder: Path) -> str:
    """A folder's name in addresses, which tells nothing of it."""
    return hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]


def _below(folder: Path) -> list[Path]:
    """The folders directly below one that belong to this user, without hidden ones."""
    with suppress(OSError):
        inner = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".") and path.is_dir()]
        return [path for path in inner[:_MOST_FOLDERS] if _own(path)]
    return []


def _own(folder: Path) -> bool:
    return not hasattr(os, "geteuid") or folder.stat().st_uid in (0, os.geteuid())


def _holds_something(folder: Path) -> bool:
    return _is_filter(folder) or (folder / record.RESULTS).is_file()


def _is_filter(folder: Path) -> bool:
    with suppress(SottovoceError):
        return (folder / CARD).is_file() and read_json(folder / CARD).get("kind") == "filter"
    return False


def _sounds(folder: Path) -> bool:
    """Whether sound files are among the first files in a folder and directly below it."""
    looked_at = itertools.islice(itertools.chain(folder.glob("*.*"), folder.glob("*/*.*")), _MOST_FILES)
    return any(path.suffix.lower() in _SOUNDS for path in looked_at)


def _audit(key: str, folder: Path) -> dict[str, Any]:
    """What the list says of an audit, or why it cannot be read."""
    try:
        about = (folder / record.RESULTS).stat()
        facts = _headline(folder, about.st_mtime_ns, about.st_size)
    except (SottovoceError, OSError) as error:
        return {"id": key, "name": str(folder), "error": str(error)}
    return {"id": key, "name": str(folder), **facts}


@functools.lru_cache(maxsize=_MOST_FOLDERS)
def _headline(folder: Path, *version: int) -> dict[str, Any]:
    results = record.read_results(folder).model_dump(mode="json", by_alias=True)
    shown = compare.headline(results)
    return {
        "date": results["date"],
        "corpus": results["corpus"].get("name", ""),
        "valid": shown["valid"],
        "earlier": results["schema"] < compare.STRICT,
        "attackers": shown["attackers"],
        "permitted": {task: entry["obfuscated"]["score"] for task, entry in shown["permitted"].items()},
        "private": {
            task: {"verdict": entry["verdict"], "leakage": entry["leakage"]["score"]}
            for task, entry in shown["private"].items()
        },
    }


def _last_line(log: Path) -> str:
    """What a command said last, "" where it has no log."""
    with suppress(SottovoceError):
        lines = read_bytes(log, _LARGEST_LOG).decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")
    return ""
