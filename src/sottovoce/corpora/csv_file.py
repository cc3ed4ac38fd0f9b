"""Your own recordings, listed in a CSV file.

Layout     a UTF-8 file with a header; columns `path` (relative to the CSV file), any number of labels such as `speaker`
           and `gender`, and, where wanted, `start_s` and `duration_s` (one clip is a slice of a longer recording) and
           `split` (train, validation or test)
Licence    yours to know
Split      official where there is a column `split`; else by utterance, or by speaker where few recur
An empty cell means that the clip has no such label.
"""

from __future__ import annotations

import csv
import math
import posixpath
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

from sottovoce.corpora.layout import Corpus, assemble, named
from sottovoce.corpora.manifest import Clip, Manifest, SplitRule
from sottovoce.errors import CorpusError

CORPUS = Corpus(
    name="csv",
    title="clips listed in a CSV file",
    homepage="",
    layout="a CSV file with a header: path,LABEL,...[,start_s,duration_s,split]",
    labels=(),
    licence="unknown: the recordings are the user's own",
    citation="",
    split_rule="utterance",
)

_PARTS = {"train": "train", "validation": "validation", "valid": "validation", "dev": "validation", "test": "test"}
_NOT_LABELS = ("start_s", "duration_s", "split")


def read(path: Path) -> Manifest:
    """Manifest of the clips that the CSV file at `path` lists; CorpusError names what is missing or wrong in it."""
    clips = read_table(path, "path")
    return assemble(replace(CORPUS, split_rule=default_rule(clips)), path, clips)


def default_rule(clips: Sequence[Clip]) -> SplitRule:
    """How clips of which nothing else is known are split, when nothing is asked for.

    Who speaks is private as a rule, and can be attacked only where the same speakers are heard again: by utterance,
    unless most speakers have fewer than three clips.
    """
    if any(clip.part for clip in clips):
        return "official"
    counts = Counter(clip.labels.get("speaker", "") for clip in clips)
    seldom = "" not in counts and len(counts) >= 3 and median(counts.values()) < 3
    return "speaker" if seldom else "utterance"


def read_table(table: Path, path_column: str) -> list[Clip]:
    """The clips that the rows of a CSV file describe; `path_column` holds paths relative to it.

    Raises CorpusError when the table cannot be read, a column is missing, a cell makes no sense or a file is not there.
    """
    columns, rows = _rows(table)
    if path_column not in columns:
        raise CorpusError(f"{table} has no column {path_column!r}; its columns are: {named(columns)}.")
    labels = [column for column in columns if column != path_column and column not in _NOT_LABELS]
    if not labels:
        raise CorpusError(f"{table} has no column with a label; add one, such as 'speaker', beside {path_column!r}.")
    if "duration_s" in columns and "start_s" not in columns:
        raise CorpusError(f"{table} has a column 'duration_s' but none 'start_s'; add it.")
    clips = [_clip(table, line, row, path_column, labels) for line, row in rows]
    missing = sorted({clip.id.partition("#")[0] for clip in clips if not clip.path.is_file()})
    if missing:
        raise CorpusError(f"{table} lists {len(missing)} files that are not there: {named(missing)}.")
    return clips


def _rows(table: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """The columns, and each row that is not empty with its line number."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, strict=True)
            columns = [column.strip() for column in next(lines, [])]
            cells = [(lines.line_num, [cell.strip() for cell in line]) for line in lines if any(map(str.strip, line))]
    except (OSError, UnicodeError, csv.Error) as error:
        raise CorpusError(
            f"{table} cannot be read as a CSV file in UTF-8 ({error}); expected {CORPUS.layout}."
        ) from error
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        raise CorpusError(f"{table} has the column {twice[0]!r} more than once; expected {CORPUS.layout}.")
    for line, row in cells:
        if len(row) != len(columns):
            raise CorpusError(f"{table}, line {line}: {len(row)} cells; expected {len(columns)}, as in the header.")
    return columns, [(line, dict(zip(columns, row, strict=True))) for line, row in cells]


def _clip(table: Path, line: int, row: dict[str, str], path_column: str, labels: list[str]) -> Clip:
    where = f"{table}, line {line}"
    if not row[path_column] or "\0" in row[path_column]:
        raise CorpusError(f"{where}: {path_column!r} is {row[path_column]!r}; expected the path of a sound file.")
    start_s = _seconds(where, row, "start_s")
    duration_s = _seconds(where, row, "duration_s")
    if duration_s == 0.0:
        raise CorpusError(f"{where}: duration_s is 0; expected seconds above 0, or nothing for 'to the end'.")
    part = row.get("split") or None
    if part is not None and part not in _PARTS:
        raise CorpusError(f"{where}: split is {part!r}; expected train, validation or test.")
    clip_id = posixpath.normpath(row[path_column])
    if start_s is not None or duration_s is not None:
        clip_id += f"#{start_s or 0.0:g}" + ("" if duration_s is None else f"+{duration_s:g}")
    return Clip(
        path=table.parent / row[path_column],
        id=clip_id,
        labels={label: row[label] for label in labels if row[label]},
        part=None if part is None else _PARTS[part],
        start_s=start_s or 0.0,
        duration_s=duration_s,
    )


def _seconds(where: str, row: dict[str, str], column: str) -> float | None:
    text = row.get(column, "")
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0.0 <= seconds < math.inf:
        raise CorpusError(f"{where}: {column} is {text!r}; expected seconds, 0 or more.")
    return seconds
