"""A filter for sound that does not end: feed samples as they come, get what may be heard of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import soxr

from sottovoce.audio.spectrum import SAMPLE_RATE, SEGMENT_FRAMES, Spectrum, Wave
from sottovoce.runtime.features import FeatureStream

if TYPE_CHECKING:
    from sottovoce.runtime.filter import Filter


class Stream:
    """Takes sound at `sample_rate` Hz and gives it at `output_rate`, segment by segment of 1.28 s.

    `latency_samples`, at the input rate, is how much must follow a sample before it can be heard.
    """

    def __init__(self, permit: Filter, sample_rate: int, output_rate: int) -> None:
        self._permit, self._output_rate = permit, output_rate
        self._features = FeatureStream(permit, sample_rate)
        self.latency_samples = self._features.latency_samples
        self._out = soxr.ResampleStream(SAMPLE_RATE, output_rate, 1, dtype="float32")

    def feed(self, samples: Wave) -> Wave:
        """What is ready after the next samples [n], any n; may be empty."""
        ready: Wave = self._out.resample_chunk(self._played(self._features.feed(samples)))
        return ready

    def flush(self) -> Wave:
        """What is left, the last segment filled up with silence; the next samples begin a new sound."""
        ready: Wave = self._out.resample_chunk(self._played(self._features.flush()), last=True)
        self.reset()
        return ready

    def reset(self) -> None:
        """Forget all that was fed."""
        self._features.flush()
        self._out = soxr.ResampleStream(SAMPLE_RATE, self._output_rate, 1, dtype="float32")

    def permitting(self, tasks: Sequence[str]) -> None:
        """Consent for these tasks alone, from the next segment on."""
        self._features.permitting(tasks)

    def _played(self, features: Spectrum) -> Wave:
        """The sound of whole segments."""
        starts = range(0, features.shape[1], SEGMENT_FRAMES)
        sounds = [self._permit.sound(features[:, start : start + SEGMENT_FRAMES]) for start in starts]
        return np.concatenate([np.zeros(0, np.float32), *sounds])
