"""A filter for sound that does not end: feed samples as they come, get what may be heard of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import soxr

from sottovoce.audio.spectrum import SAMPLE_RATE, SEGMENT_SAMPLES, Wave

if TYPE_CHECKING:
    from sottovoce.runtime.filter import Filter


class Stream:
    """Takes sound at `sample_rate` Hz and gives it at `output_rate`, segment by segment of 1.28 s.

    `latency_samples`, at the input rate, is how much must follow a sample before it can be heard.
    """

    def __init__(self, permit: Filter, sample_rate: int, output_rate: int) -> None:
        self._permit, self._rates = permit, (sample_rate, output_rate)
        self.latency_samples = -(-SEGMENT_SAMPLES * sample_rate // SAMPLE_RATE)
        self.reset()

    def feed(self, samples: Wave) -> Wave:
        """What is ready after the next samples [n], any n; may be empty."""
        finite = np.where(np.isfinite(samples), samples, 0.0).astype(np.float32)
        ready: Wave = self._out.resample_chunk(self._passed(self._in.resample_chunk(finite)))
        return ready

    def flush(self) -> Wave:
        """What is left, the last segment filled up with silence; the next samples begin a new sound."""
        rest = self._in.resample_chunk(np.zeros(0, np.float32), last=True)
        missing = -(len(self._held) + len(rest)) % SEGMENT_SAMPLES
        last = self._passed(np.pad(rest, (0, missing)))
        if not self._permit.whole_segments:
            last = last[: len(last) - missing]
        ready: Wave = self._out.resample_chunk(last, last=True)
        self.reset()
        return ready

    def reset(self) -> None:
        """Forget all that was fed."""
        self._held = np.zeros(0, np.float32)
        self._in = soxr.ResampleStream(self._rates[0], SAMPLE_RATE, 1, dtype="float32")
        self._out = soxr.ResampleStream(SAMPLE_RATE, self._rates[1], 1, dtype="float32")

    def permitting(self, tasks: Sequence[str]) -> None:
        """Consent for these tasks alone, from the next segment on."""
        self._permit = self._permit.permitting(tasks)

    def _passed(self, samples: Wave) -> Wave:
        """The sound of the segments that `samples`, at 16 kHz, complete."""
        held = np.concatenate([self._held, samples])
        whole = len(held) - len(held) % SEGMENT_SAMPLES
        self._held = held[whole:]
        segments = held[:whole].reshape(-1, SEGMENT_SAMPLES)
        sounds = [self._permit.sound(self._permit.obfuscate(segment[None])[0]) for segment in segments]
        return np.concatenate([np.zeros(0, np.float32), *sounds])
