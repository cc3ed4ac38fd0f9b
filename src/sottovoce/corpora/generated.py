"""Corpora that are made from others, or synthesised: written to the cache at their first use, with a table of clips."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from sottovoce.corpora.listing import listed
from sottovoce.corpora.manifest import Clip
from sottovoce.corpora.store import build_once, cache_folder

_TABLE = "metadata.csv"


def generated(
    kind: str,
    key: str,
    columns: Sequence[str],
    build: Callable[[Path], Iterable[Sequence[str]]],
    notes: list[str],
    cache: Path | None = None,
) -> tuple[Path, list[Clip]]:
    """The folder KIND/KEY in the cache and its clips; `build` writes their sound there, unless it was, and gives rows.

    A row has a cell for each of `columns`, of which `file_name` is the first. What was damaged is added to `notes`.
    """

    def whole(folder: Path) -> None:
        rows = list(build(folder))
        with (folder / _TABLE).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([columns, *rows])

    folder = build_once((cache_folder() if cache is None else cache) / kind / key, whole, notes)
    return folder, listed(folder / _TABLE, "file_name").clips
