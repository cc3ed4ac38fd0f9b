"""Laws of sound files: what was recorded is read, what is bad is refused in one sentence, no half file stays."""

import os
import resource
import struct
import tracemalloc
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sottovoce.audio.io import ENDINGS, AudioInfo, blocks, info, read
from sottovoce.audio.spectrum import SAMPLE_RATE
from sottovoce.audio.writer import write, writing
from sottovoce.errors import AudioError, ConfigError

WRITABLE = (".wav", ".flac", ".ogg")


def tone(rate: int, seconds: float = 1.0, hz: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def loudest_hz(wav: np.ndarray, rate: int = SAMPLE_RATE) -> float:
    return float(np.abs(np.fft.rfft(wav * np.hanning(len(wav)))).argmax()) * rate / len(wav)


def wav_bytes(data: bytes, claimed: int | None = None, channels: int = 1, rate: int = 16000, bits: int = 16) -> bytes:
    """A PCM WAV file whose header says whatever we want it to."""
    claimed = len(data) if claimed is None else claimed
    frame = channels * bits // 8
    form = struct.pack("<HHIIHH", 1, channels, rate, rate * frame & 0xFFFFFFFF, frame & 0xFFFF, bits)
    riff = struct.pack("<4sI4s4sI", b"RIFF", min(claimed + 36, 0xFFFFFFFF), b"WAVE", b"fmt ", len(form))
    return riff + form + struct.pack("<4sI", b"data", claimed) + data


def refused(path: str | Path) -> str:
    """The one sentence with which `info`, `read` and `blocks` all refuse `path`."""
    sentences = set()
    for use in (info, read, lambda path: list(blocks(path))):
        with pytest.raises(AudioError) as caught:
            use(path)
        sentences.add(str(caught.value))
    (sentence,) = sentences
    assert repr(str(path)) in sentence
    assert sentence.endswith(".") and "\n" not in sentence
    return sentence


# What is read is what was recorded


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 44100, 192000])
def test_a_tone_keeps_its_frequency_and_duration_at_every_rate(tmp_path, rate):
    soundfile.write(tmp_path / "a.wav", tone(rate), rate)
    wav = read(tmp_path / "a.wav")
    assert wav.dtype == np.float32
    assert abs(len(wav) - SAMPLE_RATE) <= 1
    assert loudest_hz(wav) == pytest.approx(440.0, abs=1.0)
    np.testing.assert_allclose(wav[2000:14000], tone(SAMPLE_RATE)[2000:14000], atol=1e-3)


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_ending_is_read(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    soundfile.write(path, tone(44100), 44100)
    assert info(path) == AudioInfo(44100, 1, pytest.approx(1.0, abs=0.05))
    wav = read(path)
    assert len(wav) == pytest.approx(SAMPLE_RATE, abs=800)
    assert loudest_hz(wav) == pytest.approx(440.0, abs=1.5)


def test_the_bytes_decide_what_a_file_is_not_its_ending(tmp_path):
    path = tmp_path / "a.raw"
    path.write_bytes(wav_bytes(b"\0\x40" * 1600))
    np.testing.assert_array_equal(read(path), np.full(1600, 0.5, np.float32))


@pytest.mark.parametrize(
    "coding, tolerance", [("PCM_U8", 0.01), ("PCM_16", 1e-4), ("PCM_24", 1e-6), ("FLOAT", 0.0), ("DOUBLE", 1e-7)]
)
def test_every_sample_width_is_read(tmp_path, coding, tolerance):
    soundfile.write(tmp_path / "a.wav", tone(SAMPLE_RATE), SAMPLE_RATE, subtype=coding)
    np.testing.assert_allclose(read(tmp_path / "a.wav"), tone(SAMPLE_RATE), atol=tolerance)


def test_mono_is_the_mean_of_all_channels(tmp_path):
    channels = np.stack([tone(SAMPLE_RATE, hz=200.0 * (i + 1)) for i in range(6)], axis=1)
    soundfile.write(tmp_path / "six.wav", channels, SAMPLE_RATE, subtype="FLOAT")
    assert info(tmp_path / "six.wav").channels == 6
    np.testing.assert_allclose(read(tmp_path / "six.wav"), channels.mean(axis=1), atol=1e-7)


def test_a_clip_of_20_ms_is_read(tmp_path):
    soundfile.write(tmp_path / "short.wav", tone(44100, 0.02), 44100)
    assert len(read(tmp_path / "short.wav")) == 320


def test_silence_is_read_as_silence(tmp_path):
    soundfile.write(tmp_path / "silent.wav", np.zeros(44100), 44100)
    np.testing.assert_array_equal(read(tmp_path / "silent.wav"), np.zeros(16000, np.float32))


def test_a_full_scale_square_is_read_unclipped_and_finite(tmp_path):
    square = np.sign(tone(44100)).astype(np.float32)
    soundfile.write(tmp_path / "square.wav", square, 44100)
    wav = read(tmp_path / "square.wav")
    assert np.isfinite(wav).all()
    assert 1.0 < np.abs(wav).max() < 1.5  # a band-limited square overshoots


@pytest.mark.parametrize("rate", [16000, 44100])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_samples_that_are_no_sound_become_silence(tmp_path, bad, rate):
    soundfile.write(tmp_path / "good.wav", np.where(np.arange(rate) % 100, tone(rate), 0.0), rate, subtype="FLOAT")
    soundfile.write(tmp_path / "bad.wav", np.where(np.arange(rate) % 100, tone(rate), bad), rate, subtype="FLOAT")
    np.testing.assert_array_equal(read(tmp_path / "bad.wav"), read(tmp_path / "good.wav"))


@pytest.mark.parametrize("name", ["two words.wav", 'it\'s "quoted".wav', "Übermäßig 音声 🎵.wav", "-r.wav", "a\nb.wav"])
def test_any_file_name_will_do(tmp_path, name):
    write(tmp_path / name, tone(SAMPLE_RATE))
    assert len(read(tmp_path / name)) == len(read(str(tmp_path / name))) == SAMPLE_RATE
    (tmp_path / name).write_bytes(b"something else altogether")
    refused(tmp_path / name)


@given(start_s=st.floats(0.0, 0.99), duration_s=st.floats(0.01, 2.0))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
def test_a_slice_is_the_same_part_of_the_whole(tmp_path, start_s, duration_s):
    write(tmp_path / "a.wav", tone(SAMPLE_RATE))
    start, stop = round(start_s * SAMPLE_RATE), round((start_s + duration_s) * SAMPLE_RATE)
    part = read(tmp_path / "a.wav", start_s=start_s, duration_s=duration_s)
    np.testing.assert_array_equal(part, read(tmp_path / "a.wav")[start:stop])


@pytest.mark.parametrize("start_s, duration_s", [(1.0, None), (-0.1, 1.0), (0.0, 0.0), (0.0, -1.0), (np.nan, None)])
def test_a_slice_outside_the_file_is_refused(tmp_path, start_s, duration_s):
    write(tmp_path / "a.wav", tone(SAMPLE_RATE))
    with pytest.raises(AudioError, match=r"lasts 1\.000 s"):
        read(tmp_path / "a.wav", start_s=start_s, duration_s=duration_s)


@pytest.mark.parametrize("rate", [0, -16000, 3999, 384_001])
def test_a_rate_out_of_range_is_refused(tmp_path, rate):
    write(tmp_path / "a.wav", tone(SAMPLE_RATE))
    with pytest.raises(ConfigError, match="sample_rate"):
        read(tmp_path / "a.wav", rate)
    with pytest.raises(ConfigError, match="sample_rate"):
        write(tmp_path / "b.wav", tone(SAMPLE_RATE), rate)


# Blocks


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
@pytest.mark.parametrize("block_s", [0.013, 0.5, 100.0])
def test_blocks_joined_are_the_sound_and_all_but_the_last_have_the_asked_length(tmp_path, rate, block_s):
    soundfile.write(tmp_path / "a.wav", tone(rate, 30.0 if rate == 44100 else 2.3), rate)
    parts = list(blocks(tmp_path / "a.wav", block_s=block_s))
    assert {len(part) for part in parts[:-1]} <= {round(block_s * SAMPLE_RATE)}
    assert 0 < len(parts[-1]) <= round(block_s * SAMPLE_RATE)
    np.testing.assert_array_equal(np.concatenate(parts), read(tmp_path / "a.wav"))


def test_resampling_in_pieces_equals_resampling_at_once(tmp_path):
    sound = tone(44100, 60.0)  # several pieces
    soundfile.write(tmp_path / "a.wav", sound, 44100, subtype="FLOAT")
    np.testing.assert_allclose(read(tmp_path / "a.wav"), soxr.resample(sound, 44100, SAMPLE_RATE), atol=1e-6)


def test_two_hours_pass_in_bounded_memory(tmp_path):
    with wave.open(str(tmp_path / "long.wav"), "wb") as long:
        long.setparams((1, 1, 8000, 0, "NONE", ""))
        for _ in range(120):
            long.writeframesraw(b"\x80" * 60 * 8000)
    assert info(tmp_path / "long.wav").duration_s == 7200.0
    tracemalloc.start()
    samples = 0
    for block in blocks(tmp_path / "long.wav", 8000):
        samples += len(block)
        assert len(block) <= 30 * 8000
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert samples == 7200 * 8000  # 230 MB, were they held
    assert peak_bytes < 40e6


def test_blocks_of_no_length_are_refused(tmp_path):
    write(tmp_path / "a.wav", tone(SAMPLE_RATE))
    with pytest.raises(ConfigError, match="block_s"):
        next(blocks(tmp_path / "a.wav", block_s=0.0))


# What is bad is refused in one sentence


def test_a_missing_file_is_refused(tmp_path):
    assert "No such file" in refused(tmp_path / "none.wav")


def test_a_folder_is_refused(tmp_path):
    assert "folder" in refused(tmp_path)


def test_a_pipe_is_refused_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    assert "device" in refused(tmp_path / "pipe.wav")


def test_a_file_that_may_not_be_read_is_refused(tmp_path, monkeypatch):
    write(tmp_path / "secret.wav", tone(SAMPLE_RATE))

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", denied)  # rights do not stop a superuser
    assert "Permission denied" in refused(tmp_path / "secret.wav")


def test_a_name_with_a_zero_byte_is_refused():
    assert "zero byte" in refused("a\0.wav")


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "empty.wav").touch()
    assert "empty" in refused(tmp_path / "empty.wav")


