"""Laws of protecting files: what can be done is done, what cannot is named, and no original is written over."""

import csv
import io as bytes_io
import os
import re
import resource
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from sottovoce.audio import io
from sottovoce.errors import AudioError, ConfigError
from sottovoce.runtime.files import protect, protect_stream
from sottovoce.runtime.outputs import renamed
from sottovoce.runtime.segments import SegmentEngine

RATE = 16000


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(folder))
    return folder


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def record(path, samples: int = 3000, sample_rate: int = RATE):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, noise(samples), sample_rate)
    return path


def names(folder) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("sample_rate", [8000, 16000, 44100, 48000])
def test_a_file_keeps_its_rate_and_length(tiny, tmp_path, sample_rate):
    source = record(tmp_path / "a.wav", 30_001, sample_rate)
    outcome = protect(tiny, source, tmp_path / "b.wav")
    assert outcome.done == [tmp_path / "b.wav"] and not outcome.failed
    assert outcome.seconds_of_audio == pytest.approx(30_001 / sample_rate)
    heard, rate = soundfile.read(tmp_path / "b.wav", dtype="float32")
    assert (len(heard), rate) == (30_001, sample_rate)
    expected = tiny.filter(io.read(source, sample_rate), sample_rate)
    assert np.abs(heard - expected).max() <= 2.0**-15


def test_another_rate_may_be_asked_for(tiny, tmp_path):
    protect(tiny, record(tmp_path / "a.wav", 8000), tmp_path / "b.wav", sample_rate=48000)
    assert soundfile.info(tmp_path / "b.wav").frames == 24000
    with pytest.raises(ConfigError, match="sample_rate"):
        protect(tiny, tmp_path / "a.wav", tmp_path / "b.wav", sample_rate=1)


def test_a_folder_keeps_its_shape_and_a_bad_file_is_named(tiny, tmp_path):
    source, out = tmp_path / "in", tmp_path / "out"
    for name in ("a.wav", "deep/er/b.flac", "deep/c.OGG", "d.mp3", ".hidden.wav", ".git/e.wav"):
        record(source / name)
    (source / "bad.wav").write_bytes(b"RIFF, they said")
    (source / "notes.txt").write_text("no sound")
    told = []
    outcome = protect(tiny, source, out, report=lambda done, of: told.append((done, of)))
    assert names(out) == ["a.wav", "d.wav", "deep/c.OGG", "deep/er/b.flac"]
    assert sorted(outcome.done) == sorted(out / name for name in names(out))
    assert list(outcome.failed) == [source / "bad.wav"]
    assert "bad.wav" in outcome.failed[source / "bad.wav"]
    assert told == [(count, 5) for count in range(1, 6)]
    assert outcome.seconds_of_audio == pytest.approx(4 * 3000 / RATE, rel=0.01)


@pytest.mark.parametrize(
    "name", ["a b.wav", 'it\'s "so".wav', "größe 声音 🎤.wav", "-rf.wav", "$(id);.wav", "a\nb.wav"]
)
def test_any_name_will_do(tiny, tmp_path, name):
    record(tmp_path / "in" / name)
    assert protect(tiny, tmp_path / "in", tmp_path / "out").done == [tmp_path / "out" / name]
    assert names(tmp_path / "out") == [name]


def test_a_file_goes_into_a_folder_that_is_there(tiny, tmp_path):
    (tmp_path / "out").mkdir()
    source = record(tmp_path / "a.mp3", 30_000)
    assert protect(tiny, source, tmp_path / "out").done == [tmp_path / "out" / "a.wav"]


def test_two_files_of_one_output_are_not_mixed_up(tiny, tmp_path):
    for name in ("a.mp3", "a.wav"):
        record(tmp_path / "in" / name)
    outcome = protect(tiny, tmp_path / "in", tmp_path / "out")
    assert len(outcome.done) == 1
    assert "rename one" in outcome.failed[tmp_path / "in" / "a.mp3"]


@pytest.mark.parametrize("good", ["a.wav", "a.flac", "a.mp3"])
def test_an_original_that_cannot_be_read_does_not_block_another(tiny, tmp_path, good):
    for name in ("a.caf", "a.mp3", "a.wav"):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"nothing that could be read")
    record(tmp_path / "in" / good)
    outcome = protect(tiny, tmp_path / "in", tmp_path / "out")
    assert [path.stem for path in outcome.done] == ["a"] and tmp_path / "in" / good not in outcome.failed


