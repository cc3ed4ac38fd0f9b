"""From a microphone to an application, in time: what the filter has not drawn in time is silence, never the microphone.

    microphone -- feed --> ring --> worker process --> ring -- the same count of samples, `delay` earlier --> output

The microphone is the clock: for each block that it gives, a block of equal length leaves, and what leaves is always as
old: `delay`. Whatever is late is silent, and lost; so the delay cannot grow. Nothing here can pass a sample on by any
way but the worker's ring.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal, Protocol

import numpy as np

from sottovoce.audio.level import rms
from sottovoce.audio.spectrum import Wave
from sottovoce.errors import ConfigError
from sottovoce.live.worker import Worker

State = Literal["clear", "obfuscated", "stopped", "unknown"]

MARGIN_S = 0.08  # for the worker to do its work in
SLACK_S = 0.1  # by which the microphone may be ahead of the clock or behind it
_EVERY_S = 2.0  # between looks at who listens
_JUMP_S = 1.0  # more than that is not a slow microphone but a clock that jumped, or a computer that slept


class Source(Protocol):
    """A microphone."""

    def read(self, timeout_s: float) -> Wave | None:
        """The next samples [n], or None where none came in time; EOFError at the end of all sound."""


class Sink(Protocol):
    """Where obfuscated sound goes; it never waits."""

    def write(self, samples: Wave) -> int:
        """How many of `samples` [n] were taken; the others are lost."""


@dataclass
class Counters:
    """Samples: come in; given as the filter's; given as silence; lost where the worker was too slow, where the
    microphone gave more than time had passed, where the output took no more. And how often the clock jumped, and the
    worker was started again."""

    samples_in: int = 0
    obfuscated: int = 0
    silent: int = 0
    dropped_slow: int = 0
    dropped_burst: int = 0
    dropped_output: int = 0
    clock_jumps: int = 0
    restarts: int = 0


class Live:
    """A microphone's sound, the one of this `number` of a worker's, to `sink`.

    `bypassed` says whether a program listens to the microphone itself, None where that is not known;
    `latency_samples` is that of the worker's stream. Nothing leaves while `running` is False.
    """

    def __init__(
        self,
        worker: Worker,
        sink: Sink,
        latency_samples: int,
        margin_s: float = MARGIN_S,
        clock: Callable[[], float] = time.monotonic,
        bypassed: Callable[[], bool | None] = lambda: False,
        slack_s: float = SLACK_S,
        number: int = 0,
    ) -> None:
        self.counters = Counters()
        self.running = True
        self.level_in = self.level_out = 0.0  # RMS of the last block
        self._worker, self._link = worker, worker.links[number]
        self.sample_rate = self._link.sample_rate
        self.delay = latency_samples + round(margin_s * self.sample_rate)
        self._sink, self._clock, self._bypassed = sink, clock, bypassed
        self._slack = slack_s * self.sample_rate
        self._began, self._given = clock(), 0
        self._whole = False  # whether the last block was all there

    @property
    def state(self) -> State:
        """What applications get: "clear" where one listens to the microphone itself, past the filter.

        "unknown" where nobody knows whether one does.
        """
        bypassed = self._bypassed()
        if bypassed is None:
            return "unknown"
        if bypassed:
            return "clear"
        return "obfuscated" if self.running and self._whole else "stopped"

    def feed(self, block: Wave | None) -> None:
        """The next samples [n] of the microphone, and as many leave; None: it gave none, and what is due is silence."""
        ahead = self._given - (self._clock() - self._began) * self.sample_rate
        if abs(ahead) > _JUMP_S * self.sample_rate:
            self.counters.clock_jumps += 1
            self._began, self._given, ahead = self._clock(), 0, 0.0
        if block is None:
            if ahead < -self._slack:
                self._give(np.zeros(0, np.float32), round(-ahead))
        elif ahead > self._slack:
            self.counters.dropped_burst += len(block)
        else:
            self._pass(block)

    def watch(self) -> None:
        """To be called at least every 50 ms: the worker's health; ModelError where none can be started."""
        self._worker.watch()
        self.counters.restarts = self._worker.restarts
        self.counters.dropped_slow = self._link.dropped.value

    def permit(self, tasks: Sequence[str]) -> None:
        """Consent for these tasks alone, from the worker's next block on; ConfigError for one that it does not have."""
        known = self._link.tasks
        if strange := [task for task in tasks if task not in known]:
            raise ConfigError(f"cannot permit {', '.join(strange)}; expected some of {', '.join(known) or 'no tasks'}.")
        self._link.permit.value = sum(1 << bit for bit, task in enumerate(known) if task in tasks)

    @property
    def permitted(self) -> tuple[str, ...]:
        """The tasks that are permitted now."""
        return tuple(task for bit, task in enumerate(self._link.tasks) if self._link.permit.value >> bit & 1)

    def report(self) -> dict[str, object]:
        """State, latency in ms, levels and counters, as plain values."""
        latency = {"latency_ms": round(1000 * self.delay / self.sample_rate, 4)}
        now = {"level_rms": round(self.level_in, 4), "permit": list(self.permitted)}
        return {"state": self.state, **latency, **now, **asdict(self.counters)}

    def _pass(self, block: Wave) -> None:
        """Samples to the worker, and what is due of its to the sink."""
        self.counters.samples_in += len(block)
        self.level_in = float(rms(block))
        link = self._link
        link.put(block if self.running else np.zeros_like(block))
        drawn = link.drawn.read(link.recorded.end - len(block) - self.delay, len(block))
        self._give(drawn if self.running else drawn[:0], len(block))

    def _give(self, drawn: Wave, count: int) -> None:
        """`drawn`, made `count` samples long with silence, to the sink."""
        self._whole = len(drawn) == count
        self.level_out = float(rms(drawn))
        self.counters.obfuscated += len(drawn)
        self.counters.silent += count - len(drawn)
        taken = self._sink.write(np.pad(drawn, (0, count - len(drawn))))
        self.counters.dropped_output += count - taken
        self._given += count


def run(live: Live, source: Source, each: Callable[[], bool], seconds: float | None = None) -> None:
    """Until the sound ends and its last has been given, `seconds` are over or `each`, often called, returns False."""
    left = None if seconds is None else round(seconds * live.sample_rate)
    tail = live.delay  # silence that is fed after the end, so that the last sound comes out
    while each() and (left is None or live.counters.samples_in < left):
        live.watch()
        try:
            block: Wave | None = source.read(0.05)
        except EOFError:
            if tail <= 0:
                return
            time.sleep(0.01)
            block = np.zeros(min(tail, round(0.01 * live.sample_rate)), np.float32)
            tail -= len(block)
        live.feed(block)


class Watcher:
    """Checks something again and again in a thread of its own; `answer` never waits."""

    def __init__(self, check: Callable[[], bool], every_s: float = _EVERY_S) -> None:
        self._check, self._every_s = check, every_s
        self._last: tuple[float, bool | None] = (0.0, None)
        threading.Thread(target=self._keep_checking, daemon=True).start()

    def answer(self) -> bool | None:
        """The last result; None where the check failed, or the result is older than three intervals."""
        when, answer = self._last
        return answer if time.monotonic() - when <= 3 * self._every_s else None

    def _keep_checking(self) -> None:
        while True:
            began = time.monotonic()
            try:
                answer: bool | None = self._check()
            except Exception:  # whatever went wrong, nobody knows now
                answer = None
            self._last = (began, answer)
            time.sleep(self._every_s)
