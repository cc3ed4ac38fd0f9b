"""How often a sound may end: each end costs a whole block, however short the sound was.

A sound that does not end sends one block for each `block_s` seconds of itself. An end sends what is left as one block
more. Unlimited ends would therefore multiply what a listener learns in a second, so that an end has to wait:

- until the blocks of its connection that have left, with the one that is to leave, are at most one ahead of the time
  that has passed. This is the generic cell rate algorithm. Let D be the time at which all blocks that have left are
  paid for. A block that leaves at time t makes it max(t, D) + b, and an end waits until t >= D - b. Hence in any window
  [t, t + s) at most ceil(s / b) + 1 blocks leave. Only ends have to wait: a block in the midst of a sound comes b after
  the one before;
- where the sound has not filled a block, until `block_s` seconds have passed since the last such end of any connection
  of the same listener. So short sounds are not more for being sent over many connections.

Time is that of the clock, or that of the sound where a recording comes faster than it was spoken. A microphone's sound
never does, whatever the listener requests, so that its blocks are bounded by the clock.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager

from sottovoce.audio.spectrum import Wave

_EXACT_S = 1e-6  # less than a sample


class _Gate:
    """When the next sound that has not filled a block may end, over all connections of a listener."""

    def __init__(self, block_s: float, clock: Callable[[], float]) -> None:
        self._block_s, self._clock = block_s, clock
        self._opens = -math.inf

    def wait_s(self) -> float:
        return max(0.0, self._opens - self._clock())

    def pass_(self) -> None:
        self._opens = self._clock() + self._block_s


class Pace:
    """The sounds of one connection, one after the other; all times are in seconds."""

    def __init__(self, block_s: float, clock: Callable[[], float], gate: _Gate) -> None:
        self._block_s, self._clock, self._gate = block_s, clock, gate
        self._last = clock()
        self._unpaid = 0.0  # until all blocks that have left are paid for; below zero: since then
        self._ahead = 0.0  # by which the sound is ahead of the clock; more than a block is forgotten
        self._filled = 0.0  # of the block that is not complete
        self._short = True  # no block of the sound is complete

    def feed(self, seconds: float) -> None:
        """Sound came, and each block that it completes leaves: now, or before, if its sound is ahead of the clock."""
        ahead = self._pass(seconds)
        self._filled += seconds
        while self._filled > self._block_s - _EXACT_S:
            self._filled, self._short = max(0.0, self._filled - self._block_s), False
            self._unpaid = max(self._unpaid, -min(self._filled, ahead)) + self._block_s

    def wait_s(self) -> float:
        """How long the sound has to wait until it may end; 0: it may end now."""
        self._pass(0.0)
        unpaid = self._unpaid - self._block_s if self._filled > _EXACT_S else 0.0
        return max(unpaid + self._ahead if unpaid > _EXACT_S else 0.0, self._gate.wait_s() if self._short else 0.0)

    def end(self) -> None:
        """The sound ends: what is left of it leaves as a block."""
        if self._filled > _EXACT_S:
            self._unpaid = max(self._unpaid, 0.0) + self._block_s
        if self._short:
            self._gate.pass_()
        self.abandon()

    def abandon(self) -> None:
        """The sound ends without its last block: nothing leaves."""
        self._filled, self._short = 0.0, True

    def settled(self) -> bool:
        """Whether it is as a new one."""
        self._pass(0.0)
        return max(self._unpaid, self._ahead) < _EXACT_S

    def _pass(self, sound_s: float) -> float:
        """Let the time pass since the last call, or `sound_s` of sound where that is more -> how far it is ahead."""
        now = self._clock()
        passed, self._last = now - self._last, now
        moved = max(sound_s, passed - self._ahead)
        self._unpaid -= moved
        ahead = self._ahead + moved - passed
        self._ahead = min(self._block_s, ahead)
        return ahead


class Paces:
    """The paces of all listeners of a service, by who they are.

    Who hangs up and comes back takes up the pace that was left: a listener with k connections at once has k paces.
    """

    def __init__(self, block_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._block_s, self._clock = block_s, clock
        self._left: dict[Hashable, list[Pace]] = {}
        self._gates: dict[Hashable, _Gate] = {}
        self._open: Counter[Hashable] = Counter()

    @contextmanager
    def taken(self, listener: Hashable) -> Iterator[Pace]:
        """A pace of this listener for one connection: one that was left and has longest to wait, or else a new one."""
        self._forget()
        gate = self._gates.setdefault(listener, _Gate(self._block_s, self._clock))
        left = sorted(self._left.pop(listener, []), key=Pace.wait_s)
        pace = left.pop() if left else Pace(self._block_s, self._clock, gate)
        self._left[listener] = left
        self._open[listener] += 1
        try:
            yield pace
        finally:
            pace.abandon()
            self._open[listener] -= 1
            self._left[listener].append(pace)

    def _forget(self) -> None:
        """Those who have nothing to wait for."""
        for listener, gate in list(self._gates.items()):
            self._left[listener] = [pace for pace in self._left[listener] if not pace.settled()]
            if not (self._left[listener] or self._open[listener] or gate.wait_s()):
                del self._left[listener], self._gates[listener], self._open[listener]


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
