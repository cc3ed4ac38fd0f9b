"""One WebSocket connection, from the hello to the end; what waits is bounded, whatever the client sends."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

import numpy as np

from sottovoce.audio.spectrum import Wave
from sottovoce.errors import ConfigError, ModelError, SottovoceError
from sottovoce.runtime.filter import Filter
from sottovoce.runtime.pacing import Pace
from sottovoce.runtime.pcm import decode, encode
from sottovoce.serve.access import Limits
from sottovoce.serve.metrics import Metrics
from sottovoce.serve.wire import Hello, encode_features, encode_labels, parse_object, parse_tasks

_MOST_ITEMS = 1000  # that wait, however short they are


class Conversation:
    """One connection: a `connection` of websockets, and what the service lends it; `run` lasts as long as it does.

    TimeoutError where the client sends nothing for too long, ConfigError and AudioError for its mistakes, ModelError
    where the filter fails.
    """

    def __init__(
        self, connection: Any, permit: Filter, limits: Limits, metrics: Metrics, pool: Executor, pace: Pace
    ) -> None:
        self._connection, self._permit, self._limits = connection, permit, limits
        self._metrics, self._pool, self._pace = metrics, pool, pace
        self._patience: asyncio.Timeout

    async def run(self) -> None:
        """Talk, until the client hangs up or a limit is reached."""
        async with asyncio.timeout(self._limits.idle_s) as self._patience:
            self._connection.on_ping = self._alive
            try:
                await self._talk()
            finally:
                del self._connection.on_ping

    async def _talk(self) -> None:
        message = await self._connection.recv()
        if isinstance(message, bytes):
            raise ConfigError("the first message has to be the hello, a text of JSON; got sound.")
        hello = Hello.parse(message)
        self._alive()
        session = _Session(self._permit, hello)
        await self._connection.send(json.dumps({"ready": session.agreed()}))
        backlog = Backlog(round(self._limits.queue_s * hello.sample_rate), drops=hello.pace == "live")
        answering = asyncio.create_task(self._answer(session, backlog))
        listening = asyncio.create_task(self._listen(hello, backlog))
        try:
            await asyncio.wait({answering, listening}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (answering, listening):
                task.cancel()
            results = await asyncio.gather(answering, listening, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    def _alive(self, wait_s: float = 0.0) -> None:
        """The client has the whole time again, and `wait_s` in which it is the service that it waits for."""
        if not self._patience.expired():
            self._patience.reschedule(asyncio.get_running_loop().time() + wait_s + self._limits.idle_s)

    async def _listen(self, hello: Hello, backlog: Backlog) -> None:
        """Messages into the backlog, until the connection ends."""
        while True:
            message = await self._connection.recv()
            self._alive()
            if isinstance(message, bytes):
                samples = decode(message, hello.encoding)
                self._metrics.count["samples_in_total"] += len(samples)
                self._metrics.count["samples_dropped_total"] += backlog.put(samples)
            else:
                backlog.put(message)
            await backlog.room()

    async def _answer(self, session: _Session, backlog: Backlog) -> None:
        """The backlog through the stream to the client."""
        loop = asyncio.get_running_loop()
        while True:
            came, item = await backlog.get()
            if isinstance(item, str):
                await self._control(session, parse_object(item))
            else:
                self._pace.feed(len(item) / session.sample_rate)
                content = await loop.run_in_executor(self._pool, session.feed, item)
                await self._send(content)
                if content:
                    self._metrics.worked(time.monotonic() - came)

    async def _control(self, session: _Session, message: dict[str, Any]) -> None:
        """Change consent, or end the sound once that may be."""
        if set(message) == {"permit"}:
            await self._send(json.dumps({"permit": session.permitting(message["permit"])}))
        elif set(message) == {"end"} and message["end"] is True:
            while wait_s := self._pace.wait_s():
                self._alive(wait_s)
                await asyncio.sleep(wait_s)
            self._pace.end()
            await self._send(await asyncio.get_running_loop().run_in_executor(self._pool, session.end))
            await self._send(json.dumps({"ended": True}))
        else:
            raise ConfigError('got a message that is neither {"permit": [...]} nor {"end": true}.')

    async def _send(self, message: bytes | str) -> None:
        if message:
            async with asyncio.timeout(self._limits.send_s):
                await self._connection.send(message)
            if isinstance(message, bytes):
                self._metrics.count["bytes_out_total"] += len(message)


class _Session:
    """The stream of one connection, and how its output is written; a client may revoke what the service permits."""

    def __init__(self, most: Filter, hello: Hello) -> None:
        self._most, self._hello, self.sample_rate = most.permit, hello, hello.sample_rate
        self._permit = permit = most if hello.permit is None else most.permitting(self._some(hello.permit))
        self._stream: Any
        self._write: Callable[[Any], bytes | str]
        if hello.output == "features":
            self._stream, self._write = permit.feature_stream(hello.sample_rate), encode_features
        elif hello.output == "labels":
            self._stream, self._write = permit.label_stream(hello.sample_rate), encode_labels
        else:
            self._stream = permit.stream(hello.sample_rate)
            self._write = lambda wav: encode(wav, hello.encoding)

    def agreed(self) -> dict[str, Any]:
        """The answer to the hello."""
        return {
            "sample_rate": self.sample_rate,
            "encoding": self._hello.encoding,
            "output": self._hello.output,
            "pace": self._hello.pace,
            "permit": list(self._permit.permit),
            "latency_samples": self._stream.latency_samples,
            "bits_per_block": self._permit.rate.bits_per_block if self._permit.rate else None,
            "block_s": self._permit.block_s,
            "filter": self._permit.digest,
        }

    def feed(self, samples: Wave) -> bytes | str:
        """What is ready after these samples."""
        return self._passed(lambda: self._stream.feed(samples))

    def end(self) -> bytes | str:
        """What is left of the sound."""
        return self._passed(self._stream.flush)

    def permitting(self, tasks: Any) -> list[str]:
        """Consent for these tasks alone, sorted."""
        chosen = self._some(parse_tasks(tasks))
        self._stream.permitting(chosen)
        return sorted(chosen)

    def _passed(self, work: Callable[[], Any]) -> bytes | str:
        try:
            return self._write(work())
        except SottovoceError:
            raise
        except Exception as error:  # whatever it is, nothing is passed on
            raise ModelError(f"the filter failed ({type(error).__name__})") from error

    def _some(self, tasks: tuple[str, ...]) -> tuple[str, ...]:
        """These tasks, if the service permits them all."""
        if more := sorted({*tasks} - {*self._most}):
            raise ConfigError(f"the service does not permit {more[0][:40]!r}; ask for some of {', '.join(self._most)}.")
        return tasks


class Backlog:
    """What came from a client and waits: sound, some `most` samples of it, and control messages between, in order.

    One that `drops` loses its oldest sound where more comes; another makes whoever fills it wait for `room`.
    """

    def __init__(self, most: int, drops: bool) -> None:
        self._most, self._drops, self._held = most, drops, 0
        self._items: deque[tuple[float, Wave | str]] = deque()  # when each came
        self._changed = asyncio.Event()

    def put(self, item: Wave | str) -> int:
        """Add samples or a control message -> samples dropped for it; ConfigError for too many messages."""
        self._items.append((time.monotonic(), item))
        self._held += 0 if isinstance(item, str) else len(item)
        self._changed.set()
        return self._cut() if self._drops else 0

    async def get(self) -> tuple[float, Wave | str]:
        """When the next item came, and the item: a control message, or else all samples before the next one."""
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
