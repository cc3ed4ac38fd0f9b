"""Laws of the service: each connection is its own, the stream's output alone leaves, and it outlives its clients."""

import asyncio
import base64
import contextlib
import dataclasses
import json
import logging
import os
import shutil
import ssl
import subprocess
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from sottovoce.errors import ConfigError, MissingExtraError
from sottovoce.runtime.pcm import decode, encode
from sottovoce.serve import websocket as service_module
from sottovoce.serve.access import Limits, read_token, tls_context
from sottovoce.serve.websocket import Service

client = pytest.importorskip("websockets.asyncio.client", reason="needs the extra serve")
exceptions = pytest.importorskip("websockets.exceptions")

TOKEN = "a-token-of-some-length"
OTHER = "another-token-of-some-length"
QUIET = logging.getLogger("the client of a test")
QUIET.disabled = True


@dataclass
class FakeStream:
    """What it gives is above zero; the clients of the tests send what is below."""

    slow_s: float = 0.0
    breaks: bool = False
    factor: int = 1
    latency_samples: int = 0
    permitted: list[tuple[str, ...]] = field(default_factory=list)

    def feed(self, samples):
        if self.breaks:
            raise ValueError("secret")
        time.sleep(self.slow_s)
        return np.full(len(samples) * self.factor, 0.25, np.float32)

    def flush(self):
        return np.full(7, 0.25, np.float32)

    def permitting(self, tasks):
        self.permitted.append(tasks)


@dataclass
class FakeFilter:
    stream_like: dict[str, Any] = field(default_factory=dict)
    permit: tuple[str, ...] = ("word", "mood")
    rate: None = None
    block_s: float = 0.25
    digest: str = "d"
    opened: list[FakeStream] = field(default_factory=list)

    def permitting(self, tasks):
        return self

    def stream(self, sample_rate):
        self.opened.append(FakeStream(**self.stream_like))
        return self.opened[-1]


@contextlib.asynccontextmanager
async def serving(permit=None, limits=None, token=None, origins=(), tls=None, metrics_token=None):
    """A service on this machine, and its address."""
    made = Service(permit or FakeFilter(), limits, token, origins, metrics_token)
    server = await made.start("127.0.0.1", 0, tls)
    try:
        yield made, f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        await made.stop(server)


@contextlib.asynccontextmanager
async def talking(place, hello=None, **options):
    """A client that said hello, and what was agreed."""
    async with client.connect(f"ws://{place}", **options) as socket:
        await socket.send(json.dumps(hello or {}))
        yield socket, json.loads(await socket.recv())


async def rest(socket) -> bytes:
    """Ask for the end; all that came until then."""
    await socket.send('{"end": true}')
    content = b""
    while isinstance(message := await asyncio.wait_for(socket.recv(), 10), bytes):
        content += message
    assert json.loads(message) == {"ended": True}
    return content


async def asked(place: str, path: str, *lines: str) -> str:
    """The answer to a plain HTTP request."""
    reader, writer = await asyncio.open_connection(*place.split(":"))
    writer.write("\r\n".join([f"GET {path} HTTP/1.1", f"Host: {place}", *lines, "", ""]).encode())
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    return answer.decode()


def run(talk):
    asyncio.run(asyncio.wait_for(talk, 60))


def clear(samples: int = 1600) -> bytes:
    return encode(np.full(samples, -0.5, np.float32), "s16le")


# What it is for


@pytest.mark.parametrize("encoding", ["s16le", "f32le", "mulaw"])
@pytest.mark.parametrize("sample_rate", [8000, 16000, 48000])
def test_what_comes_back_is_what_the_filter_makes_of_it_whole(tiny, encoding, sample_rate):
    wav = (0.1 * np.random.default_rng(0).standard_normal(3 * sample_rate + 77)).astype(np.float32)
    content = encode(wav, encoding)
    stream = tiny.stream(sample_rate)
    heard = decode(content, encoding)
    expected = encode(np.concatenate([stream.feed(heard), stream.flush()]), encoding)

    async def talk():
        hello = {"sample_rate": sample_rate, "encoding": encoding, "pace": "wait"}
        size = len(content) // len(wav)
        async with serving(tiny) as (_, place), talking(place, hello) as (socket, agreed):
            assert agreed["ready"]["filter"] == tiny.digest
            for start in range(0, len(content), 1601 * size):
                await socket.send(content[start : start + 1601 * size])
            assert await rest(socket) == expected

    run(talk())


