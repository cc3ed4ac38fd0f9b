"""The features of a sound that does not end, as `Filter.features` gives those of a whole one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import soxr

from sottovoce.audio import segment
from sottovoce.audio.spectrum import BINS, SAMPLE_RATE, SEGMENT_SAMPLES, Spectrum, Wave
from sottovoce.errors import ModelError

if TYPE_CHECKING:
    from sottovoce.runtime.filter import Filter


class FeatureStream:
    """Takes sound at `sample_rate` Hz, gives obfuscated spectrograms [161, N], 128 frames for each whole 1.28 s."""

    def __init__(self, permit: Filter, sample_rate: int) -> None:
        self._permit = permit
        self._silence = np.float32(-permit.config.sound_mean / permit.config.sound_std)
        self._rate = sample_rate
        self.latency_samples = -(-SEGMENT_SAMPLES * sample_rate // SAMPLE_RATE)
        self._begin()

    def feed(self, samples: Wave) -> Spectrum:
        """What is ready after the next samples [n], any n; may be [161, 0]."""
        finite = np.where(np.isfinite(samples), samples, 0.0).astype(np.float32)
        return self._drawn(self._resampler.resample_chunk(finite))

    def flush(self) -> Spectrum:
        """What is left, the last segment filled up with silence; the next samples begin a new sound."""
        rest = self._resampler.resample_chunk(np.zeros(0, np.float32), last=True)
        ready = self._drawn(np.pad(rest, (0, -(len(self._held) + len(rest)) % SEGMENT_SAMPLES)))
        self._begin()
        return ready

    def permitting(self, tasks: Sequence[str]) -> None:
        """Consent for these tasks alone, from the next segment on."""
        self._permit = self._permit.permitting(tasks)

    def _begin(self) -> None:
        self._held = np.zeros(0, np.float32)
        self._state = self._permit.engine.initial_state()
        self._resampler = soxr.ResampleStream(self._rate, SAMPLE_RATE, 1, dtype="float32")

    def _drawn(self, samples: Wave) -> Spectrum:
        held = np.concatenate([self._held, samples])
        whole = len(held) - len(held) % SEGMENT_SAMPLES
        self._held = held[whole:]
        if not whole:
            return np.zeros((BINS, 0), np.float32)
        try:
            heard = segment.front_end(held[:whole].reshape(-1, SEGMENT_SAMPLES))
            spectra, self._state = self._permit.engine.step(heard, self._state)
        except Exception as error:
            raise ModelError(f"the filter's engine failed ({error}); nothing was passed on.") from error
        finite = np.isfinite(spectra).all(axis=(1, 2), keepdims=True)
        return np.concatenate([*np.where(finite, spectra, self._silence)], axis=1)