@pytest.mark.parametrize("ending", [*ENDINGS, ".raw", ".txt"])
@pytest.mark.parametrize("content", [b"x", b"This is no sound. " * 100, b"RIFF\0\0\0\0AVI LIST" * 9, bytes(5000)])
def test_what_is_not_sound_is_refused(tmp_path, content, ending):
    (tmp_path / f"a{ending}").write_bytes(content)
    assert "not WAV, FLAC, OGG or MP3" in refused(tmp_path / f"a{ending}")


def test_a_container_that_we_do_not_name_is_kept_from_the_decoder(tmp_path):
    soundfile.write(tmp_path / "a.voc", tone(SAMPLE_RATE), SAMPLE_RATE)
    assert "not WAV" in refused(tmp_path / "a.voc")


@pytest.mark.parametrize("ending", ENDINGS)
def test_noise_behind_a_good_beginning_is_refused_or_read_but_never_crashes(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    soundfile.write(path, tone(SAMPLE_RATE, 0.1), SAMPLE_RATE)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(40):
        changed = bytearray(whole)
        for position in rng.integers(4, min(len(whole), 200), size=8):
            changed[position] = rng.integers(256)
        path.write_bytes(changed)
        try:
            assert np.isfinite(read(path)).all()
        except AudioError as error:
            assert repr(str(path)) in str(error)


@pytest.mark.parametrize("kept", [4, 12, 20, 30, 40, 43])
def test_a_truncated_header_is_refused(tmp_path, kept):
    (tmp_path / "cut.wav").write_bytes(wav_bytes(bytes(3200))[:kept])
    refused(tmp_path / "cut.wav")


@pytest.mark.parametrize("claimed", [None, 3200])
def test_a_sound_of_zero_length_is_refused(tmp_path, claimed):
    (tmp_path / "zero.wav").write_bytes(wav_bytes(b"", claimed))
    refused(tmp_path / "zero.wav")


@pytest.mark.parametrize("claimed", [0x7FFF0000, 0xF0000000, 6500])
def test_a_header_that_claims_grossly_more_than_is_there_is_refused(tmp_path, claimed):
    (tmp_path / "big.wav").write_bytes(wav_bytes(bytes(3200), claimed))
    assert f"claims {claimed} bytes of sound but 3200 are there" in refused(tmp_path / "big.wav")


def test_a_recording_cut_off_in_its_second_half_is_read_as_far_as_it_goes(tmp_path):
    (tmp_path / "cut.wav").write_bytes(wav_bytes(b"\0\x40" * 1000, claimed=3200))
    np.testing.assert_array_equal(read(tmp_path / "cut.wav"), np.full(1000, 0.5, np.float32))


@pytest.mark.parametrize("claimed_samples", [2**36 - 1, 2**35, 16_001])
def test_a_flac_header_that_claims_more_than_is_there_is_refused(tmp_path, claimed_samples):
    path = tmp_path / "a.flac"
    soundfile.write(path, tone(SAMPLE_RATE), SAMPLE_RATE)
    path.write_bytes(claiming(path.read_bytes(), claimed_samples))
    assert f"claims {claimed_samples} samples of sound but 16000 are there" in refused(path)


def claiming(flac: bytes, samples: int) -> bytes:
    changed = bytearray(flac)
    changed[21] = changed[21] & 0xF0 | samples >> 32  # STREAMINFO: 36 bits from the middle of byte 21
    changed[22:26] = struct.pack(">I", samples & 0xFFFFFFFF)
    return bytes(changed)


def test_more_than_a_day_is_refused(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "a.wav", tone(SAMPLE_RATE), SAMPLE_RATE)
    monkeypatch.setattr("sottovoce.audio.io.LONGEST_S", 0.5)
    assert "hours" in refused(tmp_path / "a.wav")


@pytest.mark.parametrize("ending", [".flac", ".ogg", ".mp3"])
def test_a_coded_file_that_lacks_most_of_itself_is_refused(tmp_path, ending, capfd):
    path = tmp_path / f"a{ending}"
    soundfile.write(path, np.random.default_rng(0).standard_normal(SAMPLE_RATE * 4) * 0.1, SAMPLE_RATE)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 4])
    with pytest.raises(AudioError, match=r"a\."):
        read(path)
    capfd.readouterr()  # the MP3 decoder also has its say


