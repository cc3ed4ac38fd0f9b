"""A law of whatever streams sound: in any window of s seconds at most ceil(s / b) + 1 blocks leave for one listener."""

import asyncio
import io
import json
import math
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sottovoce.runtime import bundled
from sottovoce.runtime.files import protect_stream
from sottovoce.runtime.filter import Filter
from sottovoce.runtime.pacing import Paces
from sottovoce.runtime.pcm import encode
from sottovoce.serve.access import Limits
from sottovoce.serve.events import Event, read_event
from sottovoce.serve.websocket import Service
from sottovoce.serve.wyoming import Station

B = 1.0  # seconds of a block
SLACK = 1e-6


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Sender:
    """Sound and ends through paces, and when blocks left, by a slow and obvious count."""

    def __init__(self, paces: Paces, clock: Clock) -> None:
        self.clock, self.paces, self.left = clock, paces, []
        self._opened = None
        self.reconnect()

    def reconnect(self, who: str = "a") -> None:
        if self._opened is not None:
            self._opened.__exit__(None, None, None)
        self._opened = self.paces.taken(who)
        self.pace, self.sound = self._opened.__enter__(), 0.0

    def speak(self, seconds: float, takes: float) -> None:
        self.clock.now += takes
        before, self.sound = self.sound, self.sound + seconds
        self.pace.feed(seconds)
        whole = math.floor(self.sound / B + SLACK) - math.floor(before / B + SLACK)
        self.left += [self.clock.now] * whole

    def end(self) -> None:
        while wait := self.pace.wait_s():
            self.clock.now += wait
        self.pace.end()
        if self.sound % B > SLACK and B - self.sound % B > SLACK:
            self.left.append(self.clock.now)
        self.sound = 0.0


def check(left: list[float], most_at_once: int = 1) -> None:
    """Every window that begins with one block and ends just before the end of another."""
    for i, first in enumerate(left):
        for j in range(i, len(left)):
            window = left[j] - first + SLACK
            assert j - i + 1 <= most_at_once * (math.ceil(window / B) + 1), (i, j, left)


spoken = st.tuples(st.just("speak"), st.floats(0.001, B), st.floats(1.0, 3.0))
steps = st.lists(spoken | st.sampled_from([("end",), ("again",)]) | st.tuples(st.just("quiet"), st.floats(0, 3)))


@given(steps)
def test_no_order_of_sounds_ends_and_connections_gives_more_blocks(steps):
    """Of sound as a microphone gives it: a piece takes at least as long as it lasts."""
    clock = Clock()
    sender = Sender(Paces(B, clock), clock)
    for name, *numbers in steps:
        if name == "speak":
            sender.speak(numbers[0], numbers[0] * numbers[1])
        elif name == "end":
            sender.end()
        elif name == "again":
            sender.reconnect()
        else:
            clock.now += numbers[0]
    check(sender.left)


@given(st.lists(st.tuples(st.floats(0.001, 5.0), st.floats(0.0, 3.0)), max_size=30))
def test_a_recording_counts_by_its_own_seconds(sounds):
    """Each faster than it was spoken: blocks are at most those of the sound and of the time, and one."""
    clock = Clock()
    sender, said = Sender(Paces(B, clock), clock), 0.0
    for seconds, pause in sounds:
        clock.now += pause
        sender.speak(seconds, 0.0)
        sender.end()
        said += seconds
    assert len(sender.left) <= math.ceil((said + clock.now - 100.0) / B + SLACK) + 1


def test_short_sounds_end_once_for_each_block():
    clock = Clock()
    sender = Sender(Paces(B, clock), clock)
    for _ in range(100):
        sender.speak(0.01, 0.01)
        sender.end()
    assert len(sender.left) == 100 and (np.diff(sender.left) >= B - SLACK).all()


def test_who_makes_a_pause_waits_for_nothing():
    clock = Clock()
    sender = Sender(Paces(B, clock), clock)
    for sound in range(20):
        for _ in range(5 + sound):
            sender.speak(0.1, 0.1)
        assert sender.pace.wait_s() == 0.0
        sender.end()
        clock.now += B


def test_whoever_comes_back_finds_the_pace_as_it_was_and_others_do_not():
    clock = Clock()
    paces = Paces(B, clock)
    sender = Sender(paces, clock)
    for _ in range(50):
        sender.speak(0.01, 0.01)
        sender.end()
        sender.reconnect()
    check(sender.left)
    with paces.taken("b") as other:
        other.feed(0.1)
        assert other.wait_s() == 0.0


@given(st.integers(2, 5), st.lists(st.integers(0, 4), max_size=60))
def test_so_many_connections_at_once_are_so_many_listeners(count, turns):
    clock = Clock()
    paces = Paces(B, clock)
    senders = [Sender(paces, clock) for _ in range(count)]
    for turn in turns:
        sender = senders[turn % count]
        sender.speak(0.05, 0.05)
        sender.end()
        sender.reconnect()
    check(sorted(time for sender in senders for time in sender.left), count)


def test_who_has_nothing_to_wait_for_is_forgotten():
    clock = Clock()
    paces = Paces(B, clock)
    for who in range(100):
        with paces.taken(who) as pace:
            pace.feed(0.1)
            pace.end()
        clock.now += 0.1
    assert len(paces._gates) <= 2 * B / 0.1 + 2, "an attacker's addresses are not kept"


def test_a_long_recording_is_not_held_up():
    clock = Clock()
    sender = Sender(Paces(B, clock), clock)
    for seconds in (1000.3, 77.7):
        sender.speak(seconds, 0.001)
        assert sender.pace.wait_s() == 0.0
        sender.end()