def test_features_are_those_of_the_filter(tiny):
    wav = (0.1 * np.random.default_rng(0).standard_normal(3 * 20480)).astype(np.float32)

    async def talk():
        hello = {"encoding": "f32le", "output": "features", "pace": "wait"}
        async with serving(tiny) as (_, place), talking(place, hello) as (socket, _):
            await socket.send(wav.astype("<f4").tobytes())
            features = np.frombuffer(await rest(socket), "<f4").reshape(-1, 161).T
            np.testing.assert_allclose(features, tiny.features(wav), atol=1e-5)

    run(talk())


@pytest.mark.parametrize("sample_rate", [16000, 48000])
def test_labels_are_those_of_the_filter_in_texts(codebook, sample_rate):
    named = dataclasses.replace(codebook, card={"classes": {"word": ["no", "yes"], "mood": ["calm", "cross"]}})
    wav = (0.1 * np.random.default_rng(0).standard_normal(5 * sample_rate)).astype(np.float32)

    async def talk():
        hello = {"encoding": "f32le", "output": "labels", "pace": "wait", "sample_rate": sample_rate}
        async with serving(named) as (_, place), talking(place, hello) as (socket, agreed):
            assert (
                agreed["ready"]["output"] == "labels" and agreed["ready"]["bits_per_block"] == named.rate.bits_per_block
            )
            for start in range(0, len(wav), 9999):
                await socket.send(wav[start : start + 9999].astype("<f4").tobytes())
            await socket.send('{"end": true}')
            rows = []
            while (message := json.loads(await asyncio.wait_for(socket.recv(), 10))) != {"ended": True}:
                rows += message["labels"]
            expected = named.labels(wav, sample_rate)
            assert [tuple(row.values()) for row in rows] == expected and len(rows) == 8
            assert {*rows[0]} == {"start_s", "end_s", "task", "class"}

    run(talk())


def test_labels_of_a_filter_without_codes_are_refused(tiny):
    async def talk():
        async with serving(tiny) as (_, place), talking(place, {"output": "labels"}) as (_, said):
            assert "no codes, so it has no labels" in said["error"]

    run(talk())


def test_connections_do_not_hear_each_other(tiny):
    async def one(place, seed):
        wav = (0.1 * np.random.default_rng(seed).standard_normal(50_000)).astype(np.float32)
        async with talking(place, {"encoding": "f32le", "pace": "wait"}) as (socket, _):
            for start in range(0, len(wav), 997):
                await socket.send(wav[start : start + 997].astype("<f4").tobytes())
                await asyncio.sleep(0)
            stream = tiny.stream()
            assert await rest(socket) == encode(np.concatenate([stream.feed(wav), stream.flush()]), "f32le")

    async def talk():
        async with serving(tiny) as (_, place):
            await asyncio.gather(*(one(place, seed) for seed in range(8)))

    run(talk())


def test_consent_can_be_given_and_taken():
    permit = FakeFilter()

    async def talk():
        async with serving(permit) as (_, place), talking(place, {"permit": ["word"]}) as (socket, _):
            await socket.send('{"permit": []}')
            assert json.loads(await socket.recv()) == {"permit": []}
            assert permit.opened[0].permitted == [()]
        for asked_for in ("age", "mood"):
            permit.permit = ("word",)
            async with serving(permit) as (_, place), talking(place, {"permit": [asked_for]}) as (_, said):
                assert "does not permit" in said["error"]
            async with serving(permit) as (_, place), talking(place) as (socket, _):
                await socket.send(json.dumps({"permit": ["word", asked_for]}))
                assert "does not permit" in json.loads(await socket.recv())["error"]
        assert permit.opened[-1].permitted == [], "whoever serves has the first word"

    run(talk())


def test_it_says_how_it_is_and_counts():
    async def talk():
        async with serving(metrics_token=OTHER) as (_, place), talking(place) as (socket, _):
            assert (await asked(place, "/healthz")).endswith("ok\n")
            await socket.send(clear())
            await socket.recv()
            counted = await asked(place, "/metrics", f"Authorization: Bearer {OTHER}")
            for line in ("connections 1", "samples_in_total 1600", "bytes_out_total 3200"):
                assert f"\nsottovoce_{line}\n" in counted
            assert 'sottovoce_added_latency_seconds_bucket{le="+Inf"} 1' in counted

    run(talk())


