"""Who may use a service, and how much of it: whoever is on this machine, or whoever has the token, by TLS."""

from __future__ import annotations

import hmac
import ipaddress
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from sottovoce.errors import ConfigError

SUBPROTOCOL = "sottovoce"
_TOKEN_SUBPROTOCOL = "sottovoce.token."  # and the token, percent-encoded: a browser can set no header
_SHORTEST_TOKEN = 16
_NETWORK_BITS = 64  # of an IPv6 address; one machine may have all addresses of such a network


@dataclass(frozen=True)
class Limits:
    """Of a service: connections, bytes of a message, and seconds.

    Seconds of sound that waits to be worked on, without a message or a ping of a client, of a whole connection, of a
    client that does not read, for whoever is there when the service is to stop, and for a recogniser to answer.
    """

    connections: int = 50
    message_bytes: int = 1 << 18
    queue_s: float = 2.0
    idle_s: float = 30.0
    total_s: float = 4 * 3600.0
    send_s: float = 10.0
    drain_s: float = 10.0
    answer_s: float = 300.0


def check_place(host: str, tls: bool, token: str | None) -> None:
    """ConfigError for a place that other machines reach, unless there are TLS and a token."""
    if not is_loopback(host) and not (tls and token):
        raise ConfigError(
            f"{host or 'every address'} can be reached by other machines; give --tls-cert, --tls-key and --token-file, "
            "or 127.0.0.1."
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine is reached by `host`: a loopback address, or localhost if all of it is loopback.

    Any other name counts as another machine, as what it stands for can change.
    """
    try:
        if host == "localhost":
            addresses = {str(row[4][0]) for row in socket.getaddrinfo(host, None)}
            return all(ipaddress.ip_address(address).is_loopback for address in addresses)
        return ipaddress.ip_address(host).is_loopback
    except (ValueError, OSError):
        return False


def tls_context(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """A server's TLS from PEM files; None where there are none."""
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise ConfigError("give both --tls-cert and --tls-key, or none.")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key, password="")  # an encrypted key is refused, not asked for
    except (OSError, ValueError) as error:  # SSLError is an OSError
        raise ConfigError(
            f"{certificate} and {key} are no certificate and its key in PEM, without a password ({error})."
        ) from error
    return context


def read_token(path: Path | None) -> str | None:
    """The token in a file; None where there is no file."""
    if path is None:
        return None
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} has no readable token ({error}); write one line of ASCII.") from error
    if len(token) < _SHORTEST_TOKEN or not all("!" <= letter <= "~" for letter in token):
        raise ConfigError(f"{path} has a token of {len(token)} letters; expected {_SHORTEST_TOKEN} or more, no space.")
    return token


def bears(token: str, authorization: Sequence[str], subprotocols: Sequence[str] = ()) -> bool:
    """Whether the headers Authorization and Sec-WebSocket-Protocol of a request bear `token`; takes constant time."""
    given = [value[len("Bearer ") :] for value in authorization if value.lower().startswith("bearer ")]
    given += [unquote(name.removeprefix(_TOKEN_SUBPROTOCOL)) for name in token_subprotocols(subprotocols)]
    one = given[0] if len(given) == 1 else ""
    return hmac.compare_digest(one.encode(errors="surrogateescape"), token.encode())


def token_subprotocols(subprotocols: Sequence[str]) -> list[str]:
    """The subprotocols that bear a token, among those that a client offers."""
    return [name for name in subprotocols if name.startswith(_TOKEN_SUBPROTOCOL)]


def listener(address: Any) -> str:
    """Whose pace a connection from a socket's `address` has: that of its machine, or of its network in IPv6."""
    try:
        host = ipaddress.ip_address(str(address[0]).partition("%")[0])
        host = getattr(host, "ipv4_mapped", None) or host
    except (ValueError, TypeError, IndexError):
        return ""
    if host.is_loopback:  # of which a machine has millions of addresses
        return "loopback"
    return str(ipaddress.ip_network((host, _NETWORK_BITS), strict=False) if host.version == 6 else host)
