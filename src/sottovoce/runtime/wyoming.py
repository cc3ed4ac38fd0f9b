"""The filter as a station of the Wyoming protocol, by which smart homes pass sound between programs.

An event is a line of JSON, {"type", "version", "data", "data_length", "payload_length"}, then `data_length` bytes of
JSON that are added to its data, then `payload_length` bytes; sound is the payload of "audio-chunk", whose data are
rate, width (bytes) and channels. As the protocol's own project publishes it (version 1.10).

Whoever connects talks to the service behind (`forward`), a recogniser or wake word detector, through the filter: what
it sends as sound is obfuscated, and any other event with a payload is dropped, as it could be sound. What the service
answers comes back unchanged. Where there is no service behind, the obfuscated sound itself comes back.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from sottovoce import __version__
from sottovoce.audio.io import check_rate
from sottovoce.audio.spectrum import Wave
from sottovoce.errors import ConfigError, SottovoceError
from sottovoce.machine import usable_cores
from sottovoce.runtime.door import check_place
from sottovoce.runtime.filter import Filter
from sottovoce.runtime.service import Limits
from sottovoce.runtime.wire import decode, encode

_LOG = logging.getLogger("sottovoce.wyoming")
_LINE_BYTES = 1 << 16
_WIDTH = 2  # bytes of a sample; the protocol's services use no other
_MOST_CHANNELS = 8


@dataclass(frozen=True)
class Event:
    """One event; `data` are its JSON, `payload` its bytes."""

    type: str
    data: Mapping[str, Any]
    payload: bytes = b""

    def encode(self) -> bytes:
        """As it goes over the network."""
        data = json.dumps(self.data).encode() if self.data else b""
        header: dict[str, Any] = {"type": self.type, "version": __version__}
        header |= {"data_length": len(data)} if data else {}
        header |= {"payload_length": len(self.payload)} if self.payload else {}
        return json.dumps(header).encode() + b"\n" + data + self.payload


async def read_event(reader: asyncio.StreamReader, most_bytes: int) -> Event | None:
    """The next event; None at the end. ConfigError for what is none, or has more than `most_bytes` in a part."""
    try:
        line = await reader.readline()
        if not line:
            return None
        header = json.loads(line)
        lengths = [header.get(name) or 0 for name in ("data_length", "payload_length")]
        if not isinstance(header["type"], str) or not all(type(n) is int and 0 <= n <= most_bytes for n in lengths):
            raise ValueError
        data = header.get("data") or {}
        data = {**data, **(json.loads(await reader.readexactly(lengths[0])) if lengths[0] else {})}
        return Event(header["type"], data, await reader.readexactly(lengths[1]))
    except asyncio.IncompleteReadError:
        return None  # it hung up in the middle: of that nothing is used
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ConfigError(f"got no event of the Wyoming protocol, or one of more than {most_bytes} bytes.") from error


def address(text: str | None) -> tuple[str, int] | None:
    """Host and port of HOST:PORT; ConfigError for anything else."""
    if text is None:
        return None
    host, _, port = text.removeprefix("tcp://").rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ConfigError(f"{text!r} is no HOST:PORT of a service behind.")
    return host, int(port)


class Station:
    """A filter for whoever speaks Wyoming; `forward` is host and port of the service behind, or None."""

    def __init__(self, permit: Filter, limits: Limits | None = None, forward: tuple[str, int] | None = None) -> None:
        self._permit, self._limits, self._forward = permit, limits or Limits(), forward
        self._pool = ThreadPoolExecutor(usable_cores(), "filter")
        self._talks: set[asyncio.Task[Any]] = set()

    async def start(self, host: str, port: int) -> asyncio.Server:
        """Listen; the protocol has neither TLS nor token, so ConfigError for a place that other machines reach."""
        check_place(host, False, None)
        try:
            return await asyncio.start_server(self._session, host, port, limit=_LINE_BYTES)
        except OSError as error:
            raise ConfigError(f"{host}:{port} cannot be listened at ({error.strerror}); choose another.") from error

    async def stop(self, server: asyncio.Server) -> None:
        """Take nobody new; give those who are there time to end, then close."""
        server.close()
        if self._talks:
            await asyncio.wait(self._talks, timeout=self._limits.drain_s)
        for talk in self._talks:
            talk.cancel()
        self._pool.shutdown(cancel_futures=True)

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._talks) >= self._limits.connections:
            writer.close()
            return
        self._talks.add(task)
        try:
            async with asyncio.timeout(self._limits.total_s):
                await self._talk(reader, writer)
        except (SottovoceError, OSError, TimeoutError) as error:
            _LOG.info("connection ended: %s", type(error).__name__)
        finally:
            self._talks.discard(task)
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._forward is None:
            await self._pass_on(reader, writer)
            return
        behind_reader, behind = await asyncio.open_connection(*self._forward, limit=_LINE_BYTES)
        try:
            ways = {
                asyncio.create_task(self._pass_on(reader, behind)),
                asyncio.create_task(_copied(behind_reader, writer)),
            }
            done, pending = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)
            for task in done:
                task.result()
        finally:
            behind.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The events of a client to `writer`, sound through a stream of its own."""
        listener = _Listener(self._permit)
        loop = asyncio.get_running_loop()
        while True:
            async with asyncio.timeout(self._limits.idle_s):
                event = await read_event(reader, self._limits.message_bytes)
            if event is None:
                return
            for one in await loop.run_in_executor(self._pool, listener.heard, event):
                writer.write(one.encode())
            async with asyncio.timeout(self._limits.send_s):
                await writer.drain()


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What the service behind answers, as it is."""
    async for content in _contents(reader):
        writer.write(content)
        await writer.drain()


async def _contents(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    with suppress(ConnectionError):
        while content := await reader.read(_LINE_BYTES):
            yield content


class _Listener:
    """The sound of one connection: events to those that may go on."""

    def __init__(self, permit: Filter) -> None:
        self._permit = permit
        self._stream: Any = None
        self._rate = 0

    def heard(self, event: Event) -> list[Event]:
        """What goes on in the place of an event; ConfigError for sound of another form than the protocol's."""
        if event.type == "audio-chunk":
            samples = self._samples(event)
            return self._chunks(self._stream.feed(samples))
        if event.type == "audio-stop":
            rest = self._chunks(self._stream.flush()) if self._stream is not None else []
            self._stream = None
            return [*rest, Event(event.type, {})]
        if event.type == "audio-start":
            self._open(event.data)
            return [Event(event.type, {"rate": self._rate, "width": _WIDTH, "channels": 1})]
        return [] if event.payload else [event]

    def _open(self, data: Mapping[str, Any]) -> None:
        rate = data.get("rate")
        if type(rate) is not int or data.get("width") != _WIDTH:
            raise ConfigError(f"got sound of rate {rate!r} and width {data.get('width')!r}; expected Hz, and 2 bytes.")
        check_rate(rate)
        if self._stream is None or rate != self._rate:
            self._stream, self._rate = self._permit.stream(rate), rate

    def _samples(self, event: Event) -> Wave:
        """The mean of the channels."""
        self._open(event.data)
        channels = event.data.get("channels")
        if type(channels) is not int or not 0 < channels <= _MOST_CHANNELS:
            raise ConfigError(f"got sound of {channels!r} channels; expected 1 to {_MOST_CHANNELS}.")
        if len(event.payload) % (_WIDTH * channels):
            raise ConfigError(f"got {len(event.payload)} bytes; expected {_WIDTH * channels} for each sample.")
        mono: Wave = decode(event.payload, "s16le").reshape(-1, channels).mean(axis=1, dtype=np.float32)
        return mono

    def _chunks(self, wav: Wave) -> list[Event]:
        """The sound as events of at most 100 ms."""
        size = self._rate // 10
        form = {"rate": self._rate, "width": _WIDTH, "channels": 1}
        parts = [wav[start : start + size] for start in range(0, len(wav), size)]
        return [Event("audio-chunk", form, encode(part, "s16le")) for part in parts]
