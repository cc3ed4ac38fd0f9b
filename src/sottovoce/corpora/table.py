"""The one way to read a table: any encoding and separator that people's programs write, within bounds.

What a table may be: UTF-8, or UTF-16 or UTF-32 with a byte order mark; anything else is taken for Windows-1252, of
which Latin-1 is a part, and a note says so. Cells are separated by comma, semicolon, tab or bar, as the header shows.
A column without a name is left out and named; a row that is too short ends in empty cells and is named; a row that is
too long is refused, since nobody can say which of its cells are which.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import os
import re
import stat
import unicodedata
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from sottovoce.errors import CorpusError

MOST_BYTES = 64 << 20
MOST_ROWS = 1_000_000
MOST_COLUMNS = 1000
MOST_CELLS = 20_000_000  # rows times columns
KNOWN_COLUMNS = ("path", "file_name", "split", "start_s", "duration_s", "end_s", "speaker", "gender")  # in any case

_MOST_SHARED = 10_000  # different values of a column
_NAMED = 3  # how many of many a message names
_SHOWN = 200  # characters of a name
_SEPARATORS = ",;\t|"
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark is the start of this one
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_ZEROES = "holds zero bytes, so it is no text or has no byte order mark; save it as UTF-8."
_INVISIBLE = "\ufeff\u200b"  # a byte order mark or zero-width space that a cell was copied with
_NAMELESS = re.compile(r"(Unnamed: \d+(_level_\d+)?(\.\d+)*)?")  # an index, as pandas writes it and reads it back


class Table(NamedTuple):
    """The columns, each row with its line number and those of its cells that are not empty, and notes for the user."""

    columns: tuple[str, ...]
    rows: tuple[tuple[int, dict[str, str]], ...]
    notes: tuple[str, ...] = ()
    separator: str = ","


def named(names: Sequence[str]) -> str:
    """The first three of `names`, quoted and escaped, and how many more there are."""
    more = len(names) - _NAMED
    return ", ".join(map(quoted, names[:_NAMED])) + (f" and {more} more" if more > 0 else "")


def quoted(name: str) -> str:
    """A name for a message, escaped: it may hold line breaks and terminal commands, and more than anybody reads."""
    return repr(name if len(name) <= _SHOWN else name[: _SHOWN - 1] + "…")


def read_text(path: Path) -> tuple[str, list[str]]:
    """The text of a file, and a note where its encoding had to be guessed; CorpusError if it is not text."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # opening a pipe would wait for ever
            raise CorpusError(f"{path} cannot be read, since it is a folder or device; name a file of text.")
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise CorpusError(f"{path} cannot be read ({error}); check its name and your right to it.") from error
    if len(data) > MOST_BYTES:
        raise CorpusError(f"{path} is larger than {MOST_BYTES >> 20} MiB, the most that a table may have; split it up.")
    text, notes = _decoded(path, data)
    if "\0" in text:
        raise CorpusError(f"{path} {_ZEROES}")
    return text, notes


def _decoded(path: Path, data: bytes) -> tuple[str, list[str]]:
    encoding, mark = next(((name, mark) for mark, name in _MARKS if data.startswith(mark)), ("utf-8", b""))
    if not mark and b"\0" in data:
        raise CorpusError(f"{path} {_ZEROES}")
    try:
        return data[len(mark) :].decode(encoding), []
    except UnicodeDecodeError as error:
        if mark:
            raise CorpusError(f"{path} cannot be read as {encoding} ({error}); save it as UTF-8.") from error
    try:
        text = data.decode("windows-1252")
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path} is neither UTF-8 nor Windows-1252 ({error}); save it as UTF-8.") from error
    return text, [f"{path.name!r} is not UTF-8 and was read as Windows-1252 (Latin-1): check its letters"]


def read_table(path: Path, required: Sequence[str], layout: str) -> Table:
    """The table at `path`, with a header that names the columns `required`; `layout` says what messages expect.

    Cells are stripped. CorpusError for what is no such table.
    """
    text, notes = read_text(path)
    separator, text = _separator(text, required)
    try:
        filled = _lines(text, separator, _quoting(text, separator))
        _, header = next(filled, (0, []))
        columns = _columns(path, header, required, layout)
        rows, more = _rows(path, columns, filled)
        more += _nameless(path, header)
    except csv.Error as error:
        raise CorpusError(f"{path} cannot be read as a table ({error}); expected {layout}.") from error
    return Table(tuple(filter(None, columns)), tuple(rows), (*notes, *more), separator)


def _quoting(text: str, separator: str) -> Literal[0, 3]:
    """Whether quotes enclose cells; between tabs they may be letters: both are usual."""
    if separator == "\t":
        try:
            deque(_lines(text, separator), maxlen=0)
        except csv.Error:
            return csv.QUOTE_NONE
    return csv.QUOTE_MINIMAL


def _lines(text: str, separator: str, quoting: Literal[0, 3] = csv.QUOTE_MINIMAL) -> Iterator[tuple[int, list[str]]]:
    """The lines that are not empty, with their numbers, as stripped cells; csv.Error for what is malformed."""
    file = io.StringIO(text, newline="")
    lines = csv.reader(file, delimiter=separator, strict=True, skipinitialspace=True, quoting=quoting)
    for line in lines:
        cells = [_cell(cell) for cell in line]
        if any(cells):
            yield lines.line_num, cells


