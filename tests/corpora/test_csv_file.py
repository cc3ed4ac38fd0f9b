"""A CSV file of clips: what it may hold, and one clear sentence for all that it may not."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sottovoce.corpora import csv_file
from sottovoce.corpora.manifest import Clip
from sottovoce.errors import CorpusError


@pytest.fixture
def table(record, tmp_path: Path):
    """Write a CSV file beside two sounds, a.wav and deeper/b.wav."""
    record("a.wav", duration_s=1.0)
    record("deeper/b.wav", duration_s=1.0)

    def write(text: str) -> Path:
        path = tmp_path / "clips.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_labels_paths_and_empty_cells(table) -> None:
    manifest = csv_file.read(table("\ufeffpath, speaker ,word\n./a.wav,anna,\n\ndeeper/b.wav,ben,yes\n"))
    assert [(clip.id, clip.labels) for clip in manifest.clips] == [
        ("a.wav", {"speaker": "anna"}),
        ("deeper/b.wav", {"speaker": "ben", "word": "yes"}),
    ]
    assert all(clip.path.is_file() for clip in manifest.clips)


def test_slices_and_parts(table) -> None:
    manifest = csv_file.read(
        table("path,word,start_s,duration_s,split\na.wav,yes,0,0.25,train\na.wav,no,0.5,,dev\ndeeper/b.wav,no,,,test\n")
    )
    assert [(clip.id, clip.start_s, clip.duration_s, clip.part) for clip in manifest.clips] == [
        ("a.wav#0+0.25", 0.0, 0.25, "train"),
        ("a.wav#0.5", 0.5, None, "validation"),
        ("deeper/b.wav", 0.0, None, "test"),
    ]


def test_the_same_slice_twice_is_dropped(table) -> None:
    manifest = csv_file.read(table("path,word\na.wav,yes\n./a.wav,yes\n"))
    assert len(manifest.clips) == 1
    assert "duplicate" in manifest.notes[0]


@pytest.mark.parametrize(
    ("clips", "rule"),
    [
        ([({"speaker": "a"}, "train"), ({"speaker": "b"}, "test")], "official"),
        ([({"speaker": "a"}, None), ({"speaker": "b"}, None), ({"speaker": "c"}, None)], "speaker"),
        ([({"speaker": speaker}, None) for speaker in "aaabbbccc"], "utterance"),
        ([({"speaker": "a"}, None), ({"speaker": "b"}, None)], "utterance"),
        ([({"speaker": "a"}, None), ({"speaker": "b"}, None), ({"speaker": "c"}, None), ({}, None)], "utterance"),
    ],
)
def test_the_rule_of_the_split_follows_from_the_columns(clips, rule: str) -> None:
    assert csv_file.default_rule([Clip(Path(), "", labels, part) for labels, part in clips]) == rule


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column 'path'"),
        ("file,speaker\na.wav,anna\n", r"no column 'path'; its columns are: 'file', 'speaker'"),
        ("path,split\na.wav,train\n", "no column with a label"),
        ("path,word,word\na.wav,yes,no\n", "'word' more than once"),
        ("path,word\na.wav,yes,no\n", "line 2: 3 cells; expected 2"),
        ("path,word\n,yes\n", "line 2: 'path' is ''"),
        (
            "path,word\nx.wav,a\ny.wav,b\nz.wav,c\nw.wav,d\na.wav,e\n",
            r"4 files .*: 'w.wav', 'x.wav', 'y.wav' and 1 more",
        ),
        ("path,word\ndeeper,yes\n", "1 files that are not there: 'deeper'"),
        ("path,word,start_s\na.wav,yes,soon\n", "line 2: start_s is 'soon'"),
        ("path,word,start_s\na.wav,yes,-1\n", "line 2: start_s is '-1'"),
        ("path,word,start_s,duration_s\na.wav,yes,0,nan\n", "line 2: duration_s is 'nan'"),
        ("path,word,start_s,duration_s\na.wav,yes,0,0\n", "line 2: duration_s is 0"),
        ("path,word,duration_s\na.wav,yes,1\n", "'duration_s' but none 'start_s'"),
        ("path,word,split\na.wav,yes,exam\n", "line 2: split is 'exam'"),
        ('path,word\n"a.wav,yes\n', "cannot be read as a CSV file"),
        ("path,word\n", "holds no recording"),
    ],
)
def test_mistakes_are_named(table, text: str, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        csv_file.read(table(text))


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "clips.csv"
    path.write_bytes(b"path,word\n\xff\xfe\n")
    with pytest.raises(CorpusError, match="UTF-8"):
        csv_file.read(path)
    with pytest.raises(CorpusError, match="cannot be read"):
        csv_file.read(tmp_path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(st.text(alphabet=st.sampled_from("path,word\nsplit\"\0 a.wav1-e'\r;/\t\ud800"), max_size=60))
def test_no_text_leads_to_anything_but_clips_or_a_corpus_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "clips.csv"
    path.write_bytes(("path,word,start_s,duration_s\n" + text).encode("utf-8", "surrogatepass"))
    with suppress(CorpusError):
        csv_file.read(path)