@pytest.mark.parametrize("rate", [0, 1, 3999, 384_001, 2**32 - 1])
def test_an_absurd_rate_is_refused(tmp_path, rate):
    (tmp_path / "a.wav").write_bytes(wav_bytes(bytes(3200), rate=rate))
    refused(tmp_path / "a.wav")


@pytest.mark.parametrize("channels", [0, 65, 65535])
def test_an_absurd_number_of_channels_is_refused(tmp_path, channels):
    (tmp_path / "a.wav").write_bytes(wav_bytes(bytes(65535 * 4), channels=channels))
    refused(tmp_path / "a.wav")


def test_a_sound_too_short_for_the_asked_rate_is_refused(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(1), 192000)
    with pytest.raises(AudioError, match="no sound is left"):
        read(tmp_path / "a.wav")


# Writing


@pytest.mark.parametrize("ending", WRITABLE)
@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_what_is_written_is_read(tmp_path, ending, rate):
    path = tmp_path / f"a{ending}"
    write(path, tone(rate, 2.0), rate)
    assert info(path) == AudioInfo(rate, 1, 2.0)
    np.testing.assert_allclose(read(path, rate), tone(rate, 2.0), atol=0.05 if ending == ".ogg" else 1e-4)


@pytest.mark.parametrize("ending", [".wav", ".flac"])
def test_16_bit_sound_that_is_read_and_written_stays_the_same(tmp_path, ending):
    every_value = np.arange(-(2**15), 2**15).astype(np.int16)
    soundfile.write(tmp_path / "a.wav", every_value, SAMPLE_RATE)
    write(tmp_path / f"b{ending}", read(tmp_path / "a.wav"))
    np.testing.assert_array_equal(soundfile.read(tmp_path / f"b{ending}", dtype="int16")[0], every_value)