def test_short_sounds_are_not_more_over_many_connections():
    """Not even of connections that are left open."""
    clock = Clock()
    paces = Paces(B, clock)
    senders = [Sender(paces, clock) for _ in range(50)]
    for sender in senders:
        sender.speak(0.05, 0.05)
    for sender in senders:
        sender.end()
    check([time for sender in senders for time in sender.left])


# What streams sound, each once for all of it


@pytest.fixture(scope="module")
def digit() -> Filter:
    filter_ = Filter.load(bundled.find("digit"))
    filter_.engine.make_codewords()  # as `serve` does before it listens
    return filter_


def noise(seconds: float) -> np.ndarray:
    return (0.1 * np.random.default_rng(0).standard_normal(round(16_000 * seconds))).astype(np.float32)


def count(content: bytes, permit: Filter) -> int:
    """Blocks of 16-bit sound at 16 kHz."""
    return round(len(content) / 2 / 16_000 / permit.block_s)


@pytest.mark.parametrize("reconnects", [False, True])
@pytest.mark.parametrize("output", ["sound", "features"])
def test_a_websocket_client_that_ends_every_10_ms(digit, output, reconnects):
    client = pytest.importorskip("websockets.asyncio.client", reason="needs the extra serve")
    piece, seconds, blocks = encode(noise(0.01), "s16le"), 4.0, 0

    async def talk():
        nonlocal blocks
        service = Service(digit, Limits(drain_s=0.0))
        server = await service.start("127.0.0.1", 0)
        place = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        began = time.monotonic()
        socket = None
        while time.monotonic() - began < seconds:
            if reconnects or socket is None:
                socket = await client.connect(place)
                await socket.send(json.dumps({"output": output, "pace": "wait"}))
                await socket.recv()
            await socket.send(piece)
            await socket.send('{"end": true}')
            content = b""
            while isinstance(message := await socket.recv(), bytes):
                content += message
            if time.monotonic() - began < seconds:
                size = 161 * 4 * 128 if output == "features" else 2 * 20_480
                blocks += len(content) // size
            if reconnects:
                await socket.close()
        await service.stop(server)

    asyncio.run(asyncio.wait_for(talk(), 60))
    assert 2 <= blocks <= math.ceil(seconds / digit.block_s) + 1


WAYS = ("stops", "starts", "reconnects", "other rates", "empty sounds")
FORM = {"rate": 16_000, "width": 2, "channels": 1}


def short_sound(way: str, number: int) -> list[Event]:
    form = {**FORM, "rate": 16_000 + number % 2} if way == "other rates" else FORM
    events = [Event("audio-start", form)] if way != "stops" else []
    events += [Event("audio-chunk", form, encode(noise(0.01), "s16le"))] if way != "empty sounds" else []
    return [*events, *([Event("audio-stop", {})] if way not in ("starts", "other rates") else [])]


async def ended_every_10_ms(permit: Filter, forwards: bool, way: str) -> None:
    seconds, calls, heard = 5.0, 0, []

    async def keep(reader, writer):
        nonlocal calls
        calls += 1
        while (event := await read_event(reader, 1 << 18)) is not None:
            heard.append(event)
        writer.close()

    recogniser = await asyncio.start_server(keep, "127.0.0.1", 0)
    station = Station(permit, Limits(drain_s=0.0), recogniser.sockets[0].getsockname() if forwards else None)
    server = await station.start("127.0.0.1", 0)
    began, number, writer = time.monotonic(), 0, None
    while time.monotonic() - began < seconds:
        if way == "reconnects" or writer is None:
            if writer is not None:
                writer.write_eof()
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            if not forwards:
                asyncio.create_task(keep(reader, writer))  # noqa: RUF006, it ends with the connection
        number += 1
        for event in short_sound(way, number):
            writer.write(event.encode())
        await asyncio.sleep(0.01)
    most = math.ceil((time.monotonic() - began) / permit.block_s) + 1
    content = b"".join(event.payload for event in heard if event.type == "audio-chunk")
    starts, stops = (sum(event.type == name for event in heard) for name in ("audio-start", "audio-stop"))
    await station.stop(server)
    recogniser.close()
    assert max(count(content, permit), starts, stops) <= most, way
    assert calls <= most or not forwards, "how often it is called tells as much"
    assert starts, "something is passed on"


@pytest.mark.parametrize("forwards", [False, True])
def test_a_wyoming_client_that_ends_every_10_ms(digit, forwards):
    async def talk():
        await asyncio.gather(*(ended_every_10_ms(digit, forwards, way) for way in WAYS))

    asyncio.run(asyncio.wait_for(talk(), 60))


def test_pipes_one_after_the_other(digit):
    """Nothing remembers the pipe before, so that each is over when its blocks are."""
    for seconds in (0.01, 1.4):
        content, out, began = encode(noise(seconds), "s16le"), io.BytesIO(), time.monotonic()
        protect_stream(digit, io.BytesIO(content), out, 16_000)
        taken = time.monotonic() - began
        rest = math.ceil(seconds / digit.block_s) * digit.block_s - seconds
        assert rest <= taken < rest + 1.0
        assert count(out.getvalue(), digit) == math.ceil(seconds / digit.block_s)


def test_a_pipe_sends_its_last_block_last():
    """Not even who does not wait for the end of the process is sooner."""
    command = [sys.executable, "-m", "sottovoce.cli", "protect", "digit", "-", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdin.write(encode(noise(0.1), "s16le"))
        process.stdin.flush()
        began = time.monotonic()
        process.stdin.close()
        assert len(process.stdout.read(1000)) == 1000
        assert time.monotonic() - began > 1.0
        process.stdout.read()
