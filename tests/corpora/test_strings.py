"""Strings of digits joined from recordings: who is in which part, what they say, and that they are made again alike."""

from pathlib import Path

import numpy as np
import pytest

from sottovoce.audio import io
from sottovoce.corpora.catalogue import open_corpus
from sottovoce.corpora.manifest import Manifest
from sottovoce.corpora.readers import strings
from sottovoce.corpora.readers.fsdd import CORPUS as fsdd
from sottovoce.corpora.splits import split
from sottovoce.errors import CorpusError

SPEAKERS, DIGITS, INDICES = ("ada", "bob"), (3, 8), (0, 1, 5, 6, 10, 11, 12)
STRINGS = {"train": 8, "validation": 4, "test": 6}


@pytest.fixture
def recordings(record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(strings, "STRINGS", STRINGS)
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(tmp_path / "cache"))
    for speaker in SPEAKERS:
        for digit in DIGITS:
            for index in INDICES:
                record(f"fsdd/recordings/{digit}_{speaker}_{index}.wav", 0.2, strings.RATE)
    return tmp_path / "fsdd"


def test_no_recording_is_heard_in_two_parts(recordings: Path) -> None:
    used: dict[str, set[str]] = {part: set() for part in STRINGS}
    for planned in strings.plan(fsdd.read(recordings), 0):
        used[planned.part] |= {clip.id for clip in planned.clips}
    indices = {part: {int(name.rpartition("_")[2].partition(".")[0]) for name in names} for part, names in used.items()}
    assert indices == {"train": {10, 11, 12}, "validation": {5, 6}, "test": {0, 1}}


def test_a_string_is_one_speaker_and_three_to_seven_digits_with_its_transcript(recordings: Path) -> None:
    for planned in strings.plan(fsdd.read(recordings), 0):
        assert {clip.labels["speaker"] for clip in planned.clips} == {planned.speaker}
        assert planned.digits.split() == [clip.labels["digit"] for clip in planned.clips]
        assert strings.FEWEST <= len(planned.clips) <= strings.MOST
        low, high = strings.PAUSE_S
        assert all(low <= pause <= high for pause in planned.pauses_s[1:-1])


def test_its_sound_is_its_recordings_and_pauses(recordings: Path) -> None:
    planned = next(strings.plan(fsdd.read(recordings), 0))
    wav = strings.joined(planned, np.random.default_rng(0))
    pauses = [round(pause * strings.RATE) for pause in planned.pauses_s]
    spoken = [io.read(clip.path, strings.RATE) for clip in planned.clips]
    assert len(wav) == sum(pauses) + sum(map(len, spoken))
    heard = wav[pauses[0] : pauses[0] + len(spoken[0])]
    assert np.corrcoef(heard, spoken[0])[0, 1] > 0.99
    assert np.abs(wav[: pauses[0]]).min() > 0.0, "no digital silence"


def test_the_manifest_has_both_labels_and_the_official_split(recordings: Path) -> None:
    manifest = open_corpus(f"strings:{recordings}")
    assert (manifest.name, manifest.spec, manifest.tasks) == ("strings", f"strings:{recordings}", ("digits", "speaker"))
    dealt = split(manifest)
    assert {part: len(getattr(dealt, part)) for part in STRINGS} == STRINGS
    for part in STRINGS:
        speakers = [manifest.clips[i].labels["speaker"] for i in getattr(dealt, part)]
        assert len(set(map(speakers.count, SPEAKERS))) == 1, "as many strings of each speaker"


def test_the_same_seed_makes_the_same_strings_and_another_others(recordings: Path, tmp_path: Path) -> None:
    first, again, other = (
        strings.read(recordings, tmp_path / name, seed).digest for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert first == again != other


def test_a_speaker_without_recordings_for_a_part_is_refused(recordings: Path) -> None:
    for path in (recordings / "recordings").glob("*_bob_[56].wav"):
        path.unlink()
    with pytest.raises(CorpusError, match="'bob' for validation"):
        strings.read(recordings)


def test_an_unused_manifest_keeps_what_was_noted_about_the_recordings(recordings: Path) -> None:
    manifest: Manifest = strings.read(recordings)
    assert any("3000 in the official release" in note for note in manifest.notes)
