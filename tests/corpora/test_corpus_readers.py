"""Each reader against a small folder in the official layout of its corpus."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from sottovoce.corpora import digests
from sottovoce.corpora.catalogue import CORPORA
from sottovoce.corpora.manifest import Clip, Manifest
from sottovoce.corpora.splits import split
from sottovoce.errors import CorpusError
from sottovoce.files import file_sha256

emodb, emovdb, folder, fsd50k, fsdd = (CORPORA[name] for name in ("emodb", "emovdb", "folder", "fsd50k", "fsdd"))
librispeech, ravdess, tau, voxceleb2 = (CORPORA[name] for name in ("librispeech", "ravdess", "tau", "voxceleb2"))
arabic_commands, speech_commands = CORPORA["arabic-commands"], CORPORA["speech-commands"]


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
    assert manifest.tasks == ravdess.labels


def test_ravdess_skips_songs_and_foreign_files_and_says_so(record, tmp_path: Path) -> None:
    record("Actor_01/03-01-06-01-02-01-01.wav")
    record("Actor_01/03-02-06-01-02-01-01.wav")
    record("Actor_01/03-01-09-01-02-01-01.wav")
    record("Actor_01/notes.wav")
    (tmp_path / "Actor_01" / "._03-01-06-01-02-01-01.wav").write_bytes(b"left by macOS")
    manifest = ravdess.read(tmp_path)
    assert len(manifest.clips) == 1
    skipped = [note for note in manifest.notes if "skipped" in note]
    assert len(skipped) == 4
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

    monkeypatch.setattr(digests, "file_sha256", hash_unless_locked)
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
def commands_root(record, tmp_path: Path) -> Path:
    for speaker in ("004ae714", "0a2b400e", "0c40e715"):
        for word in ("yes", "no"):
            record(f"{word}/{speaker}_nohash_0.wav")
    record("_background_noise_/pink_noise.wav")
    (tmp_path / "validation_list.txt").write_text("yes/0a2b400e_nohash_0.wav\nno/0a2b400e_nohash_0.wav\n")
    (tmp_path / "testing_list.txt").write_text("no/0c40e715_nohash_0.wav\r\nyes/0c40e715_nohash_0.wav\r\n")
    return tmp_path


def test_speech_commands_has_the_parts_of_its_lists(commands_root: Path) -> None:
    manifest = speech_commands.read(commands_root)
    assert clip(manifest, "yes/004ae714_nohash_0.wav").labels == {"keyword": "yes", "speaker": "004ae714"}
    parts = {c.labels["speaker"]: c.part for c in manifest.clips}
    assert parts == {"004ae714": "train", "0a2b400e": "validation", "0c40e715": "test"}
    assert any("it is noise, and no keyword: '_background_noise_/pink_noise.wav'" in note for note in manifest.notes)
    dealt = split(manifest)
    assert [len(part) for part in (dealt.train, dealt.validation, dealt.test)] == [2, 2, 2]


def test_speech_commands_without_a_list_is_split_by_speaker_and_says_so(commands_root: Path) -> None:
    (commands_root / "testing_list.txt").unlink()
    manifest = speech_commands.read(commands_root)
    assert {c.part for c in manifest.clips} == {None}
    assert any("no official split, since testing_list.txt" in note for note in manifest.notes)
    dealt = split(manifest)
    assert dealt.rule == "speaker" and len({manifest.clips[i].labels["speaker"] for i in dealt.test}) == 1


def test_arabic_commands_reads_word_and_speaker(record, tmp_path: Path) -> None:
    record("zoom in/00000012_NO_03.ogg")
    record("zoom in/notes.wav")
    (tmp_path / "clips.csv").write_text("path,word,speaker\n")
    manifest = arabic_commands.read(tmp_path)
    assert [c.labels for c in manifest.clips] == [{"keyword": "zoom in", "speaker": "00000012"}]
    assert not any("clips.csv" in note for note in manifest.notes)
    assert any("WORD/SPEAKER_NO_TAKE: 'zoom in/notes.wav'" in note for note in manifest.notes)


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


@pytest.mark.parametrize(
    "reader", [ravdess, emodb, emovdb, fsdd, librispeech, voxceleb2, folder, arabic_commands, speech_commands]
)
def test_a_folder_without_a_known_recording_is_refused_with_the_layout(reader, record, tmp_path: Path) -> None:
    record("music.wav")
    with pytest.raises(CorpusError) as error:
        reader.read(tmp_path)
    assert reader.layout in str(error.value)
    assert "'music.wav'" in str(error.value)


@pytest.mark.parametrize(
    "reader", [ravdess, emodb, emovdb, fsdd, librispeech, voxceleb2, arabic_commands, speech_commands]
)
def test_one_changed_byte_changes_the_digest(reader, record, tmp_path: Path) -> None:
    name = {
        ravdess: "Actor_01/03-01-06-01-02-01-01.wav",
        emodb: "wav/03a01Fa.wav",
        fsdd: "recordings/7_george_0.wav",
        librispeech: "test-other/14/208/14-208-0000.wav",
        emovdb: "bea_Amused/amused_1-15_0001.wav",
        voxceleb2: "dev/aac/id00012/21Uxsk56VDQ/00001.wav",
        arabic_commands: "yes/00000001_NO_01.wav",
        speech_commands: "yes/004ae714_nohash_0.wav",
    }[reader]
    path = record(name)
    before = reader.read(tmp_path).digest
    assert reader.read(tmp_path).digest == before
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert reader.read(tmp_path).digest != before


@pytest.mark.parametrize("above", [".", "corpora", "some/deeper"])
def test_readers_by_name_take_the_folder_above_the_release(record, tmp_path: Path, above: str) -> None:
    record(f"{above}/wav/03a01Fa.wav")
    record(f"{above}/wav/03B02WB.WAV")
    manifest = emodb.read(tmp_path)
    assert [(clip.labels["sentence"], clip.labels["emotion"]) for clip in manifest.clips] == [
        ("b02", "anger"),
        ("a01", "happiness"),
    ]


@pytest.mark.parametrize("place", [".", "above", "above/LibriSpeech"])
def test_librispeech_takes_its_table_from_above_or_below(librispeech_root: Path, tmp_path: Path, place: str) -> None:
    inside = tmp_path.parent / f"{tmp_path.name}-moved" / "above" / "LibriSpeech"
    inside.mkdir(parents=True)
    for path in list(librispeech_root.iterdir()):
        path.rename(inside / path.name.replace("SPEAKERS.TXT", "speakers.txt"))
    root = {".": inside / "test-other", "above": inside.parent, "above/LibriSpeech": inside}[place]
    assert "gender" in librispeech.read(root).tasks


def test_librispeech_tables_in_latin_1_and_with_short_rows_are_read(librispeech_root: Path) -> None:
    text = "14 | f | test-other | 25.03 | Zo\u00eb\n17\n17 | M\n"
    (librispeech_root / "SPEAKERS.TXT").write_bytes(text.encode("latin-1"))
    manifest = librispeech.read(librispeech_root)
    assert {clip.labels["gender"] for clip in manifest.clips} == {"female", "male"}
    assert any("Latin-1" in note for note in manifest.notes)


@pytest.mark.parametrize(("encoding", "separator"), [("utf-8-sig", ","), ("utf-16", "\t"), ("latin-1", ",")])
def test_voxceleb2_tables_are_read_as_they_are_saved(voxceleb2_root: Path, encoding: str, separator: str) -> None:
    rows = ["VoxCeleb2 ID ,VGGFace2 ID ,Gender ,Set ", "id00012,Zo\u00eb,M,dev", "id00015,n,f", "id00017,n,f,test"]
    (voxceleb2_root / "vox2_meta.csv").write_bytes("\n".join(rows).replace(",", separator).encode(encoding))
    manifest = voxceleb2.read(voxceleb2_root)
    assert {(clip.labels["speaker"], clip.labels["gender"], clip.part) for clip in manifest.clips} == {
        ("id00012", "male", "train"),
        ("id00015", "female", "train"),
        ("id00017", "female", "test"),
    }


@pytest.fixture
def fsd50k_root(record, tmp_path: Path) -> Path:
    for half, names in (("dev", "012"), ("eval", "345")):
        for name in names:
            record(f"FSD50K.{half}_audio/{name}.wav")
        table = tmp_path / "FSD50K.ground_truth" / f"{half}.csv"
        table.parent.mkdir(exist_ok=True)
        rows = (f'{name},"{label},Dog",/m,train' for name, label in zip(names, ("Bark", "Meow", "Dog"), strict=True))
        table.write_text("\n".join(["fname,labels,mids,split", *rows]) + "\n")
    return tmp_path


@pytest.mark.parametrize(
    "change", ["bom", "latin-1", "short row", "folder above", "capitals", "other ending", "semicolons"]
)
def test_fsd50k_is_read_as_people_have_it(fsd50k_root: Path, change: str) -> None:
    root, table = fsd50k_root, fsd50k_root / "FSD50K.ground_truth" / "dev.csv"
    before = fsd50k.read(root)
    assert [clip.labels["event"] for clip in before.clips] == ["dog_barking", "cat_meowing"] * 2
    data = table.read_bytes()
    if change == "bom":
        table.write_bytes(b"\xef\xbb\xbf" + data)
    elif change == "latin-1":
        table.write_bytes(data + b"9,Caf\xe9,/m,train\n")
    elif change == "short row":
        table.write_bytes(data + b"9\n")
    elif change == "semicolons":
        table.write_bytes(data.replace(b",", b";").replace(b";Dog", b",Dog"))
    elif change == "folder above":
        root = fsd50k_root.parent / f"{fsd50k_root.name}-above"
        root.mkdir()
        fsd50k_root.rename(root / "FSD50K")
    elif change == "capitals":
        table.parent.rename(root / "fsd50k.GROUND_TRUTH")
    elif change == "other ending":
        for path in sorted(root.rglob("*.wav")):
            path.rename(path.with_suffix(".WAV"))
    after = fsd50k.read(root)
    assert [clip.labels for clip in after.clips] == [clip.labels for clip in before.clips]
    assert [clip.id.lower() for clip in after.clips] == [clip.id.lower() for clip in before.clips]


def test_fsd50k_names_what_is_listed_but_not_there_and_what_it_does_not_use(fsd50k_root: Path) -> None:
    (fsd50k_root / "FSD50K.dev_audio" / "0.wav").unlink()
    notes = fsd50k.read(fsd50k_root).notes
    assert any("listed but not there: 'FSD50K.dev_audio/0'" in note for note in notes)
    assert any(note.startswith("2 sounds are of none of the twelve classes") for note in notes)
    (fsd50k_root / "FSD50K.ground_truth" / "eval.csv").unlink()
    with pytest.raises(CorpusError, match=r"no FSD50K\.ground_truth with"):
        fsd50k.read(fsd50k_root)


def test_fsd50k_takes_no_file_from_elsewhere(fsd50k_root: Path) -> None:
    table = fsd50k_root / "FSD50K.ground_truth" / "dev.csv"
    table.write_text("fname,labels\n../FSD50K.eval_audio/3,Bark\n/etc/hostname,Bark\n")
    assert {clip.part for clip in fsd50k.read(fsd50k_root).clips} == {"test"}


def tau_array(root: Path, name: str, wav: np.ndarray) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, wav)
    return path


@pytest.mark.parametrize("above", ["final_data_npy_split", "tau/final_data_npy_split", "."])
def test_tau_is_read_at_any_depth_and_names_what_is_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, above: str
) -> None:
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "root"
    rng = np.random.default_rng(0)
    for half in ("train", "val", "eval"):
        for speech in ("speech", "no_speech"):
            tau_array(root, f"{above}/{half}/bark/{speech}/a.npy", rng.standard_normal(4410).astype(np.float32))
    tau_array(root, f"{above}/extra/bark/speech/a.npy", np.zeros(9, np.float32))
    (root / ".DS_Store").write_bytes(b"x")
    manifest = tau.read(root)
    assert len(manifest.clips) == 6
    assert any("extra/bark/speech/a.npy" in note for note in manifest.notes)
    assert any(".DS_Store" in note for note in manifest.notes)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00\x10\x00{'descr': '<f4'}\n"])
def test_tau_refuses_what_is_no_array(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "root/final_data_npy_split/train/bark/speech/a.npy"
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    with pytest.raises(CorpusError, match="no array of numbers"):
        tau.read(tmp_path / "root")


def parts_and_labels(record, parts: tuple[str, ...], labels: tuple[str, ...] = ("cat", "dog")) -> None:
    for part in parts:
        for label in labels:
            for i in range(3):
                record(f"{part}/{label}/{part}-{label}-{i}.wav")


@pytest.mark.parametrize(
    ("folders", "parts"),
    [
        (("train", "test"), {"train", "test"}),
        (("Train", "VAL", "Eval"), {"train", "validation", "test"}),
        (("training", "dev", "testing"), {"train", "validation", "test"}),
        (("train", "validation"), {None}),
        (("train",), {None}),
    ],
)
def test_folder_takes_folders_of_a_split_for_parts(
    record, tmp_path: Path, folders: tuple[str, ...], parts: set
) -> None:
    parts_and_labels(record, folders)
    manifest = folder.read(tmp_path)
    assert manifest.classes("label") == ("cat", "dog")
    assert {clip.part for clip in manifest.clips} == parts
    assert manifest.split_rule == ("utterance" if parts == {None} else "official")
    assert any("split anew" in note for note in manifest.notes) == (parts == {None})
    assert len(split(manifest).test)


def test_folder_takes_a_train_among_other_vehicles_for_a_class(record, tmp_path: Path) -> None:
    for label in ("train", "bus", "tram"):
        record(f"{label}/a.wav")
    assert folder.read(tmp_path).classes("label") == ("bus", "train", "tram")


def test_folder_names_what_is_beside_the_folders_of_a_split(record, tmp_path: Path) -> None:
    parts_and_labels(record, ("train", "test"))
    record("extra/cat/a.wav")
    record("train/b.wav")
    manifest = folder.read(tmp_path)
    assert len(manifest.clips) == 12
    assert any("'extra/cat/a.wav'" in note for note in manifest.notes)
    assert any("'train/b.wav'" in note for note in manifest.notes)


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl"])
def test_folder_reads_the_table_of_each_part(record, tmp_path: Path, name: str) -> None:
    for part in ("train", "test"):
        rows = []
        for i in range(4):
            record(f"{part}/sounds/{i}.wav")
            rows.append((f"sounds/{i}.wav", "ab"[i % 2]))
        csv_lines = "".join(f"{path},{speaker}\n" for path, speaker in rows)
        json_lines = "".join(f'{{"file_name": "{path}", "speaker": "{speaker}"}}\n' for path, speaker in rows)
        (tmp_path / part / name).write_text(
            json_lines if name.endswith("l") else f"file_name,speaker\n{csv_lines}", encoding="utf-8"
        )
    record("train/unlisted.wav")
    manifest = folder.read(tmp_path)
    assert manifest.tasks == ("speaker",) and len(manifest.clips) == 8
    assert clip(manifest, "test/sounds/1.wav").part == "test" and manifest.split_rule == "official"
    assert any("'train/unlisted.wav'" in note for note in manifest.notes)


def test_folder_takes_the_parts_from_the_paths_in_one_table(record, tmp_path: Path) -> None:
    names = [f"{part}/{i}.wav" for part in ("train", "test") for i in range(3)]
    for name in names:
        record(name)
    (tmp_path / "metadata.csv").write_text("file_name,word\n" + "".join(f"{name},yes\n" for name in names))
    assert {clip.id.split("/")[0]: clip.part for clip in folder.read(tmp_path).clips} == {
        "train": "train",
        "test": "test",
    }


def test_folder_refuses_a_table_that_leads_out(record, tmp_path: Path) -> None:
    record("sounds/part/a.wav")
    record("sounds/b.wav")
    (tmp_path / "sounds/part/metadata.csv").write_text("file_name,word\n../b.wav,yes\n")
    with pytest.raises(CorpusError, match="outside of the folder of the table"):
        folder.read(tmp_path / "sounds")


def test_folder_tells_where_all_sounds_lie_one_level_too_high(record, tmp_path: Path) -> None:
    parts_and_labels(record, ("sounds",))
    manifest = folder.read(tmp_path)
    assert manifest.classes("label") == ("sounds",)
    assert any(f"name folder:{tmp_path / 'sounds'}" in note for note in manifest.notes)


def test_a_name_that_is_not_utf_8_is_a_label_that_can_be_written_down(record, tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9")).mkdir()
    record("bar/b.wav").rename(tmp_path / os.fsdecode(b"caf\xe9") / "a.wav")
    (found,) = folder.read(tmp_path).clips
    assert found.labels == {"label": "caf\\xe9"} and found.id.encode() and found.path.is_file()
