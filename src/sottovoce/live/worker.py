"""The process that runs a filter for live sounds, and whoever watches over it.

It may be slow, stuck, dead or killed at any moment: then `drawn` ends where it ends, and nothing is there to be played.
Sounds go in by one ring and come out by another; the watching process has no other way from one to the other.
"""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable, Sequence
from functools import cache
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from sottovoce.audio.spectrum import Wave
from sottovoce.errors import ModelError
from sottovoce.machine import forbid_core_dumps

if TYPE_CHECKING:
    from sottovoce.runtime.filter import Filter

_HELD_S = 4.0  # of sound in each ring
BEHIND_S = 0.25  # of sound not looked at yet: more is dropped, so that what comes is worked on in time
_STEP_S = 0.1  # of sound at once
_POLLS = 100  # while as much comes as may be behind
_STUCK_S = 2.0
_START_S = 60.0
_MOST_FAILURES = 3  # in a row, of workers that ended before they came to work


class Streaming(Protocol):
    """What a worker feeds: see `runtime.stream.Stream`."""

    @property
    def latency_samples(self) -> int: ...

    def feed(self, samples: Wave) -> Wave: ...

    def permitting(self, tasks: Sequence[str]) -> None: ...


Opener = Callable[[], Streaming]  # has to be picklable: it is called in the worker


class Link:
    """What both processes see of one sound: what was recorded, what was drawn from it, and a few numbers."""

    def __init__(self, sample_rate: int, tasks: Sequence[str], behind_s: float = BEHIND_S) -> None:
        self.sample_rate, self.tasks, self.behind_s = sample_rate, tuple(tasks), behind_s
        self.recorded, self.drawn, self.consent = (Ring(round(_HELD_S * sample_rate)) for _ in range(3))
        self.permit = CONTEXT.RawValue("q", (1 << len(tasks)) - 1)  # a bit for each task
        self.position = CONTEXT.RawValue("q", -1)  # how far the worker has come; -1: it has not begun
        self.dropped = CONTEXT.RawValue("q", 0)  # samples that it was too slow for

    def put(self, samples: Wave) -> None:
        """Append sound of the microphone [n], and beside each sample the consent under which it came."""
        self.consent.write(np.full(len(samples), self.permit.value, np.float32))  # first, so that it is there in time
        self.recorded.write(samples)


def open_filter(folder: Path, sample_rate: int, permit: Sequence[str], memory: float) -> Streaming:
    """A stream of the filter in `folder`, see `Filter.permitting` and `Filter.forgetting`."""
    return _loaded(folder, tuple(permit), memory).stream(sample_rate)


@cache  # the streams of a process share one filter
def _loaded(folder: Path, permit: tuple[str, ...], memory: float) -> Filter:
    from sottovoce.runtime.filter import Filter

    filter_ = Filter.load(folder).permitting(permit).forgetting(memory)
    filter_.engine.make_codewords()  # now, since a change of consent must not make the sound late
    return filter_


def work(links: Sequence[Link], opener: Opener) -> None:
    """Feed what is recorded, each sound to a stream of its own, as long as whoever started this process lives."""
    forbid_core_dumps()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the keyboard's reaches all processes; who started this one decides
    parent = multiprocessing.parent_process()
    streams = [opener() for _ in links]
    feeds = [_Feed(link, stream) for link, stream in zip(links, streams, strict=True)]
    poll_s = min(link.behind_s for link in links) / _POLLS
    while parent is None or parent.is_alive():
        if not any([feed.step() for feed in feeds]):  # a list: every sound has its turn
            time.sleep(poll_s)


class _Feed:
    """One sound on its way through a stream, from now on."""

    def __init__(self, link: Link, stream: Streaming) -> None:
        self._link, self._stream = link, stream
        self._position = link.recorded.end
        self._allowed = (1 << len(link.tasks)) - 1
        link.drawn.skip(self._position)
        link.position.value = self._position

    def step(self) -> bool:
        """Feed the next samples; False where there are none."""
        link = self._link
        behind = link.recorded.end - self._position
        if behind > link.behind_s * link.sample_rate:
            self._position += behind
            link.dropped.value += behind
            link.drawn.skip(link.drawn.end + behind)  # so that what follows keeps its place in time
        samples = link.recorded.read(self._position, round(_STEP_S * link.sample_rate))
        if not len(samples):
            return False
        consent = link.consent.read(self._position, len(samples)).astype(int)
        consent = consent if len(consent) == len(samples) else np.zeros(len(samples), int)  # written over meanwhile
        self._position += len(samples)
        for part in np.split(np.arange(len(consent)), np.flatnonzero(np.diff(consent)) + 1):
            granted = int(consent[part[0]]) & link.permit.value  # what was revoked since then ends at once
            if granted != self._allowed:
                self._allowed = granted
                self._stream.permitting([task for bit, task in enumerate(link.tasks) if granted >> bit & 1])
            link.drawn.write(self._stream.feed(samples[part]))
        link.position.value = self._position
        return True


