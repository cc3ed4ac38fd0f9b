"""A filter for whoever connects: sound in by WebSocket, obfuscated sound, features or labels out.

A connection begins with a hello, JSON as in `wire.Hello`, that is answered with what was agreed. Then each binary
message is raw sound, and what it makes ready comes back as one. {"permit": [...]} changes consent from the next block
on; {"end": true} asks for the rest, after which {"ended": true} comes; how often is limited by `pacing`. Errors are
{"error": "..."} and a closed connection. GET /healthz says whether it is up; GET /metrics counts, for clients with
the token of the metrics.

Each connection has a stream of its own, and there is no way from what came in to what goes out but that stream.
"""

from __future__ import annotations

import asyncio
import http
import json
import logging
import ssl
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from sottovoce.errors import ConfigError, MissingExtraError, ModelError, SottovoceError
from sottovoce.machine import usable_cores
from sottovoce.runtime.filter import Filter
from sottovoce.runtime.pacing import Paces
from sottovoce.serve.access import SUBPROTOCOL, Limits, bears, check_place, listener, token_subprotocols
from sottovoce.serve.conversation import Conversation
from sottovoce.serve.metrics import Metrics

if TYPE_CHECKING:
    from websockets.asyncio.server import Server, ServerConnection
    from websockets.http11 import Request, Response
    from websockets.typing import Subprotocol

_LOG = logging.getLogger("sottovoce.service")
_SILENT = logging.getLogger("sottovoce.service.websockets")
_SILENT.disabled = True  # it would write out frames, and so sound, where a program logs all it can
_WRITE_BYTES = 1 << 16  # that wait for a slow reader before its sound is dropped
_MESSAGES = 8  # that wait unread, of each connection
_GOODBYE_S = 2.0
_CLOSING = {"busy": 1013, "failed": 1011, "refused": 1008}


class Service:
    """The WebSocket service of one filter; `token` None lets all in who reach it, `origins` are web pages that may.

    `metrics_token` opens /metrics, which is off without one, as it shows the traffic of all.
    """

    def __init__(
        self,
        permit: Filter,
        limits: Limits | None = None,
        token: str | None = None,
        origins: tuple[str, ...] = (),
        metrics_token: str | None = None,
    ) -> None:
        if metrics_token is not None and metrics_token == token:
            raise ConfigError("the metrics have the token of the clients; give them one of their own.")
        self.metrics = Metrics()
        self._permit, self._limits = permit, limits or Limits()
        self._token, self._origins, self._metrics_token = token, origins, metrics_token
        self._paces = Paces(permit.block_s)
        self._draining = False
        self._pool = ThreadPoolExecutor(usable_cores(), "filter")

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> Server:
        """Listen; ConfigError for a place that others reach without TLS and a token, or that cannot be had."""
        serve, connection = _websockets()
        check_place(host, tls is not None, self._token)
        try:
            server: Server = await serve(
                self._session,
                host,
                port,
                ssl=tls,
                origins=[None, *self._origins],
                process_request=self._asked,
                select_subprotocol=_subprotocol,
                create_connection=connection,
                compression=None,
                max_size=self._limits.message_bytes,
                max_queue=_MESSAGES,
                write_limit=_WRITE_BYTES,
                server_header=None,
                close_timeout=_GOODBYE_S,
                logger=_SILENT,
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
        authorization = request.headers.get_all("Authorization")
        if request.path == "/metrics":
            if self._metrics_token is None:
                return connection.respond(http.HTTPStatus.NOT_FOUND, "metrics are off\n")
            if bears(self._metrics_token, authorization):
                return connection.respond(http.HTTPStatus.OK, self.metrics.text())
            self.metrics.refused["token"] += 1
            return connection.respond(http.HTTPStatus.UNAUTHORIZED, "the token of the metrics is needed\n")
        offered = ",".join(request.headers.get_all("Sec-WebSocket-Protocol")).split(",")
        if self._token is not None and not bears(self._token, authorization, [name.strip() for name in offered]):
            self.metrics.refused["token"] += 1
            return connection.respond(http.HTTPStatus.UNAUTHORIZED, "a bearer token is needed\n")
        if self._draining or self.metrics.count["connections"] >= self._limits.connections:
            self.metrics.refused["connections"] += 1
            return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "no connection is free\n")
        return None

    async def _session(self, connection: ServerConnection) -> None:
        """One connection, from hello to end."""
        from websockets.exceptions import ConnectionClosed

        count = self.metrics.count
        if count["connections"] >= self._limits.connections:  # others came in between
            self.metrics.refused["connections"] += 1
            await _end(connection, "busy", "no connection is free")
            return
        count["connections"] += 1
        count["connections_total"] += 1
        began, ending = time.monotonic(), "ended"
        try:
            async with asyncio.timeout(self._limits.total_s):
                with self._paces.taken(listener(connection.remote_address)) as pace:
                    await Conversation(connection, self._permit, self._limits, self.metrics, self._pool, pace).run()
        except ConnectionClosed:
            ending = "closed"
        except TimeoutError:
            ending = "timeout"
            self.metrics.refused["time"] += 1
            await _end(connection, "refused", "time is up")
        except ModelError:
            ending = "failed"
            count["failures_total"] += 1
            await self._refuse(connection, "the filter failed; nothing was passed on", "failed")
        except SottovoceError as error:
            ending = "refused"
            self.metrics.refused["message"] += 1
            await self._refuse(connection, str(error), "refused")
        except Exception as error:  # whatever it is, a log must not quote it
            ending = f"failed ({type(error).__name__})"
            count["failures_total"] += 1
            await self._refuse(connection, "the service failed; nothing was passed on", "failed")
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


def _subprotocol(connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """The answer to a browser, which needs one of the subprotocols that it offered: rather not the token."""
    known = [name for name in offered if name == SUBPROTOCOL] + token_subprotocols(offered)
    return known[0] if known else None  # type: ignore[return-value]


async def _end(connection: ServerConnection, kind: str, reason: str) -> None:
    """Close, politely where the client reads."""
    try:
        async with asyncio.timeout(_GOODBYE_S):
            await connection.close(_CLOSING[kind], reason)
    except TimeoutError:  # closing waits, without an end of its own, for whoever does not read
        connection.transport.abort()


def _websockets() -> tuple[Any, type[ServerConnection]]:
    """The function that serves, and a connection class that reports each ping of the client to its conversation."""
    try:
        from websockets.asyncio.server import ServerConnection, serve
        from websockets.frames import Frame, Opcode
    except ImportError as error:
        raise MissingExtraError(
            "the service needs websockets, which is not installed: pip install 'sottovoce[serve]'."
        ) from error

    class Connection(ServerConnection):
        on_ping = staticmethod(lambda: None)

        def process_event(self, event: Any) -> None:
            if isinstance(event, Frame) and event.opcode is Opcode.PING:
                self.on_ping()
            super().process_event(event)

    return serve, Connection
