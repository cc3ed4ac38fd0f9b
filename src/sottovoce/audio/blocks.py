"""Sound that comes in blocks of any length: held back, at another rate, or in blocks of one length."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from functools import cache

import numpy as np
import soxr

from sottovoce.audio.spectrum import Wave

_NOTHING = np.zeros(0, np.float32)
_PROBED_S = 2.0  # of silence, in which the resampler's lag shows
_PROBES_PER_S = 1000


class Held:
    """Samples in the order in which they came, until they are taken."""

    def __init__(self) -> None:
        self.count = 0
        self._parts: deque[Wave] = deque()

    def put(self, wav: Wave) -> None:
        """Add `wav` [T]."""
        if len(wav):
            self._parts.append(wav)
            self.count += len(wav)

    def take(self, samples: int) -> Wave:
        """The first `samples` samples, or all where there are fewer."""
        taken, missing = [], min(samples, self.count)
        self.count -= missing
        while missing > 0:
            part = self._parts.popleft()
            if len(part) > missing:
                self._parts.appendleft(part[missing:])
            taken.append(part[:missing])
            missing -= len(taken[-1])
        return np.concatenate([_NOTHING, *taken])


class Resampler:
    """Sound at `from_hz` to sound at `to_hz`; the samples do not depend on how it is cut."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self._from_hz, self._to_hz = from_hz, to_hz
        self._fed = self._given = 0
        self._soxr = self._new()

    def feed(self, wav: Wave) -> Wave:
        """What is ready once `wav` [T] has come."""
        ready: Wave = wav if self._soxr is None else self._soxr.resample_chunk(wav)
        self._fed, self._given = self._fed + len(wav), self._given + len(ready)
        return ready

    def flush(self) -> Wave:
        """The rest, so that in all no more came out than belongs to what went in; nothing can be fed afterwards."""
        if self._soxr is None:
            return _NOTHING
        rest: Wave = self._soxr.resample_chunk(_NOTHING, last=True)
        return rest[: self._missing]

    @property
    def _missing(self) -> int:
        """How many samples are still to come out of those that belong to what went in."""
        return max(0, -(-self._fed * self._to_hz // self._from_hz) - self._given)

    def restarted(self) -> Wave:
        """The rest, as if the sound ended here; what is fed afterwards knows nothing of what was fed before.

        Both parts stay in step: so far as many samples came out as belong to those that went in, rounded up.
        """
        if self._soxr is None:
            return _NOTHING
        rest, missing = self.flush(), self._missing
        self._given += missing
        self._soxr = self._new()
        return np.pad(rest, (0, missing - len(rest)))

    def _new(self) -> soxr.ResampleStream | None:
        same = self._from_hz == self._to_hz
        return None if same else soxr.ResampleStream(self._from_hz, self._to_hz, 1, dtype="float32")


@cache
def lag_samples(from_hz: int, to_hz: int) -> int:
    """How many samples at `to_hz` a `Resampler` is behind at most; it works in blocks, so this is looked for."""
    if from_hz == to_hz:
        return 0
    resampler, step = Resampler(from_hz, to_hz), max(1, from_hz // _PROBES_PER_S)
    silence, given, worst = np.zeros(step, np.float32), 0, 0.0
    for fed in range(step, round(_PROBED_S * from_hz), step):
        given += len(resampler.feed(silence))
        worst = max(worst, (fed + step) * to_hz / from_hz - given)  # just before the next step
    return int(worst) + 1


def resampled(pieces: Iterable[Wave], from_hz: int, to_hz: int) -> Iterator[Wave]:
    """The same sound at `to_hz`, in pieces, some of them empty."""
    resampler = Resampler(from_hz, to_hz)
    for piece in pieces:
        yield resampler.feed(piece)
    yield resampler.flush()


def regrouped(blocks: Iterable[Wave], size: int) -> Iterator[Wave]:
    """The same sound in blocks [size], the last one shorter; none is empty."""
    held = Held()
    for block in blocks:
        held.put(block)
        while held.count >= size:
            yield held.take(size)
    if held.count:
        yield held.take(size)
