"""Laws of the Wyoming station: sound goes on obfuscated or not at all, everything else as it is, garbage nowhere."""

import asyncio
import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sottovoce.errors import ConfigError
from sottovoce.runtime.service import Limits
from sottovoce.runtime.wire import encode
from sottovoce.runtime.wyoming import Event, Station, address, read_event

FORM = {"rate": 16000, "width": 2, "channels": 1}
MOST = 1 << 18


@contextlib.asynccontextmanager
async def standing(permit, limits=None, forward=None):
    station = Station(permit, limits, forward)
    server = await station.start("127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()
    finally:
        await station.stop(server)


@contextlib.asynccontextmanager
async def connected(place):
    reader, writer = await asyncio.open_connection(*place)
    try:
        yield reader, writer
    finally:
        writer.close()


async def until_stop(reader) -> list[Event]:
    found = []
    while not found or found[-1].type != "audio-stop":
        event = await asyncio.wait_for(read_event(reader, MOST), 10)
        assert event is not None
        found.append(event)
    return found


def spoken(wav: np.ndarray, size: int = 1000) -> list[Event]:
    parts = [wav[start : start + size] for start in range(0, len(wav), size)]
    chunks = [Event("audio-chunk", FORM, encode(part, "s16le")) for part in parts]
    return [Event("audio-start", FORM), *chunks, Event("audio-stop", {})]


def noise(samples: int = 50_000) -> np.ndarray:
    return (np.random.default_rng(0).integers(-3000, 3000, samples) / 2**15).astype(np.float32)


def filtered(permit, wav: np.ndarray) -> bytes:
    stream = permit.stream(16000)
    return encode(np.concatenate([stream.feed(wav), stream.flush()]), "s16le")


def sound(events: list[Event]) -> bytes:
    return b"".join(event.payload for event in events if event.type == "audio-chunk")


def run(talk):
    asyncio.run(asyncio.wait_for(talk, 60))


def test_sound_comes_back_obfuscated_twice_in_a_row(tiny):
    async def talk():
        async with standing(tiny) as place, connected(place) as (reader, writer):
            for _ in range(2):
                for event in spoken(noise()):
                    writer.write(event.encode())
                events = await until_stop(reader)
                assert events[0] == Event("audio-start", FORM)
                assert sound(events) == filtered(tiny, noise())

    run(talk())


def test_the_service_behind_hears_obfuscated_sound_and_its_answer_comes_back(tiny):
    heard: list[Event] = []

    async def behind(reader, writer):
        while (event := await read_event(reader, MOST)) is not None:
            heard.append(event)
            if event.type == "audio-stop":
                writer.write(Event("transcript", {"text": "seven"}).encode())

    async def talk():
        server = await asyncio.start_server(behind, "127.0.0.1", 0)
        forward = server.sockets[0].getsockname()
        async with standing(tiny, forward=forward) as place, connected(place) as (reader, writer):
            hidden = Event("custom", {"a": 1}, encode(noise(100), "s16le"))
            for event in (Event("transcribe", {"language": "en"}), hidden, *spoken(noise())):
                writer.write(event.encode())
            answer = await asyncio.wait_for(read_event(reader, MOST), 10)
            assert answer == Event("transcript", {"text": "seven"})
        server.close()

    run(talk())
    assert heard[0] == Event("transcribe", {"language": "en"})
    assert "custom" not in {event.type for event in heard}, "it had a payload, which could be sound"
    assert sound(heard) == filtered(tiny, noise())


def test_a_client_of_the_protocols_own_package_understands_it(tiny):
    audio = pytest.importorskip("wyoming.audio")
    its = pytest.importorskip("wyoming.client")

    async def talk():
        async with standing(tiny) as (host, port), its.AsyncTcpClient(host, port) as client:
            await client.write_event(audio.AudioStart(**FORM).event())
            for start in range(0, 50_000, 1024):
                chunk = encode(noise()[start : start + 1024], "s16le")
                await client.write_event(audio.AudioChunk(audio=chunk, **FORM).event())
            await client.write_event(audio.AudioStop().event())
            content = b""
            while not audio.AudioStop.is_type((event := await client.read_event()).type):
                if audio.AudioChunk.is_type(event.type):
                    content += audio.AudioChunk.from_event(event).audio
            assert content == filtered(tiny, noise())

    run(talk())


def test_channels_become_one(tiny):
    async def talk():
        async with standing(tiny) as place, connected(place) as (reader, writer):
            wav = noise()
            stereo = encode(np.stack([wav, wav], axis=1).reshape(-1), "s16le")
            writer.write(Event("audio-chunk", {**FORM, "channels": 2}, stereo).encode())
            writer.write(Event("audio-stop", {}).encode())
            assert sound(await until_stop(reader)) == filtered(tiny, wav)

    run(talk())


# Faults


@pytest.mark.parametrize(
    "content",
    [
        b"\n",
        b"no JSON\n",
        b"[]\n",
        b'{"data": {}}\n',
        b'{"type": 7}\n',
        b'{"type": "x", "payload_length": -1}\n',
        b'{"type": "x", "payload_length": 1.5}\n',
        b'{"type": "x", "payload_length": true}\n',
        b'{"type": "x", "payload_length": 99999999999}\n',
        b'{"type": "x", "data_length": 2}\n[]',
        b'{"type": "x", "data": 5}\n',
        b"x" * 100_000,
        b"[" * 60_000 + b"\n",
        Event("audio-chunk", {}, b"12").encode(),
        Event("audio-chunk", {**FORM, "width": 4}, b"1234").encode(),
        Event("audio-chunk", {**FORM, "channels": 0}, b"12").encode(),
        Event("audio-chunk", {**FORM, "rate": 10**9}, b"12").encode(),
        Event("audio-chunk", FORM, b"123").encode(),
        Event("audio-start", {"rate": "fast"}).encode(),
        Event("audio-chunk", FORM, b"1234").encode()[:-2],
    ],
)
def test_what_is_no_event_ends_its_connection_and_no_other(tiny, content):
    async def talk():
        async with standing(tiny) as place, connected(place) as (other, others):
            async with connected(place) as (reader, writer):
                writer.write(content)
                writer.write_eof()
                assert await asyncio.wait_for(reader.read(), 5) == b""
            others.write(Event("audio-stop", {}).encode())
            assert [event.type for event in await until_stop(other)] == ["audio-stop"]

    run(talk())


def test_too_many_and_too_quiet_connections_are_ended(tiny):
    async def talk():
        limits = Limits(connections=1, idle_s=0.3)
        async with standing(tiny, limits) as place, connected(place) as (first, _):
            async with connected(place) as (second, _):
                assert await asyncio.wait_for(second.read(), 5) == b""
            assert await asyncio.wait_for(first.read(), 5) == b""

    run(talk())


def test_a_service_behind_that_is_not_there_ends_the_connection(tiny):
    async def talk():
        async with standing(tiny, forward=("127.0.0.1", 1)) as place, connected(place) as (reader, _):
            assert await asyncio.wait_for(reader.read(), 5) == b""

    run(talk())


def test_other_machines_cannot_reach_it(tiny):
    async def talk():
        with pytest.raises(ConfigError, match="other machines"):
            await Station(tiny).start("0.0.0.0", 0)

    run(talk())


def test_an_address_is_read_or_refused():
    assert address(None) is None
    assert address("tcp://127.0.0.1:10300") == ("127.0.0.1", 10300)
    for text in ("", "host", "host:", ":1", "host:0", "host:99999", "host:x"):
        with pytest.raises(ConfigError):
            address(text)


@settings(deadline=None)
@given(st.binary(max_size=300) | st.binary(max_size=60).map(lambda end: Event("x", {"a": 1}, b"12").encode() + end))
def test_whatever_comes_is_an_event_the_end_or_refused(content):
    async def read():
        reader = asyncio.StreamReader(limit=100)
        reader.feed_data(content)
        reader.feed_eof()
        with contextlib.suppress(ConfigError):
            while await read_event(reader, 200) is not None:
                pass

    asyncio.run(read())
