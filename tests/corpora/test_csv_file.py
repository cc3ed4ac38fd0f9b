"""A CSV file of clips: what it may hold, and one clear sentence for all that it may not."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sottovoce.corpora.listing import default_rule
from sottovoce.corpora.manifest import Clip
from sottovoce.corpora.readers.csv_file import CORPUS as csv_file
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


def test_slices_that_differ_at_all_have_different_ids(table) -> None:
    starts = ("0.1234567", "0.12345671", "0.1234568")
    rows = "".join(f"a.wav,{word},{start},0.2\n" for word, start in zip("xyz", starts, strict=True))
    manifest = csv_file.read(table(f"path,word,start_s,duration_s\n{rows}"))
    assert [clip.id for clip in manifest.clips] == [
        "a.wav#0.1234567+0.2",
        "a.wav#0.12345671+0.2",
        "a.wav#0.1234568+0.2",
    ]


def test_seconds_with_decimal_commas_are_read_between_semicolons(table) -> None:
    manifest = csv_file.read(table("path;word;start_s;duration_s\na.wav;yes;0,25;0,5\n"))
    assert (manifest.clips[0].start_s, manifest.clips[0].duration_s) == (0.25, 0.5)
    with pytest.raises(CorpusError, match="start_s is '0,25'"):
        csv_file.read(table('path,word,start_s\na.wav,yes,"0,25"\n'))


@pytest.mark.parametrize("path", ["/etc/hostname", "../a.wav", "link.wav", "C:/a.wav", "http://localhost/a.wav"])
def test_a_path_that_leads_out_of_the_folder_is_refused(table, tmp_path: Path, path: str) -> None:
    (tmp_path / "link.wav").symlink_to("/etc/hostname")
    with pytest.raises(CorpusError, match=r"line 2: 'path' is .*; give the path of a sound file in the folder of the"):
        csv_file.read(table(f"path,word\n{path},yes\n"))


def test_a_name_that_no_disk_could_hold_is_not_there(table) -> None:
    with pytest.raises(CorpusError, match=r"not there: 'xxx.*…'") as error:
        csv_file.read(table(f"path,word\n{'x' * 5000},yes\n"))
    assert len(str(error.value)) < 500


def test_two_spellings_of_one_name_are_one_speaker(table) -> None:
    manifest = csv_file.read(table("path,speaker\na.wav,Jos\u00e9\ndeeper/b.wav,Jose\u0301\n"))
    assert manifest.speakers == ("Jos\u00e9",)


def test_labels_that_may_be_meant_as_one_or_as_none_are_named(table) -> None:
    manifest = csv_file.read(table("path,speaker,word\na.wav,Anna,nan\ndeeper/b.wav,anna,yes\n"))
    assert manifest.speakers == ("Anna", "anna")
    assert any(note.startswith("speaker: 'Anna', 'anna' differ in case") for note in manifest.notes)
    assert any(note.startswith("word: 'nan' counts as a value") for note in manifest.notes)


def test_a_label_that_some_clips_lack_is_named(table) -> None:
    manifest = csv_file.read(table("path,speaker,word,mood\na.wav,anna,,\ndeeper/b.wav,ben,yes,\n"))
    assert any("1 of 2 clips have no label 'word'" in note for note in manifest.notes)
    assert any("2 of 2 clips have no label 'mood'" in note for note in manifest.notes)


def test_an_index_without_a_name_is_no_label(table) -> None:
    manifest = csv_file.read(table(",path,word\n0,a.wav,yes\n1,deeper/b.wav,no\n"))
    assert manifest.tasks == ("word",) and "without a name" in manifest.notes[0]


@pytest.mark.parametrize("name", ["val", "Validation", "DEV", "eval", "Training", "testing"])
def test_the_parts_of_a_split_have_the_names_that_people_give_them(table, name: str) -> None:
    (clip,) = csv_file.read(table(f"path,word,split\na.wav,yes,{name}\n")).clips
    assert clip.part in ("train", "validation", "test") and clip.part[0] == {"d": "v", "e": "t"}.get(
        name[0].lower(), name[0].lower()
    )


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
    assert default_rule([Clip(Path(), "", labels, part) for labels, part in clips]) == rule


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
        ("path,word,end_s\na.wav,yes,1\n", "'end_s' but none 'start_s'"),
        ("path,word,start_s,duration_s,end_s\na.wav,yes,0,1,1\n", "'duration_s' and 'end_s'; leave one"),
        ("path,word,start_s,end_s\na.wav,yes,0.5,0.5\n", "line 2: end_s is 0.5; expected more than start_s"),
        ("path,word,start_s,end_s\na.wav,yes,0.5,soon\n", "line 2: end_s is 'soon'"),
        ("path,word,start_s\na.wav,yes,1_0\n", "line 2: start_s is '1_0'"),
        ("path,word,start_s\na.wav,yes,\u0661\n", "line 2: start_s is '\u0661'"),
        ("path,word,start_s\na.wav,yes,\uff11\n", "line 2: start_s is '\uff11'"),
        ("path,word,split\na.wav,yes,exam\n", "line 2: split is 'exam'"),
        ('path,word\n"a.wav,yes\n', "cannot be read as a table"),
        ("path,word\n", "holds no recording"),
    ],
)
def test_mistakes_are_named(table, text: str, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        csv_file.read(table(text))


@pytest.mark.parametrize(("name", "end"), [("end_s", "0.3"), ("End_S", "0.30")])
def test_the_end_of_a_slice_may_stand_for_its_length(table, name: str, end: str) -> None:
    manifest = csv_file.read(table(f"path,word,start_s,{name}\na.wav,yes,0.1,{end}\ndeeper/b.wav,no,0.5,\n"))
    assert [clip.id for clip in manifest.clips] == ["a.wav#0.1+0.2", "deeper/b.wav#0.5"]
    assert manifest.tasks == ("word",)


@pytest.mark.parametrize("name", ["start", "end", "onset", "offset", "Onset"])
def test_seconds_under_another_name_are_refused_and_labels_of_that_name_are_kept(table, name: str) -> None:
    with pytest.raises(CorpusError, match=f"'{name}' that looks like seconds; .*'start_s'.*'duration_s'"):
        csv_file.read(table(f"path,word,{name}\na.wav,yes,0.5\ndeeper/b.wav,no,\n"))
    with pytest.raises(CorpusError, match="looks like seconds"):
        csv_file.read(table(f"path;word;{name}\na.wav;yes;0,5\n"))
    assert name in csv_file.read(table(f"path,word,{name}\na.wav,yes,soft\ndeeper/b.wav,no,1\n")).tasks
    assert name in csv_file.read(table(f"path,word,start_s,{name}\na.wav,yes,0,1\ndeeper/b.wav,no,0,2\n")).tasks


@pytest.mark.parametrize("name", ["Unnamed: 0", "Unnamed: 0.1", "Unnamed: 0.1.1", "Unnamed: 0_level_1", "index"])
def test_an_index_that_a_program_wrote_is_left_out_and_named(table, name: str) -> None:
    manifest = csv_file.read(table(f"{name},path,word\n0,a.wav,yes\n1,deeper/b.wav,no\n"))
    assert manifest.tasks == ("word",) and any("left out" in note and repr(name) in note for note in manifest.notes)


def test_a_column_named_index_that_does_not_count_the_rows_is_a_label(table) -> None:
    manifest = csv_file.read(table("index,path,word\n1,a.wav,yes\n2,deeper/b.wav,no\n"))
    assert manifest.tasks == ("index", "word")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "clips.csv"
    path.write_bytes(b"path,word\n\x00\xff\n")
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