def test_it_drains():
    async def talk():
        made = Service(FakeFilter(), Limits(drain_s=5.0))
        server = await made.start("127.0.0.1", 0)
        place = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with talking(place) as (socket, _):
            stopping = asyncio.create_task(made.stop(server))
            await asyncio.sleep(0.1)
            assert "503" in await asked(place, "/healthz")
            with pytest.raises(exceptions.InvalidStatus):
                await client.connect(f"ws://{place}")
            await socket.send(clear())
            assert len(await socket.recv()) == 3200, "who is there is served"
        await asyncio.wait_for(stopping, 3)

    run(talk())


# Who may come in


def test_a_token_lets_in_and_nothing_else_does():
    async def talk():
        async with serving(token=TOKEN) as (made, place):
            for header in (
                {},
                {"Authorization": "Bearer wrong"},
                {"Authorization": TOKEN},
                {"Authorization": "Bearer "},
            ):
                with pytest.raises(exceptions.InvalidStatus, match="401"):
                    await client.connect(f"ws://{place}", additional_headers=header)
            for value in ("Bearer größe", f"Bearer {TOKEN}\r\nAuthorization: Bearer {TOKEN}", f"Basic {TOKEN}"):
                assert "401" in await asked(place, "/", f"Authorization: {value}")
            assert "401" in await asked(place, f"/?token={TOKEN}"), "addresses are logged"
            assert "200" in await asked(place, "/healthz")
            assert made.metrics.refused["token"] == 8
            async with talking(place, additional_headers={"Authorization": f"Bearer {TOKEN}"}) as (_, agreed):
                assert "ready" in agreed

    run(talk())


def test_a_browser_bears_the_token_as_a_subprotocol():
    """It can set no header, and an address would be logged."""
    token = "a/token=of,some:length%"

    async def talk():
        async with serving(token=token) as (_, place):
            bearing = "sottovoce.token.a%2Ftoken%3Dof%2Csome%3Alength%25"  # encodeURIComponent of a browser
            for asked_for, chosen in (([bearing], bearing), (["sottovoce", bearing], "sottovoce")):
                async with talking(place, subprotocols=asked_for) as (socket, agreed):
                    assert "ready" in agreed and socket.subprotocol == chosen
            for asked_for in (["sottovoce"], ["sottovoce.token."], ["sottovoce.token.x"], [bearing + "x"]):
                with pytest.raises(exceptions.InvalidStatus, match="401"):
                    await client.connect(f"ws://{place}", subprotocols=asked_for)
            with pytest.raises(exceptions.InvalidStatus, match="401"):
                await client.connect(f"ws://{place}", subprotocols=[bearing, "sottovoce.token.x"])

    run(talk())


def test_metrics_have_a_token_of_their_own():
    async def talk():
        async with serving() as (_, place):
            assert "404" in await asked(place, "/metrics"), "another user of this machine is another"
        async with serving(token=TOKEN, metrics_token=OTHER) as (_, place):
            for lines in ([], [f"Authorization: Bearer {TOKEN}"], [f"Sec-WebSocket-Protocol: sottovoce.token.{OTHER}"]):
                assert "401" in await asked(place, "/metrics", *lines)
            assert "200" in await asked(place, "/metrics", f"Authorization: Bearer {OTHER}")
            with pytest.raises(exceptions.InvalidStatus, match="401"):
                await client.connect(f"ws://{place}", additional_headers={"Authorization": f"Bearer {OTHER}"})

    run(talk())
    with pytest.raises(ConfigError, match="one of their own"):
        Service(FakeFilter(), token=TOKEN, metrics_token=TOKEN)


def test_a_token_file_is_read_or_refused(tmp_path):
    (tmp_path / "token").write_text(TOKEN + "\n")
    assert read_token(tmp_path / "token") == TOKEN
    for content in (b"short", b"with space in the middle", b"\xff" * 20):
        (tmp_path / "token").write_bytes(content)
        with pytest.raises(ConfigError):
            read_token(tmp_path / "token")
    with pytest.raises(ConfigError):
        read_token(tmp_path / "none")


