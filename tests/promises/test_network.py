"""Promise: what serves is reached from this machine alone; anything else needs TLS and a token.

The same holds for where sound is sent on: the Wyoming protocol has neither, so that it is forwarded to loopback alone.
"""

import asyncio
import json
import shutil
import socket
import ssl
import subprocess
import sys
from types import SimpleNamespace

import pytest

from sottovoce.errors import ConfigError
from sottovoce.serve.access import check_place, tls_context
from sottovoce.serve.websocket import Service
from sottovoce.serve.wyoming import Station

pytest.importorskip("websockets", reason="needs the extra serve")

TOKEN = "a-token-of-some-length"
HERE = ("127.0.0.1", "127.5.6.7", "::1", "localhost")
ELSEWHERE = (
    "",
    "0.0.0.0",
    "::",
    "0",
    "*",
    "192.168.1.5",
    "169.254.0.1",
    "fe80::1",
    "fd00::1",
    "example.org",
    "localhost.example.org",
    "127.0.0.1.example.org",
    "127.0.0.1 ",
    "::ffff:192.168.1.5",
)
FILTER = SimpleNamespace(permit=("word",), block_s=1.28, rate=None, digest="d")


@pytest.mark.parametrize("host", HERE)
def test_this_machine_needs_neither(host):
    check_place(host, False, None)


@pytest.mark.parametrize("host", ELSEWHERE)
def test_any_other_place_needs_both(host):
    for tls, token in ((False, None), (True, None), (False, TOKEN), (True, "")):
        with pytest.raises(ConfigError, match="other machines"):
            check_place(host, tls, token)
    check_place(host, True, TOKEN)


def test_localhost_is_this_machine_only_where_all_of_it_is(monkeypatch):
    def answers(*addresses):
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [(0, 0, 0, "", (one, 0)) for one in addresses])

    answers("127.0.0.1", "::1")
    check_place("localhost", False, None)
    for addresses in (("10.0.0.1",), ("127.0.0.1", "10.0.0.1"), ("::1", "2001:db8::1")):
        answers(*addresses)
        with pytest.raises(ConfigError, match="other machines"):
            check_place("localhost", False, None)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "example.org", ""])
def test_nothing_listens_elsewhere_without(host):
    async def talk():
        for start in (Service(FILTER).start, Service(FILTER, token=TOKEN).start, Station(FILTER).start):
            with pytest.raises(ConfigError, match="other machines"):
                await start(host, 0)

    asyncio.run(talk())


@pytest.mark.parametrize("host", ELSEWHERE)
def test_sound_is_forwarded_to_this_machine_alone(host):
    with pytest.raises(ConfigError, match="another machine"):
        Station(FILTER, forward=(host, 10300))


def test_with_both_it_is_served_to_all_and_to_nobody_else(tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)

    async def asked(port: int, tls: ssl.SSLContext | None, *lines: str) -> bytes:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
            writer.write("\r\n".join(["GET / HTTP/1.1", "Host: a", *lines, "", ""]).encode())
            answer = await asyncio.wait_for(reader.read(), 5)
            writer.close()
        except OSError:
            return b""
        return answer

    async def talk():
        server = await Service(FILTER, token=TOKEN).start("0.0.0.0", 0, tls_context(certificate, key))
        port = server.sockets[0].getsockname()[1]
        trusting = ssl.create_default_context(cafile=certificate)
        bearer = f"Authorization: Bearer {TOKEN}"
        assert b"426" in await asked(port, trusting, bearer), "let in, and told to speak WebSocket"
        assert b"401" in await asked(port, trusting)
        assert b"HTTP" not in await asked(port, None, bearer), "nothing is said without TLS"
        server.close()

    asyncio.run(asyncio.wait_for(talk(), 30))


def serve(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sottovoce.cli", "serve", "digit", "--port", "0", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--host", "0.0.0.0"),
        ("--host", "::", "--protocol", "wyoming"),
        ("--protocol", "wyoming", "--forward", "192.0.2.1:10300"),
        ("--protocol", "wyoming", "--forward", "recogniser.example:10300"),
        ("--protocol", "wyoming", "--forward", "[2001:db8::1]:10300"),
    ],
)
def test_the_command_says_so_in_a_sentence(arguments):
    done = serve(*arguments)
    assert done.returncode == 2 and not done.stdout, done
    assert "machine" in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr


@pytest.mark.parametrize("protocol", ["websocket", "wyoming"])
def test_by_default_it_listens_at_loopback(protocol):
    command = [sys.executable, "-m", "sottovoce.cli", "serve", "digit", "--port", "0", "--protocol", protocol]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            place = json.loads(process.stdout.readline())
            assert place["host"] == "127.0.0.1"
            with open("/proc/net/tcp", encoding="ascii") as four, open("/proc/net/tcp6", encoding="ascii") as six:
                sockets = [line.split()[1:4] for line in [*four, *six]]
            listening = [
                local for local, _, state in sockets if state == "0A" and local.endswith(f":{place['port']:04X}")
            ]
            assert listening == [f"0100007F:{place['port']:04X}"]
        finally:
            process.terminate()
