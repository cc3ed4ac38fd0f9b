"""The features of a sound that does not end, as `Filter.features` gives those of a whole one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sottovoce.audio.blocks import Resampler, lag_samples
from sottovoce.audio.level import audible
from sottovoce.audio.spectrum import SAMPLE_RATE, Spectrum, Wave
from sottovoce.runtime.segments import Segments

if TYPE_CHECKING:
    from sottovoce.runtime.filter import Filter


class FeatureStream:
    """Takes sound at `sample_rate` Hz, gives what `Filter.features` gives: [161, N], or latents [D, segments]."""

    def __init__(self, filter_: Filter, sample_rate: int) -> None:
        self._filter, self._rate = filter_, sample_rate
        self._ready: list[Spectrum] = []  # made when consent was given, and not yet handed out
        self.reset()

    @property
    def latency_samples(self) -> int:
        """How much must follow a sample before its features are there, at the input rate."""
        waits = lag_samples(self._rate, SAMPLE_RATE) + self._segments.block_samples - 1
        return -(-waits * self._rate // SAMPLE_RATE)

    def feed(self, samples: Wave) -> Spectrum:
        """What is ready after the next samples [n], any n; often nothing, [161, 0]."""
        ready, self._ready = self._ready, []
        return self._joined([*ready, *self._segments.feed(self._into.feed(audible(np.asarray(samples, np.float32))))])

    def flush(self) -> Spectrum:
        """The rest; the next samples begin a new sound."""
        rest = [*self._ready, *self._segments.feed(self._into.flush()), *self._segments.flush()]
        self.reset()
        return self._joined(rest)

    def reset(self) -> None:
        """Forget all that was fed; what is permitted stays so."""
        self._into, self._segments = Resampler(self._rate, SAMPLE_RATE), Segments(self._filter)
        self._ready = []

    def permitting(self, tasks: Sequence[str]) -> None:
        """Consent for these tasks alone: what is revoked ends at once, consent begins with the next whole block."""
        chosen = self._filter.permitting(tasks)
        if not set(chosen.permit) <= set(self._filter.permit):  # what was fed before must not reach past this moment
            self._ready += self._segments.feed(self._into.restarted())
        self._filter = chosen
        self._segments.switch(chosen)

    def _joined(self, pieces: list[Spectrum]) -> Spectrum:
        return np.concatenate([np.zeros((self._filter.rows, 0), np.float32), *pieces], axis=1)
