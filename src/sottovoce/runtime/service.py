"""A filter for whoever connects: sound in by WebSocket, obfuscated sound or features out.

A connection begins with a hello, JSON as `wire.Hello` says, that is answered with what was agreed. Then each binary
message is raw sound, and what it makes ready comes back as one. {"permit": [...]} changes consent from the next block
on; {"end": true} asks for the rest, after which {"ended": true} comes. Errors are {"error": "..."} and a closed
connection. GET /healthz says whether it is up, GET /metrics counts.

Each connection has a stream of its own, and there is no way from what came in to what goes out but that stream.
"""

from __future__ import annotations

import asyncio
import hmac
import http
import json
import logging
import os
import ssl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sottovoce.audio.spectrum import Wave
from sottovoce.errors import ConfigError, MissingExtraError, ModelError, SottovoceError
from sottovoce.runtime.backlog import Backlog
from sottovoce.runtime.door import check_place
from sottovoce.runtime.features import FeatureStream
from sottovoce.runtime.filter import Filter
from sottovoce.runtime.metrics import Metrics
from sottovoce.runtime.wire import Hello, decode, encode, encode_features, parse_object, parse_tasks

if TYPE_CHECKING:
    from websockets.asyncio.server import Server, ServerConnection
    from websockets.http11 import Request, Response

_LOG = logging.getLogger("sottovoce.service")
_WRITE_BYTES = 1 << 16  # that wait for a slow reader before its sound is dropped
_MESSAGES = 8  # that wait unread, of each connection
_GOODBYE_S = 2.0
_CLOSING = {"busy": 1013, "failed": 1011, "refused": 1008}


@dataclass(frozen=True)
class Limits:
    """Of a service: connections, bytes of a message, and seconds.

    Seconds of sound that waits to be worked on, of silence from a client, of a whole connection, of a client that does
    not read, and for whoever is there when the service is to stop.
    """

    connections: int = 50
    message_bytes: int = 1 << 18
    queue_s: float = 2.0
    idle_s: float = 30.0
    total_s: float = 4 * 3600.0
    send_s: float = 10.0
    drain_s: float = 10.0


