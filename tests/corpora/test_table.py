"""A table in any encoding and with any separator gives the same rows; what is no table is refused in one sentence."""

import csv
import json
import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sottovoce.corpora import table
from sottovoce.corpora.table import Table, read_json_lines, read_table
from sottovoce.errors import CorpusError

LAYOUT = "path,LABEL"
TEXT = "path,speaker,word\na.wav,Zoë,yes\nb.wav,Ben,no\n"
ROWS = (
    (2, {"path": "a.wav", "speaker": "Zoë", "word": "yes"}),
    (3, {"path": "b.wav", "speaker": "Ben", "word": "no"}),
)


def read(folder: Path, data: str | bytes, name: str = "t.csv") -> Table:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    reader = read_json_lines if name.endswith("l") else read_table
    return reader(path, ("path",), LAYOUT)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_every_marked_encoding_gives_the_same_rows(tmp_path: Path, encoding: str) -> None:
    assert read(tmp_path, TEXT.encode(encoding)) == Table(("path", "speaker", "word"), ROWS, (), ",")


@pytest.mark.parametrize("mark", ["utf-16-le", "utf-16-be", "utf-32-be"])
def test_the_order_of_bytes_is_told_by_the_mark(tmp_path: Path, mark: str) -> None:
    assert read(tmp_path, ("\ufeff" + TEXT).encode(mark)).rows == ROWS


def test_latin_1_is_read_and_said(tmp_path: Path) -> None:
    found = read(tmp_path, TEXT.encode("latin-1"))
    assert found.rows == ROWS
    assert "Windows-1252 (Latin-1)" in found.notes[0]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_separators_and_line_endings_are_known_by_the_header(tmp_path: Path, separator: str, ending: str) -> None:
    found = read(tmp_path, TEXT.replace(",", separator).replace("\n", ending))
    assert found.rows == ROWS and found.separator == separator


def test_a_first_line_that_names_the_separator_is_obeyed(tmp_path: Path) -> None:
    assert [row for _, row in read(tmp_path, "sep=;\n" + TEXT.replace(",", ";")).rows] == [row for _, row in ROWS]


def test_a_separator_in_quotes_separates_nothing(tmp_path: Path) -> None:
    found = read(tmp_path, 'path;speaker\n"a;1.wav";"O""Neil, Jr"\n')
    assert found.rows == ((2, {"path": "a;1.wav", "speaker": 'O"Neil, Jr'}),)


def test_quotes_between_tabs_are_letters_unless_they_enclose_cells(tmp_path: Path) -> None:
    enclosing = read(tmp_path, 'path\tword\n"a.wav"\t"a\tb"\n')
    assert enclosing.rows == ((2, {"path": "a.wav", "word": "a\tb"}),)
    letters = read(tmp_path, 'path\tword\na.wav\t"Yes," she said\nb.wav\tno\n')
    assert letters.rows == ((2, {"path": "a.wav", "word": '"Yes," she said'}), (3, {"path": "b.wav", "word": "no"}))


def test_spaces_marks_and_empty_lines_around_cells_mean_nothing(tmp_path: Path) -> None:
    spaced = "\n\n path , Speaker,word\n\n\ufeffa.wav ,\tZoë\u00a0,yes\n , ,\nb.wav,Ben,  no\n\n"
    assert [row for _, row in read(tmp_path, spaced).rows] == [row for _, row in ROWS]


def test_known_columns_are_known_in_any_case_and_others_keep_theirs(tmp_path: Path) -> None:
    assert read(tmp_path, "PATH,Split,START_S,Mood\na,test,1,x\n").columns == ("path", "split", "start_s", "Mood")


@pytest.mark.parametrize("header", [",path,speaker", "Unnamed: 0,path,speaker", "\ufeff,path,speaker"])
def test_a_column_without_a_name_is_left_out_and_said(tmp_path: Path, header: str) -> None:
    found = read(tmp_path, f"{header}\n0,a.wav,Ben\n")
    assert found.columns == ("path", "speaker") and found.rows[0][1] == {"path": "a.wav", "speaker": "Ben"}
    assert "without a name" in found.notes[0]


def test_a_short_row_ends_in_empty_cells_and_is_named_by_its_line(tmp_path: Path) -> None:
    found = read(tmp_path, TEXT + "c.wav\n")
    assert found.rows[-1] == (4, {"path": "c.wav"})
    assert "too short" in found.notes[0] and found.notes[0].endswith("line 4")


