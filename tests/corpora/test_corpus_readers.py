"""Each reader against a small folder in the official layout of its corpus."""

import shutil
from pathlib import Path

import pytest

from sottovoce.corpora import emodb, emovdb, folder, fsdd, layout, librispeech, ravdess, voxceleb2
from sottovoce.corpora.manifest import Clip, Manifest, file_sha256, split
from sottovoce.errors import CorpusError


def clip(manifest: Manifest, clip_id: str) -> Clip:
    return next(clip for clip in manifest.clips if clip.id == clip_id)


def test_ravdess_reads_its_labels_from_the_name(record, tmp_path: Path) -> None:
    record("Actor_01/03-01-06-01-02-01-01.wav")
    record("Actor_02/03-01-05-02-01-02-02.flac")
    manifest = ravdess.read(tmp_path)
    assert [clip.id for clip in manifest.clips] == [
        "Actor_01/03-01-06-01-02-01-01.wav",
        "Actor_02/03-01-05-02-01-02-02.flac",
    ]
    assert manifest.clips[0].labels == {
        "speaker": "01",
        "gender": "male",
        "emotion": "fearful",
        "intensity": "normal",
        "statement": "dogs",
    }
    assert manifest.clips[1].labels["gender"] == "female"
    assert manifest.clips[1].labels["intensity"] == "strong"
    assert "clips: 2 here, 1439 in the official release" in manifest.notes
    assert manifest.tasks == ravdess.CORPUS.labels


def test_ravdess_skips_songs_and_foreign_files_and_says_so(record, tmp_path: Path) -> None:
    record("Actor_01/03-01-06-01-02-01-01.wav")
    record("Actor_01/03-02-06-01-02-01-01.wav")
    record("Actor_01/03-01-09-01-02-01-01.wav")
    record("Actor_01/notes.wav")
    (tmp_path / "Actor_01" / "._03-01-06-01-02-01-01.wav").write_bytes(b"left by macOS")
    manifest = ravdess.read(tmp_path)
    assert len(manifest.clips) == 1
    skipped = [note for note in manifest.notes if "skipped" in note]
    assert len(skipped) == 3
    assert any("speech (03-01): 'Actor_01/03-02-06-01-02-01-01.wav'" in note for note in skipped)


def test_byte_for_byte_duplicates_are_dropped_by_name(record, tmp_path: Path) -> None:
    first = record("Actor_02/03-01-03-01-02-01-02.wav")
    shutil.copy(first, tmp_path / "Actor_02" / "03-01-03-01-02-02-02.wav")
    shutil.copy(first, tmp_path / "Actor_02" / "03-01-04-01-02-02-02.wav")
    manifest = ravdess.read(tmp_path)
    assert [clip.path for clip in manifest.clips] == [first]
    same, differing = (note for note in manifest.notes if "duplicate" in note)
    assert same.startswith("'Actor_02/03-01-03-01-02-02-02.wav' dropped") and "labels" not in same
    assert differing.endswith("although its labels differ (emotion sad and happy)")


def test_a_file_that_cannot_be_read_is_left_out_and_named(record, tmp_path: Path, monkeypatch) -> None:
    record("wav/03a01Fa.wav")
    locked = record("wav/08b10Wb.wav")

    def hash_unless_locked(path: Path) -> str:
        if path == locked:
            raise PermissionError(13, "Permission denied")
        return file_sha256(path)

    monkeypatch.setattr(layout, "file_sha256", hash_unless_locked)
    manifest = emodb.read(tmp_path)
    assert [clip.id for clip in manifest.clips] == ["wav/03a01Fa.wav"]
    assert "1 file skipped, it cannot be read (Permission denied): '08b10Wb.wav'" in manifest.notes


def test_emodb_reads_its_labels_from_the_name(record, tmp_path: Path) -> None:
    record("wav/03a01Fa.wav")
    record("wav/08b10Wb.ogg")
    manifest = emodb.read(tmp_path)
    assert manifest.clips[0].labels == {"speaker": "03", "gender": "male", "emotion": "happiness", "sentence": "a01"}
    assert manifest.clips[1].labels == {"speaker": "08", "gender": "female", "emotion": "anger", "sentence": "b10"}


def test_fsdd_reads_its_labels_and_its_official_test_part(record, tmp_path: Path) -> None:
    for index in range(8):
        record(f"recordings/7_george_{index}.wav", sample_rate=8000)
    manifest = fsdd.read(tmp_path)
    assert manifest.clips[0].labels == {"digit": "7", "speaker": "george"}
    assert [clip.part for clip in manifest.clips] == ["test"] * 5 + ["train"] * 3
    assert manifest.split_rule == "official"
    assert list(split(manifest).test) == [0, 1, 2, 3, 4]