@pytest.mark.parametrize("names", [("A.wav", "a.wav"), ("caf\u00e9.wav", "cafe\u0301.wav")])
def test_names_that_a_disk_does_not_tell_apart_are_not_mixed_up(tiny, tmp_path, monkeypatch, names):
    for name in names:
        record(tmp_path / "in" / name)
    assert len(protect(tiny, tmp_path / "in", tmp_path / "out").done) == 2
    monkeypatch.setattr("sottovoce.runtime.files._tells_names_apart", lambda folder: False)
    outcome = protect(tiny, tmp_path / "in", tmp_path / "other")
    assert len(outcome.done + outcome.finished) == 1 and len(outcome.failed) == 1
    assert "rename one" in next(iter(outcome.failed.values()))


def test_what_was_there_before_is_replaced(tiny, tmp_path):
    (tmp_path / "b.wav").write_bytes(b"old")
    protect(tiny, record(tmp_path / "a.wav"), tmp_path / "b.wav")
    assert soundfile.info(tmp_path / "b.wav").frames == 3000


# Going on, and side by side


def test_what_is_finished_is_left_and_the_rest_is_done(tiny, tmp_path):
    source, out = tmp_path / "in", tmp_path / "out"
    for name in ("a.wav", "b.flac", "c.ogg"):
        record(source / name)
    assert len(protect(tiny, source, out).done) == 3
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    (out / "b.flac").unlink()
    again = protect(tiny, source, out)
    assert again.done == [out / "b.flac"] and again.finished == [out / "a.wav", out / "c.ogg"]
    assert all(path.stat().st_mtime_ns == before[path] for path in again.finished)
    record(source / "a.wav", 5000)
    os.utime(source / "a.wav", ns=(0, (out / "a.wav").stat().st_mtime_ns + 1))
    assert protect(tiny, source, out).done == [out / "a.wav"], "an original that changed"


def test_the_output_of_another_filter_is_not_taken_for_finished(tiny, codebook, tmp_path):
    source, out = tmp_path / "in", tmp_path / "out"
    record(source / "a.wav")
    filters = [tiny, codebook, codebook.permitting(["word"]), codebook.constant(2), replace(tiny, digest="")]
    for filter_ in filters:
        assert len(protect(filter_, source, out).done) == 1
    assert len(protect(filters[-1], source, out).done) == 1, "nobody can tell what filter this is"
    assert len(protect(tiny, source, out, 8000).done) == 1
    soundfile.write(out / "a.wav", noise(100), RATE)  # somebody else's
    assert len(protect(tiny, source, out, 8000).done) == 1


def test_contents_and_not_dates_tell_what_is_finished(tiny, tmp_path):
    source, out = tmp_path / "in", tmp_path / "out"
    soundfile.write(record(source / "a.flac"), noise(3000, 1), RATE)
    protect(tiny, source, out)
    before = (out / "a.flac").read_bytes()
    os.utime(source / "a.flac", (2e9, 2e9))
    assert protect(tiny, source, out).finished == [out / "a.flac"], "the same contents with a newer date"
    soundfile.write(source / "a.flac", noise(3000, 2), RATE)
    os.utime(source / "a.flac", (1e9, 1e9))
    assert protect(tiny, source, out).done == [out / "a.flac"], "other contents with an older date"
    assert (out / "a.flac").read_bytes() != before