def test_parts_are_joined(tmp_path):
    sound = tone(SAMPLE_RATE, 10.0)
    write(tmp_path / "whole.wav", sound)
    with writing(tmp_path / "parts.wav") as writer:
        for part in np.array_split(sound, 7):
            writer.write(part)
    assert writer.samples == len(sound)
    assert (tmp_path / "parts.wav").read_bytes() == (tmp_path / "whole.wav").read_bytes()


def test_what_exceeds_full_scale_is_clipped_and_what_is_no_sound_is_silent(tmp_path):
    write(tmp_path / "a.wav", np.array([2.0, -2.0, 1.0, -1.0, 40000.0, np.nan, np.inf, 0.5], np.float32))
    full = 32767 / 32768
    np.testing.assert_array_equal(read(tmp_path / "a.wav"), np.float32([full, -1, full, -1, full, 0, 0, 0.5]))


@pytest.mark.parametrize("name", ["a.mp3", "a.txt", "a", ".wav"])
def test_other_endings_are_refused_and_the_allowed_ones_named(tmp_path, name):
    with pytest.raises(AudioError, match=r"\.wav, \.flac, \.ogg"):
        write(tmp_path / name, tone(SAMPLE_RATE))
    assert not list(tmp_path.iterdir())


def test_endings_may_be_in_capitals(tmp_path):
    write(tmp_path / "A.FLAC", tone(SAMPLE_RATE))
    assert soundfile.info(tmp_path / "A.FLAC").format == "FLAC"