class Service:
    """The WebSocket service of one filter; `token` None lets all in who reach it, `origins` are web pages that may."""

    def __init__(
        self, permit: Filter, limits: Limits | None = None, token: str | None = None, origins: tuple[str, ...] = ()
    ) -> None:
        self.metrics = Metrics()
        self._permit, self._limits = permit, limits or Limits()
        self._token, self._origins = token, origins
        self._draining = False
        self._pool = ThreadPoolExecutor(os.cpu_count() or 1, "filter")

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> Server:
        """Listen; ConfigError for a place that others reach without TLS and a token, or that cannot be had."""
        serve = _websockets()
        check_place(host, tls is not None, self._token)
        try:
            server: Server = await serve(
                self._session,
                host,
                port,
                ssl=tls,
                origins=[None, *self._origins],
                process_request=self._asked,
                compression=None,
                max_size=self._limits.message_bytes,
                max_queue=_MESSAGES,
                write_limit=_WRITE_BYTES,
                server_header=None,
                close_timeout=_GOODBYE_S,
            )
        except OSError as error:
            raise ConfigError(f"{host}:{port} cannot be listened at ({error.strerror}); choose another.") from error
        return server

    async def stop(self, server: Server) -> None:
        """Take nobody new; give those who are there time to end, then close."""
        self._draining = True
        deadline = time.monotonic() + self._limits.drain_s
        while self.metrics.count["connections"] and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        server.close()
        await server.wait_closed()
        self._pool.shutdown(cancel_futures=True)

    def _asked(self, connection: ServerConnection, request: Request) -> Response | None:
        """What is not a WebSocket connection is answered here, and what may not be one."""
        if request.path == "/healthz":
            status = http.HTTPStatus.SERVICE_UNAVAILABLE if self._draining else http.HTTPStatus.OK
            return connection.respond(status, "draining\n" if self._draining else "ok\n")
        given = "".join(request.headers.get_all("Authorization"))
        if self._token is not None and not hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode()):
            self.metrics.refuse("token")
            return connection.respond(http.HTTPStatus.UNAUTHORIZED, "a bearer token is needed\n")
        if request.path == "/metrics":
            return connection.respond(http.HTTPStatus.OK, self.metrics.text())
        if self._draining or self.metrics.count["connections"] >= self._limits.connections:
            self.metrics.refuse("connections")
            return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "no connection is free\n")
        return None

    async def _session(self, connection: ServerConnection) -> None:
        """One connection, from hello to end."""
        from websockets.exceptions import ConnectionClosed

        count = self.metrics.count
        if count["connections"] >= self._limits.connections:  # others came in between
            self.metrics.refuse("connections")
            await _end(connection, "busy", "no connection is free")
            return
        count["connections"] += 1
        count["connections_total"] += 1
        began, ending = time.monotonic(), "ended"
        try:
            async with asyncio.timeout(self._limits.total_s):
                await self._talk(connection)
        except ConnectionClosed:
            ending = "closed"
        except TimeoutError:
            ending = "timeout"
            self.metrics.refuse("time")
            await _end(connection, "refused", "time is up")
        except ModelError:
            ending = "failed"
            count["failures_total"] += 1
            await self._refuse(connection, "the filter failed; nothing was passed on", "failed")
        except SottovoceError as error:
            ending = "refused"
            self.metrics.refuse("message")
            await self._refuse(connection, str(error), "refused")
        finally:
            count["connections"] -= 1
            _LOG.info("connection %s after %.1f s", ending, time.monotonic() - began)

    async def _refuse(self, connection: ServerConnection, reason: str, kind: str) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            async with asyncio.timeout(self._limits.send_s):
                await connection.send(json.dumps({"error": reason}))
        except (ConnectionClosed, TimeoutError):
            pass
        await _end(connection, kind, "see the error")

    async def _talk(self, connection: ServerConnection) -> None:
        hello = Hello.parse(_text(await self._message(connection)))
        session = _Session(self._permit, hello)
        permit = session.permit
        agreed = {
            "sample_rate": hello.sample_rate,
            "encoding": hello.encoding,
            "output": hello.output,
            "pace": hello.pace,
            "permit": list(permit.permit),
            "latency_samples": session.stream.latency_samples,
            "rate_bits_per_s": permit.rate_bits_per_s,
            "filter": permit.digest,
        }
        await connection.send(json.dumps({"ready": agreed}))
        backlog = Backlog(round(self._limits.queue_s * hello.sample_rate), drops=hello.pace == "live")
        answering = asyncio.create_task(self._answer(connection, session, backlog))
        listening = asyncio.create_task(self._listen(connection, hello, backlog))
        try:
            await asyncio.wait({answering, listening}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (answering, listening):
                task.cancel()
            results = await asyncio.gather(answering, listening, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _message(self, connection: ServerConnection) -> str | bytes:
        async with asyncio.timeout(self._limits.idle_s):
            return await connection.recv()

    async def _listen(self, connection: ServerConnection, hello: Hello, backlog: Backlog) -> None:
        """Messages into the backlog, until the connection ends."""
        while True:
            message = await self._message(connection)
            if isinstance(message, bytes):
                samples = decode(message, hello.encoding)
                self.metrics.count["samples_in_total"] += len(samples)
                self.metrics.count["samples_dropped_total"] += backlog.put(samples)
            else:
                backlog.put(message)
            await backlog.room()

    async def _answer(self, connection: ServerConnection, session: _Session, backlog: Backlog) -> None:
        """The backlog through the stream to the client."""
        loop = asyncio.get_running_loop()
        while True:
            came, item = await backlog.get()
            if isinstance(item, str):
                content, said = await loop.run_in_executor(self._pool, session.wish, item)
                await self._send(connection, content)
                await self._send(connection, said)
            else:
                content = await loop.run_in_executor(self._pool, session.hear, item)
                await self._send(connection, content)
                if content:
                    self.metrics.worked(time.monotonic() - came)

    async def _send(self, connection: ServerConnection, message: bytes | str) -> None:
        if message:
            async with asyncio.timeout(self._limits.send_s):
                await connection.send(message)
            if isinstance(message, bytes):
                self.metrics.count["bytes_out_total"] += len(message)


class _Session:
    """The stream of one connection, and how its output is written; a client may revoke what the service permits."""

    def __init__(self, most: Filter, hello: Hello) -> None:
        self._most = most.permit
        self.permit = permit = most if hello.permit is None else most.permitting(self._some(hello.permit))
        self.stream: Any
        self._write: Callable[[Any], bytes]
        if hello.output == "features":
            self.stream, self._write = FeatureStream(permit, hello.sample_rate), encode_features
        else:
            self.stream = permit.stream(hello.sample_rate)
            self._write = lambda wav: encode(wav, hello.encoding)

    def hear(self, samples: Wave) -> bytes:
        """What is ready after these samples."""
        try:
            return self._write(self.stream.feed(samples))
        except SottovoceError:
            raise
        except Exception as error:  # whatever it is, nothing is passed on
            raise ModelError(f"the filter failed ({type(error).__name__})") from error

    def wish(self, text: str) -> tuple[bytes, str]:
        """What is left of the sound, where it is to end, and the answer."""
        content = parse_object(text)
        if set(content) == {"permit"}:
            tasks = self._some(parse_tasks(content["permit"]))
            self.stream.permitting(tasks)
            return b"", json.dumps({"permit": sorted(tasks)})
        if content == {"end": True}:
            return self._write(self.stream.flush()), json.dumps({"ended": True})
        raise ConfigError('got a message that is neither {"permit": [...]} nor {"end": true}.')

    def _some(self, tasks: tuple[str, ...]) -> tuple[str, ...]:
        """These tasks, if the service permits them all."""
        if more := sorted({*tasks} - {*self._most}):
            raise ConfigError(f"the service does not permit {more[0][:40]!r}; ask for some of {', '.join(self._most)}.")
        return tasks


async def _end(connection: ServerConnection, kind: str, reason: str) -> None:
    """Close, politely where the client reads."""
    try:
        async with asyncio.timeout(_GOODBYE_S):
            await connection.close(_CLOSING[kind], reason)
    except TimeoutError:  # closing waits, without an end of its own, for whoever does not read
        connection.transport.abort()


def _text(message: str | bytes) -> str:
    if isinstance(message, bytes):
        raise ConfigError("the first message has to be the hello, a text of JSON; got sound.")
    return message


def _websockets() -> Any:
    try:
        from websockets.asyncio.server import serve
    except ImportError as error:
        raise MissingExtraError(
            "the service needs websockets, which is not installed: pip install 'sottovoce[serve]'."
        ) from error
    return serve