@pytest.fixture
def librispeech_root(record, tmp_path: Path) -> Path:
    record("test-other/14/208/14-208-0000.flac")
    record("test-other/14/208/14-208-0001.flac")
    record("dev-clean/17/9/17-9-0000.flac")
    (tmp_path / "test-other/14/208/14-208.trans.txt").write_text("14-208-0000 IT WAS LATE\n14-208-0001 SHE SLEPT\n")
    (tmp_path / "SPEAKERS.TXT").write_text(
        ";ID  |SEX| SUBSET           |MINUTES| NAME\n"
        "14   | F | test-other       | 25.03 | Kristin\n"
        "17   | M | dev-clean        | 25.04 | Gord | with a bar\n"
    )
    return tmp_path


def test_librispeech_reads_labels_from_path_table_and_transcripts(librispeech_root: Path) -> None:
    manifest = librispeech.read(librispeech_root)
    first = clip(manifest, "test-other/14/208/14-208-0001.flac")
    assert first.labels == {"speaker": "14", "gender": "female", "subset": "test-other", "words": "SHE SLEPT"}
    other = clip(manifest, "dev-clean/17/9/17-9-0000.flac")
    assert other.labels == {"speaker": "17", "gender": "male", "subset": "dev-clean"}
    assert manifest.expected == {"clips": 2939 + 2703, "speakers": 33 + 40}


def test_librispeech_reads_one_subset_with_the_table_above_it(librispeech_root: Path) -> None:
    manifest = librispeech.read(librispeech_root / "test-other")
    assert {clip.labels["gender"] for clip in manifest.clips} == {"female"}
    assert {clip.labels["subset"] for clip in manifest.clips} == {"test-other"}


def test_librispeech_without_its_table_has_no_gender_and_says_so(librispeech_root: Path) -> None:
    (librispeech_root / "SPEAKERS.TXT").unlink()
    manifest = librispeech.read(librispeech_root)
    assert "gender" not in manifest.tasks
    assert any("SPEAKERS.TXT" in note for note in manifest.notes)


def test_librispeech_skips_what_is_elsewhere(librispeech_root: Path, record) -> None:
    record("14-208-0009.flac")
    assert any("14-208-0009.flac" in note for note in librispeech.read(librispeech_root).notes)


def test_librispeech_of_the_paper_has_its_split(record, tmp_path: Path) -> None:
    for subset, speakers in (("train-clean-100", "12345"), ("train-clean-360", "6"), ("test-clean", "78")):
        for speaker in speakers:
            record(f"LibriSpeech/{subset}/{speaker}/9/{speaker}-9-0000.flac")
            record(f"LibriSpeech/{subset}/{speaker}/9/{speaker}-9-0001.flac")
    manifest = librispeech.read(tmp_path / "LibriSpeech")
    assert {(c.labels["subset"], c.part) for c in manifest.clips} == {
        ("train-clean-100", "train"),
        ("train-clean-360", "train"),
        ("test-clean", "test"),
    }
    for rule in ("official", "speaker"):
        dealt = split(manifest, rule)
        assert {manifest.clips[i].labels["speaker"] for i in dealt.test} == {"7", "8"}
        assert len(dealt.validation) and len(dealt.train)
    record("LibriSpeech/test-other/10/9/10-9-0000.flac")
    assert {clip.part for clip in librispeech.read(tmp_path).clips} == {None}, "not the subsets of the paper"


def test_emovdb_reads_its_labels_from_folder_and_name(record, tmp_path: Path) -> None:
    record("bea_Amused/amused_1-15_0001.wav")
    record("sam_Angry/anger_1-28_0011.wav")
    record("sorted/jenie/Sleepy/sleepiness_29-56_0040.wav")
    record("josh_Neutral/neutral_1-28_0002.wav")
    record("nobody/neutral_1-28_0002.wav")
    record("bea_Amused/notes.wav")
    manifest = emovdb.read(tmp_path)
    assert [clip.labels for clip in manifest.clips] == [
        {"speaker": "bea", "gender": "female", "emotion": "amused", "sentence": "s1"},
        {"speaker": "josh", "gender": "male", "emotion": "neutral", "sentence": "s2"},
        {"speaker": "sam", "gender": "male", "emotion": "angry", "sentence": "s11"},
        {"speaker": "jenie", "gender": "female", "emotion": "sleepy", "sentence": "s40"},
    ]
    assert any("no folder names its speaker" in note for note in manifest.notes)
    assert any("STYLE_FROM-TO_NNNN: 'bea_Amused/notes.wav'" in note for note in manifest.notes)


