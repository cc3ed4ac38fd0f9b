"""What a stranger may send over a network, fuzzed: messages of a WebSocket connection, events of the Wyoming protocol.

The stream behind is a fake that gives nothing but one value, so anything else that leaves is a leak.
"""

from __future__ import annotations

import asyncio
import json
import struct
from types import SimpleNamespace
from typing import Any

import numpy as np

from sottovoce.errors import ConfigError
from sottovoce.runtime.pcm import BYTES, decode, encode
from sottovoce.serve.access import Limits
from sottovoce.serve.events import ANSWERS, Event, read_event
from sottovoce.serve.websocket import Service
from sottovoce.serve.wyoming import Station

VALUE = 0.25
TEXT, SOUND = 0, 1
_MOST_MESSAGES = 50


class _Constant:
    latency_samples = 0

    def feed(self, samples: np.ndarray) -> np.ndarray:
        assert samples.dtype == np.float32 and np.isfinite(samples).all()
        return np.full(len(samples), VALUE, np.float32)

    def flush(self) -> np.ndarray:
        return np.full(3, VALUE, np.float32)

    def permitting(self, tasks: tuple[str, ...]) -> None:
        _known(tasks)


def _known(tasks: tuple[str, ...]) -> Any:
    if not set(tasks) <= {"word"}:
        raise ConfigError("no such task")
    return FILTER


FILTER: Any = SimpleNamespace(
    permit=("word",),
    digest="d",
    rate=None,
    block_s=0.0005,  # so short that no end has to wait for long
    permitting=_known,
    stream=lambda rate, output_rate=None: _Constant(),
)
_SERVICE = Service(FILTER, Limits(idle_s=5.0))
_STATION = Station(FILTER, Limits(message_bytes=1 << 16, idle_s=5.0))


class _Connection:
    """Gives the messages that it was made of, then waits as a client that says no more; keeps what it is sent."""

    remote_address = ("127.0.0.1", 1)

    def __init__(self, messages: list[str | bytes]) -> None:
        self._messages, self.sent, self.closed = messages, [], 0

    async def recv(self) -> str | bytes:
        await asyncio.sleep(0)
        if self._messages:
            return self._messages.pop(0)
        for _ in range(20):
            await asyncio.sleep(0.0005)
        raise _hung_up()

    async def send(self, message: str | bytes) -> None:
        assert not self.closed
        self.sent.append(message)

    async def close(self, code: int, reason: str) -> None:
        assert len(reason) < 120
        self.closed = code


def _hung_up() -> Exception:
    from websockets.exceptions import ConnectionClosedError

    return ConnectionClosedError(None, None)


def messages(content: bytes) -> list[str | bytes]:
    """A list of texts and sounds, each after a byte that says which and two with its length."""
    found: list[str | bytes] = []
    while len(content) > 3 and len(found) < _MOST_MESSAGES:
        kind, length = struct.unpack("<BH", content[:3])
        part, content = content[3 : 3 + length], content[3 + length :]
        found.append(part if kind & 1 else part.decode(errors="replace"))
    return found


def joined(*parts: str | bytes) -> bytes:
    """What `messages` takes apart."""
    coded = [(TEXT, part.encode()) if isinstance(part, str) else (SOUND, part) for part in parts]
    return b"".join(struct.pack("<BH", kind, len(part)) + part for kind, part in coded)


def websocket(content: bytes) -> None:
    """A connection of any messages ends in order, and nothing but the stream's output and JSON was sent."""
    connection = _Connection(messages(content))
    asyncio.run(_SERVICE._session(connection))
    assert _SERVICE.metrics.count["connections"] == 0
    agreed: dict[str, Any] = {}
    for message in connection.sent:
        if isinstance(message, str):
            said = json.loads(message)
            assert set(said) <= {"ready", "error", "permit", "ended"}
            agreed = said.get("ready", agreed)
        elif agreed["output"] == "sound":
            assert len(message) % BYTES[agreed["encoding"]] == 0
            assert np.allclose(decode(message, agreed["encoding"]), VALUE, atol=0.01)


class _Writer:
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.sent = bytearray()

    def write(self, content: bytes) -> None:
        self.sent += content

    async def drain(self) -> None: ...

    def write_eof(self) -> None: ...

    def close(self) -> None: ...

    def get_extra_info(self, name: str) -> Any:
        return ("127.0.0.1", 1)


async def _conversed(content: bytes) -> list[Event]:
    """All that comes back for what a client sends."""
    reader, back, writer = asyncio.StreamReader(limit=4096), asyncio.StreamReader(), _Writer()
    reader.feed_data(content)
    reader.feed_eof()
    await _STATION._session(reader, writer)  # type: ignore[arg-type]
    back.feed_data(bytes(writer.sent))
    back.feed_eof()
    events = []
    while (event := await read_event(back, 1 << 20)) is not None:
        events.append(event)
    return events


def wyoming(content: bytes) -> None:
    """Any bytes are events, the end, or refused; the stream's sound alone comes back, and of all else a closed list."""
    known = {"audio-start", "audio-chunk", "audio-stop", "transcribe", "detect", "describe", "pong", "error"}
    for event in asyncio.run(_conversed(content)):
        assert event.type in known - {*ANSWERS} | {"error"}
        assert not event.payload or event.type == "audio-chunk"
        assert np.allclose(decode(event.payload, "s16le"), VALUE, atol=0.01)
        assert len(json.dumps(event.data)) < 600
        if event.type == "error":
            assert "filter failed" not in event.data["text"]


FRAME_TARGETS = {"websocket": websocket, "wyoming": wyoming}


def first_seeds() -> dict[str, list[bytes]]:
    """Sensible conversations, from which a fuzzer starts."""
    sound = encode(np.zeros(40, np.float32), "s16le")
    form = {"rate": 16000, "width": 2, "channels": 1}
    spoken = (Event("audio-start", form), Event("audio-chunk", form, sound), Event("audio-stop", {}))
    return {
        "websocket": [
            joined("{}", sound, sound, '{"end": true}', sound),
            joined('{"sample_rate": 8000, "encoding": "mulaw", "pace": "wait"}', bytes(range(256)), '{"end": true}'),
            joined('{"encoding": "f32le", "permit": ["word"]}', b"\0\0\x80\x7f" * 4, '{"permit": []}', b"\xff" * 8),
            joined('{"permit": ["age"]}', sound),
            joined(sound, "{}"),
        ],
        "wyoming": [
            b"".join(event.encode() for event in spoken),
            b'{"type": "audio-chunk", "data": {"rate": 8000, "width": 2, "channels": 2}, "payload_length": 4}\nabcd',
            Event("transcribe", {"language": "en"}).encode() + Event("custom", {}, b"secret").encode(),
            b"".join(event.encode() for event in (*spoken[:2], *spoken, Event("describe", {}), Event("ping", {}))),
        ],
    }