def read_json_lines(path: Path, required: Sequence[str], layout: str) -> Table:
    """The same of a file that has a JSON object on each line; null is an empty cell, lists and objects are left out."""
    text, notes = read_text(path)
    rows: list[tuple[int, dict[str, str]]] = []
    columns: dict[str, None] = {}
    left_out: set[str] = set()
    for line, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        fields = _object(path, line, content, required)
        left_out.update(name for name, value in fields.items() if isinstance(value, list | dict))
        columns |= dict.fromkeys(fields)
        cells = {name: _scalar(value) for name, value in fields.items()}
        rows.append((line, {name: cell for name, cell in cells.items() if cell}))
        _check_size(path, len(rows), len(columns))
    if left_out:
        notes.append(f"{path.name!r}: no labels, since they hold lists or objects: {named(sorted(left_out))}")
    kept = _columns(path, [name for name in columns if name not in left_out], required, layout)
    return Table(tuple(filter(None, kept)), tuple(rows), (*notes, *_nameless(path, columns)))


def _object(path: Path, line: int, content: str, required: Sequence[str]) -> dict[str, Any]:
    """The JSON object that a line holds, by the names of its columns."""
    try:
        fields = json.loads(content, object_pairs_hook=_fields)
        json.dumps(fields, ensure_ascii=False).encode()  # fails for half of a pair of surrogates
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deep" if isinstance(error, RecursionError) else error
        raise CorpusError(f"{path}, line {line}: no JSON ({reason}); expected an object on each line.") from error
    if not isinstance(fields, dict):
        raise CorpusError(f"{path}, line {line}: {type(fields).__name__}; expected a JSON object on each line.")
    known = {_known(_cell(name), required): value for name, value in fields.items()}
    if len(known) < len(fields):
        raise CorpusError(f"{path}, line {line}: two fields have the same name in different letters; rename one.")
    return known


def _fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {quoted(next(name for name in fields if names.count(name) > 1))} is there twice")
    return fields


def _cell(text: str) -> str:
    return text.strip().strip(_INVISIBLE).strip()


def _scalar(value: Any) -> str:
    if value is None or isinstance(value, list | dict):
        return ""
    return _cell(value) if isinstance(value, str) else json.dumps(value)


def _known(column: str, required: Iterable[str]) -> str:
    """A column's name; one that means something to us is known in any case, as in `Speaker`."""
    known = {name.casefold(): name for name in (*KNOWN_COLUMNS, *required)}
    return known.get(column.casefold(), unicodedata.normalize("NFC", column))


def _separator(text: str, required: Sequence[str]) -> tuple[str, str]:
    """What separates the cells, and the text without a first line `sep=;`, as Excel has it."""
    stated = re.match(r"sep=(.)\r?\n?", text)
    if stated:
        return stated[1], text[stated.end() :]
    widths: dict[str, tuple[bool, int]] = {}
    for separator in _SEPARATORS:
        try:
            _, header = next(_lines(text, separator), (0, []))
        except csv.Error:
            continue  # with this one it is no table, perhaps with another
        columns = {column.casefold() for column in header}
        widths[separator] = ({name.casefold() for name in required} <= columns, len(header))
    return max(widths, key=lambda separator: widths[separator], default=","), text


def _columns(path: Path, header: Sequence[str], required: Sequence[str], layout: str) -> list[str]:
    """The names of the columns, "" for one that has none."""
    columns = ["" if _NAMELESS.fullmatch(column) else _known(column, required) for column in header]
    twice = sorted({column for column in columns if column and columns.count(column) > 1})
    if twice:
        raise CorpusError(f"{path} has the column {quoted(twice[0])} more than once; expected {layout}.")
    missing = [column for column in required if column not in columns]
    if missing:
        there = named([column for column in columns if column]) or "none"
        raise CorpusError(f"{path} has no column {missing[0]!r}; its columns are: {there}; expected {layout}.")
    return columns


def _nameless(path: Path, header: Iterable[str]) -> list[str]:
    """A note that names the columns without a name of their own."""
    names = [column for column in header if _NAMELESS.fullmatch(column)]
    return [f"{path.name!r}: columns without a name, such as an index, left out: {named(names)}"] if names else []


def _rows(
    path: Path, columns: Sequence[str], filled: Iterator[tuple[int, list[str]]]
) -> tuple[list[tuple[int, dict[str, str]]], list[str]]:
    rows: list[tuple[int, dict[str, str]]] = []
    short: list[int] = []
    width = len(columns)
    shared: list[dict[str, str]] = [{} for _ in columns]  # by column: a million rows have few different speakers
    for line, cells in filled:
        if any(cells[width:]):
            raise CorpusError(f"{path}, line {line}: {len(cells)} cells; expected {width}, as in the header.")
        if len(cells) < width:
            short.append(line)
        known = zip(columns, cells, shared, strict=False)
        rows.append((line, {column: _once(cell, seen) for column, cell, seen in known if column and cell}))
        _check_size(path, len(rows), width)
    notes = []
    if short:
        which = ", ".join(map(str, short[:_NAMED])) + (
            f" and {len(short) - _NAMED} more" if len(short) > _NAMED else ""
        )
        notes.append(f"{path.name!r}: rows that are too short, whose last cells were taken for empty: line {which}")
    return rows, notes


def _once(cell: str, seen: dict[str, str]) -> str:
    """The same text, kept once in memory where it recurs; where almost every cell is new, that is not worth it."""
    return seen.setdefault(cell, cell) if len(seen) < _MOST_SHARED else seen.get(cell, cell)


def _check_size(path: Path, rows: int, columns: int) -> None:
    if rows > MOST_ROWS or columns > MOST_COLUMNS or rows * columns > MOST_CELLS:
        raise CorpusError(
            f"{path} has more than {MOST_ROWS} rows, {MOST_COLUMNS} columns or {MOST_CELLS} cells; split it up."
        )