class Worker:
    """Starts a worker for the sounds of `links`, and another when it dies or is stuck; `clock` gives seconds."""

    def __init__(self, opener: Opener, links: Sequence[Link], clock: Callable[[], float] = time.monotonic) -> None:
        self.links = links
        self.restarts = 0
        self._opener, self._clock = opener, clock
        self._failures = 0
        self._seen, self._since = [-1], 0.0  # the last places that the worker was seen at, and when it came there
        self._process = self._started()

    @property
    def pid(self) -> int | None:
        """The process that works now."""
        return self._process.pid

    @property
    def ready(self) -> bool:
        """Whether it has come to work."""
        return all(link.position.value >= 0 for link in self.links)

    def watch(self) -> None:
        """To be called often; ModelError where workers die before they come to work, again and again."""
        now, positions = self._clock(), [link.position.value for link in self.links]
        if positions != self._seen or positions == [link.recorded.end for link in self.links]:
            self._seen, self._since = positions, now
        waited = now - self._since
        if self._process.is_alive() and waited <= (_STUCK_S if self.ready else _START_S):
            return
        failed = not self.ready and (self._process.exitcode or 0) > 0  # by itself, not by a signal
        self._failures = self._failures + 1 if failed else 0
        if self._failures >= _MOST_FAILURES:
            raise ModelError("the filter does not start in its own process; try `sottovoce protect` with it.")
        self.close()
        self.restarts += 1
        self._process = self._started()

    def close(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.join()

    def _started(self) -> SpawnProcess:
        for link in self.links:
            link.position.value = -1
        self._seen, self._since = [-1], self._clock()
        process = CONTEXT.Process(target=work, args=(self.links, self._opener), daemon=True)
        process.start()
        return process


CONTEXT = multiprocessing.get_context("spawn")  # a fork would copy the threads' locks of whoever has some


class Ring:
    """The last `capacity` samples of a sound in shared memory; what is not read in time is written over.

    One writer, one reader, and a writer that dies leaves nothing locked: a sample is there when `end` is past it, and
    `end` moves after the sample is written. May be handed to a process of `CONTEXT`.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._memory = CONTEXT.RawArray("f", capacity)
        self._end = CONTEXT.RawValue("q", 0)
        self._claimed = CONTEXT.RawValue("q", 0)  # how far the writer may be writing just now

    @property
    def end(self) -> int:
        """The number of samples ever written."""
        return int(self._end.value)

    def write(self, samples: Wave) -> None:
        """Append `samples` [n]."""
        end = self.end + len(samples)
        self._put(samples[-self.capacity :], end)

    def skip(self, end: int) -> None:
        """Append silence up to the place `end`; nothing where that is behind already."""
        if end > self.end:
            self._put(np.zeros(min(end - self.end, self.capacity), np.float32), end)

    def read(self, start: int, count: int) -> Wave:
        """What is there of the samples [start, start + count), from `start` on; empty where that is gone or to come."""
        stop = min(start + count, self.end)
        if start < 0 or stop <= start or start < self._claimed.value - self.capacity:
            return np.zeros(0, np.float32)
        memory = np.frombuffer(self._memory, np.float32)
        samples = memory.take(range(start, stop), mode="wrap")
        lost = start < self._claimed.value - self.capacity  # while it was read
        return samples[:0] if lost else samples

    def _put(self, samples: Wave, end: int) -> None:
        self._claimed.value = end
        memory = np.frombuffer(self._memory, np.float32)
        begin = (end - len(samples)) % self.capacity
        first = min(len(samples), self.capacity - begin)
        memory[begin : begin + first] = samples[:first]
        memory[: len(samples) - first] = samples[first:]
        self._end.value = end
