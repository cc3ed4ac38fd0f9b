"""The filter as a station of the Wyoming protocol, by which smart homes pass sound between programs.

Whoever connects talks to the service behind (`forward`), a recogniser or wake word detector, through the filter. Only
this reaches it: obfuscated sound, at one rate; where a sound begins and ends; and of "transcribe", "detect" and
"describe" what `events` lets through. All of it is paced, so that a sender cannot reveal more by how often it begins,
ends or connects. The answers of a recogniser come back; any other event, in either direction, is dropped. Where there
is no service behind, the obfuscated sound itself comes back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from sottovoce.errors import ConfigError, SottovoceError
from sottovoce.machine import usable_cores
from sottovoce.runtime.filter import Filter
from sottovoce.runtime.pacing import Pace, Paces
from sottovoce.serve.access import Limits, check_place, is_loopback, listener
from sottovoce.serve.events import ANSWERS, Event, KnownNames, Sounds, error_event, read_event, sound_form

_LOG = logging.getLogger("sottovoce.wyoming")
_RECOGNISER_HZ = 16_000  # at which a service behind gets its sound, whatever rate a sender chooses
_PONG_LETTERS = 64
_GOODBYE_S, _GOODBYE_BYTES = 1.0, 1 << 16


def address(text: str | None) -> tuple[str, int] | None:
    """Host and port of HOST:PORT; ConfigError for anything else."""
    if text is None:
        return None
    host, _, port = text.removeprefix("tcp://").rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not (port.isascii() and port.isdigit() and len(port) < 6) or not 0 < int(port) < 65536:
        raise ConfigError(f"{text!r} is no HOST:PORT of a service behind.")
    return host, int(port)


class Station:
    """A filter for whoever speaks Wyoming; `forward` is host and port of the service behind, or None.

    ConfigError where that is another machine.
    """

    def __init__(self, permit: Filter, limits: Limits | None = None, forward: tuple[str, int] | None = None) -> None:
        if forward is not None and not is_loopback(forward[0]):
            raise ConfigError(
                f"{forward[0]} is another machine, and the Wyoming protocol has neither TLS nor token; forward to "
                "127.0.0.1, where a tunnel to it (ssh -L, stunnel) listens."
            )
        self.permit, self.limits, self.forward = permit, limits or Limits(), forward
        self.names, self.pool = KnownNames(), ThreadPoolExecutor(usable_cores(), "filter")
        self._paces = Paces(permit.block_s)
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self, host: str, port: int) -> asyncio.Server:
        """Listen; the protocol has neither TLS nor token, so ConfigError for a place that other machines reach."""
        check_place(host, False, None)
        try:
            return await asyncio.start_server(self._session, host, port, limit=self.limits.message_bytes)
        except OSError as error:
            raise ConfigError(f"{host}:{port} cannot be listened at ({error.strerror}); choose another.") from error

    async def stop(self, server: asyncio.Server) -> None:
        """Take nobody new; give those who are there time to end, then close."""
        server.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self.limits.drain_s)
        for talk in self._tasks:
            talk.cancel()
        self.pool.shutdown(cancel_futures=True)

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._tasks) >= self.limits.connections:
            await _last_word(reader, writer, "no connection is free")
            return
        self._tasks.add(task)
        # A service behind gets the sound of all connections: who hangs up and comes back may not begin anew.
        who = "behind" if self.forward else listener(writer.get_extra_info("peername"))
        ending, reason = "ended", ""
        try:
            async with asyncio.timeout(self.limits.total_s):
                with self._paces.taken(who) as pace:
                    await _Connection(self, reader, writer, pace).run()
        except asyncio.CancelledError:
            ending = "stopped"
        except TimeoutError:
            ending, reason = "timeout", "time is up"
        except SottovoceError as error:
            ending, reason = type(error).__name__, str(error)
        except OSError as error:
            ending = type(error).__name__
        except Exception as error:  # whatever it is, nothing is passed on, and a log must not quote it
            ending, reason = type(error).__name__, "the filter failed; nothing was passed on"
        finally:
            self._tasks.discard(task)
            _LOG.info("connection %s", ending)
            await _last_word(reader, writer, reason)


class _Connection:
    """One connection: the requests of a client to the service behind, and its answers to the client."""

    def __init__(
        self, station: Station, client: asyncio.StreamReader, to_client: asyncio.StreamWriter, pace: Pace
    ) -> None:
        self._limits, self._forward, self._pool = station.limits, station.forward, station.pool
        self._client, self._to_client, self._pace, self._names = client, to_client, pace, station.names
        self._sounds = Sounds(station.permit, _RECOGNISER_HZ if station.forward else None)
        self._behind: asyncio.StreamWriter | None = None
        self._answering: asyncio.Task[None] | None = None
        self._unanswered = False
        self._patience: asyncio.Timeout

    async def run(self) -> None:
        """Talk, until the client or the service behind hangs up; a client that only stops sending gets its answers."""
        try:
            async with asyncio.timeout(None) as self._patience:
                while (event := await self._request()) is not None:
                    await self._handle(event)
                if self._behind is not None and self._answering is not None:
                    with suppress(OSError):
                        self._behind.write_eof()
                    self._alive()
                    await self._answering
        finally:
            if self._answering is not None:
                self._answering.cancel()
                await asyncio.gather(self._answering, return_exceptions=True)
            if self._behind is not None:
                self._behind.close()

    def _alive(self, wait_s: float = 0.0) -> None:
        """Time for the next event: of the client, or, where an answer is due, of the service behind."""
        limit_s = self._limits.answer_s if self._unanswered else self._limits.idle_s
        if not self._patience.expired():
            self._patience.reschedule(asyncio.get_running_loop().time() + wait_s + limit_s)

    async def _request(self) -> Event | None:
        """The next event of the client; None once it sends no more, or nobody is behind any more."""
        self._alive()
        reading = asyncio.create_task(read_event(self._client, self._limits.message_bytes))
        answering = {self._answering} if self._answering is not None else set()
        try:
            done, _ = await asyncio.wait({reading, *answering}, return_when=asyncio.FIRST_COMPLETED)
            return None if done & answering else reading.result()
        finally:
            reading.cancel()

    async def _handle(self, event: Event) -> None:
        """Do what an event of the client requires."""
        if event.type == "ping":
            text = event.data.get("text")
            await self._send(
                self._to_client, Event("pong", {"text": text[:_PONG_LETTERS]} if type(text) is str else {})
            )
        elif event.type == "describe":
            await self._paced()
            await self._pass_on([Event("describe", {})])
            self._unanswered = self._forward is not None
        elif event.type == "audio-start":
            await self._begin(event)
        elif event.type == "audio-chunk":
            samples, rate = self._sounds.samples(event)
            if not self._sounds.open or rate != self._sounds.rate:
                await self._begin(event)
            self._pace.feed(len(samples) / rate)
            await self._pass_on(await self._worked(self._sounds.feed, samples))
        elif event.type == "audio-stop":
            await self._end()
            await self._pass_on([Event("audio-stop", {})])
            self._unanswered = self._forward is not None
        elif (request := self._names.request(event)) is not None:
            self._sounds.keep(request)

    async def _begin(self, event: Event) -> None:
        """A sound begins; one that was not stopped is passed on to its end, and is forgotten."""
        rate = sound_form(event)[0]
        if self._sounds.open:
            await self._end()
        self._sounds.begin(rate)

    async def _end(self) -> None:
        await self._paced()
        await self._pass_on(await self._worked(self._sounds.end))

    async def _paced(self) -> None:
        """Wait until a sound may end."""
        while wait_s := self._pace.wait_s():
            self._alive(wait_s)
            await asyncio.sleep(wait_s)
        self._pace.end()

    async def _worked(self, work: Callable[..., list[Event]], *given: Any) -> list[Event]:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *given)

    async def _pass_on(self, events: list[Event]) -> None:
        """Events to the service behind, which is called when there is something for it, or back to the client."""
        if events and self._forward is not None and self._behind is None:
            try:
                async with asyncio.timeout(self._limits.send_s):
                    reader, self._behind = await asyncio.open_connection(
                        *self._forward, limit=self._limits.message_bytes
                    )
            except (OSError, TimeoutError) as error:
                raise ConfigError("the service behind does not answer; start it, or check --forward.") from error
            self._answering = asyncio.create_task(self._answers(reader))
        if events:
            await self._send(self._behind or self._to_client, *events)

    async def _answers(self, behind: asyncio.StreamReader) -> None:
        """What the service behind answers, to the client, until it hangs up."""
        while (event := await read_event(behind, self._limits.message_bytes)) is not None:
            self._unanswered = False
            self._alive()
            if event.type in ANSWERS:
                await self._send(self._to_client, Event(event.type, event.data))
        if self._unanswered or self._sounds.open:
            await self._send(self._to_client, error_event("the service behind hung up without an answer"))

    async def _send(self, writer: asyncio.StreamWriter, *events: Event) -> None:
        for event in events:
            writer.write(event.encode())
        async with asyncio.timeout(self._limits.send_s):
            await writer.drain()


async def _last_word(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, text: str) -> None:
    """Say why, where there is something to say, and close."""
    with suppress(OSError, TimeoutError):
        if text:
            async with asyncio.timeout(_GOODBYE_S):
                writer.write(error_event(text).encode())
                writer.write_eof()
                while await reader.read(_GOODBYE_BYTES):  # closing before all was read would take the last word back
                    pass
    writer.close()
