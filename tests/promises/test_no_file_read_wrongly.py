"""The law: a sound file is read whole, or refused in one sentence; and whatever a folder holds is protected or named.

Files are made by the libraries that the program itself uses, and joined, cut and changed by hand; ffmpeg makes some
more where it is installed.
"""

import io
import itertools
import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sottovoce.audio.io import blocks, info, read
from sottovoce.audio.mp3 import begins
from sottovoce.errors import AudioError
from sottovoce.runtime.bundled import PLACE
from sottovoce.runtime.files import protect
from sottovoce.runtime.filter import Filter

RATE = 16000
KINDS = {
    "wav": ("WAV", None),
    "flac": ("FLAC", None),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", None),
}
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")


def sound(seconds: float, rate: int = RATE, channels: int = 1, seed: int = 0) -> np.ndarray:
    """A noise that grows, so that no two parts of it are alike and the rate of its code varies."""
    samples = round(seconds * rate)
    wav = (
        np.random.default_rng(seed).standard_normal((samples, channels)) * np.linspace(0.0, 0.2, samples)[:, None] ** 2
    )
    return wav if channels > 1 else wav[:, 0]


def content(folder: Path, kind: str, seconds: float, rate: int = RATE, channels: int = 1, seed: int = 0) -> bytes:
    path = folder / f"made.{kind}"
    container, coding = KINDS[kind]
    soundfile.write(path, sound(seconds, rate, channels, seed), rate, format=container, subtype=coding)
    return path.read_bytes()


def whole(path: Path, seconds: float) -> np.ndarray:
    """The sound of a file, that it is told to have, to be read and to come in blocks as long as it truly is."""
    wav = read(path)
    assert info(path).duration_s == pytest.approx(seconds, abs=0.08)
    assert len(wav) / RATE == pytest.approx(seconds, abs=0.08)
    np.testing.assert_array_equal(np.concatenate(list(blocks(path, block_s=0.7))), wav)
    return wav


def refused(path: Path, *words: str) -> None:
    for use in (read, lambda path: list(blocks(path))):
        with pytest.raises(AudioError) as caught:
            use(path)
        sentence = str(caught.value)
        assert repr(str(path)) in sentence and sentence.endswith(".") and "\n" not in sentence
        assert all(word in sentence for word in words), sentence


def without_length(mp3: bytes) -> bytes:
    """An MP3 file without its first frame, which tells the length."""
    assert b"Xing" in mp3[:64] or b"Info" in mp3[:64]
    return mp3[mp3.index(mp3[:2], 40) :]


# Files joined into one


@pytest.mark.parametrize("kinds", itertools.product(KINDS, KINDS), ids="-".join)
def test_of_joined_files_all_is_read(tmp_path: Path, kinds: tuple[str, str]) -> None:
    first, second = content(tmp_path, kinds[0], 2.0), content(tmp_path, kinds[1], 3.0, 24000, 2, seed=1)
    parts = []
    for number, each in enumerate((first, second)):
        (tmp_path / f"{number}").write_bytes(each)
        parts.append(read(tmp_path / f"{number}"))
    (tmp_path / "joined").write_bytes(first + second)
    np.testing.assert_array_equal(whole(tmp_path / "joined", 5.0), np.concatenate(parts))
    assert info(tmp_path / "joined").sample_rate == info(tmp_path / "0").sample_rate


@pytest.mark.parametrize("kind", KINDS)
def test_of_many_copies_all_is_read_and_every_slice_is_in_its_place(tmp_path: Path, kind: str) -> None:
    once = content(tmp_path, kind, 1.0)
    (tmp_path / "joined").write_bytes(once * 4)
    wav = whole(tmp_path / "joined", 4 * info(tmp_path / f"made.{kind}").duration_s)
    for start_s, duration_s in ((0.5, 0.25), (0.75, 1.0), (1.9, 2.0), (0.0, 4.0), (3.5, None)):
        part = read(tmp_path / "joined", start_s=start_s, duration_s=duration_s)
        start = round(start_s * RATE)
        np.testing.assert_allclose(part, wav[start : start + len(part)], atol=0.02)
        assert len(part) >= round(min(duration_s or 9.0, len(wav) / RATE - start_s) * RATE) - 4


