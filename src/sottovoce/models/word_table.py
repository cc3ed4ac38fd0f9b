"""The decoder of a filter for digit strings: ten words, the same for every input, placed by codes alone (no torch).

There are four ways to place them. "now": each word begins in the block of its code or, if another is still being
played, right after that; the output starts and ends with the input, so it can be sent meanwhile. In the other three
nothing is sent until the first code of a digit. "live": each word begins 0.2 s after its code or, if another is still
being played, right after that; the output also shows when digits were spoken. "steady": words begin every 1.2 s at
most, longer than speakers take for a digit and a pause, so the tempo is hidden but where somebody hesitates; words come
later and later while the string continues. "even": all words one after the other, at intervals of 0.2 s, once the
string is over; the output shows the transcript and nothing else.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sottovoce.arrays import read_arrays
from sottovoce.audio.griffin_lim import to_sound
from sottovoce.audio.level import LEVEL_RMS
from sottovoce.audio.spectrum import BINS, Spectrum, Wave, magnitude
from sottovoce.errors import ModelError
from sottovoce.models.digit_codes import BLANK, BLOCK_FRAMES, BLOCK_SAMPLES

Pace = Literal["even", "steady", "live", "now"]
PAUSE_BLOCKS = 5  # 0.2 s, about the pause of the recordings
SLOT_BLOCKS = 30  # 1.2 s: under 1 % of the times between two digits are longer, in strings to train on
_NOISE_DB = -45.0  # under the words, all through the sound
_LARGEST_BYTES = 1 << 24
_LOUDEST = 20.0  # of a log spectrum: nothing that was sound comes near


@dataclass(frozen=True, eq=False)
class WordTable:
    """`spectra` [10, 161, N]: for each digit log(1 + magnitude) of its word at RMS 1, N a multiple of 4."""

    spectra: Spectrum

    @property
    def blocks(self) -> int:
        """How many blocks a word lasts."""
        return int(self.spectra.shape[2]) // BLOCK_FRAMES

    @cached_property
    def words(self) -> Wave:
        """The sound of each word, [10, 160 N], with a phase of its own."""
        return np.stack([np.float32(LEVEL_RMS) * to_sound(magnitude(word)) for word in self.spectra])

    def to_bytes(self) -> bytes:
        """As the content of a file, in 8 bits."""
        steps, low, high = _to_8_bits(self.spectra)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, spectra=steps, range=np.array([low, high]))
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> WordTable:
        """From the content of a file; ModelError says what is wrong with it."""
        try:
            file = read_arrays(content, _LARGEST_BYTES)
            steps, (low, high) = file["spectra"], map(float, file["range"])
        except ModelError as error:
            raise ModelError(f"the words cannot be read: {error}") from error
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError("the words lack their spectra or their range; train the filter again.") from error
        if steps.dtype != np.uint8 or steps.ndim != 3 or steps.shape[:2] != (BLANK, BINS):
            raise ModelError(f"the words are {steps.dtype} {steps.shape}; expected uint8 ({BLANK}, {BINS}, frames).")
        if steps.shape[2] % BLOCK_FRAMES or not 0 < steps.shape[2] < SLOT_BLOCKS * BLOCK_FRAMES:
            raise ModelError(f"the words have {steps.shape[2]} frames; expected 4 to 116, a multiple of 4.")
        if not -1.0 <= low < high <= _LOUDEST:
            raise ModelError(f"the words lie between {low} and {high}; expected 0 to {_LOUDEST}: train it again.")
        return cls((np.float32(low) + steps * np.float32((high - low) / 255.0)).astype(np.float32))

    def draw(self, codes: Sequence[int], pace: Pace = "live") -> Wave:
        """What leaves, [T] at 16 kHz: a function of the codes and of nothing else, T included."""
        placed = place(codes, self.blocks, pace)
        count = max([start + self.blocks for start, _ in placed], default=0)
        if pace == "now":
            count = max(count, len(codes))
        elif pace == "live" and placed:
            count = max(count, PAUSE_BLOCKS + len(codes) - _begin(codes))
        else:
            count += PAUSE_BLOCKS
        wav = noise(np.random.default_rng(0), count * BLOCK_SAMPLES)
        for start, digit in placed:
            wav[start * BLOCK_SAMPLES : (start + self.blocks) * BLOCK_SAMPLES] += self.words[digit]
        return wav


def noise(rng: np.random.Generator, samples: int) -> Wave:
    """The faint noise under the words, [T]."""
    faint: Wave = np.float32(LEVEL_RMS * 10.0 ** (_NOISE_DB / 20.0)) * rng.standard_normal(samples, dtype=np.float32)
    return faint


def place(codes: Sequence[int], word_blocks: int, pace: Pace) -> list[tuple[int, int]]:
    """In which block each word begins, and its digit; words of `word_blocks` blocks, under 30, never overlap."""
    placed: list[tuple[int, int]] = []
    if pace == "now":
        free = 0
        for block, code in enumerate(codes):
            if code != BLANK:
                placed.append((max(free, block), code))
                free = placed[-1][0] + word_blocks
        return placed
    free, begin = PAUSE_BLOCKS, _begin(codes)
    for block, code in enumerate(codes, start=1):  # a code is known when its block is over
        if code == BLANK:
            continue
        late = block - begin  # since the first
        start = max(
            free, PAUSE_BLOCKS + {"even": 0, "steady": -(-late // SLOT_BLOCKS) * SLOT_BLOCKS, "live": late}[pace]
        )
        placed.append((start, code))
        free = start + {"even": word_blocks + PAUSE_BLOCKS, "steady": SLOT_BLOCKS, "live": word_blocks}[pace]
    return placed


def _begin(codes: Sequence[int]) -> int:
    """How many blocks there were when the first code of a digit was known; all where there was none."""
    return next((block for block, code in enumerate(codes, start=1) if code != BLANK), len(codes))


def _to_8_bits(values: Spectrum) -> tuple[NDArray[np.uint8], float, float]:
    """Spectra in 8 bits, and the values that 0 and 255 stand for."""
    low, high = float(values.min()), float(values.max())
    high = high if high > low else low + 1.0
    return np.rint((values - low) * (255.0 / (high - low))).astype(np.uint8), low, high
