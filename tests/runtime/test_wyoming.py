"""Laws of the Wyoming station: obfuscated sound goes on, of all else a closed list, and garbage nowhere."""

import asyncio
import base64
import contextlib
import json
import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sottovoce.errors import ConfigError
from sottovoce.runtime.pcm import encode
from sottovoce.serve.access import Limits
from sottovoce.serve.events import Event, KnownNames, read_event
from sottovoce.serve.wyoming import Station, address

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
async def recognising(answer, heard=None):
    """A service behind that keeps what it hears; `answer` says what comes back at the end of a sound, or None."""
    heard = [] if heard is None else heard

    async def behind(reader, writer):
        try:
            while (event := await read_event(reader, MOST)) is not None:
                heard.append(event)
                if event.type in ("audio-stop", "describe") and await answer(writer, event) is False:
                    break
        finally:
            writer.close()

    server = await asyncio.start_server(behind, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()
    finally:
        server.close()


@contextlib.asynccontextmanager
async def through(permit, answer, heard=None, limits=None):
    """A client of a filter in front of a service behind."""
    async with (
        recognising(answer, heard) as forward,
        standing(permit, limits, forward) as place,
        connected(place) as client,
    ):
        yield client


async def seven(writer, event) -> None:
    writer.write(Event("transcript", {"text": "seven"}).encode())


async def answered(reader) -> Event:
    """The one event that comes next."""
    event = await asyncio.wait_for(read_event(reader, MOST), 10)
    assert event is not None
    return event


async def all_of(reader) -> list[Event]:
    """Every event until the connection is closed."""
    found = []
    while (event := await asyncio.wait_for(read_event(reader, MOST), 10)) is not None:
        found.append(event)
    return found


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

    async def talk():
        async with through(tiny, seven, heard) as (reader, writer):
            for event in (Event("transcribe", {"language": "en"}), *spoken(noise())):
                writer.write(event.encode())
            assert await answered(reader) == Event("transcript", {"text": "seven"})

    run(talk())
    assert heard[:2] == [Event("transcribe", {"language": "en"}), Event("audio-start", FORM)]
    assert sound(heard) == filtered(tiny, noise())
    assert {event.type for event in heard[2:-1]} == {"audio-chunk"} and heard[-1] == Event("audio-stop", {})


SECRET = base64.b64encode(encode(noise(16_000), "s16le")).decode()  # a second of sound, as text


def smuggled() -> list[Event]:
    """Events that carry more than a recogniser needs, wherever there is room for it."""
    more = {"pcm": SECRET, "timestamp": 987654321, "context": {"x": SECRET}, "speaker": "SECRET-speaker"}
    first, *chunks, last = spoken(noise())
    return [
        Event("custom", more),
        Event("custom", {}, encode(noise(), "s16le")),
        Event("SECRET-type", {}),
        Event("voice-started", {"timestamp": 987654321}),
        Event("voice-stopped", {"timestamp": 987654321}),
        Event("detection", {"name": "okay_nabu", "speaker": "SECRET-speaker", "timestamp": 987654321}),
        Event("transcript", {"text": SECRET[:60]}),
        Event("transcribe", {"language": SECRET[:60], "name": SECRET[:100], "transcript_terms": [SECRET], **more}),
        Event("transcribe", {"language": ["en"], "name": {"a": SECRET}, "vad_sensitivity": SECRET}),
        Event("detect", {"names": [SECRET[:100], 7, None, ["SECRET-name"], "SECRET!name"], **more}),
        Event("describe", more),
        Event("ping", {"text": SECRET[:60]}),
        Event(first.type, {**first.data, **more}, b"SECRET-payload"),
        *(Event(one.type, {**one.data, **more}, one.payload) for one in chunks),
        Event(last.type, more, b"SECRET-payload"),
    ]


def test_only_what_a_recogniser_needs_reaches_it(tiny):
    heard: list[Event] = []

    async def talk():
        async with through(tiny, seven, heard) as (reader, writer):
            for event in smuggled():
                writer.write(event.encode())
            while (await answered(reader)).type != "transcript" or heard[-1].type != "audio-stop":
                pass

    run(talk())
    assert [event for event in heard if event.type != "audio-chunk"] == [
        Event("describe", {}),
        Event("transcribe", {}),
        Event("detect", {}),
        Event("audio-start", FORM),
        Event("audio-stop", {}),
    ]
    assert {json.dumps(event.data) for event in heard if event.type == "audio-chunk"} == {json.dumps(FORM)}
    assert sound(heard) == filtered(tiny, noise())


@pytest.mark.parametrize("rate", [8000, 22_050, 44_101, 48_000])
def test_a_recogniser_hears_one_rate_whatever_the_sender_chooses(tiny, rate):
    heard: list[Event] = []

    async def talk():
        async with through(tiny, seven, heard) as (reader, writer):
            form = {**FORM, "rate": rate}
            for event in spoken(noise()):
                writer.write(Event(event.type, {**event.data, **form}, event.payload).encode())
            await answered(reader)

    run(talk())
    assert all(event.data == FORM for event in heard if event.type != "audio-stop")
    stream = tiny.stream(rate, 16_000)
    assert sound(heard) == encode(np.concatenate([stream.feed(noise()), stream.flush()]), "s16le")


def test_names_are_few_and_of_a_closed_pattern():
    known = KnownNames()
    for number in range(100):
        known.request(Event("transcribe", {"language": f"x{chr(97 + number % 26)}", "name": f"model-{number}"}))
    passed = {
        json.dumps(known.request(Event("transcribe", {"language": a + b, "name": f"model-{number}"})).data)
        for a in "xyz"
        for b in "abcdefghijklmnop"
        for number in range(100)
    }
    assert len(passed) == 5 * 5, "four languages, four models, or none"
    asked_for = {"names": [f"model-{number}" for number in range(50, -1, -1)]}
    assert known.request(Event("detect", asked_for)).data == {"names": [f"model-{number}" for number in range(4)]}
    assert known.request(Event("synthesize", {"text": "a"})) is None


def test_answers_come_back_and_nothing_else_does(tiny):
    replies = [
        Event("error", {"text": "no model", "code": "x"}),
        Event("info", {"asr": [{"name": "a", "models": [{"languages": ["en"]}]}]}),
        Event("detection", {"name": "okay_nabu", "timestamp": 3}),
    ]

    async def answer(writer, event):
        for reply in (Event("synthesize", {"text": "a"}), Event("audio-chunk", FORM, b"1234"), *replies):
            writer.write(reply.encode())
        writer.write(Event("transcript", {"text": "é"}, b"payload").encode())

    async def talk():
        async with through(tiny, answer) as (reader, writer):
            for event in spoken(noise(4000)):
                writer.write(event.encode())
            assert [await answered(reader) for _ in range(4)] == [*replies, Event("transcript", {"text": "é"})]

    run(talk())


def test_a_client_that_only_stops_sending_gets_its_answer(tiny):
    async def late(writer, event):
        await asyncio.sleep(0.5)
        await seven(writer, event)

    async def talk():
        async with through(tiny, late) as (reader, writer):
            for event in spoken(noise(4000)):
                writer.write(event.encode())
            writer.write_eof()
            assert await all_of(reader) == [Event("transcript", {"text": "seven"})]

    run(talk())


@pytest.mark.parametrize("half_closes", [False, True])
def test_a_recogniser_may_take_longer_than_a_client_may_be_quiet(tiny, half_closes):
    async def slow(writer, event):
        await asyncio.sleep(1.2)
        await seven(writer, event)

    async def talk():
        limits = Limits(idle_s=0.4, answer_s=5.0)
        async with through(tiny, slow, limits=limits) as (reader, writer):
            for event in spoken(noise(4000)):
                writer.write(event.encode())
            if half_closes:
                writer.write_eof()
            assert await answered(reader) == Event("transcript", {"text": "seven"})
            last = await all_of(reader)  # then the client is quiet, and is not kept
            assert [event.type for event in last] == ([] if half_closes else ["error"])

    run(talk())


def test_a_recogniser_that_never_answers_is_given_up(tiny):
    async def never(writer, event):
        await asyncio.sleep(30)

    async def talk():
        async with through(tiny, never, limits=Limits(answer_s=0.5)) as (reader, writer):
            for event in spoken(noise(4000)):
                writer.write(event.encode())
            (said,) = await all_of(reader)
            assert said.type == "error" and "time" in said.data["text"]

    run(talk())


@pytest.mark.parametrize("stops", [False, True])
def test_a_recogniser_that_hangs_up_is_told_of(tiny, stops):
    async def away(writer, event):
        return False

    async def at_once(reader, writer):
        await read_event(reader, MOST)
        writer.close()

    async def talk():
        server = await asyncio.start_server(at_once, "127.0.0.1", 0)
        async with recognising(away) as behind:
            forward = behind if stops else server.sockets[0].getsockname()
            async with standing(tiny, forward=forward) as place, connected(place) as (reader, writer):
                for event in spoken(noise())[: None if stops else -1]:
                    writer.write(event.encode())
                (said,) = await all_of(reader)
                assert said.type == "error" and "hung up" in said.data["text"]
        server.close()

    run(talk())


def test_a_second_start_without_a_stop_begins_a_new_sound(tiny):
    heard: list[Event] = []
    first, second = noise(30_000), noise()[::-1].copy()

    async def talk():
        async with through(tiny, seven, heard) as (reader, writer):
            for event in (*spoken(first)[:-1], *spoken(second)):
                writer.write(event.encode())
            assert await answered(reader) == Event("transcript", {"text": "seven"})

    run(talk())
    assert sound(heard) == filtered(tiny, first) + filtered(tiny, second), "neither is in the other"
    assert [event.type for event in heard if event.type != "audio-chunk"] == ["audio-start"] * 2 + ["audio-stop"]


def test_a_ping_is_answered_and_keeps_a_client(tiny):
    async def talk():
        async with through(tiny, seven, limits=Limits(idle_s=0.5)) as (reader, writer):
            for _ in range(6):
                writer.write(Event("ping", {"text": "x" * 1000}).encode())
                assert (await answered(reader)).type == "pong"
                await asyncio.sleep(0.2)

    run(talk())


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
        b"[" * 200_000 + b"\n",
        b"{" * 300_000 + b"\n",
        b'{"a":' * 40_000 + b"1" + b"}" * 40_000 + b"\n",
        b'{"type": "x", "data": ' + b"[" * 900 + b"]" * 900 + b"}\n",
        b'{"type": "x", "data": {"a": NaN}}\n',
        b'{"type": "x", "data": {"a": -Infinity}}\n',
        b'{"type": "x", "data": {"a": 1e999}}\n',
        b'{"type": "x", "data": {"a": ' + b"9" * 4000 + b"}}\n",
        b'{"type": "x", "payload_length": ' + b"9" * 6000 + b"}\n",
        b'{"type": "x", "type": "y"}\n',
        b'{"type": "x", "data": {"a": "\\ud800"}}\n',
        b'{"type": "\xff"}\n',
        '{"type": "x"}\n'.encode("utf-16"),
        Event("audio-start", {**FORM, "rate": 16000.0}).encode(),
        Event("audio-start", {**FORM, "rate": True}).encode(),
        Event("audio-start", {**FORM, "width": 2.0}).encode(),
        Event("audio-start", {**FORM, "rate": 10**17}).encode(),
        Event("audio-start", {**FORM, "rate": "x" * 10_000}).encode(),
    ],
)
def test_what_is_no_event_ends_its_connection_and_no_other(tiny, content):
    async def talk():
        async with standing(tiny) as place, connected(place) as (other, others):
            async with connected(place) as (reader, writer):
                writer.write(content)
                writer.write_eof()
                (said,) = await all_of(reader)
                assert said.type == "error" and len(said.data["text"]) < 200
            others.write(Event("audio-stop", {}).encode())
            assert [event.type for event in await until_stop(other)] == ["audio-stop"]

    run(talk())


