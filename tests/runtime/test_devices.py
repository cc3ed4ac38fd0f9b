"""Laws of devices: nothing waits, nothing grows, and what is missing is said in a sentence."""

import os
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from sottovoce.errors import AudioError, ConfigError, MissingExtraError
from sottovoce.live import devices
from sottovoce.live.devices import File, Loudspeaker, Pipe, Recorder, SoundCard
from sottovoce.live.virtual_microphone import VirtualMicrophone
from sottovoce.runtime.pcm import decode

RATE = 16000


def test_a_file_is_heard_in_time_and_ends(tmp_path):
    wav = (np.arange(4000) / 8192).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", wav, RATE, "FLOAT")
    source, began, heard = File(tmp_path / "a.wav", RATE), time.monotonic(), []
    with pytest.raises(EOFError):
        while True:
            block = source.read(0.004)
            assert block is None or len(block) <= 160
            heard += [] if block is None else [block]
    assert time.monotonic() - began >= 0.24
    np.testing.assert_array_equal(np.concatenate(heard), wav)


def test_a_pipe_takes_what_it_has_room_for_and_never_waits():
    reader, writer = os.pipe()
    pipe = Pipe(writer)
    samples = np.linspace(-1, 1, 3000, dtype=np.float32)
    taken, began = [pipe.write(samples) for _ in range(50)], time.monotonic()
    assert time.monotonic() - began < 0.5
    assert taken[0] == 3000 and taken[-1] == 0
    content = os.read(reader, 1 << 20)
    assert len(content) == 2 * sum(taken), "what was not taken is not there, not even half of a sample"
    np.testing.assert_allclose(decode(content[:6000], "s16le"), samples, atol=2**-15)
    assert pipe.write(samples) == 3000, "room again"
    os.close(reader)
    with pytest.raises(AudioError, match="takes no more"):
        pipe.write(samples)
    os.close(writer)


@pytest.fixture
def cards(monkeypatch):
    """A sounddevice without devices; the test is the sound card."""

    class Stream:
        def __init__(self, **settings):
            if settings["device"] == "no such":
                raise ValueError("No input device matching 'no such'")
            self.settings, self.open = settings, False

        def start(self):
            self.open = True

        def close(self):
            self.open = False

    fake = SimpleNamespace(RawInputStream=Stream, RawOutputStream=Stream, query_devices=lambda: "0 one\n1 two")
    monkeypatch.setitem(sys.modules, "sounddevice", fake)


def test_a_sound_card_that_is_not_read_loses_sound_and_holds_no_more_than_half_a_second(cards):
    card = SoundCard("2", RATE)
    assert card._stream.settings["device"] == 2 and card._stream.open
    for i in range(1000):
        card._stream.settings["callback"](np.full(160, i, np.float32).tobytes(), 160, None, None)
    heard = []
    while (block := card.read(0.01)) is not None:
        heard.append(block)
    assert len(heard) == 50 and heard[0].tolist() == [0.0] * 160
    card.close()
    assert not card._stream.open


def test_a_loudspeaker_that_is_given_nothing_plays_silence(cards):
    speaker = Loudspeaker(None, RATE)
    assert [speaker.write(np.full(160, 0.5, np.float32)) for _ in range(60)] == [160] * 50 + [0] * 10
    play = speaker._stream.settings["callback"]
    played = []
    for _ in range(60):
        content = bytearray(b"x" * 400)
        play(content, 100, None, None)
        played.append(decode(bytes(content), "f32le"))
    sound = np.concatenate(played)
    np.testing.assert_array_equal(sound[:6000], 0.5)
    for _ in range(40):
        play(content, 100, None, None)
    assert not any(content)
    speaker.close()


def test_sound_cards_are_listed_and_mistakes_named(cards, monkeypatch):
    assert devices.names() == ["0 one", "1 two"]
    with pytest.raises(AudioError, match="name another"):
        SoundCard("no such", RATE)
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MissingExtraError, match=r"sottovoce\[live\]"):
        SoundCard(None, RATE)


def program(folder, name: str, text: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_a_recorder_whose_microphone_is_unplugged_waits_for_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    program(tmp_path, "parec", f'echo "$@" >> {tmp_path}/calls; printf abcde')  # two samples and a half, then the end
    recorder = Recorder("mic", RATE)
    heard, deadline = [], time.monotonic() + 2.6
    while time.monotonic() < deadline:
        block = recorder.read(0.05)
        heard += [] if block is None else [block]
    recorder.close()
    assert len(heard) >= 2 and all(len(block) == 2 for block in heard)
    calls = (tmp_path / "calls").read_text().splitlines()
    assert 2 <= len(calls) <= 4 and "--device=mic" in calls[0], "it is asked for again, not without pause"


def test_a_recorder_whose_program_hangs_starts_another(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(devices, "_MUTE_S", 0.3)
    program(tmp_path, "parec", f'echo "$LC_ALL" >> {tmp_path}/calls; printf abcd; exec sleep 60')
    recorder, deadline = Recorder("mic", RATE), time.monotonic() + 2.0
    while time.monotonic() < deadline:
        recorder.read(0.05)
    recorder.close()
    calls = (tmp_path / "calls").read_text().splitlines()
    assert 3 <= len(calls) <= 8 and set(calls) == {"C"}


def test_what_the_system_lacks_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with pytest.raises(AudioError, match="parec"):
        Recorder(None, RATE)
    with pytest.raises(AudioError, match="pactl"):
        VirtualMicrophone("mic", RATE)
    program(tmp_path, "pactl", "echo no connection >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(AudioError, match="is it running"):
        VirtualMicrophone("mic", RATE)
    for name in ("", "a b", "a;b", "../x", "x" * 61):
        with pytest.raises(ConfigError, match="letters"):
            VirtualMicrophone(name, RATE)


def test_a_folder_for_pipes_that_others_can_use_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "sottovoce").mkdir(mode=0o755)
    with pytest.raises(AudioError, match="others"):
        VirtualMicrophone("mic", RATE)
