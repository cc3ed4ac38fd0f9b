"""How often a sound may end: each end costs a whole block, however short the sound was.

A sound that does not end sends one block for each `block_s` seconds of itself. An end sends what is left as one block
more. Unlimited ends would therefore multiply what a listener learns in a second. `Pace` makes an end wait until

- `block_s` seconds have passed since the end before, and
- the blocks that have left, with the one that is to leave, are at most one ahead of the time that has passed.

The second is the generic cell rate algorithm. Let D be the time at which all blocks that have left are paid for. A
block that leaves at time t makes it max(t, D) + b, and an end waits until t >= D - b. Hence in any window [t, t + s) at
most ceil(s / b) + 1 blocks leave. Only ends have to wait: a block in the midst of a sound comes b after the one before.

Time is that of the clock, or that of the sound where a recording comes faster than it was spoken. A microphone's sound
never does, whatever the listener asks for, so that its blocks are bounded by the clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager

from sottovoce.audio.spectrum import Wave

_EXACT_S = 1e-6  # less than a sample


class Pace:
    """The ends of the sounds of one listener, one sound after the other; all times are in seconds."""

    def __init__(self, block_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._block_s, self._clock = block_s, clock
        self._last = clock()
        self._unpaid = 0.0  # until all blocks that have left are paid for
        self._closed = 0.0  # until a sound may end again
        self._ahead = 0.0  # by which the sound is ahead of the clock; more than a block is forgotten
        self._filled = 0.0  # of the block that is not complete

    def feed(self, seconds: float) -> None:
        """Sound came; each block that it completes leaves."""
        while seconds > _EXACT_S:
            piece = min(seconds, self._block_s)
            seconds -= piece
            self._pass(piece)
            self._filled += piece
            if self._filled > self._block_s - _EXACT_S:
                self._filled = max(0.0, self._filled - self._block_s)
                self._unpaid += self._block_s

    def wait_s(self) -> float:
        """How long the sound has to wait until it may end; 0: it may end now."""
        self._pass(0.0)
        waits = max(self._unpaid - self._block_s, self._closed)
        return waits + self._ahead if waits > _EXACT_S else 0.0

    def end(self) -> None:
        """The sound ends: what is left of it leaves as a block."""
        self._unpaid += self._block_s if self._filled > _EXACT_S else 0.0
        self._closed = self._block_s
        self._filled = 0.0

    def abandon(self) -> None:
        """The sound ends without its last block: nothing leaves."""
        self._filled = 0.0

    def settled(self) -> bool:
        """Whether a listener that comes anew would have to wait no less."""
        self._pass(0.0)
        return max(self._unpaid, self._closed, self._ahead) < _EXACT_S

    def _pass(self, sound_s: float) -> None:
        """Let the time pass since the last call, or `sound_s` of sound where that is more."""
        now = self._clock()
        passed, self._last = now - self._last, now
        moved = max(sound_s, passed - self._ahead)
        self._ahead = min(self._block_s, self._ahead + moved - passed)
        self._unpaid, self._closed = max(0.0, self._unpaid - moved), max(0.0, self._closed - moved)


class Paces:
    """The paces of all listeners of a service, by who they are.

    Who hangs up and comes back takes up the pace that was left: a listener with k connections at once has k paces.
    """

    def __init__(self, block_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._block_s, self._clock = block_s, clock
        self._left: dict[Hashable, list[Pace]] = {}

    @contextmanager
    def taken(self, listener: Hashable) -> Iterator[Pace]:
        """A pace of this listener for one connection: one that was left and has longest to wait, or else a new one."""
        for other in list(self._left):
            self._left[other] = [pace for pace in self._left[other] if not pace.settled()]
            if not self._left[other]:
                del self._left[other]
        left = sorted(self._left.pop(listener, []), key=Pace.wait_s)
        pace = left.pop() if left else Pace(self._block_s, self._clock)
        if left:
            self._left[listener] = left
        try:
            yield pace
        finally:
            pace.abandon()
            self._left.setdefault(listener, []).append(pace)


def paced(blocks: Iterable[Wave], block_s: float, sample_rate: int) -> Iterator[Wave]:
    """The same `blocks` [T] of one sound, which is over only when as much time has passed as its blocks stand for.

    A pipe cannot remember the sound before: another may begin as soon as this one is over.
    """
    began, samples = time.monotonic(), 0
    for block in blocks:
        samples += len(block)
        yield block
    sound_s = samples / sample_rate
    whole_s = -(-(sound_s - _EXACT_S) // block_s) * block_s
    time.sleep(max(0.0, whole_s - max(sound_s, time.monotonic() - began)))
