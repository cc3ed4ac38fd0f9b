"""Answers as data: rows of time, task and class hold what the sound of the same filter holds, no less and no more."""

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from sottovoce.audio.spectrum import SEGMENT_SAMPLES
from sottovoce.errors import ConfigError, ModelError
from sottovoce.models.codebook import SOUND_SAMPLES, Codebook
from sottovoce.runtime.files import protect, protect_stream
from sottovoce.runtime.filter import Filter
from sottovoce.runtime.labels import Label, code_names

CLASSES = {"word": ["no", "yes"], "mood": ["calm", "cross"]}


@pytest.fixture(scope="module")
def named(codebook) -> Filter:
    return replace(codebook, card={**codebook.card, "classes": CLASSES})


def noise(samples: int, seed: int = 0) -> np.ndarray:
    """Each stretch of a block's length has a tone of its own."""
    rng = np.random.default_rng(seed)
    tones = np.repeat(rng.choice([500, 900, 3000, 6000], -(-samples // SEGMENT_SAMPLES)), SEGMENT_SAMPLES)[:samples]
    sound = np.sin(2 * np.pi * tones * np.arange(samples) / 16000) + 0.1 * rng.standard_normal(samples)
    return (0.1 * sound).astype(np.float32)


def rebuilt(filter_: Filter, rows: list[Label]) -> np.ndarray:
    """The sound that rows stand for, block by block: a code for each row, 0 where there is none."""
    book = filter_.engine.vocabulary()
    names = code_names(book, filter_.card)
    codes: dict[float, list[int]] = {}
    for start, _, task, answer in rows:
        block = codes.setdefault(start, [0] * len(book.tasks))
        block[book.tasks.index(task)] = 1 + names[task].index(answer) if answer is not None else 0
    count = filter_.engine.constant_blocks or len(codes)
    every = [codes[start] for start in sorted(codes)] * (count if filter_.engine.constant_blocks else 1)
    positions = np.minimum(np.arange(count), 2)
    return filter_.sound(np.concatenate([*book.draw(np.array(every), positions)], axis=1))


@pytest.mark.parametrize("permit", [["word", "mood"], ["word"], ["mood"]])
@pytest.mark.parametrize("constant", [0, 3])
def test_the_sound_can_be_rebuilt_from_the_rows(named, permit, constant):
    filter_ = named.permitting(permit).constant(constant)
    for samples in (1, SEGMENT_SAMPLES, 7 * SEGMENT_SAMPLES + 99):
        wav = noise(samples)
        np.testing.assert_array_equal(rebuilt(filter_, filter_.labels(wav)), filter_.filter(wav))


def test_rows_are_those_of_the_codes(named):
    wav = noise(5 * SEGMENT_SAMPLES + 1)
    codes = named.engine.codes(np.append(wav, np.zeros(SEGMENT_SAMPLES - 1, np.float32)).reshape(-1, SEGMENT_SAMPLES))
    expected = [
        Label(round(1.28 * at, 2), round(1.28 * (at + 1), 2), task, CLASSES[task][code - 1])
        for at, block in enumerate(codes[:5])
        for task, code in zip(("word", "mood"), block, strict=True)
    ]
    assert named.labels(wav)[:10] == expected
    assert {row.answer for row in expected} > {"no", "calm"}
    assert named.labels(np.zeros(0, np.float32)) == []


def test_times_are_those_of_blocks_and_not_of_the_sound(named):
    for samples in (1, SEGMENT_SAMPLES - 1, SEGMENT_SAMPLES):
        rows = named.labels(noise(samples))
        assert [row[:3] for row in rows] == [(0.0, 1.28, "word"), (0.0, 1.28, "mood")]
    assert [row[:2] for row in named.labels(np.repeat(noise(2 * SEGMENT_SAMPLES), 3), 48_000)[::2]] == [
        (0.0, 1.28),
        (1.28, 2.56),
    ]


def test_constant_blocks_give_one_answer_without_true_times(named):
    answers = [named.constant(4).labels(noise(samples)) for samples in (100, 9 * SEGMENT_SAMPLES)]
    assert all([row[:3] for row in rows] == [(0.0, 5.12, "word"), (0.0, 5.12, "mood")] for rows in answers)


def test_a_revoked_task_has_no_row(named):
    wav = noise(4 * SEGMENT_SAMPLES)
    assert {row.task for row in named.labels(wav, permit=["mood"])} == {"mood"}
    assert named.labels(wav, permit=[]) == named.permitting([]).constant(3).labels(wav) == []


def test_a_permitted_code_0_is_no_class(named):
    wav = np.concatenate([noise(SEGMENT_SAMPLES), np.zeros(SEGMENT_SAMPLES, np.float32)])
    rows = named.labels(wav, permit=["word"])
    assert rows[0].answer in CLASSES["word"] and rows[1] == (1.28, 2.56, "word", None)
    assert not named.filter(wav, permit=["word"])[SEGMENT_SAMPLES + 200 :].any()


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(1, 60_000), max_size=8), st.sampled_from([8000, 16000, 44100]), st.sampled_from([0, 2]))
def test_every_chunking_gives_the_same_rows(named, lengths, rate, constant):
    wav = noise(6 * SEGMENT_SAMPLES)
    filter_ = named.constant(constant)
    cuts = [cut for cut in np.cumsum(lengths, dtype=int) if cut < len(wav)]
    stream = filter_.label_stream(rate)
    rows = [row for piece in np.split(wav, cuts) for row in stream.feed(piece)] + stream.flush()
    assert rows == filter_.labels(wav, rate) == list(filter_.answers(np.split(wav, cuts), rate))
    assert [*stream.feed(wav), *stream.flush()] == rows, "the next sound begins at 0 s"


def test_consent_is_switched_as_in_other_streams(named):
    wav, half = noise(6 * SEGMENT_SAMPLES), SEGMENT_SAMPLES // 2
    stream = named.label_stream()
    stream.permitting(["word"])
    rows = stream.feed(wav[: SEGMENT_SAMPLES + half])
    stream.permitting(["word", "mood"])  # within the second block
    rows += stream.feed(wav[SEGMENT_SAMPLES + half : 3 * SEGMENT_SAMPLES + half])
    stream.permitting([])  # within the fourth
    rows += stream.feed(wav[3 * SEGMENT_SAMPLES + half :]) + stream.flush()
    assert [(row.start_s, row.task) for row in rows] == [
        (0.0, "word"),
        (1.28, "word"),
        (2.56, "word"),
        (2.56, "mood"),
    ]


def test_codes_that_share_a_class_are_numbered(named):
    centres = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]], np.float32)
    sounds = np.full((1, 4, SOUND_SAMPLES), 128, np.uint8)
    grouped = Codebook(("mood",), (centres,), (0.5,), sounds)
    assert code_names(grouped, named.card) == {"mood": ("calm 1", "cross", "calm 2")}


