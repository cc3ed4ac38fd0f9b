"""Clips that a table lists: CSV, or JSON lines, with one row for each.

A column holds paths, relative to the table and below its folder; any number of others are labels, such as `speaker` and
`gender`. Where they are there, `start_s` and `duration_s` or `end_s` make a clip a slice of a longer recording, and
`split` is its part: train, validation or test. An empty cell means that the clip has no such label. What else a table
may look like: `table`.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from sottovoce.corpora.below import Below, Outside
from sottovoce.corpora.layout import PARTS, sharing_labels, slice_id
from sottovoce.corpora.manifest import Clip, SplitRule
from sottovoce.corpora.table import named, quoted, read_json_lines, read_table
from sottovoce.errors import CorpusError

LAYOUT = "a CSV file with a header: path,LABEL,...[,start_s,duration_s,split]"

_NOT_LABELS = ("start_s", "duration_s", "end_s", "split")
_OTHER_TIMES = ("start", "end", "onset", "offset")  # what other programs call the bounds of a slice


def default_rule(clips: Sequence[Clip]) -> SplitRule:
    """How clips of which nothing else is known are split, when nothing is asked for.

    Who speaks is private as a rule, and can be attacked only where the same speakers recur: by utterance,
    unless most speakers have fewer than three clips.
    """
    if any(clip.part for clip in clips):
        return "official"
    counts = Counter(clip.labels.get("speaker", "") for clip in clips)
    seldom = "" not in counts and len(counts) >= 3 and median(counts.values()) < 3
    return "speaker" if seldom else "utterance"


Rows = Sequence[tuple[int, dict[str, str]]]  # each with its line number


class Listed(NamedTuple):
    """What a table lists: its clips, the names of its labels, whether or not a clip has them, notes for the user."""

    clips: list[Clip]
    labels: list[str]
    notes: list[str]


def listed(table: Path, path_column: str) -> Listed:
    """What the rows of a CSV file, or of a file of JSON lines, describe.

    `path_column` holds paths relative to the table. Raises CorpusError when the table cannot be read, a column is
    missing, a cell makes no sense, a path leads out of the table's folder or a file is not there.
    """
    read_rows = read_json_lines if table.suffix.lower() == ".jsonl" else read_table
    columns, rows, notes, separator = read_rows(table, (path_column,), LAYOUT)
    counts = [column for column in columns if column.casefold() == "index" and _counts_rows(rows, column)]
    if counts:
        notes = (*notes, f"{table.name!r}: a column that only counts the rows, left out: {named(counts)}")
    labels = [column for column in columns if column not in (path_column, *_NOT_LABELS, *counts)]
    if not labels:
        raise CorpusError(f"{table} has no column with a label; add one, such as 'speaker', beside {path_column!r}.")
    _check_times(table, columns, rows, decimal_comma=separator != ",")
    below = Below(table.parent)
    clips = list(
        sharing_labels(
            _clip(f"{table}, line {line}", row, path_column, labels, below, decimal_comma=separator != ",")
            for line, row in rows
        )
    )
    missing = sorted({clip.id.partition("#")[0] for clip in clips if not os.path.isfile(clip.path)})
    if missing:
        raise CorpusError(f"{table} lists {len(missing)} files that are not there: {named(missing)}.")
    return Listed(clips, labels, list(notes))


def _counts_rows(rows: Rows, column: str) -> bool:
    """Whether a column holds 0, 1, 2 and so on, as an index that a program wrote."""
    return bool(rows) and all(row.get(column) == str(i) for i, (_, row) in enumerate(rows))


def _check_times(table: Path, columns: Sequence[str], rows: Rows, decimal_comma: bool) -> None:
    """CorpusError where the columns of a slice are incomplete, contradict each other or have other names."""
    for column in ("duration_s", "end_s"):
        if column in columns and "start_s" not in columns:
            raise CorpusError(f"{table} has a column {column!r} but none 'start_s'; add it.")
    if "duration_s" in columns and "end_s" in columns:
        raise CorpusError(f"{table} has the columns 'duration_s' and 'end_s'; leave one of them out.")
    if "start_s" in columns:
        return
    for column in columns:
        cells = [row[column] for _, row in rows if column in row] if column.casefold() in _OTHER_TIMES else []
        if cells and all(_is_time(_number(cell, decimal_comma)) for cell in cells):
            raise CorpusError(
                f"{table} has a column {quoted(column)} that looks like seconds; name the start of a slice 'start_s' "
                "and its length 'duration_s', or give the column another name if it is a label."
            )


def _clip(
    where: str, row: Mapping[str, str], path_column: str, labels: Sequence[str], below: Below, decimal_comma: bool
) -> Clip:
    given = row.get(path_column, "")
    try:
        clip_id, path = below.find(given)
    except Outside as reason:
        raise CorpusError(
            f"{where}: {path_column!r} is {quoted(given)}, {reason}; give the path of a sound file in the "
            "folder of the table or below it, relative to that folder."
        ) from reason
    start_s = _seconds(where, row, "start_s", decimal_comma)
    duration_s = _seconds(where, row, "duration_s", decimal_comma)
    end_s = _seconds(where, row, "end_s", decimal_comma)
    if end_s is not None:
        duration_s = round(end_s - (start_s or 0.0), 9)  # 0.3 - 0.1 is meant as 0.2
        if duration_s <= 0.0:
            raise CorpusError(f"{where}: end_s is {end_s}; expected more than start_s, which is {start_s or 0.0}.")
    if duration_s == 0.0:
        raise CorpusError(f"{where}: duration_s is 0; expected seconds above 0, or nothing for 'to the end'.")
    part = row.get("split", "")
    if part and part.casefold() not in PARTS:
        raise CorpusError(f"{where}: split is {quoted(part)}; expected train, validation or test.")
    if start_s is not None or duration_s is not None:
        clip_id = slice_id(clip_id, start_s or 0.0, duration_s)
    return Clip(
        path=path,
        id=clip_id,
        labels={label: row[label] for label in labels if label in row},
        part=PARTS[part.casefold()] if part else None,
        start_s=start_s or 0.0,
        duration_s=duration_s,
    )


def _seconds(where: str, row: Mapping[str, str], column: str, decimal_comma: bool) -> float | None:
    text = row.get(column, "")
    if not text:
        return None
    seconds = _number(text, decimal_comma)
    if not _is_time(seconds):
        raise CorpusError(f"{where}: {column} is {quoted(text)}; expected seconds, 0 or more.")
    return seconds


def _is_time(seconds: float) -> bool:
    return 0.0 <= seconds < math.inf


def _number(text: str, decimal_comma: bool) -> float:
    """The number that a cell holds; NaN if it holds none. Python alone would read 1_0, and digits of any script."""
    if "_" in text or not text.isascii():
        return math.nan
    try:
        return float(text.replace(",", ".") if decimal_comma else text) + 0.0  # -0.0 is 0.0
    except ValueError:
        return math.nan
