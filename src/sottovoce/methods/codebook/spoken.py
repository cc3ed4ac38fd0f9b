"""Synthetic voices that say the names of classes: candidates for codewords that are nobody's voice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import soxr

from sottovoce.audio.level import limited, normalise, trim_silence
from sottovoce.audio.spectrum import SAMPLE_RATE, Wave
from sottovoce.corpora import espeak
from sottovoce.corpora.readers.voices import STYLES, VOICES
from sottovoce.models.codebook import SOUND_SAMPLES

_MOST = 1200  # utterances
_BEGIN_SAMPLES = SAMPLE_RATE // 10  # of silence before a word, where it fits


def spoken(names: Sequence[str], seed: int) -> Wave:
    """The names of classes in all voices and styles as far as they are few, [N, 20640] at the level of a sound file.

    None where the synthesiser is not installed, or refuses. What is longer than a codeword is cut off.
    """
    if not espeak.installed():
        return np.zeros((0, SOUND_SAMPLES), np.float32)
    rng = np.random.default_rng([seed, 8])
    said = [
        espeak.Utterance(
            voice.espeak_name,
            text.replace("_", " "),
            style.rate,
            voice.pitch + style.pitch,
            style.pitch_range,
            style.volume,
        )
        for text in dict.fromkeys(names)
        for voice in VOICES
        for style in STYLES.values()
    ]
    some = [said[i] for i in np.sort(rng.permutation(len(said))[:_MOST])]
    try:
        sounds = espeak.speak(some)
    except espeak.SpeechError:
        return np.zeros((0, SOUND_SAMPLES), np.float32)
    return np.stack([_placed(np.frombuffer(sound, "<i2").astype(np.float32) / np.float32(2**15)) for sound in sounds])


def _placed(wav: Wave) -> Wave:
    """A word at 22050 Hz as a codeword."""
    word = trim_silence(soxr.resample(wav, espeak.SAMPLE_RATE, SAMPLE_RATE))
    begin = max(0, min(_BEGIN_SAMPLES, SOUND_SAMPLES - len(word)))
    placed = np.zeros(SOUND_SAMPLES, np.float32)
    placed[begin : begin + len(word)] = word[: SOUND_SAMPLES - begin]
    return limited(normalise(placed))
