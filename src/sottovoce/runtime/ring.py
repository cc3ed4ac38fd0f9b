"""Sound that one process writes and another reads, by its place in time; neither ever waits for the other."""

from __future__ import annotations

import multiprocessing

import numpy as np

from sottovoce.audio.spectrum import Wave

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
