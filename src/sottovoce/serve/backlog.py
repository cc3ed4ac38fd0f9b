"""What came from a client and was not worked on yet: bounded, whatever it sends."""

from __future__ import annotations

import asyncio
import time
from collections import deque

import numpy as np

from sottovoce.audio.spectrum import Wave
from sottovoce.errors import ConfigError

_MOST_ITEMS = 1000  # however short they are


class Backlog:
    """Sound, some `most` samples of it, and wishes between, in order.

    One that `drops` loses its oldest sound where more comes; another makes whoever fills it wait for `room`.
    """

    def __init__(self, most: int, drops: bool) -> None:
        self._most, self._drops, self._held = most, drops, 0
        self._items: deque[tuple[float, Wave | str]] = deque()  # when each came
        self._changed = asyncio.Event()

    def put(self, item: Wave | str) -> int:
        """Add samples or a wish -> how many samples were dropped for it; ConfigError for too many wishes."""
        self._items.append((time.monotonic(), item))
        self._held += 0 if isinstance(item, str) else len(item)
        self._changed.set()
        return self._cut() if self._drops else 0

    async def get(self) -> tuple[float, Wave | str]:
        """The next wish, or else all samples before it; and when the last of them came."""
        while not self._items:
            await self._change()
        came, first = self._items.popleft()
        if isinstance(first, str):
            self._changed.set()
            return came, first
        samples = [first]
        while self._items and not isinstance(self._items[0][1], str):
            came, item = self._items.popleft()
            assert not isinstance(item, str)
            samples.append(item)
        self._held -= sum(map(len, samples))
        self._changed.set()
        return came, np.concatenate(samples)

    async def room(self) -> None:
        """Wait, where nothing is dropped, until half is free."""
        while not self._drops and (self._held > self._most / 2 or len(self._items) > _MOST_ITEMS / 2):
            await self._change()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _cut(self) -> int:
        """Drop the oldest sound until no more is there than may be -> samples."""
        dropped = 0
        while self._held - dropped > self._most or len(self._items) > _MOST_ITEMS:
            oldest = next((i for i, (_, item) in enumerate(self._items) if not isinstance(item, str)), None)
            if oldest is None:
                raise ConfigError(f"more than {_MOST_ITEMS} messages wait; send fewer.")
            dropped += len(self._items[oldest][1])
            del self._items[oldest]
        self._held -= dropped
        return dropped
