"""A folder of Kaldi's: its files give speakers, parts and labels, and lead nowhere else."""

from pathlib import Path

import pytest

from sottovoce.corpora.readers.kaldi import CORPUS as kaldi
from sottovoce.corpora.splits import split
from sottovoce.errors import CorpusError


@pytest.fixture
def root(record, tmp_path: Path) -> Path:
    for part, speakers in (("train", "1234"), ("test", "56")):
        files: dict[str, list[str]] = {"wav.scp": [], "utt2spk": [], "text": []}
        for speaker in speakers:
            for i in range(2):
                record(f"WAVE/{speaker}/{speaker}{i}.wav")
                files["wav.scp"].append(f"{speaker}{i}\tWAVE/{speaker}/{speaker}{i}.wav")
                files["utt2spk"].append(f"{speaker}{i} {speaker}")
                files["text"].append(f"{speaker}{i} SOME WORDS {i}")
        files["spk2gender"] = [f"{speaker} {'mf'[int(speaker) % 2]}" for speaker in speakers]
        files["spk2age"] = [f"{speaker} {20 + int(speaker)}" for speaker in speakers]
        (tmp_path / part).mkdir()
        for name, lines in files.items():
            (tmp_path / part / name).write_text("\n".join(lines) + "\n")
    return tmp_path


def test_labels_and_parts(root: Path) -> None:
    manifest = kaldi.read(root)
    assert len(manifest.clips) == 12 and manifest.split_rule == "speaker"
    assert manifest.clips[0].labels == {
        "speaker": "1", "gender": "female", "age": "21", "age_group": "adult", "words": "SOME WORDS 0",
    }  # fmt: skip
    dealt = split(manifest)
    assert {manifest.clips[i].labels["speaker"] for i in dealt.test} == {"5", "6"}


@pytest.mark.parametrize(
    ("age", "group"),
    [("6", "child"), ("17", "child"), ("17.9", "child"), ("18", "adult"), ("43", "adult"), ("-1", None), ("old", None)],
)
def test_an_age_gives_an_age_group(root: Path, age: str, group: str | None) -> None:
    table = root / "train" / "spk2age"
    table.write_text(table.read_text().replace("1 21", f"1 {age}"))
    labels = kaldi.read(root).clips[0].labels
    assert labels["age"] == age and labels.get("age_group") == group


def test_one_folder_has_no_parts(root: Path) -> None:
    for path in (root / "train").iterdir():
        path.rename(root / path.name)
    (root / "test" / "wav.scp").unlink()
    assert {clip.part for clip in kaldi.read(root).clips} == {None}


def test_paths_may_be_relative_to_the_list(root: Path) -> None:
    table = root / "train" / "wav.scp"
    table.write_text(table.read_text().replace("WAVE", "../WAVE"))
    assert len(kaldi.read(root).clips) == 12


def test_segments_are_slices(root: Path) -> None:
    (root / "train" / "segments").write_text("one 10 0.01 0.05\ntwo 10 0.05 0.09\n")
    (root / "train" / "utt2spk").write_text("one 1\ntwo 1\n")
    clips = [clip for clip in kaldi.read(root).clips if clip.part == "train"]
    assert [(clip.start_s, round(clip.duration_s or 0, 6)) for clip in clips] == [(0.01, 0.04), (0.05, 0.04)]
    (root / "train" / "segments").write_text("one 10 0.05 0.01\n")
    with pytest.raises(CorpusError, match="expected the recording, and its start and end"):
        kaldi.read(root)


def test_what_a_command_would_make_and_what_is_not_there_is_named(root: Path) -> None:
    with (root / "train" / "wav.scp").open("a") as file:
        file.write("evil touch /tmp/owned |\nlost WAVE/lost.wav\n")
    notes = kaldi.read(root).notes
    assert any("command" in note and "'evil'" in note for note in notes)
    assert any("not there: 'lost'" in note for note in notes)


@pytest.mark.parametrize("path", ["/etc/hostname", "../../secret.wav", "http://localhost/a.wav"])
def test_paths_that_lead_out_are_refused(root: Path, path: str) -> None:
    (root / "train" / "wav.scp").write_text(f"10 {path}\n")
    with pytest.raises(CorpusError, match="the path of '10' is"):
        kaldi.read(root)


def test_a_label_that_some_speakers_lack_is_named(root: Path) -> None:
    (root / "test" / "spk2age").unlink()
    assert any("4 of 12 clips have no label 'age'" in note for note in kaldi.read(root).notes)