@pytest.mark.parametrize("classes", [None, {}, {"word": ["no"], "mood": ["a", "b"]}, {"word": [1, 2], "mood": "ab"}])
def test_a_card_without_classes_is_refused(codebook, classes):
    with pytest.raises(ModelError, match="names no 2 classes of word"):
        replace(codebook, card={"classes": classes}).labels(noise(100))


def test_a_filter_without_codes_is_refused(tiny, tmp_path):
    soundfile.write(tmp_path / "a.wav", noise(100), 16000)
    for call in (
        lambda: tiny.labels(noise(100)),
        lambda: protect(tiny, tmp_path / "a.wav", tmp_path / "a.csv", output="labels"),
        lambda: protect_stream(tiny, io.BytesIO(bytes(100)), io.BytesIO(), 16000, "csv"),
    ):
        with pytest.raises(ConfigError, match="no codes, so it has no labels"):
            call()
    assert not (tmp_path / "a.csv").exists()


# Files and pipes


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(tmp_path_factory.mktemp("cache")))


def rows_of(path) -> list[Label]:
    """What a file of labels holds, by the reader of its format."""
    text = path.read_text()
    if path.suffix == ".csv":
        tables = list(csv.DictReader(io.StringIO(text)))
    else:
        tables = [json.loads(line) for line in text.splitlines()]
    assert all(list(table) == ["start_s", "end_s", "task", "class"] for table in tables)
    return [Label(float(row["start_s"]), float(row["end_s"]), row["task"], row["class"] or None) for row in tables]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_a_file_becomes_a_table_by_its_ending(named, tmp_path, name):
    soundfile.write(tmp_path / "in.wav", noise(50_000), 16000, "FLOAT")
    outcome = protect(named, tmp_path / "in.wav", tmp_path / name, output="labels")
    assert outcome.done == [tmp_path / name] and outcome.seconds_of_audio == pytest.approx(50_000 / 16000)
    assert rows_of(tmp_path / name) == named.labels(noise(50_000))


@pytest.mark.parametrize(("format_", "ending"), [(None, "csv"), ("csv", "csv"), ("jsonl", "jsonl")])
def test_a_folder_becomes_a_folder_of_tables_and_resumes(named, tmp_path, format_, ending):
    source, out = tmp_path / "in", tmp_path / "out"
    (source / "deep").mkdir(parents=True)
    for name in ("a.wav", "deep/b.flac"):
        soundfile.write(source / name, noise(30_000), 16000)
    (source / "bad.wav").write_bytes(b"RIFF")
    outcome = protect(named, source, out, format_=format_, output="labels")
    assert sorted(outcome.done) == [out / f"a.{ending}", out / "deep" / f"b.{ending}"] and len(outcome.failed) == 1
    again = protect(named, source, out, format_=format_, output="labels")
    assert sorted(again.finished) == sorted(outcome.done) and not again.done
    assert len(protect(named.permitting(["word"]), source, out, format_=format_, output="labels").done) == 2
    renamed = protect(named, source, tmp_path / "renamed", rename=tmp_path / "names.csv", output="labels")
    assert all(path.suffix == ".csv" and len(path.stem) == 16 for path in renamed.done)


def test_what_does_not_fit_labels_is_refused(named, tmp_path):
    soundfile.write(tmp_path / "in.wav", noise(100), 16000)
    for name, options, said in (
        ("a.wav", {}, "give it the ending .csv"),
        ("a.csv", {"format_": "wav"}, "expected csv, jsonl for labels"),
        ("a.csv", {"format_": "jsonl"}, "give it the ending .jsonl"),
        ("a.csv", {"sample_rate": 8000}, "no sample rate"),
    ):
        with pytest.raises(ConfigError, match=said):
            protect(named, tmp_path / "in.wav", tmp_path / name, output="labels", **options)
    with pytest.raises(ConfigError, match="expected wav, flac, ogg for sound"):
        protect(named, tmp_path / "in.wav", tmp_path / "a.csv", format_="csv")


@pytest.mark.parametrize("format_", ["csv", "jsonl"])
def test_a_stream_of_pcm_becomes_lines(named, tmp_path, format_):
    coded = (noise(90_001) * 2**15).astype("<i2")
    path = tmp_path / f"out.{format_}"
    with path.open("wb") as out:
        protect_stream(named, io.BytesIO(coded.tobytes()), out, 16000, format_)
    assert rows_of(path) == named.labels(coded.astype(np.float32) / np.float32(2**15))