TAGS = {
    "id3v1": b"TAG" + bytes(125),
    "id3v2": b"ID3\x03\0\0" + bytes([0, 0, 2, 0]) + bytes(256),
    "ape": b"APETAGEX" + struct.pack("<III", 2000, 32 + 40, 1) + bytes([0, 0, 0, 0xA0]) + bytes(8 + 40 + 32),
}


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("change", [bytes, without_length])
def test_tags_between_and_around_joined_mp3_cost_no_sound(
    tmp_path: Path, tag: str, change: Callable[[bytes], bytes]
) -> None:
    first, second = content(tmp_path, "mp3", 2.0, 16000), content(tmp_path, "mp3", 3.0, 44100, 2)
    path = tmp_path / "a.mp3"
    path.write_bytes((TAGS[tag] if tag == "id3v2" else b"") + change(first) + TAGS[tag] + change(second) + TAGS[tag])
    assert len(read(path)) / RATE == pytest.approx(5.0, abs=0.2)


# Lengths that are open or wrong


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_mp3_that_does_not_tell_its_length_is_read_whole(tmp_path: Path, rate: int, channels: int) -> None:
    made = content(tmp_path, "mp3", 10.0, rate, channels)
    (tmp_path / "a.mp3").write_bytes(without_length(made))
    open_length = whole(tmp_path / "a.mp3", 10.05)
    assert np.sqrt(np.mean(open_length[-RATE:] ** 2)) > 0.01, "it is loudest at its end"


def wav(data: bytes, claimed: int | None = None, riff: bytes = b"RIFF", after: bytes = b"", more: bytes = b"") -> bytes:
    claimed = len(data) if claimed is None else claimed
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    return (
        riff
        + struct.pack("<I", 0xFFFFFFFF)
        + b"WAVE"
        + more
        + form
        + struct.pack("<4sI", b"data", claimed)
        + data
        + after
    )


PCM = (sound(2.0) * 2**15).astype("<i2").tobytes()


@pytest.mark.parametrize(
    "claimed", [0, 0xFFFFFFFF, 0xFFFFFFFF - 36, 0x7FFFFFFF, 0x7FFFFFFF - 36, 0x7FFFF000, 0x80000000]
)
def test_wav_from_a_pipe_is_read_whole(tmp_path: Path, claimed: int) -> None:
    (tmp_path / "a.wav").write_bytes(wav(PCM, claimed))
    np.testing.assert_array_equal(whole(tmp_path / "a.wav", 2.0), np.frombuffer(PCM, "<i2") / np.float32(2**15))


@pytest.mark.parametrize("size", [0, len(PCM)])
def test_rf64_is_read_whole_whether_its_length_was_filled_in_or_not(tmp_path: Path, size: int) -> None:
    lengths = struct.pack("<4sIQQQI", b"ds64", 28, 0, size, 0, 0)
    (tmp_path / "a.wav").write_bytes(wav(PCM, 0xFFFFFFFF, b"RF64", more=lengths))
    whole(tmp_path / "a.wav", 2.0)


