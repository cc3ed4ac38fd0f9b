"""The built-in corpus: what its optional synthesiser says, and that it always says the same."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sottovoce.audio import io
from sottovoce.corpora import espeak
from sottovoce.corpora.readers import voices
from sottovoce.errors import CorpusError, MissingExtraError

needs_espeak = pytest.mark.skipif(not espeak.installed(), reason="the synthesiser is not installed")


@pytest.fixture
def two_voices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voices, "VOICES", (voices.VOICES[1], voices.VOICES[-1]))
    monkeypatch.setattr(voices, "PHRASES", {word: voices.PHRASES[word] for word in ("on", "off")})


def pitch_hz(samples: bytes) -> float:
    """The lag at which the sound is most like itself, over the whole utterance."""
    wav = np.frombuffer(samples, "<i2").astype(float)
    power = np.abs(np.fft.rfft(wav, 2 * len(wav))) ** 2
    likeness = np.fft.irfft(power)
    shortest, longest = espeak.SAMPLE_RATE // 400, espeak.SAMPLE_RATE // 60
    return espeak.SAMPLE_RATE / (shortest + int(np.argmax(likeness[shortest:longest])))


@needs_espeak
def test_every_voice_speaks_and_women_speak_higher() -> None:
    sounds = espeak.speak([espeak.Utterance(v.espeak_name, "open the window", 170, 50, 0, 60) for v in voices.VOICES])
    assert len(set(sounds)) == len(voices.VOICES)
    pitches = {v.speaker: pitch_hz(sound) for v, sound in zip(voices.VOICES, sounds, strict=True)}
    lowest_woman = min(pitches[v.speaker] for v in voices.VOICES if v.gender == "female")
    highest_man = max(pitches[v.speaker] for v in voices.VOICES if v.gender == "male")
    assert lowest_woman > 1.15 * highest_man


@needs_espeak
def test_nothing_is_said_at_full_scale() -> None:
    """The loudest style of the loudest voice must not clip."""
    utterances = [
        espeak.Utterance(v.espeak_name, phrase, s.rate, v.pitch + s.pitch, s.pitch_range, s.volume)
        for v in voices.VOICES
        for s in voices.STYLES.values()
        for phrase in voices.PHRASES.values()
    ]
    assert max(np.abs(np.frombuffer(sound, "<i2").astype(int)).max() for sound in espeak.speak(utterances)) < 2**15 - 1


@needs_espeak
def test_every_voice_says_the_same_at_another_second() -> None:
    """Breathy voices hold noise, which the library would seed by the clock."""
    said = [espeak.Utterance(voice.espeak_name, "open the window", 170, 50, 50, 60) for voice in voices.VOICES]
    first = espeak.speak(said)
    time.sleep(1.1)
    assert espeak.speak(said) == first


@needs_espeak
def test_a_voice_that_is_not_there_is_named() -> None:
    with pytest.raises(espeak.SpeechError, match="the voice 'en-us-nowhere'"):
        espeak.speak([espeak.Utterance("en-us-nowhere", "hello", 170, 50, 50, 60)])


@needs_espeak
@pytest.mark.usefixtures("two_voices")
def test_the_corpus_is_the_same_at_every_build(tmp_path: Path) -> None:
    first = voices.read(tmp_path / "one")
    again = voices.read(tmp_path / "two")
    other = voices.read(tmp_path / "one", seed=1)
    assert first.digest == again.digest != other.digest
    assert (first.spec, first.split_rule) == ("voices", "utterance")


@needs_espeak
@pytest.mark.usefixtures("two_voices")
def test_the_corpus_is_labelled_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = voices.read(tmp_path)
    assert len(manifest.clips) == 2 * 2 * 4 * 2
    assert manifest.tasks == voices.CORPUS.labels
    assert manifest.classes("style") == ("calm", "excited", "flat", "urgent")
    assert {(clip.labels["speaker"], clip.labels["gender"]) for clip in manifest.clips} == {
        ("f2", "female"),
        ("m7", "male"),
    }
    for clip in manifest.clips:
        assert io.info(clip.path).sample_rate == 16000
        assert 0.6 < io.info(clip.path).duration_s < 2.5
    monkeypatch.setattr(espeak, "speak", None)
    assert voices.read(tmp_path).digest == manifest.digest


def test_the_plan_is_balanced_and_within_what_the_synthesiser_takes() -> None:
    plan = list(voices._plan(0))
    assert len(plan) == voices.CORPUS.expected["clips"] == 896
    assert len({row[0] for row, _ in plan}) == 896
    assert plan == list(voices._plan(0)) != list(voices._plan(1))
    assert all(80 <= said.rate <= 450 and 0 <= said.pitch <= 100 for _, said in plan)
    assert sum(voice.gender == "female" for voice in voices.VOICES) == 7


def test_without_the_extra_the_installation_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(espeak, "installed", lambda: False)
    with pytest.raises(MissingExtraError, match=r"pip install 'sottovoce\[voices\]'"):
        voices.read(tmp_path)
    assert not list(tmp_path.rglob("*.flac"))


@needs_espeak
def test_a_synthesiser_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voices, "VOICES", (replace(voices.VOICES[0], espeak_name="en-us-nowhere"),))
    with pytest.raises(CorpusError, match="could not be made: espeak-ng refused the voice"):
        voices.read(tmp_path)