def test_a_web_page_may_connect_only_where_it_was_named():
    async def talk():
        async with serving(origins=("https://good.example",)) as (_, place):
            with pytest.raises(exceptions.InvalidStatus, match="403"):
                await client.connect(f"ws://{place}", origin="https://evil.example")
            async with talking(place, origin="https://good.example") as (_, agreed):
                assert "ready" in agreed

    run(talk())


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_tls(tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)

    async def talk():
        trusting = ssl.create_default_context(cafile=certificate)
        async with serving(tls=tls_context(certificate, key), token=TOKEN) as (_, place):
            bearer = {"Authorization": f"Bearer {TOKEN}"}
            async with client.connect(f"wss://{place}", ssl=trusting, additional_headers=bearer) as socket:
                await socket.send("{}")
                assert "ready" in json.loads(await socket.recv())

    run(talk())
    assert tls_context(None, None) is None
    for pair in ((certificate, None), (key, certificate), (tmp_path / "none", key)):
        with pytest.raises(ConfigError):
            tls_context(*pair)


def test_without_websockets_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "websockets.asyncio.server", None)
    with pytest.raises(MissingExtraError, match=r"sottovoce\[serve\]"):
        service_module._websockets()


# Faults


async def alive(place: str) -> None:
    """It serves somebody else as if nothing had happened."""
    assert (await asked(place, "/healthz")).endswith("ok\n")
    async with talking(place) as (socket, _):
        await socket.send(clear())
        heard = decode(await asyncio.wait_for(socket.recv(), 5), "s16le")
        assert len(heard) == 1600 and (heard > 0).all()


async def closed(socket) -> list[Any]:
    """All that still comes until the connection is closed."""
    said = []
    with contextlib.suppress(exceptions.ConnectionClosed):
        while True:
            said.append(await asyncio.wait_for(socket.recv(), 10))
    return said


def test_too_many_connections_are_turned_away():
    async def talk():
        async with serving(limits=Limits(connections=2, drain_s=0)) as (made, place):
            async with talking(place), talking(place) as (_, _):
                with pytest.raises(exceptions.InvalidStatus, match="503"):
                    await client.connect(f"ws://{place}")
                assert made.metrics.refused["connections"] == 1
            await asyncio.sleep(0.1)
            await alive(place)

    run(talk())


def test_a_message_that_is_too_large_ends_its_connection():
    async def talk():
        async with serving(limits=Limits(message_bytes=4096)) as (_, place):
            async with talking(place) as (socket, _):
                await socket.send(bytes(4098))
                assert await closed(socket) == []
                assert socket.close_code == 1009
            await alive(place)

    run(talk())


@pytest.mark.parametrize(
    ("hello", "message"),
    [
        ("no JSON", None),
        ('{"encoding": "mp3"}', None),
        (b"\0\0", None),
        ("{}", b"!"),
        ("{}", "no JSON"),
        ("{}", '{"permit": "all"}'),
        ("{}", '{"clear": true}'),
        ("[" * 4000, None),
        ('{"a":' * 700 + "1" + "}" * 700, None),
        ("{}", '{"permit": ' + "[" * 900 + "]" * 900 + "}"),
        ("{}", '{"end": 1}'),
        ("{}", '{"end": true, "end": true}'),
        ("{}", '{"permit": [], "permit": ["word"]}'),
        ("{}", '{"permit": ["\\ud800"]}'),
        ('{"sample_rate": NaN}', None),
        ('{"sample_rate": Infinity}', None),
        ('{"sample_rate": 1e999}', None),
        ('{"sample_rate": ' + "9" * 4000 + "}", None),
        ('{"sample_rate": 16000, "sample_rate": 8000}', None),
        ('{"encoding": "\\udfff"}', None),
    ],
)
def test_messages_that_make_no_sense_are_answered_and_end_the_connection(hello, message):
    async def talk():
        async with serving() as (made, place):
            async with client.connect(f"ws://{place}") as socket:
                await socket.send(hello)
                if message is not None:
                    assert "ready" in json.loads(await socket.recv())
                    await socket.send(message)
                (said,) = await closed(socket)
                assert list(json.loads(said)) == ["error"] and len(said) < 400
                assert socket.close_code == 1008
            assert made.metrics.refused["message"] == 1
            await alive(place)

    run(talk())