def test_who_hangs_up_in_the_middle_of_an_event_is_forgotten(tiny):
    async def talk():
        async with standing(tiny) as place, connected(place) as (reader, writer):
            writer.write(Event("audio-chunk", FORM, b"1234").encode()[:-2])
            writer.write_eof()
            assert await all_of(reader) == []

    run(talk())


def test_nothing_of_the_sound_is_logged(tiny, caplog, capfd):
    caplog.set_level(logging.DEBUG)

    class Broken:
        permit, block_s, rate = ("SECRET",), 0.1, None

        def stream(self, rate, output_rate):
            return self

        def feed(self, samples):
            raise RuntimeError(f"SECRET {samples}")

    async def talk():
        async with standing(Broken()) as place, connected(place) as (reader, writer):
            writer.write(spoken(noise())[1].encode())
            (said,) = await all_of(reader)
            assert said.type == "error" and "SECRET" not in said.data["text"]

    run(talk())
    written = caplog.text + "".join(capfd.readouterr())
    assert "SECRET" not in written and "Traceback" not in written


def test_too_many_and_too_quiet_connections_are_ended(tiny):
    async def talk():
        limits = Limits(connections=1, idle_s=0.3)
        async with standing(tiny, limits) as place, connected(place) as (first, _):
            async with connected(place) as (second, _):
                assert [event.data["text"] for event in await all_of(second)] == ["no connection is free"]
            assert [event.data["text"] for event in await all_of(first)] == ["time is up"]

    run(talk())


def test_a_service_behind_that_is_not_there_ends_the_connection(tiny):
    async def talk():
        async with standing(tiny, forward=("127.0.0.1", 1)) as place, connected(place) as (reader, writer):
            writer.write(Event("describe", {}).encode())
            (said,) = await all_of(reader)
            assert said.type == "error" and "--forward" in said.data["text"]

    run(talk())


def test_who_sends_a_little_now_and_then_is_not_kept(tiny):
    async def talk():
        async with standing(tiny, Limits(idle_s=0.5)) as place, connected(place) as (reader, writer):
            for byte in b'{"type": "ping", "data": {}}':
                writer.write(bytes([byte]))
                await asyncio.sleep(0.1)
                if reader.at_eof() or reader._buffer:
                    break
            assert [event.type for event in await all_of(reader)] == ["error"]

    run(talk())


def test_an_address_is_read_or_refused():
    assert address(None) is None
    assert address("tcp://127.0.0.1:10300") == ("127.0.0.1", 10300)
    assert address("[::1]:10300") == ("::1", 10300)
    for text in ("", "host", "host:", ":1", "host:0", "host:99999", "host:x", "host:²", "host:" + "9" * 5000):
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