@pytest.mark.parametrize("wav", [np.zeros(0, np.float32), np.zeros((2, 100), np.float32)])
def test_no_sound_or_more_than_one_channel_is_not_written(tmp_path, wav):
    with pytest.raises(AudioError, match="give"):
        write(tmp_path / "a.wav", wav)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(AudioError, match="No such file"):
        write(tmp_path / "none" / "a.wav", tone(SAMPLE_RATE))


def test_a_folder_in_the_place_of_the_file_is_left_alone(tmp_path):
    (tmp_path / "a.wav").mkdir()
    with pytest.raises(AudioError, match="directory"):
        write(tmp_path / "a.wav", tone(SAMPLE_RATE))
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError])
def test_a_failure_of_the_caller_passes_as_it_is_and_leaves_the_old_file(tmp_path, error):
    write(tmp_path / "a.wav", tone(SAMPLE_RATE))
    before = (tmp_path / "a.wav").read_bytes()
    with pytest.raises(error, match="mine"), writing(tmp_path / "a.wav") as writer:
        writer.write(tone(SAMPLE_RATE, 5.0))
        raise error("mine")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [before]


def test_the_file_appears_only_when_it_is_whole(tmp_path):
    with writing(tmp_path / "a.wav") as writer:
        writer.write(tone(SAMPLE_RATE))
        assert not (tmp_path / "a.wav").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


def test_the_file_has_the_rights_of_any_new_file(tmp_path):
    (tmp_path / "plain").touch()
    write(tmp_path / "a.wav", tone(SAMPLE_RATE))
    assert (tmp_path / "a.wav").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("ending", WRITABLE)
@pytest.mark.parametrize("room", [0, 10, 2000, 20000])
def test_a_disk_without_room_leaves_the_old_file_and_nothing_else(tmp_path, ending, room):
    path = tmp_path / f"a{ending}"
    write(path, tone(SAMPLE_RATE))
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))  # the system refuses whatever goes beyond
    try:
        with pytest.raises(AudioError, match="no space left"):
            write(path, np.random.default_rng(0).uniform(-1, 1, 200_000).astype(np.float32))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [before]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_disk_that_fills_up_at_the_end_leaves_nothing(tmp_path, monkeypatch, step):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, full)
    with pytest.raises(AudioError, match="No space left"):
        write(tmp_path / "a.wav", tone(SAMPLE_RATE))
    assert not list(tmp_path.iterdir())


def test_an_encoder_that_loses_sound_silently_is_found_out(tmp_path, monkeypatch):
    monkeypatch.setattr(soundfile.SoundFile, "write", lambda self, data: None)
    with pytest.raises(AudioError, match=r"no space left|0 of 16000"):
        write(tmp_path / "a.wav", tone(SAMPLE_RATE))
    assert not list(tmp_path.iterdir())