def test_a_row_that_is_longer_by_empty_cells_is_not_long(tmp_path: Path) -> None:
    assert read(tmp_path, TEXT.replace("yes\n", "yes,,\n")).rows == ROWS


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (TEXT + "c.wav,x,y,z\n", "line 4: 4 cells; expected 3"),
        ("path,word,Path\na,b,c\n", "'path' more than once"),
        (TEXT.encode("utf-16-le"), "zero bytes"),
        (TEXT.replace("yes", "y\0s"), "zero bytes"),
        (b"\xff\xfea", "cannot be read as utf-16-le"),
        (b"path,word\n\x81,x\n", "neither UTF-8 nor Windows-1252"),
        ('path,word\n"a.wav,yes\n', "cannot be read as a table"),
        (f"path,word\na.wav,{'x' * 200_000}\n", "field larger than field limit"),
        ("file,word\na.wav,yes\n", r"no column 'path'; its columns are: 'file', 'word'"),
        ("", "no column 'path'; its columns are: none"),
        ("path," + ",".join(f"c{i}" for i in range(1001)) + "\na\n", "more than"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, data: str | bytes, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        read(tmp_path, data)


def test_size_and_rows_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "MOST_ROWS", 2)
    assert len(read(tmp_path, TEXT).rows) == 2
    with pytest.raises(CorpusError, match="more than 2 rows"):
        read(tmp_path, TEXT + "c.wav,x,y\n")
    monkeypatch.setattr(table, "MOST_BYTES", 20)
    with pytest.raises(CorpusError, match="larger than"):
        read(tmp_path, TEXT)


def test_pipes_and_folders_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    for path in (tmp_path / "pipe.csv", tmp_path):
        with pytest.raises(CorpusError, match="folder or device"):
            read_table(path, ("path",), LAYOUT)
    with pytest.raises(CorpusError, match="cannot be read"):
        read_table(tmp_path / "nothing.csv", ("path",), LAYOUT)


def test_json_lines_give_the_same_rows(tmp_path: Path) -> None:
    lines = [{"Path": "a.wav", "speaker": "Zoë", "word": "yes"}, {"path": "b.wav", "speaker": "Ben", "word": "no"}]
    found = read(tmp_path, "\n".join(map(json.dumps, lines)), "t.jsonl")
    assert [row for _, row in found.rows] == [row for _, row in ROWS]


def test_json_values_become_text_and_lists_are_left_out(tmp_path: Path) -> None:
    line = '{"path": "a.wav", "age": 31, "loud": true, "mood": null, "tags": ["x"]}\n'
    found = read(tmp_path, line, "t.jsonl")
    assert found.rows == ((1, {"path": "a.wav", "age": "31", "loud": "true"}),)
    assert "'tags'" in found.notes[0] and "tags" not in found.columns


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[" * 100_000, "nested too deep"),
        ('{"path": "a.wav"', "line 1: no JSON"),
        ("[1]", "line 1: list; expected a JSON object"),
        ('{"path": "a.wav", "word": "\\ud800"}', "no JSON"),
        ('{"path": "a", "Path": "b"}', "same name"),
        ('{"path": "a", "path": "b"}', "line 1: no JSON .the key 'path' is there twice"),
        ('{"path": "a", "word": "yes", "word": "yes"}', "the key 'word' is there twice"),
        ('{"path": "a", "more": [{"x": 1, "x": 2}]}', "the key 'x' is there twice"),
        ('{"word": "yes"}', "no column 'path'"),
        ('{"path": ["a.wav"]}', "no column 'path'"),
    ],
)
def test_what_is_no_json_line_is_refused(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        read(tmp_path, line, "t.jsonl")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(st.binary(max_size=80), st.sampled_from(["t.csv", "t.jsonl"]))
def test_no_bytes_lead_to_anything_but_rows_or_a_corpus_error(tmp_path: Path, data: bytes, name: str) -> None:
    for start in (b"", b"path,word\n", b'{"path": '):
        with suppress(CorpusError):
            read(tmp_path, start + data, name)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100, deadline=None)
@given(st.lists(st.lists(st.text("ab ,;|\t\"'é", max_size=5), min_size=2, max_size=2), max_size=6))
def test_what_the_csv_module_writes_is_read_as_it_was(tmp_path: Path, rows: list[list[str]]) -> None:
    path = tmp_path / "t.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([["path", "word"], *rows])
    stripped = [dict(zip(("path", "word"), map(str.strip, row), strict=True)) for row in rows]
    expected = [{name: cell for name, cell in row.items() if cell} for row in stripped if any(row.values())]
    assert [row for _, row in read_table(path, ("path",), LAYOUT).rows] == expected
