"""Who may ask the local page: a browser that was opened with the one-time link, from the page's own address.

Other pages on the machine, and names that an attacker lets point to it, are refused by the headers Host, Origin and
Sec-Fetch-Site. The cookie holds only below a random path, since browsers send cookies to every port of a host.
"""

from __future__ import annotations

import hmac
import secrets
import threading
from email.message import Message

_COOKIE = "sottovoce"


class Access:
    """The secrets of one server: a random path, the token of the one-time link, and what the cookie holds."""

    def __init__(self, port: int) -> None:
        self.host = f"127.0.0.1:{port}"
        self.path = f"/{secrets.token_hex(8)}/"
        self._token, self._secret = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        self._used, self._lock = False, threading.Lock()

    @property
    def url(self) -> str:
        """The one-time link."""
        return f"http://{self.host}{self.path}open?token={self._token}"

    @property
    def cookie(self) -> str:
        """The header Set-Cookie, for whoever has opened the link."""
        return f"{_COOKIE}={self._secret}; Path={self.path}; HttpOnly; SameSite=Strict"

    def opens(self, token: str) -> bool:
        """Whether this is the token of the link, which holds once."""
        with self._lock:
            right = hmac.compare_digest(token.encode(), self._token.encode()) and not self._used
            self._used = self._used or right
            return right

    def objection(self, method: str, name: str, headers: Message) -> str:
        """Why a request for `name` below the path is refused, "" where it is not."""
        origins, sites = headers.get_all("Origin") or [], headers.get_all("Sec-Fetch-Site") or []
        if headers.get_all("Host") != [self.host]:
            return "The page has another address than this."
        if any(origin != f"http://{self.host}" for origin in origins) or (method == "POST" and len(origins) != 1):
            return "Another page may not ask this one."
        if name == "open" and method != "POST":  # by a link, which may stand anywhere
            return ""
        if any(site not in ("same-origin", "none") for site in sites):
            return "Another page may not ask this one."
        if not self._bears_cookie(headers.get_all("Cookie") or []):
            return (
                "This page needs the link that `sottovoce studio` printed, in this browser; start it again for another."
            )
        return ""

    def _bears_cookie(self, cookies: list[str]) -> bool:
        pairs = [pair.strip().partition("=") for line in cookies for pair in line.split(";")]
        given = [value for name, _, value in pairs if name == _COOKIE]
        return any(
            hmac.compare_digest(value.encode(errors="surrogateescape"), self._secret.encode()) for value in given
        )
