"""What is said over one WebSocket connection, from the hello to the end."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any

from sottovoce.audio.spectrum import Wave
from sottovoce.errors import ConfigError, ModelError, SottovoceError
from sottovoce.runtime.filter import Filter
from sottovoce.runtime.pacing import Pace
from sottovoce.serve.backlog import Backlog
from sottovoce.serve.metrics import Metrics
from sottovoce.serve.wire import Hello, decode, encode, encode_features, parse_object, parse_tasks

if TYPE_CHECKING:
    from sottovoce.serve.websocket import Limits


class Conversation:
    """One connection: a `connection` of websockets, and what the service lends it; `run` lasts as long as it does.

    TimeoutError where the client says nothing for too long, ConfigError and AudioError for its mistakes, ModelError
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
        hello = Hello.parse(_text(await self._connection.recv()))
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
                await self._grant(session, parse_object(item))
            else:
                self._pace.feed(len(item) / session.sample_rate)
                content = await loop.run_in_executor(self._pool, session.hear, item)
                await self._send(content)
                if content:
                    self._metrics.worked(time.monotonic() - came)

    async def _grant(self, session: _Session, wish: dict[str, Any]) -> None:
        """What a client asks for besides sound: other consent, or the end of its sound once that may be."""
        if set(wish) == {"permit"}:
            await self._send(json.dumps({"permit": session.permitting(wish["permit"])}))
        elif set(wish) == {"end"} and wish["end"] is True:
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
        self._write: Callable[[Any], bytes]
        if hello.output == "features":
            self._stream, self._write = permit.feature_stream(hello.sample_rate), encode_features
        else:
            self._stream = permit.stream(hello.sample_rate)
            self._write = lambda wav: encode(wav, hello.encoding)

    def agreed(self) -> dict[str, Any]:
        """What the client is told at first."""
        return {
            "sample_rate": self.sample_rate,
            "encoding": self._hello.encoding,
            "output": self._hello.output,
            "pace": self._hello.pace,
            "permit": list(self._permit.permit),
            "latency_samples": self._stream.latency_samples,
            "bits_per_block": self._permit.rate.bits_per_block if self._permit.rate else None,
            "block_s": self._permit.engine.block_s,
            "filter": self._permit.digest,
        }

    def hear(self, samples: Wave) -> bytes:
        """What is ready after these samples."""
        return self._passed(lambda: self._stream.feed(samples))

    def end(self) -> bytes:
        """What is left of the sound."""
        return self._passed(self._stream.flush)

    def permitting(self, tasks: Any) -> list[str]:
        """Consent for these tasks alone, sorted."""
        chosen = self._some(parse_tasks(tasks))
        self._stream.permitting(chosen)
        return sorted(chosen)

    def _passed(self, work: Callable[[], Any]) -> bytes:
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


def _text(message: str | bytes) -> str:
    if isinstance(message, bytes):
        raise ConfigError("the first message has to be the hello, a text of JSON; got sound.")
    return message