def test_a_cache_that_cannot_be_used_costs_nothing_but_time(tiny, tmp_path, cache, monkeypatch):
    record(tmp_path / "in" / "a.wav")
    (cache / "protected").write_text("in the way")
    for _ in range(2):
        assert len(protect(tiny, tmp_path / "in", tmp_path / "out").done) == 1
    monkeypatch.delenv("SOTTOVOCE_CACHE")
    monkeypatch.setattr("pathlib.Path.home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    assert len(protect(tiny, tmp_path / "in", tmp_path / "out").done) == 1


def test_receipts_tell_no_names(tiny, tmp_path, cache):
    record(tmp_path / "in" / "anna.wav")
    protect(tiny, tmp_path / "in", tmp_path / "out")
    (kept,) = (cache / "protected").iterdir()
    assert set(kept.read_text()) <= set("0123456789abcdef\n")
    assert kept.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("workers", [2, 8])
def test_several_at_once_make_the_same_files(codebook, tmp_path, workers):
    source = tmp_path / "in"
    for number in range(9):
        soundfile.write(record(source / f"{number}.wav"), noise(30_000 + number, number), RATE)
    (source / "bad.wav").write_bytes(b"RIFF, they said")
    told = []
    one = protect(codebook, source, tmp_path / "one")
    many = protect(codebook, source, tmp_path / "many", None, lambda done, of: told.append((done, of)), workers)
    assert told == [(count, 10) for count in range(1, 11)]
    assert list(one.failed) == list(many.failed) == [source / "bad.wav"]
    assert len(many.done) == 9 and many.seconds_of_audio == one.seconds_of_audio
    for name in names(tmp_path / "one"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "many" / name).read_bytes()


# Originals


def test_originals_are_never_written_over(tiny, tmp_path):
    source = record(tmp_path / "in" / "a.wav")
    nested = record(tmp_path / "in" / "in" / "a.wav")  # protected into `tmp_path`, it would land on the first
    before = (source.read_bytes(), nested.read_bytes())
    (tmp_path / "link").symlink_to(tmp_path / "in")
    refused = [
        (source, source),
        (source, tmp_path / "in"),
        (source, tmp_path / "link" / "a.wav"),
        (tmp_path / "in", tmp_path / "in"),
        (tmp_path / "in", tmp_path / "in" / "out"),
        (tmp_path / "in", tmp_path / "link" / "out"),
        (tmp_path / "in", tmp_path),
    ]
    for one, out in refused:
        with pytest.raises(AudioError, match=r"original.*choose"):
            protect(tiny, one, out)
    assert (source.read_bytes(), nested.read_bytes()) == before
    assert names(tmp_path / "in") == ["a.wav", "in/a.wav"]


def test_nothing_to_do_is_said(tiny, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(AudioError, match="no sound in this folder"):
        protect(tiny, tmp_path / "empty", tmp_path / "out")
    with pytest.raises(AudioError, match="no such file"):
        protect(tiny, tmp_path / "none.wav", tmp_path / "out.wav")


# Names and formats that tell nothing


def test_one_rate_and_one_format_for_all(tiny, tmp_path):
    for name, rate in (("a.wav", 8000), ("b.flac", 44100), ("c.mp3", 16000)):
        record(tmp_path / "in" / name, 8000, rate)
    protect(tiny, tmp_path / "in", tmp_path / "out", 16000, format_="flac")
    assert names(tmp_path / "out") == ["a.flac", "b.flac", "c.flac"]
    assert {soundfile.info(path).samplerate for path in (tmp_path / "out").iterdir()} == {16000}
    with pytest.raises(ConfigError, match="wav, flac, ogg"):
        protect(tiny, tmp_path / "in", tmp_path / "out", format_="mp3")
    with pytest.raises(ConfigError, match=r"ending \.ogg"):
        protect(tiny, tmp_path / "in" / "a.wav", tmp_path / "x.wav", format_="ogg")


def test_renamed_outputs_tell_neither_names_nor_folders_nor_order(tiny, tmp_path):
    source, out, table = tmp_path / "in", tmp_path / "out", tmp_path / "mapping.csv"
    for number in range(12):
        soundfile.write(record(source / f"person {number}" / "angry.WAV"), noise(3000, number), RATE)
    outcome = protect(tiny, source, out, rename=table)
    assert all(re.fullmatch(r"[0-9a-f]{16}\.wav", name) for name in names(out)) and len(names(out)) == 12
    assert [path.name for path in outcome.done] == names(out), "made in the order of the new names"
    rows = list(csv.reader(table.open(newline="")))
    assert rows[0] == ["original", "output"] and table.stat().st_mode & 0o077 == 0
    assert [row[0] for row in rows[1:]] == sorted(str(source / f"person {n}" / "angry.WAV") for n in range(12))
    assert [row[1] for row in rows[1:]] != sorted(row[1] for row in rows[1:])
    protect(tiny, source, tmp_path / "named")
    for original, name in rows[1:]:
        assert (out / name).read_bytes() == (tmp_path / "named" / os.path.relpath(original, source)).read_bytes()


def test_a_second_run_keeps_the_names_it_gave(tiny, tmp_path):
    source, out, table = tmp_path / "in", tmp_path / "out", tmp_path / "mapping.csv"
    record(source / "a.wav")
    protect(tiny, source, out, rename=table)
    record(source / "b.wav")
    again = protect(tiny, source, out, rename=table)
    assert len(again.finished) == len(again.done) == 1 and len(names(out)) == 2


@pytest.mark.parametrize("content", ["", "original,output\na.wav,../../b.wav\n", "my,table\n1,2\n", '"'])
def test_a_table_that_is_not_ours_is_not_written_over(tiny, tmp_path, content):
    record(tmp_path / "in" / "a.wav")
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(ConfigError, match="choose a new file"):
        protect(tiny, tmp_path / "in", tmp_path / "out", rename=tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == content and not (tmp_path / "out").exists()


def test_equal_names_in_two_folders_are_two_files(tiny, tmp_path):
    out, table = tmp_path / "out", tmp_path / "t.csv"
    for number, folder in enumerate(("one", "two")):
        soundfile.write(record(tmp_path / folder / "a.wav"), noise(3000, number), RATE)
        protect(tiny, tmp_path / folder, out, rename=table)
    assert len(names(out)) == 2 and len(list(csv.reader(table.open(newline="")))) == 3
    os.symlink(tmp_path / "two", tmp_path / "linked")
    assert len(protect(tiny, tmp_path / "linked", out, rename=table).finished) == 1
    protect(tiny, tmp_path / "two" / "a.wav", out, rename=table)
    assert len(names(out)) == 2


def test_runs_that_share_a_table_lose_no_name(tmp_path):
    def add(number: int) -> None:
        renamed(tmp_path / "t.csv", tmp_path / str(number), [("a", ".wav")], tmp_path / "out")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(60)))
    assert len((tmp_path / "t.csv").read_text().splitlines()) == 61


@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
def test_a_table_that_is_no_file_is_refused_at_once(tiny, tmp_path, kind):
    record(tmp_path / "in" / "a.wav")
    table = tmp_path / "t.csv"
    {"pipe": os.mkfifo, "folder": os.mkdir, "device": lambda path: os.symlink("/dev/null", path)}[kind](table)
    with ThreadPoolExecutor(1) as pool:
        work = pool.submit(protect, tiny, tmp_path / "in", tmp_path / "out", rename=table)
        try:
            with pytest.raises(ConfigError, match="choose a"):
                work.result(timeout=10)
        finally:
            if kind == "pipe":
                os.close(os.open(table, os.O_RDWR))  # lets a reader that waits go
    assert os.path.lexists(table) and not table.is_file()


def test_the_table_is_kept_apart(tiny, tmp_path):
    record(tmp_path / "in" / "a.wav")
    with pytest.raises(ConfigError, match="keep it elsewhere"):
        protect(tiny, tmp_path / "in", tmp_path / "out", rename=tmp_path / "out" / "t.csv")
    with pytest.raises(ConfigError, match="choose another file"):
        protect(tiny, tmp_path / "in", tmp_path / "out", rename=tmp_path / "none" / "t.csv")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg"])
def test_equal_sound_gives_equal_bytes_whatever_the_original_says_of_itself(tiny, tmp_path, ending):
    sound = noise(30_000)
    for number in range(2):
        with soundfile.SoundFile(tmp_path / f"{number}.{ending}", "w", RATE, 1) as file:
            if number:
                file.title, file.artist, file.comment, file.date = "patient 4711", "Anna", "private", "1984"
            file.write(sound)
    if ending == "ogg":
        shutil.copy(tmp_path / "0.ogg", tmp_path / "1.ogg")  # the encoder is not exact
    contents = []
    for number in (0, 1, 1):
        protect(tiny, tmp_path / f"{number}.{ending}", tmp_path / f"out.{ending}")
        contents.append((tmp_path / f"out.{ending}").read_bytes())
    assert len(set(contents)) == 1
    assert not any(word in contents[0] for word in (b"4711", b"Anna", b"private", b"1984"))


# Failures


def test_a_full_disk_fails_the_file_and_leaves_nothing(tiny, tmp_path):
    for name in ("long.wav", "short.wav"):
        record(tmp_path / "in" / name, 200_000 if name == "long.wav" else 1000)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))  # the system refuses whatever goes beyond
    try:
        outcome = protect(tiny, tmp_path / "in", tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "no space left" in outcome.failed[tmp_path / "in" / "long.wav"]
    assert names(tmp_path / "out") == ["short.wav"]


def test_what_a_killed_run_left_is_removed_once_it_is_old(tiny, tmp_path):
    record(tmp_path / "in" / "a.wav")
    out = tmp_path / "out"
    kept = [out / ".0123456789abcdef.tmp", out / "notes.tmp", out / ".0123.tmp", tmp_path / ".0123456789abcdef.tmp"]
    left = [out / ".fedcba9876543210.tmp", out / "sub" / ".fedcba9876543210.tmp"]
    (out / "sub").mkdir(parents=True)
    for path in kept + left:
        path.write_bytes(b"half")
        if path != kept[0]:
            os.utime(path, (0, 0))
    protect(tiny, tmp_path / "in", out)
    assert all(path.exists() for path in kept) and not any(path.exists() for path in left)


def test_a_failing_engine_leaves_nothing(tiny, tmp_path):
    class Broken(SegmentEngine):
        def step(self, inputs, state):
            raise RuntimeError("out of memory")

    outcome = protect(
        replace(tiny, engine=Broken(tiny.config, ())), record(tmp_path / "in" / "a.wav"), tmp_path / "out" / "a.wav"
    )
    assert "out of memory" in outcome.failed[tmp_path / "in" / "a.wav"]
    assert names(tmp_path / "out") == []


def test_a_file_where_a_folder_must_be_is_said(tiny, tmp_path):
    record(tmp_path / "in" / "a.wav")
    (tmp_path / "out").touch()
    outcome = protect(tiny, tmp_path / "in", tmp_path / "out")
    assert "no folder can be made" in outcome.failed[tmp_path / "in" / "a.wav"]


# Streams


@pytest.mark.parametrize("sample_rate", [8000, 16000, 48000])
def test_a_stream_of_pcm_is_filtered_like_the_sound_it_is(tiny, sample_rate):
    coded = (noise(90_001) * 2**15).astype("<i2")
    out = bytes_io.BytesIO()
    protect_stream(tiny, bytes_io.BytesIO(coded.tobytes()), out, sample_rate)
    expected = tiny.filter(coded.astype(np.float32) / np.float32(2**15), sample_rate)
    assert np.abs(np.frombuffer(out.getvalue(), "<i2") / 2**15 - expected).max() <= 2.0**-15


@pytest.mark.parametrize("samples", [0, 1, 3, 5000])
def test_half_a_sample_at_the_end_is_told_once_all_is_out(tiny, samples):
    coded = (noise(samples) * 2**15).astype("<i2").tobytes()
    out = bytes_io.BytesIO()
    with pytest.raises(AudioError, match="within a sample"):
        protect_stream(tiny, bytes_io.BytesIO(coded + b"!"), out, RATE)
    assert len(out.getvalue()) == len(coded)


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "aiff", "au", "w64"])
@pytest.mark.parametrize("size", [1, 5, 1 << 16])
def test_a_sound_file_is_not_taken_for_raw_sound(tiny, tmp_path, ending, size):
    soundfile.write(tmp_path / f"a.{ending}", noise(3000), RATE)
    out = bytes_io.BytesIO()
    with pytest.raises(AudioError, match="is a sound file"):
        protect_stream(tiny, Dribs((tmp_path / f"a.{ending}").read_bytes(), size), out, RATE)
    assert out.getvalue() == b""


