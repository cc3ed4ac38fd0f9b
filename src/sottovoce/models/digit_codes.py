"""The codes of a filter for digit strings, one for each block of 40 ms (no torch).

Codes 0 to 9 are the digits themselves; 10 is CTC's blank (Graves et al. 2006), and the code for "no new digit".
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from sottovoce.audio.spectrum import HOP_SAMPLES, Spectrum, Wave, log_spectrum

BLANK = 10
CODES = 11
BLOCK_FRAMES = 4
BLOCK_SAMPLES = BLOCK_FRAMES * HOP_SAMPLES

_GAIN = np.float32(10.0)  # from the level of a sound file to that at which log(1 + magnitude) is a logarithm


def encoder_input(wav: Wave) -> Spectrum:
    """The input of an encoder for a sound [T] at 16 kHz: its log spectrum [161, N] at a fixed gain."""
    return log_spectrum(_GAIN * wav)


DIGITS = tuple(range(BLANK))


def labels(text: str) -> list[int]:
    """The labels of a transcript such as "3 1 4"; ValueError where a word is no digit."""
    digits = [int(word) for word in text.split()]
    if not set(digits) <= set(DIGITS):
        raise ValueError(f"the transcript is {text!r}; expected digits 0 to 9 with spaces between them")
    return digits


def ctc_onsets(best: Iterable[int], last: int = BLANK) -> list[int]:
    """Codes of the best labels, frame by frame: a digit where it begins, blank elsewhere; `last` came before.

    The digits among the codes are CTC's greedy transcript: repetitions collapsed, blanks left out.
    """
    codes = []
    for label in best:
        codes.append(label if label != last else BLANK)
        last = label
    return codes


def digits_of(codes: Iterable[int]) -> list[int]:
    """The digits among the codes."""
    return [code for code in codes if code != BLANK]
