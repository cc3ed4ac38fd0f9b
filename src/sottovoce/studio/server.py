"""The local page by HTTP on 127.0.0.1: its files, reports, what the machine has, and the start of an audit.

All that may be asked for is looked up by name in tables; no path of a request reaches the file system.
"""

from __future__ import annotations

import json
import os
import re
import socketserver
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from sottovoce.errors import ConfigError, SottovoceError
from sottovoce.studio.access import Access
from sottovoce.studio.machine import Machine
from sottovoce.studio.pages import policy
from sottovoce.studio.starting import Starter

_CONNECTIONS = 64
_PATIENCE_S = 20.0  # with a client that sends nothing
_LARGEST_BODY = 1 << 14
_SAFE = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".svg": "image/svg+xml",
    ".json": "application/json",
}
# A report may come from a stranger: it gets an origin of its own, and no script.
_REPORT = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:; frame-ancestors 'self'"
)
_ENTER = (
    b'<!doctype html><meta http-equiv="refresh" content="0; url=./"><title>Sottovoce</title><a href="./">Continue</a>'
)


class Studio(socketserver.ThreadingTCPServer):
    """The server; `pages` are the files of the page by name, of which index.html is the first page."""

    allow_reuse_address = os.name == "posix"
    daemon_threads = True

    def __init__(self, machine: Machine, pages: Mapping[str, Path], port: int = 0) -> None:
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except OSError as error:
            raise ConfigError(f"127.0.0.1:{port} cannot be listened at ({error.strerror}); choose another.") from error
        self.machine, self.pages, self.starter = machine, pages, Starter(machine)
        self.policy = f"{policy()}; frame-src 'self'; frame-ancestors 'self'"
        self.access = Access(self.server_address[1])
        self._free = threading.BoundedSemaphore(_CONNECTIONS)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, if there are not too many of them."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """The end of an answer."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves is no error, and nothing of a request is printed."""


class _Handler(BaseHTTPRequestHandler):
    server: Studio
    timeout = _PATIENCE_S

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_POST = do_GET

    def _answer(self) -> None:
        path, _, query = self.path.partition("?")
        access = self.server.access
        if not path.startswith(access.path):
            return self.send_error(HTTPStatus.NOT_FOUND)
        name = path.removeprefix(access.path)
        if objection := access.objection(self.command, name, self.headers):
            return self._say(HTTPStatus.FORBIDDEN, objection)
        try:
            given = {key: values[0] for key, values in parse_qs(query, max_num_fields=4).items()}
            self._named(name, given)
        except (SottovoceError, ValueError) as error:
            self._say(HTTPStatus.BAD_REQUEST, str(error))

    def _named(self, name: str, given: Mapping[str, str]) -> None:
        """Answer what is asked for by name."""
        machine, starter = self.server.machine, self.server.starter
        posts: dict[str, Callable[[Any], Any]] = {"plan": starter.plan, "audit": starter.start}
        gets: dict[str, Callable[[], Any]] = {
            "machine.json": machine.state,
            "compare.json": lambda: machine.compared([key for key in given.get("audits", "").split(",") if key]),
        }
        if (self.command == "POST") != (name in posts):
            return self.send_error(HTTPStatus.METHOD_NOT_ALLOWED)
        if name in posts:
            if (body := self._body()) is not None:
                self._json(posts[name](body))
        elif name in gets:
            self._json(gets[name]())
        elif name == "open":
            self._open(given.get("token", ""))
        elif name.startswith("report/"):
            self._send(HTTPStatus.OK, machine.report(name.removeprefix("report/")), "text/html; charset=utf-8", _REPORT)
        elif page := self.server.pages.get(name or "index.html"):
            self._send(HTTPStatus.OK, page.read_bytes(), _KINDS.get(page.suffix, "application/octet-stream"))
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def _open(self, token: str) -> None:
        # Not by a redirection: a browser that came here from elsewhere would not send the cookie along.
        if self.server.access.opens(token):
            self._send(HTTPStatus.OK, _ENTER, "text/html; charset=utf-8", cookie=self.server.access.cookie)
        else:
            self._say(HTTPStatus.FORBIDDEN, "This link was used, or is not complete; start `sottovoce studio` again.")

    def _body(self) -> bytes | None:
        """The body of a request; None where it was refused."""
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch(r"\d{1,9}", length) or "Transfer-Encoding" in self.headers:
            self._say(HTTPStatus.LENGTH_REQUIRED, "A request needs a length.")
        elif int(length) > _LARGEST_BODY:
            self._say(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A request may have {_LARGEST_BODY} bytes.")
        elif self.headers.get("Content-Type") != "application/json":
            self._say(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "A request has to be JSON.")
        else:
            return self.rfile.read(int(length))
        return None

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Say what is wrong, without what was asked for."""
        status = HTTPStatus.METHOD_NOT_ALLOWED if code == HTTPStatus.NOT_IMPLEMENTED else HTTPStatus(code)
        self._say(status, f"{status.phrase}.")

    def _say(self, status: HTTPStatus, sentence: str) -> None:
        self._send(status, sentence.encode(errors="replace"), "text/plain; charset=utf-8")

    def _json(self, value: Any) -> None:
        self._send(HTTPStatus.OK, json.dumps(value).encode(), "application/json")

    def _send(self, status: HTTPStatus, content: bytes, kind: str, policy: str = "", cookie: str = "") -> None:
        self.send_response_only(status)
        own = {"Content-Type": kind, "Content-Length": str(len(content)), "Connection": "close"}
        for key, value in {**own, **_SAFE, "Content-Security-Policy": policy or self.server.policy}.items():
            self.send_header(key, value)
        if cookie:
            self.send_header("Set-Cookie", cookie)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Nothing is logged: a line would hold the token of the link."""
