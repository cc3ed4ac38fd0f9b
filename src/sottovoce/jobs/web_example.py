"""The bundled example of the page for browsers: what a synthetic voice says, and codewords of the filter."""

from __future__ import annotations

import numpy as np
import soxr
from numpy.typing import NDArray

from sottovoce.audio.griffin_lim import MARGIN_SAMPLES
from sottovoce.audio.level import normalise
from sottovoce.audio.spectrum import SAMPLE_RATE, SEGMENT_SAMPLES, Wave
from sottovoce.corpora import espeak
from sottovoce.models.codebook import Codebook
from sottovoce.runtime import golden

_LEVEL_RMS = 0.05
_NOISE = 0.0005
_BEFORE = 4000  # samples of silence before a word in its segment
_SAID = (  # voice, and what it says: words are each said in a segment of their own
    ("en-us+f2", "My name is Alice, and I live in the old town."),
    *(("en-us+m7", word) for word in ("three", "one", "eight")),
    ("en-us+f2", "Please call my doctor, and do not tell anyone."),
    *(("en-us+m7", word) for word in ("seven", "four")),
)


def example(book: Codebook) -> tuple[NDArray[np.int16], str]:
    """Sound at 16 kHz in 16 bits, and a sentence about it; without the synthesiser, only codewords after a buzz."""
    last = book.waves()[[book.count - 1, book.count // 2], MARGIN_SAMPLES:-MARGIN_SAMPLES].ravel()
    if espeak.installed():
        said = "Synthetic voices say two sentences and five digits; two codewords of the filter follow."
        parts = [_in_segments(sound) for sound in _spoken()]
    else:
        said = "A buzz; two codewords of the filter follow."
        parts = [golden.sample(2 * SEGMENT_SAMPLES)]
    wav = np.concatenate([*parts, 0.5 * last])
    wav += _NOISE * np.random.default_rng(0).standard_normal(len(wav))
    return np.rint(np.clip(wav, -1.0, 1.0) * (2.0**15 - 1)).astype("<i2"), said


def _spoken() -> list[Wave]:
    said = [espeak.Utterance(voice, text, 150, 50, 50, 90) for voice, text in _SAID]
    sounds = [np.frombuffer(sound, "<i2").astype(np.float32) / 2**15 for sound in espeak.speak(said)]
    return [normalise(soxr.resample(sound, espeak.SAMPLE_RATE, SAMPLE_RATE), _LEVEL_RMS) for sound in sounds]


def _in_segments(sound: Wave) -> Wave:
    """The sound with silence around it, so that it fills whole segments."""
    segments = -(-(_BEFORE + len(sound)) // SEGMENT_SAMPLES)
    return np.pad(sound, (_BEFORE, segments * SEGMENT_SAMPLES - _BEFORE - len(sound)))