@pytest.fixture
def voxceleb2_root(record, tmp_path: Path) -> Path:
    for name in ("dev/aac/id00012/21Uxsk56VDQ/00001", "dev/aac/id00015/0fijmz4vTVU/00002", "test/aac/id00017/x/00001"):
        record(f"{name}.wav")
    record("dev/aac/id00012/21Uxsk56VDQ/00003.wav").rename(tmp_path / "dev/aac/id00012/21Uxsk56VDQ/00003.m4a")
    (tmp_path / "vox2_meta.csv").write_text(
        "VoxCeleb2 ID ,VGGFace2 ID ,Gender ,Set \n"
        "id00012 ,n000012 ,m ,dev \nid00015 ,n000015 ,f ,dev \nid00017 ,n000017 ,f ,test \n"
    )
    return tmp_path


def test_voxceleb2_reads_labels_and_parts_from_path_and_table(voxceleb2_root: Path) -> None:
    manifest = voxceleb2.read(voxceleb2_root)
    first = clip(manifest, "dev/aac/id00012/21Uxsk56VDQ/00003.m4a")
    assert first.labels == {"speaker": "id00012", "video": "21Uxsk56VDQ", "gender": "male"}
    assert {(c.labels["speaker"], c.labels["gender"], c.part) for c in manifest.clips} == {
        ("id00012", "male", "train"),
        ("id00015", "female", "train"),
        ("id00017", "female", "test"),
    }
    assert manifest.split_rule == "official"
    assert manifest.expected == {"clips": 1092009 + 36237, "speakers": 6112}


def test_voxceleb2_without_its_table_has_parts_by_path(voxceleb2_root: Path, record) -> None:
    (voxceleb2_root / "vox2_meta.csv").unlink()
    record("dev/aac/stray.wav")
    manifest = voxceleb2.read(voxceleb2_root)
    assert "gender" not in manifest.tasks and any("vox2_meta.csv" in note for note in manifest.notes)
    assert any("SPEAKER/VIDEO/NNNNN: 'dev/aac/stray.wav'" in note for note in manifest.notes)
    assert clip(manifest, "test/aac/id00017/x/00001.wav").part == "test"
    assert {c.part for c in voxceleb2.read(voxceleb2_root / "dev").clips} == {"train"}


def test_folder_takes_the_sub_folder_as_label(record, tmp_path: Path) -> None:
    record("dog/one.wav")
    record("cat/deeper/two.WAV")
    record("stray.wav")
    manifest = folder.read(tmp_path)
    assert {clip.id: clip.labels for clip in manifest.clips} == {
        "dog/one.wav": {"label": "dog"},
        "cat/deeper/two.WAV": {"label": "cat"},
    }
    assert any("'stray.wav'" in note for note in manifest.notes)


def test_folder_takes_its_labels_from_metadata(record, tmp_path: Path) -> None:
    record("one.wav")
    record("deeper/two.wav")
    record("unlisted.wav")
    (tmp_path / "metadata.csv").write_text("file_name,speaker,split\none.wav,anna,train\ndeeper/two.wav,ben,test\n")
    manifest = folder.read(tmp_path)
    assert [clip.labels for clip in manifest.clips] == [{"speaker": "ben"}, {"speaker": "anna"}]
    assert [clip.part for clip in manifest.clips] == ["test", "train"]
    assert manifest.split_rule == "official"
    assert any("'unlisted.wav'" in note for note in manifest.notes)


@pytest.mark.parametrize("reader", [ravdess, emodb, emovdb, fsdd, librispeech, voxceleb2, folder])
def test_a_folder_without_a_known_recording_is_refused_with_the_layout(reader, record, tmp_path: Path) -> None:
    record("music.wav")
    with pytest.raises(CorpusError) as error:
        reader.read(tmp_path)
    assert reader.CORPUS.layout in str(error.value)
    assert "'music.wav'" in str(error.value)


@pytest.mark.parametrize("reader", [ravdess, emodb, emovdb, fsdd, librispeech, voxceleb2])
def test_one_changed_byte_changes_the_digest(reader, record, tmp_path: Path) -> None:
    name = {
        ravdess: "Actor_01/03-01-06-01-02-01-01.wav",
        emodb: "wav/03a01Fa.wav",
        fsdd: "recordings/7_george_0.wav",
        librispeech: "test-other/14/208/14-208-0000.wav",
        emovdb: "bea_Amused/amused_1-15_0001.wav",
        voxceleb2: "dev/aac/id00012/21Uxsk56VDQ/00001.wav",
    }[reader]
    path = record(name)
    before = reader.read(tmp_path).digest
    assert reader.read(tmp_path).digest == before
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert reader.read(tmp_path).digest != before