def test_a_stream_that_comes_in_dribs_is_the_same(tiny):
    coded = (noise(5000) * 2**15).astype("<i2").tobytes()
    outputs = []
    for size in (1, 3, 1000, len(coded)):
        source, out = Dribs(coded, size), bytes_io.BytesIO()
        protect_stream(tiny, source, out, RATE)
        outputs.append(out.getvalue())
    assert len(set(outputs)) == 1 and len(outputs[0]) == len(coded)


class Dribs(bytes_io.BytesIO):
    def __init__(self, content: bytes, size: int) -> None:
        super().__init__(content)
        self.size = size

    def read1(self, size: int | None = -1) -> bytes:
        return super().read(self.size)


def test_an_output_that_is_closed_is_said(tiny):
    ends = os.pipe()
    os.close(ends[0])
    with pytest.raises(AudioError, match="takes no more"), open(ends[1], "wb", buffering=0) as out:
        protect_stream(tiny, bytes_io.BytesIO(bytes(9000)), out, RATE)


def test_an_empty_stream_is_empty(tiny):
    out = bytes_io.BytesIO()
    protect_stream(tiny, bytes_io.BytesIO(), out, RATE)
    assert out.getvalue() == b""


def test_a_stream_answers_while_it_is_still_told(tiny):
    """Through pipes, hop by hop: what came in one latency before is out, and nothing waits for a block to fill."""
    hop, stream = 160, tiny.stream()
    into, out = os.pipe(), os.pipe()

    def work():
        with os.fdopen(into[0], "rb") as source, os.fdopen(out[1], "wb") as sink:
            protect_stream(tiny, source, sink, RATE)

    worker = threading.Thread(target=work)
    worker.start()
    with os.fdopen(out[0], "rb") as heard:
        with os.fdopen(into[1], "wb", buffering=0) as microphone:
            for _ in range(stream.latency_samples // hop + 2):
                microphone.write((noise(hop) * 2**15).astype("<i2").tobytes())
            assert len(heard.read(2 * hop)) == 2 * hop, "and the microphone is still open"
        heard.read()
    worker.join()