async def opened(place: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A WebSocket connection by hand, for what no client sends."""
    reader, writer = await asyncio.open_connection(*place.split(":"))
    key = base64.b64encode(os.urandom(16)).decode()
    lines = ["GET / HTTP/1.1", f"Host: {place}", "Upgrade: websocket", "Connection: Upgrade"]
    lines += [f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "", ""]
    writer.write("\r\n".join(lines).encode())
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


def frame(payload: bytes, opcode: int = 2, claimed: int | None = None) -> bytes:
    """A masked frame, all of whose mask is zero; `claimed` is the length that its header says."""
    length = len(payload) if claimed is None else claimed
    return bytes([0x80 | opcode, 0xFF]) + length.to_bytes(8, "big") + bytes(4) + payload


def test_who_hangs_up_in_the_middle_of_a_frame_is_forgotten():
    async def talk():
        async with serving() as (made, place):
            for content in (b"", b"\x82", frame(b"{}", 1)[:9], frame(b"{}", 1) + frame(bytes(100), claimed=3200)):
                _, writer = await opened(place)
                writer.write(content)
                await writer.drain()
                await asyncio.sleep(0.05)
                writer.transport.abort()
            await alive(place)
            await asyncio.sleep(0.1)
            assert made.metrics.count["connections"] == 0

    run(talk())


def test_garbage_ends_its_connection_and_no_other():
    rng = np.random.default_rng(0)

    async def talk():
        async with serving(limits=Limits(idle_s=4.0)) as (made, place), talking(place) as (other, _):
            for i in range(60):
                _, writer = await opened(place)
                if i % 2:
                    writer.write(frame(b"{}", 1))
                writer.write(rng.integers(0, 256, int(rng.integers(1, 3000)), np.uint8).tobytes())
                with contextlib.suppress(ConnectionError):
                    await writer.drain()
                if i % 3:
                    writer.close()
            for content in (
                frame(b"x" * 10, 3),
                frame(b"\xff\xfe", 1),
                frame(b"", claimed=2**62),
                b"GET / HTTP/1.1\r\n",
            ):
                _, writer = await opened(place)
                writer.write(content)
            await other.send(clear())
            assert (decode(await other.recv(), "s16le") > 0).all()
            for _ in range(80):
                if made.metrics.count["connections"] <= 1:
                    break
                await asyncio.sleep(0.1)
            assert made.metrics.count["connections"] <= 1, "who says nothing sensible is not kept"
            await alive(place)

    run(talk())


def test_who_does_not_read_is_not_waited_for():
    async def talk():
        limits = Limits(send_s=0.5, drain_s=0)
        async with serving(FakeFilter({"factor": 200}), limits) as (made, place):
            async with talking(place, max_queue=1) as (socket, _):
                for _ in range(200):
                    try:
                        await asyncio.wait_for(socket.send(clear()), 0.5)
                    except (TimeoutError, exceptions.ConnectionClosed):
                        break
                    await asyncio.sleep(0.01)
                for _ in range(100):
                    if not made.metrics.count["connections"]:
                        break
                    await asyncio.sleep(0.1)
                assert made.metrics.count["connections"] == 0
                socket.transport.abort()
            assert (await asked(place, "/healthz")).endswith("ok\n")

    run(talk())


def test_ten_times_too_much_is_dropped_and_latency_returns():
    async def talk():
        permit = FakeFilter({"slow_s": 0.05})
        async with serving(permit, Limits(queue_s=0.5)) as (made, place), talking(place) as (socket, _):
            for _ in range(100):  # 10 s of sound in 1 s
                await socket.send(clear())
                await asyncio.sleep(0.01)
            permit.opened[0].slow_s = 0.0
            heard = b""
            with contextlib.suppress(TimeoutError):
                while True:
                    heard += await asyncio.wait_for(socket.recv(), 0.3)
            assert (decode(heard, "s16le") > 0).all()
            dropped = made.metrics.count["samples_dropped_total"]
            assert len(heard) // 2 + dropped == 160_000
            began = time.monotonic()
            await socket.send(clear())
            await socket.recv()
            assert time.monotonic() - began < 0.2

    run(talk())


def test_at_the_pace_wait_nothing_is_dropped():
    async def talk():
        async with serving(FakeFilter({"slow_s": 0.01}), Limits(queue_s=0.1)) as (made, place):
            async with talking(place, {"pace": "wait"}) as (socket, _):

                async def send():
                    for _ in range(50):
                        await socket.send(clear())

                sending, heard = asyncio.create_task(send()), 0
                while heard < 50 * 1600:
                    heard += len(await socket.recv()) // 2
                await sending
            assert made.metrics.count["samples_dropped_total"] == 0

    run(talk())


def test_a_filter_that_fails_passes_nothing_on_and_says_nothing_of_the_sound(caplog):
    caplog.set_level(logging.DEBUG, "sottovoce")

    async def talk():
        async with serving(FakeFilter({"breaks": True})) as (made, place):
            async with talking(place) as (socket, _):
                await socket.send(clear())
                said = await closed(socket)
                assert [list(json.loads(one)) for one in said] == [["error"]]
                assert "secret" not in said[0] and socket.close_code == 1011
            assert made.metrics.count["failures_total"] == 1
            assert (await asked(place, "/healthz")).endswith("ok\n")

    run(talk())
    assert [record.getMessage().split(" after ")[0] for record in caplog.records] == ["connection failed"]


@pytest.mark.parametrize("limits", [Limits(idle_s=0.2), Limits(total_s=0.2)])
def test_time_is_limited(limits):
    async def talk():
        async with serving(limits=limits) as (_, place), talking(place) as (socket, _):
            await closed(socket)
            assert socket.close_code == 1008

    run(talk())


def test_a_ping_counts_as_life_and_the_answer_to_one_does_not():
    """A program that is there answers the service's pings by itself, whether anybody uses it or not."""

    async def talk():
        async with serving(limits=Limits(idle_s=0.5)) as (_, place):
            async with talking(place) as (socket, _):
                for _ in range(6):
                    await asyncio.sleep(0.25)
                    await socket.ping()
                await socket.send(clear())
                assert len(await socket.recv()) == 3200
            async with talking(place) as (socket, _):
                began = time.monotonic()
                for _ in range(6):
                    await asyncio.sleep(0.1)
                    with contextlib.suppress(exceptions.ConnectionClosed):
                        await socket.pong()
                await closed(socket)
                assert socket.close_code == 1008 and time.monotonic() - began < 2.0

    run(talk())


def test_who_sends_a_message_piece_by_piece_is_not_kept():
    async def talk():
        async with serving(limits=Limits(idle_s=0.5)) as (made, place):
            _, writer = await opened(place)
            writer.write(frame(b"{}", 1) + bytes([0x02, 0x80 | 1]) + bytes(4) + b"a")  # the first piece of many
            for _ in range(50):
                with contextlib.suppress(ConnectionError):
                    writer.write(bytes([0x00, 0x80 | 1]) + bytes(4) + b"a")
                    await writer.drain()
                await asyncio.sleep(0.1)
                if not made.metrics.count["connections"]:
                    break
            assert made.metrics.count["connections"] == 0
            writer.transport.abort()

    run(talk())


def test_an_end_that_has_to_wait_is_not_taken_for_silence_of_the_client():
    async def talk():
        permit = FakeFilter(block_s=1.5)
        async with serving(permit, Limits(idle_s=0.4)) as (_, place), talking(place) as (socket, _):
            for _ in range(2):
                await socket.send(clear(160))
                assert len(await rest(socket)) == 2 * (160 + 7)

    run(talk())


def test_nothing_is_logged_of_what_a_client_sends(caplog, capfd):
    """Even where a program logs all it can."""
    caplog.set_level(logging.DEBUG)

    async def talk():
        async with serving(FakeFilter({"breaks": True}), token=TOKEN) as (_, place):
            bearer = {"Authorization": f"Bearer {TOKEN}"}
            async with talking(place, additional_headers=bearer, logger=QUIET) as (socket, _):
                await socket.send('{"permit": ["SECRET-label"]}')
                await closed(socket)
            async with talking(place, additional_headers=bearer, logger=QUIET) as (socket, _):
                await socket.send(b"SECRET" * 10)
                await closed(socket)
            await asked(place, "/?token=SECRET")
            _, writer = await asyncio.open_connection(*place.split(":"))
            writer.write(b"SECRET garbage\r\n\r\n")
            await asyncio.sleep(0.2)
            writer.transport.abort()

    run(talk())
    written = caplog.text + "".join(capfd.readouterr())
    assert "SECRET" not in written and TOKEN not in written and "Traceback" not in written
    assert "5345" not in written, "nor as the numbers of its letters"


def test_a_flood_of_wishes_ends_the_connection():
    async def talk():
        async with serving(FakeFilter({"slow_s": 0.3})) as (_, place), talking(place) as (socket, _):
            await socket.send(clear())
            with contextlib.suppress(exceptions.ConnectionClosed):
                for _ in range(3000):
                    await socket.send('{"permit": []}')
            await closed(socket)
            assert socket.close_code == 1008
            await alive(place)

    run(talk())
