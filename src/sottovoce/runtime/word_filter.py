"""A filter that lets through which digits were said: sound to codes, and words drawn from the codes alone.

    sound [T] -- frames of 10 ms, encoder --> one of 11 codes each 40 ms -- word table --> sound

Whatever the sound held, the codes are all that goes on: equal codes give equal samples, to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sottovoce.audio.blocks import regrouped
from sottovoce.audio.spectrum import HOP_SAMPLES, SAMPLE_RATE, Spectrum, Wave
from sottovoce.models.digit_codes import BLOCK_SAMPLES, CODES, hear
from sottovoce.models.word_table import Pace, WordTable

BLOCK_S = BLOCK_SAMPLES / SAMPLE_RATE
RATE_BOUND = math.log2(CODES) / BLOCK_S  # bits per second

State = Mapping[str, Any]
Step = Callable[[Spectrum, State], tuple[list[int], State]]  # frames [161, 4 n] to n codes


@dataclass(frozen=True)
class WordFilter:
    """An encoder (`step`, and the state before anything was heard), the words, and how they are placed."""

    step: Step
    initial_state: State
    table: WordTable
    pace: Pace = "live"

    def codes(self, blocks: Iterable[Wave]) -> Iterator[int]:
        """The code of each 40 ms of a sound at 16 kHz that comes in `blocks` [T] of any length.

        Each as soon as its 40 ms are there; the last ones are filled up with silence. What is not finite is silence.
        """
        state, history = self.initial_state, np.zeros(HOP_SAMPLES, np.float32)
        for block in regrouped(blocks, BLOCK_SAMPLES):
            heard = np.concatenate([history, np.pad(block, (0, BLOCK_SAMPLES - len(block)))])
            spectrum = hear(np.where(np.isfinite(heard), heard, np.float32(0.0)))
            new, state = self.step(spectrum[:, 1:], state)  # the first frame was there before
            yield from new
            history = heard[-HOP_SAMPLES:]

    def filter(self, wav: Wave) -> Wave:
        """What may be heard of the sound `wav` [T] at 16 kHz; its length depends on the codes alone."""
        return self.table.draw(list(self.codes([wav])), self.pace)
