"""Filters that see a segment of 1.28 s at a time: sound to features, features to sound, whatever the pieces.

All that is remembered of a sound is in these objects, and the borders of what they work on depend on position alone: so
the samples are the same however the sound was cut.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from sottovoce.audio import segment
from sottovoce.audio.blocks import Held, Resampler, lag_samples
from sottovoce.audio.griffin_lim import MARGIN_SAMPLES, OVERLAP_FRAMES, Crossfade, PhaseContinuation
from sottovoce.audio.level import audible
from sottovoce.audio.spectrum import BINS, HOP_SAMPLES, SAMPLE_RATE, SEGMENT_FRAMES, SEGMENT_SAMPLES, Spectrum, Wave

if TYPE_CHECKING:
    from sottovoce.runtime.filter import Filter

if TYPE_CHECKING:
    from sottovoce.runtime.filter import Filter


class Segments:
    """Sound at 16 kHz to the obfuscated spectrogram of it; a block of segments is worked on once it is there.

    A task is permitted in a block if it was permitted all through it: what is revoked ends at once, and consent begins
    with the next whole block. Nothing that leaves depends on sound that a permitted task was not to know of.
    """

    def __init__(self, filter_: Filter) -> None:
        self.filter = filter_  # as it is for the block that is being filled
        self.block_samples = filter_.block_segments * SEGMENT_SAMPLES
        self._next = filter_  # as it is for the block after it
        self._held = Held()
        self._last = np.zeros(0, np.float32)  # the segment before: the last one of a sound may reach back into it
        self._last_permit = filter_.permit
        self._state = filter_.engine.initial_state()

    def switch(self, filter_: Filter) -> None:
        """Continue with the same filter that permits other tasks."""
        self._next = filter_
        both = [task for task in self.filter.permit if task in filter_.permit]
        self.filter = filter_.permitting(both) if self._held.count else filter_

    def feed(self, wav: Wave) -> list[Spectrum]:
        """The features [161, N] of each block that is complete once `wav` [T] has come."""
        self._held.put(wav)
        found = []
        while self._held.count >= self.block_samples:
            found.append(self._obfuscated(self._held.take(self.block_samples)))
        return found

    def flush(self) -> list[Spectrum]:
        """The features of the rest."""
        found = [self._obfuscated(self._held.take(self._held.count))] if self._held.count else []
        if self.filter.constant_blocks:
            known = [task for task in self.filter.permit if task in self._last_permit]
            recalled = self.filter.permitting(known).recalled(self._state)
            found.append(np.concatenate([*recalled], axis=1))
        return found

    def _obfuscated(self, block: Wave) -> Spectrum:
        # Only the last segment of the whole sound can reach back over the start of its block, and not to sound that a
        # task which is permitted now was not permitted to know of.
        known = set(self.filter.permit) <= set(self._last_permit)
        before = self._last if len(block) % SEGMENT_SAMPLES and known else self._last[:0]
        passed = len(before) // SEGMENT_SAMPLES
        both = np.concatenate([before, block])
        spectra, self._state = self.filter.step(segment.cut(both)[passed:], self._state)
        self._last, self._last_permit, self.filter = block[-SEGMENT_SAMPLES:], self.filter.permit, self._next
        if self.filter.whole_segments:
            return np.concatenate([*spectra], axis=1)[:, : 0 if self.filter.constant_blocks else None]
        unused = np.zeros((passed, BINS, SEGMENT_FRAMES), np.float32)
        return segment.join(np.concatenate([unused, spectra]), len(both))[:, passed * SEGMENT_FRAMES :]


class Vocoder(Protocol):
    """Features [161, N] of at most a segment to sound at 16 kHz, `lag_samples` of which are held back."""

    lag_samples: int

    def feed(self, features: Spectrum) -> Wave: ...

    def flush(self) -> Wave: ...


class SpectrogramVocoder:
    """For features that are never the same twice: each segment takes up the phase of the last."""

    lag_samples = OVERLAP_FRAMES * HOP_SAMPLES

    def __init__(self, magnitude: Callable[[Spectrum], Spectrum]) -> None:
        self._magnitude, self._sound = magnitude, PhaseContinuation()

    def feed(self, features: Spectrum) -> Wave:
        """What is ready."""
        return self._sound.feed(self._magnitude(features))

    def flush(self) -> Wave:
        """The rest."""
        return self._sound.flush()


class CodewordVocoder:
    """For features out of a table: `sound_of` finds the sound of each, which is made once, and they are joined."""

    lag_samples = MARGIN_SAMPLES

    def __init__(self, sound_of: Callable[[Spectrum], Wave]) -> None:
        self._sound_of, self._sound = sound_of, Crossfade()

    def feed(self, features: Spectrum) -> Wave:
        """What is ready."""
        return self._sound.feed(self._sound_of(features))

    def flush(self) -> Wave:
        """The rest."""
        return self._sound.flush()


class SegmentCore:
    """The way through a filter at 16 kHz: `Segments`, and the filter's voice."""

    def __init__(self, filter_: Filter) -> None:
        self._segments, self._vocoder = Segments(filter_), filter_.vocoder()
        self.keeps_length = not filter_.whole_segments
        # The last sample of a block makes it ready. Of a constant number of blocks nothing is until the end.
        waits = self._segments.block_samples - 1 + self._vocoder.lag_samples
        self.lag_samples = None if filter_.constant_blocks else waits

    def switch(self, filter_: Filter) -> None:
        """Continue with the same filter that permits other tasks."""
        self._segments.switch(filter_)
        if self._segments.filter.whole_segments:
            for each in (self._segments.filter, filter_):
                each.make_codewords()

    def feed(self, wav: Wave) -> list[Wave]:
        """The sound that is ready once `wav` [T] has come."""
        return self._spoken(self._segments.feed(wav))

    def flush(self) -> list[Wave]:
        """The rest."""
        return [*self._spoken(self._segments.flush()), self._vocoder.flush()]

    def _spoken(self, features: list[Spectrum]) -> list[Wave]:
        return [self._vocoder.feed(piece) for whole in features for piece in in_segments(whole)]


def in_segments(features: Spectrum) -> list[Spectrum]:
    """Features [161, N] in pieces of a segment, the last one shorter."""
    return [features[:, start : start + SEGMENT_FRAMES] for start in range(0, features.shape[1], SEGMENT_FRAMES)]


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
