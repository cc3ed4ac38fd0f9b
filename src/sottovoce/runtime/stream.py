"""A filter that runs: sound comes in pieces of any length, and what is permitted of it goes out.

    samples -- resampled to 16 kHz --> core of the filter --> resampled, within full scale --> held --> samples

This is the only way through a filter; files, folders and recordings in memory are loops over it. While sound comes in,
exactly as much goes out as came in `latency_samples` before, so that a player never waits and has no gap.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from sottovoce.arguments import texts
from sottovoce.audio.blocks import Held, Resampler, lag_samples
from sottovoce.audio.io import check_rate
from sottovoce.audio.level import audible, checked, limited
from sottovoce.audio.spectrum import SAMPLE_RATE, Spectrum, Wave
from sottovoce.errors import ConfigError
from sottovoce.runtime.engine import Engine
from sottovoce.runtime.segments import Segments


class Stream:
    """One sound on its way through a filter; made by `Filter.stream`. Streams of a filter share no sound."""

    def __init__(self, engine: Engine, sample_rate: int = SAMPLE_RATE, output_rate: int | None = None) -> None:
        self.sample_rate = check_rate(sample_rate)
        self.output_rate = self.sample_rate if output_rate is None else check_rate(output_rate)
        self._engine = engine
        self.reset()

    @property
    def latency_samples(self) -> int:
        """The delay by the design of the filter, in samples at the input rate, without the time to compute.

        A sample comes out with the one that came in so much later. ConfigError where nothing does before the end.
        """
        if self._core.lag_samples is None:
            raise ConfigError("a constant number of blocks is known when the sound is over; leave constant out.")
        into, out = lag_samples(self.sample_rate, SAMPLE_RATE), lag_samples(SAMPLE_RATE, self.output_rate)
        waits_s = (into + self._core.lag_samples) / SAMPLE_RATE + out / self.output_rate
        return math.ceil(waits_s * self.sample_rate - 1e-6)

    def permitting(self, tasks: Sequence[str]) -> None:
        """Consent for these tasks alone; ConfigError as `Filter.permitting` has it.

        What is revoked ends at once: the block that is being filled is drawn without it. Consent begins with the next
        whole block, and nothing of what came before it is looked at, not even by the resampler.
        """
        chosen = self._engine.permitting(texts(tasks, "tasks"))
        if not set(chosen.permit) <= set(self._engine.permit):
            self._pass(self._core.feed(self._into.restarted()))
        self._engine = chosen
        self._core.switch(chosen)

    def feed(self, samples: Wave) -> Wave:
        """The obfuscated sound that is ready, [T'], once `samples` [T] of any length have come.

        What is not finite is silence. AudioError for what is not one channel of floating-point samples, ModelError
        where the filter's engine fails: then nothing comes out, and the stream has to be reset.
        """
        wav = checked(samples)
        self._taken += len(wav)
        self._pass(self._core.feed(self._into.feed(audible(wav))))
        due = self._taken - self._latency if self._latency is not None else 0
        return self._given_out(due * self.output_rate // self.sample_rate)

    def flush(self) -> Wave:
        """The rest of the obfuscated sound; the stream is then as new."""
        self._pass([*self._core.feed(self._into.flush()), *self._core.flush()])
        self._held.put(limited(self._out.flush()))
        if self._core.keeps_length:
            due = round(self._taken * self.output_rate / self.sample_rate)
        else:
            due = round(self._drawn * self.output_rate / SAMPLE_RATE)
        missing = max(0, due - self._given - self._held.count)  # the resamplers may round down
        self._held.put(np.zeros(missing, np.float32))
        rest = self._given_out(due)
        self.reset()
        return rest

    def reset(self) -> None:
        """Forget all that was fed; what is permitted stays so."""
        self._into = Resampler(self.sample_rate, SAMPLE_RATE)
        self._core = self._engine.core()
        self._out = Resampler(SAMPLE_RATE, self.output_rate)
        self._held = Held()
        self._taken = self._drawn = self._given = 0
        self._latency = None if self._core.lag_samples is None else self.latency_samples

    def _pass(self, pieces: list[Wave]) -> None:
        for piece in pieces:
            self._drawn += len(piece)
            self._held.put(limited(self._out.feed(piece)))

    def _given_out(self, due: int) -> Wave:
        """What is still to be given so that `due` samples were."""
        ready = self._held.take(max(0, due - self._given))
        self._given += len(ready)
        return ready


class FeatureStream:
    """Takes sound at `sample_rate` Hz, gives what `Filter.features` gives: [161, N], or latents [D, segments]."""

    def __init__(self, engine: Engine, sample_rate: int) -> None:
        self._engine, self._rate = engine, check_rate(sample_rate)
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
        return self._joined([*ready, *self._segments.feed(self._into.feed(audible(checked(samples))))])

    def flush(self) -> Spectrum:
        """The rest; the next samples begin a new sound."""
        rest = [*self._ready, *self._segments.feed(self._into.flush()), *self._segments.flush()]
        self.reset()
        return self._joined(rest)

    def reset(self) -> None:
        """Forget all that was fed; what is permitted stays so."""
        self._into, self._segments = Resampler(self._rate, SAMPLE_RATE), Segments(self._engine)
        self._ready = []

    def permitting(self, tasks: Sequence[str]) -> None:
        """Consent for these tasks alone: what is revoked ends at once, consent begins with the next whole block."""
        chosen = self._engine.permitting(texts(tasks, "tasks"))
        if not set(chosen.permit) <= set(self._engine.permit):  # what was fed before must not reach past this moment
            self._ready += self._segments.feed(self._into.restarted())
        self._engine = chosen
        self._segments.switch(chosen)

    def _joined(self, pieces: list[Spectrum]) -> Spectrum:
        return np.concatenate([np.zeros((self._engine.rows, 0), np.float32), *pieces], axis=1)
