"""Laws of M4A: what ffmpeg makes of it is read, and whatever goes wrong with it is one sentence.

ffmpeg is played by a script that copies a WAV file; where the real one is installed, it is asked as well.
"""

import os
import shutil
import stat
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sottovoce.audio import m4a
from sottovoce.audio.io import info, read
from sottovoce.errors import AudioError

M4A = b"\0\0\0\x20ftypM4A \0\0\0\0" + bytes(100)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "a.m4a"
    file.write_bytes(M4A)
    return file


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Put a Python script on PATH as ffmpeg; it finds the output's name last and the input's after -i."""

    def write(body: str) -> None:
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        script = folder / "ffmpeg"
        script.write_text(f"#!{sys.executable}\nimport shutil, sys, time\nout = sys.argv[-1]\n{body}\n")
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", str(folder))

    return write


def refused(path: Path) -> str:
    with pytest.raises(AudioError) as caught:
        read(path)
    sentence = str(caught.value)
    assert repr(str(path)) in sentence and sentence.endswith(".") and "\n" not in sentence
    return sentence


def test_what_the_decoder_makes_of_it_is_read_and_nothing_stays(path, program, tmp_path, monkeypatch) -> None:
    wav = 0.1 * np.random.default_rng(0).standard_normal(8000).astype(np.float32)
    soundfile.write(tmp_path / "decoded.wav", wav, 16000, subtype="FLOAT")
    program(f"shutil.copy({str(tmp_path / 'decoded.wav')!r}, out)")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    np.testing.assert_array_equal(read(path), wav)
    assert info(path).duration_s == 0.5
    assert list(scratch.iterdir()) == []


def test_without_ffmpeg_it_is_named(path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert "needs ffmpeg" in refused(path)


def test_what_it_cannot_decode_is_told_without_terminal_commands(path, program) -> None:
    program("sys.stderr.write('file:/x: moov atom\\x1b[2J not found\\n'); sys.exit(1)")
    sentence = refused(path)
    assert "moov atom" in sentence and "\x1b" not in sentence


@pytest.mark.parametrize("body", ["pass", "open(out, 'wb').close()"])
def test_an_output_that_is_no_sound_is_refused(path, program, body) -> None:
    program(body)
    refused(path)


def test_a_decoder_that_takes_too_long_is_ended(path, program, monkeypatch) -> None:
    monkeypatch.setattr(m4a, "LONGEST_RUN_S", 0.5)
    program("time.sleep(60)")
    assert "took more than" in refused(path)


def test_more_sound_than_the_limit_is_refused(path, program, monkeypatch) -> None:
    monkeypatch.setattr(m4a, "MOST_BYTES", 1000)
    program("open(out, 'wb').write(bytes(2000))")
    assert "cut it up" in refused(path)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_the_real_decoder_agrees_with_what_was_recorded(tmp_path: Path) -> None:
    tone = (0.3 * np.sin(2 * np.pi * 440 * np.arange(32000) / 16000)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", tone, 16000)
    assert os.system(f"ffmpeg -v error -i {tmp_path}/a.wav -c:a aac {tmp_path}/a.m4a") == 0
    heard = read(tmp_path / "a.m4a")
    assert abs(len(heard) - 32000) < 2100
    assert np.abs(np.fft.rfft(heard[4000:20000])).argmax() == 440
    (tmp_path / "cut.m4a").write_bytes((tmp_path / "a.m4a").read_bytes()[:3000])
    refused(tmp_path / "cut.m4a")