@pytest.mark.parametrize("claimed", [2, 1000, len(PCM) // 2, len(PCM) - 2000])
def test_wav_that_claims_less_than_there_is_is_refused(tmp_path: Path, claimed: int) -> None:
    (tmp_path / "a.wav").write_bytes(wav(PCM, claimed))
    refused(tmp_path / "a.wav", "neither sound nor a tag")


def test_wav_with_two_chunks_of_sound_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(wav(PCM, after=struct.pack("<4sI", b"data", len(PCM)) + PCM))
    refused(tmp_path / "a.wav")


def test_other_chunks_behind_the_sound_are_no_sound(tmp_path: Path) -> None:
    chunks = struct.pack("<4sI", b"LIST", 2000) + bytes(2000) + struct.pack("<4sI", b"id3 ", 5) + b"ID3\x03\0\0"
    (tmp_path / "a.wav").write_bytes(wav(PCM, after=chunks))
    whole(tmp_path / "a.wav", 2.0)


@pytest.mark.parametrize("claimed", [0, 1, 10_000, 31_999])
def test_flac_that_does_not_tell_its_length_or_tells_less_is_read_whole(tmp_path: Path, claimed: int) -> None:
    changed = bytearray(content(tmp_path, "flac", 2.0))
    changed[21] &= 0xF0
    changed[22:26] = struct.pack(">I", claimed)
    (tmp_path / "a.flac").write_bytes(changed)
    whole(tmp_path / "a.flac", 2.0)


# Damage


@pytest.mark.parametrize("kind", ["ogg", "opus", "flac"])
def test_a_coded_file_that_lacks_any_of_its_end_is_refused(tmp_path: Path, kind: str) -> None:
    made = content(tmp_path, kind, 3.0)
    for lost in (1000, len(made) // 3, len(made) // 2, 3 * len(made) // 4):
        (tmp_path / "a").write_bytes(made[:-lost])
        refused(tmp_path / "a")


@pytest.mark.parametrize("kind", ["ogg", "opus"])
def test_ogg_with_a_damaged_or_missing_page_is_refused(tmp_path: Path, kind: str) -> None:
    made = content(tmp_path, kind, 10.0)
    starts = [at for at in range(len(made)) if made[at : at + 4] == b"OggS"]
    changed = bytearray(made)
    changed[starts[-2] + 100] ^= 1
    (tmp_path / "a").write_bytes(changed)
    refused(tmp_path / "a", "damaged")
    (tmp_path / "a").write_bytes(made[: starts[-3]] + made[starts[-2] :])
    refused(tmp_path / "a", "missing")


def test_mp3_with_a_hole_is_refused(tmp_path: Path) -> None:
    made = content(tmp_path, "mp3", 10.0, 44100)
    for start in (len(made) // 4, 3 * len(made) // 4):
        for filled in (bytes(6000), np.random.default_rng(0).bytes(6000).replace(b"\xff", b"\xfe")):
            (tmp_path / "a.mp3").write_bytes(made[:start] + filled + made[start + 6000 :])
            refused(tmp_path / "a.mp3")


@pytest.mark.parametrize("change", [bytes, without_length])
@pytest.mark.parametrize("size", [1, 30, 417, 1000, 1441])
def test_mp3_with_a_small_hole_is_refused(tmp_path: Path, change: Callable[[bytes], bytes], size: int) -> None:
    made = change(content(tmp_path, "mp3", 10.0, 44100))
    for start in (len(made) // 4, 3 * len(made) // 4):
        for filled in (b"", bytes(size), np.random.default_rng(0).bytes(size).replace(b"\xff", b"\xfe")):
            at = next(at for at in range(start, len(made)) if begins(io.BytesIO(made), at))
            (tmp_path / "a.mp3").write_bytes(made[:at] + filled + made[at + size :])
            refused(tmp_path / "a.mp3")


def test_bytes_before_mp3_and_zeros_behind_its_tags_cost_no_sound(tmp_path: Path) -> None:
    made = without_length(content(tmp_path, "mp3", 2.0))
    (tmp_path / "a.mp3").write_bytes(TAGS["id3v2"] + bytes(700) + made + TAGS["id3v2"] + bytes(700) + made)
    assert len(read(tmp_path / "a.mp3")) / RATE == pytest.approx(4.0, abs=0.2)
    (tmp_path / "a.mp3").write_bytes(made + b"LYRICSBEGIN" + TAGS["id3v1"] + made)
    assert len(read(tmp_path / "a.mp3")) / RATE == pytest.approx(4.0, abs=0.2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 300, 100_000])
def test_what_follows_the_sound_is_left_aside_or_named_but_takes_no_sound_away(
    tmp_path: Path, kind: str, size: int
) -> None:
    made = content(tmp_path, kind, 2.0)
    rest = np.random.default_rng(0).bytes(size)
    (tmp_path / "a").write_bytes(made + rest)
    try:
        found = read(tmp_path / "a")
    except AudioError:
        assert size > 300
    else:
        np.testing.assert_array_equal(found, read(tmp_path / f"made.{kind}"))


# Codings


@pytest.mark.parametrize("coding", [name for name in soundfile.available_subtypes("WAV") if "MPEG" not in name])
def test_every_coding_of_wav_is_read_whole_and_in_slices(tmp_path: Path, coding: str) -> None:
    tone = 0.3 * np.sin(2 * np.pi * 300 * np.arange(16000) / 8000)
    soundfile.write(tmp_path / "a.wav", tone, 8000, subtype=coding)
    at_once = read(tmp_path / "a.wav", 8000)
    assert 16000 <= len(at_once) < 16600
    assert np.corrcoef(at_once[:16000], tone)[0, 1] > 0.98
    part = read(tmp_path / "a.wav", 8000, start_s=1.1, duration_s=0.5)
    np.testing.assert_array_equal(part, at_once[8800:12800])


@needs_ffmpeg
@pytest.mark.parametrize("ending", ["m4a", "mp4", "aiff", "w64", "au", "webm", "mka", "aac"])
def test_what_another_program_decodes_is_read_whole_or_refused(tmp_path: Path, ending: str) -> None:
    soundfile.write(tmp_path / "a.wav", sound(3.0), RATE)
    path = tmp_path / f"a.{ending}"
    subprocess.run(["ffmpeg", "-v", "error", "-i", str(tmp_path / "a.wav"), str(path)], check=True)
    made, seconds = path.read_bytes(), len(read(path)) / RATE
    assert seconds == pytest.approx(3.0, abs=0.1)
    path.write_bytes(made + made)
    try:
        assert len(read(path)) / RATE > 1.9 * seconds
    except AudioError as error:
        assert repr(str(path)) in str(error)
    if ending != "aac":  # which has no length to compare with
        path.write_bytes(made[: len(made) // 2])
        refused(path)


@needs_ffmpeg
@pytest.mark.parametrize(
    "asks",
    [
        ("-f", "wav"),
        ("-f", "wav", "-rf64", "always"),
        ("-f", "flac"),
        ("-f", "mp3"),
        ("-f", "ogg"),
        ("-f", "au"),
        ("-f", "w64"),
        ("-f", "aiff"),
    ],
)
def test_what_came_through_a_pipe_is_read_whole(tmp_path: Path, asks: tuple[str, ...]) -> None:
    soundfile.write(tmp_path / "a.wav", sound(3.0), RATE)
    made = subprocess.run(["ffmpeg", "-v", "error", "-i", str(tmp_path / "a.wav"), *asks, "-"], stdout=subprocess.PIPE)
    (tmp_path / "b").write_bytes(made.stdout)
    whole(tmp_path / "b", 3.03 if "mp3" in asks else 3.0)


@needs_ffmpeg
@pytest.mark.parametrize(
    ("ending", "width", "open_lengths"),
    [("w64", 8, (0, 8, 2**63 - 1, 2**64 - 1)), ("aiff", 4, (0, 8, 2**31 - 1, 2**32 - 1))],
)
def test_lengths_that_tell_none_are_read_to_the_end(
    tmp_path: Path, ending: str, width: int, open_lengths: tuple[int, ...]
) -> None:
    path = tmp_path / f"a.{ending}"
    soundfile.write(path, sound(3.0), RATE, format=ending.upper(), subtype="PCM_16")
    made = path.read_bytes()
    expected = whole(path, 3.0)
    name, data = (16, made.index(b"data") + 16) if ending == "w64" else (4, made.index(b"SSND") + 4)
    for length in open_lengths:
        changed = bytearray(made)
        for at in (name, data):
            changed[at : at + width] = length.to_bytes(width, "little" if ending == "w64" else "big")
        path.write_bytes(changed)
        found = whole(path, 3.0)
        np.testing.assert_array_equal(found[: len(expected)], expected)
        for kept in (12, 20, data, data + 3, data + width):
            path.write_bytes(changed[:kept])
            refused(path)


# Channels


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
@pytest.mark.parametrize(
    "weights", [(1, -1), (-1, 1), (1, -0.8), (0.7, -1), (1, -1, 0, 0, 0, 0), (0, 0, 1, -1), (1, -1, 1, -1)]
)
def test_channels_of_opposite_phase_are_still_sound(tmp_path: Path, rate: int, weights: tuple[float, ...]) -> None:
    one = sound(2.0, rate)
    hum = 0.02 * np.sin(2 * np.pi * 50 * np.arange(len(one)) / rate)
    for offset in (0.0, 0.05, hum):
        channels = np.stack([weight * one + offset for weight in weights], 1)
        soundfile.write(tmp_path / "many.wav", channels, rate, subtype="FLOAT")
        soundfile.write(tmp_path / "one.wav", one, rate, subtype="FLOAT")
        alone, mixed = read(tmp_path / "one.wav"), read(tmp_path / "many.wav")
        assert abs(np.corrcoef(np.diff(alone)[RATE:], np.diff(mixed)[RATE:])[0, 1]) > 0.95
        assert np.std(np.diff(mixed)[RATE:]) > 0.5 * np.std(np.diff(alone)[RATE:])


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
@pytest.mark.parametrize("swapped", [False, True])
def test_channels_that_are_opposite_in_the_low_part_of_speech_alone_keep_it(
    tmp_path: Path, rate: int, swapped: bool
) -> None:
    def low(wav: np.ndarray, at: int) -> np.ndarray:
        spectrum = np.fft.rfft(wav)
        spectrum[np.fft.rfftfreq(len(wav), 1 / at) > 1000] = 0
        return np.fft.irfft(spectrum, len(wav))

    one = sound(2.0, rate)
    channels = [one, one - 2 * low(one, rate)]
    soundfile.write(tmp_path / "a.wav", np.stack(channels[::-1] if swapped else channels, 1), rate, subtype="FLOAT")
    mixed = read(tmp_path / "a.wav", rate)
    assert np.std(low(mixed, rate)) > 0.9 * np.std(low(one, rate))


@pytest.mark.parametrize("weights", [(1, 1), (1, 0), (0, 1), (1, 0.5), (0, 0, 1, 0, 0, 0), (1, 1, 1, 1, 1, 1)])
def test_other_channels_are_their_mean(tmp_path: Path, weights: tuple[float, ...]) -> None:
    channels = np.stack([weight * sound(2.0) for weight in weights], 1).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", channels, RATE, subtype="FLOAT")
    np.testing.assert_array_equal(read(tmp_path / "a.wav"), channels.mean(axis=1))


def test_unrelated_channels_are_their_mean(tmp_path: Path) -> None:
    channels = sound(3.0, channels=3).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", channels, RATE, subtype="FLOAT")
    np.testing.assert_array_equal(read(tmp_path / "a.wav"), channels.mean(axis=1))


def test_the_mix_does_not_depend_on_pieces_and_slices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = sound(6.0)
    turns = np.sign(np.sin(2 * np.pi * 0.7 * np.arange(len(one)) / RATE))  # in phase, opposite, in phase, ...
    soundfile.write(tmp_path / "a.wav", np.stack([one, turns * one], 1), RATE, subtype="FLOAT")
    at_once = read(tmp_path / "a.wav")
    for start_s, duration_s in ((0.01, 1.0), (0.05, 0.1), (1.234, 2.0), (3.7, None)):
        part = read(tmp_path / "a.wav", start_s=start_s, duration_s=duration_s)
        # The last block of a slice is decided by as much of it as was asked for.
        kept = len(part) - (RATE // 20 if duration_s else 0)
        np.testing.assert_array_equal(part[:kept], at_once[round(start_s * RATE) :][:kept])
    for size in (100, 12_345):
        monkeypatch.setattr("sottovoce.audio.io._PIECE_SAMPLES", size)
        np.testing.assert_array_equal(read(tmp_path / "a.wav"), at_once)


# Folders


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as people have them, and what has to become of each of its members."""
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "in"
    (folder / "sub" / ".git").mkdir(parents=True)
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    for name in ("a.wav", "B.FLAC", "sub/c.Ogg", "../elsewhere/deep/d.mp3"):
        soundfile.write(folder / name, sound(0.5), RATE, format=name[-3:].upper().replace("LAC", "FLAC"))
    soundfile.write(folder / "e.opus", sound(0.5), RATE, format="OGG", subtype="OPUS")
    shutil.copy(folder / "a.wav", folder / "recording 1")  # no ending at all
    shutil.copy(folder / "a.wav", folder / ".hidden.wav")
    shutil.copy(folder / "a.wav", folder / "sub" / ".git" / "f.wav")
    (folder / "._a.wav").write_bytes(b"\0\5\x16\7" + bytes(100))
    (folder / "notes.txt").write_text("no sound")
    (folder / "fake.m4a").write_bytes(b"no sound")
    os.symlink(tmp_path / "elsewhere", folder / "linked")
    os.symlink(folder, folder / "sub" / "loop")
    os.symlink(folder / "sub", folder / "again")
    os.symlink("/", folder / "everything")
    os.symlink(tmp_path / "nowhere.wav", folder / "sub" / "broken.wav")
    os.symlink("circle.wav", folder / "circle.wav")
    os.mkfifo(folder / "pipe.wav")
    os.mkfifo(folder / "pipe")
    (folder / os.fsdecode(b"caf\xe9.wav")).write_bytes((folder / "a.wav").read_bytes())
    return folder


SOUND = ["a.wav", "B.FLAC", "sub/c.Ogg", "linked/deep/d.wav", "e.wav", "recording 1.wav", os.fsdecode(b"caf\xe9.wav")]
BAD = ["fake.m4a", "sub/broken.wav", "circle.wav", "pipe.wav"]
ASIDE = [".hidden.wav", "sub/.git", "._a.wav", "notes.txt", "pipe", "sub/loop", "again", "everything"]


def test_everything_in_a_folder_is_protected_or_named(tree: Path) -> None:
    out = tree.parent / "out"
    for run in range(2):
        outcome = protect(Filter.load(PLACE / "digit"), tree, out)
        made, other = outcome.done, outcome.finished
        assert sorted((made, other)[run]) == sorted(out / name for name in SOUND) and not (other, made)[run]
        assert sorted(outcome.failed) == sorted(tree / name for name in BAD)
        assert sorted(outcome.skipped) == sorted(tree / name for name in ASIDE)
        assert all(reason for reason in (*outcome.failed.values(), *outcome.skipped.values()))
    assert sorted(path for path in out.rglob("*") if path.is_file()) == sorted(out / name for name in SOUND)


def run(*words: object, **more: object) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "sottovoce.cli", "protect", "digit", *map(str, words)]
    done = subprocess.run(
        command, capture_output=True, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}, **more
    )
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done


def test_the_command_names_what_it_left_and_its_status_tells(tree: Path) -> None:
    done = run(tree, tree.parent / "out", "--json")
    assert done.returncode == 2
    for name in (*BAD, *ASIDE):
        assert name in done.stderr.decode(), name
    found = json.loads(done.stdout)
    assert sorted(itertools.chain(*found["skipped"].values())) == sorted(ASIDE)
    assert sorted(found["failed"]) == sorted(str(tree / name) for name in BAD)
    for name in BAD:
        (tree / name).unlink()
    assert run(tree, tree.parent / "out").returncode == 0
    assert run(tree / "notes.txt", tree.parent / "out.wav").returncode == 2


def test_the_command_gives_outputs_names_rate_and_format(tree: Path) -> None:
    for name in BAD:
        (tree / name).unlink()
    table = tree.parent / "names.csv"
    done = run(tree, tree.parent / "out", "--rename", table, "--rate", 8000, "--format", "flac")
    assert done.returncode == 0, done.stderr.decode()
    made = list((tree.parent / "out").iterdir())
    assert len(made) == len(SOUND) == len(table.read_text(errors="surrogateescape").splitlines()) - 1
    assert {(soundfile.info(path).samplerate, path.suffix) for path in made} == {(8000, ".flac")}


def test_a_pipe_that_is_no_raw_sound_is_told(tmp_path: Path) -> None:
    assert run("-", "-", input=content(tmp_path, "wav", 1.0)).returncode == 2
    half = run("-", "-", input=PCM + b"!")
    assert half.returncode == 2 and len(half.stdout) >= len(PCM)
    assert run("-", "-", preexec_fn=lambda: os.close(0)).returncode == 2  # as `<&-` does
    assert run("-", "-", "--format", "wav", input=PCM).returncode == 2


def test_renamed_outputs_of_such_a_folder_are_as_many(tree: Path) -> None:
    outcome = protect(
        Filter.load(PLACE / "digit"), tree, tree.parent / "out", 16000, format_="ogg", rename=tree.parent / "names.csv"
    )
    assert len(outcome.done) == len(SOUND) and len(list((tree.parent / "out").iterdir())) == len(SOUND)
    assert sorted(outcome.failed) == sorted(tree / name for name in BAD)
