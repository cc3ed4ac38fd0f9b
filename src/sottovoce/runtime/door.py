"""Who may come in to a service: whoever is on this machine, or whoever has the token, by TLS."""

from __future__ import annotations

import ipaddress
import ssl
from pathlib import Path

from sottovoce.errors import ConfigError

_SHORTEST_TOKEN = 16


def check_place(host: str, tls: bool, token: str | None) -> None:
    """ConfigError for a place that other machines reach, unless there are TLS and a token."""
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback and not (tls and token):
        raise ConfigError(
            f"{host} can be reached by other machines; give --tls-cert, --tls-key and --token-file, or 127.0.0.1."
        )


def tls_context(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """A server's TLS from PEM files; None where there are none."""
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise ConfigError("give both --tls-cert and --tls-key, or none.")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key)
    except OSError as error:  # of which SSLError is one
        raise ConfigError(f"{certificate} and {key} are no certificate and its key in PEM ({error}).") from error
    return context


def read_token(path: Path | None) -> str | None:
    """The token in a file; None where there is no file."""
    if path is None:
        return None
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} has no readable token ({error}); write one line of ASCII.") from error
    if len(token) < _SHORTEST_TOKEN or any(letter <= " " for letter in token):
        raise ConfigError(f"{path} has a token of {len(token)} letters; expected {_SHORTEST_TOKEN} or more, no space.")
    return token
