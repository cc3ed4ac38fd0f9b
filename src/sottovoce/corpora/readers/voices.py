"""The built-in corpus: synthetic voices give commands in four styles. Its purpose is to show and to test.

espeak-ng, which is GPL-3 and an optional part of the installation, makes 896 clips of 0.8 to 2 s at the first use: 14
speakers x 8 words x 4 styles x 2 repetitions. Formant synthesis from one source: the voices differ by accent, formants
and pitch, and are easier to tell apart than people are; a figure measured on them says that the software works, not
what people would get. Split by utterance, since the speaker is among the things to hide; the repetitions differ by a
few per cent of rate and pitch only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soxr

from sottovoce.audio import writer
from sottovoce.audio.spectrum import SAMPLE_RATE
from sottovoce.corpora import espeak
from sottovoce.corpora.catalogue import CORPORA
from sottovoce.corpora.generated import generated
from sottovoce.corpora.layout import Corpus, assemble
from sottovoce.corpora.manifest import Manifest
from sottovoce.errors import CorpusError, MissingExtraError

VERSION = 1  # of everything below that shows in the sound


@dataclass(frozen=True)
class Voice:
    """A speaker: accent and formants by espeak-ng's names, middle of the pitch 0 to 100."""

    speaker: str
    gender: str
    espeak_name: str
    pitch: int


@dataclass(frozen=True)
class Style:
    """A way of speaking: words per minute, pitch relative to the speaker's, range of the pitch and volume 0 to 100."""

    rate: int
    pitch: int
    pitch_range: int
    volume: int


VOICES = (
    Voice("f1", "female", "en-us+f1", 40),
    Voice("f2", "female", "en-gb-x-rp+f2", 58),
    Voice("f3", "female", "en-gb-scotland+f3", 48),
    Voice("f4", "female", "en-us-nyc+f4", 36),
    Voice("f5", "female", "en-029+f5", 52),
    Voice("f6", "female", "en-gb-x-gbclan+Annie", 44),
    Voice("f7", "female", "en-us+belinda", 60),
    Voice("m1", "male", "en-us+m1", 40),
    Voice("m2", "male", "en-gb-x-rp+m2", 54),
    Voice("m3", "male", "en-gb-scotland+m3", 60),
    Voice("m4", "male", "en-us-nyc+m8", 34),
    Voice("m5", "male", "en-029+m5", 48),
    Voice("m6", "male", "en-gb-x-gbcwmd+m7", 44),
    Voice("m7", "male", "en-us+adam", 56),
)
PHRASES = {
    "on": "turn the lights on please",
    "off": "turn the lights off please",
    "play": "play the next song please",
    "stop": "stop the music please",
    "call": "call my mother please",
    "open": "open the window please",
    "close": "close the window please",
    "timer": "set a timer please",
}
STYLES = {
    "calm": Style(rate=150, pitch=-8, pitch_range=35, volume=55),
    "excited": Style(rate=185, pitch=18, pitch_range=95, volume=75),
    "flat": Style(rate=168, pitch=-2, pitch_range=0, volume=60),
    "urgent": Style(rate=220, pitch=8, pitch_range=55, volume=80),
}
REPETITIONS = 2

_RATE_JITTER = 0.06
_PITCH_JITTER = 4


def read(cache: Path | None = None, seed: int = 0) -> Manifest:
    """Manifest of the voices, synthesised into `cache` unless they are there; the same sound for the same seed.

    Raises MissingExtraError when the synthesiser is not installed, CorpusError when it or the disk fails.
    """
    notes: list[str] = []
    columns = ("file_name", "speaker", "gender", "word", "style")
    folder, clips = generated("voices", f"{seed}-{VERSION}", columns, lambda folder: build(folder, seed), notes, cache)
    manifest = assemble(CORPUS, folder, clips, notes)
    return replace(manifest, spec=CORPUS.name)


def build(folder: Path, seed: int = 0) -> Iterator[tuple[str, ...]]:
    """Synthesise the corpus into the empty `folder`; the rows of its table."""
    if not espeak.installed():
        raise MissingExtraError(
            "the built-in voices need the synthesiser espeak-ng (GPL-3); pip install 'sottovoce[voices]'."
        )
    rows, utterances = zip(*_plan(seed), strict=True)
    try:
        sounds = espeak.speak(utterances)
    except espeak.SpeechError as error:
        raise CorpusError(f"the built-in voices could not be made: {error}; reinstall 'sottovoce[voices]'.") from error
    for row, sound in zip(rows, sounds, strict=True):
        path = folder / row[0]
        path.parent.mkdir(exist_ok=True)
        wav = np.frombuffer(sound, "<i2").astype(np.float32) / 2**15
        writer.write(path, soxr.resample(wav, espeak.SAMPLE_RATE, SAMPLE_RATE), SAMPLE_RATE)
    return iter(rows)


def _plan(seed: int) -> Iterator[tuple[tuple[str, ...], espeak.Utterance]]:
    """For each clip its row of metadata.csv, and how it is said."""
    rng = np.random.default_rng(seed)
    for voice in VOICES:
        for word, phrase in PHRASES.items():
            for name, style in STYLES.items():
                for repetition in range(1, REPETITIONS + 1):
                    utterance = espeak.Utterance(
                        voice=voice.espeak_name,
                        text=phrase,
                        rate=round(style.rate * rng.uniform(1 - _RATE_JITTER, 1 + _RATE_JITTER)),
                        pitch=voice.pitch + style.pitch + int(rng.integers(-_PITCH_JITTER, _PITCH_JITTER + 1)),
                        pitch_range=style.pitch_range,
                        volume=style.volume,
                    )
                    file_name = f"{voice.speaker}/{word}_{name}_{repetition}.flac"
                    yield (file_name, voice.speaker, voice.gender, word, name), utterance


CORPUS: Corpus = Corpus(
    name="voices",
    title="built-in synthetic voices",
    homepage="https://github.com/espeak-ng/espeak-ng",
    layout="nothing: it is synthesised",
    labels=("gender", "speaker", "style", "word"),
    licence="none claimed (synthetic; made by espeak-ng, which is GPL-3)",
    citation="espeak-ng, https://github.com/espeak-ng/espeak-ng",
    split_rule="utterance",
    expected={
        "clips": len(VOICES) * len(PHRASES) * len(STYLES) * REPETITIONS,
        "speakers": len(VOICES),
        "gender": 2,
        "style": len(STYLES),
        "word": len(PHRASES),
    },
    needs_path=False,
    reader=lambda _: read(),
)
CORPORA.register(CORPUS.name, CORPUS)
