"""Promise: revoked means zero, over the network.

Law: of two clients of `serve` that send the same but for the sound between {"permit": []} and the next permission, all
bytes that come back are equal, then and for ever after: whatever the rate, the encoding, the output, the size of
messages, and where in a block consent changes. What is told while a task is permitted still follows its sound.
"""

import asyncio
import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest

from sottovoce.runtime import bundled
from sottovoce.runtime.codebook import CodebookEngine
from sottovoce.runtime.filter import Filter
from sottovoce.runtime.pcm import BYTES, encode
from sottovoce.serve.access import Limits
from sottovoce.serve.websocket import Service

client = pytest.importorskip("websockets.asyncio.client", reason="needs the extra serve")

BLOCK_S = 1.28
TASK = "digit"  # the only one of the filter of this name


@pytest.fixture(scope="module")
def digit() -> Filter:
    """The bundled filter, but for one thing: it takes no sound for none."""
    filter_ = Filter.load(bundled.find("digit"))
    engine = filter_.engine
    assert isinstance(engine, CodebookEngine)
    return replace(filter_, engine=replace(engine, codebook=replace(engine.codebook, none_above=(1.0,))))


def sound(seed: int, samples: int, rate: int) -> np.ndarray:
    """Something like syllables, none like another: a few harmonics of a low tone, on and off."""
    rng = np.random.default_rng(seed)
    time = np.arange(samples) / rate
    pitch, beat = rng.uniform(80, 300), rng.uniform(2, 6)
    tones = sum(rng.uniform(0, 1) * np.sin(2 * np.pi * pitch * n * time + rng.uniform(0, 6)) for n in range(1, 25))
    loud = np.maximum(0, np.sin(2 * np.pi * beat * time + rng.uniform(0, 6)))
    return (rng.uniform(0.01, 0.08) * tones * loud + 0.001 * rng.standard_normal(samples)).astype(np.float32)


async def told(permit: Filter, hello: dict, parts: list[tuple[list[str] | None, np.ndarray]], piece: int) -> list:
    """All that comes back for sounds, before each of which consent changes unless it is None."""
    service = Service(permit, Limits(drain_s=0.0))
    server = await service.start("127.0.0.1", 0)
    place = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    said: list = []
    async with client.connect(place, max_size=None) as socket:
        await socket.send(json.dumps(hello))
        said.append(await socket.recv())

        async def send():
            for tasks, wav in parts:
                if tasks is not None:
                    await socket.send(json.dumps({"permit": tasks}))
                content = encode(wav, hello["encoding"])
                size = piece * BYTES[hello["encoding"]]
                for start in range(0, len(content), size):
                    await socket.send(content[start : start + size])
            await socket.send('{"end": true}')

        sending = asyncio.create_task(send())
        while said[-1] != '{"ended": true}':
            said.append(await asyncio.wait_for(socket.recv(), 20))
        await sending
    await service.stop(server)
    return said


def content(said: list) -> str:
    """A digest of sound, features and rows; how they were cut into messages is a matter of time."""
    rows = [row for message in said if is_labels(message) for row in json.loads(message)["labels"]]
    parts = [message for message in said if isinstance(message, bytes)]
    return hashlib.sha256(b"".join([*parts, json.dumps(rows).encode()])).hexdigest()


def texts(said: list) -> list[str]:
    return [message for message in said if isinstance(message, str) and not is_labels(message)]


def is_labels(message: bytes | str) -> bool:
    return isinstance(message, str) and message.startswith('{"labels"')


async def law(permit: Filter, rate: int, encoding: str, output: str, lengths: list[float], piece: int) -> None:
    """Sound before, while nothing is permitted, and after, in seconds; what is told may not follow the second."""
    hello = {"sample_rate": rate, "encoding": encoding, "output": output, "pace": "wait"}
    before, while_, after = (round(seconds * rate) for seconds in lengths)
    told_for = []
    for seed in (7, 8, None):
        revoked = np.zeros(while_, np.float32) if seed is None else sound(seed, while_, rate)
        parts = [(None, sound(1, before, rate)), ([], revoked), ([TASK], sound(2, after, rate))]
        told_for.append(await told(permit, hello, parts, piece))
    assert len({content(said) for said in told_for}) == 1, (rate, encoding, output, lengths)
    assert all(texts(said) == texts(told_for[0]) for said in told_for)


@pytest.mark.parametrize(
    ("rate", "encoding", "output", "memory"),
    [
        (16_000, "f32le", "sound", 1.0),
        (16_000, "f32le", "features", 0.0),
        (48_000, "s16le", "sound", 0.0),
        (8_000, "mulaw", "features", 1.0),
        (44_100, "s16le", "sound", 1.0),
        (16_000, "s16le", "labels", 1.0),
        (44_100, "f32le", "labels", 0.0),
    ],
)
def test_nothing_of_a_time_without_consent_is_ever_told(digit, rate, encoding, output, memory):
    async def talk():
        for lengths in (
            [BLOCK_S, 2 * BLOCK_S, 1 / rate],  # one sample of consent
            [0.0, 1.5 * BLOCK_S, 0.7 * BLOCK_S],  # within a block
            [0.4, 0.6, 2.5],  # revoked and given again within one block
            [0.0, 2 * BLOCK_S + 0.02, 1.5],  # the block's border is still within the resampler
        ):
            await law(digit.forgetting(memory), rate, encoding, output, lengths, 1601)

    asyncio.run(asyncio.wait_for(talk(), 120))


@pytest.mark.parametrize("piece", [1, 160, 20_480, 100_000])
def test_whatever_the_size_of_messages(digit, piece):
    lengths = [0.02, 0.03, 0.02] if piece == 1 else [0.5 * BLOCK_S, BLOCK_S, 2.2 * BLOCK_S]

    async def talk():
        await law(digit, 16_000, "s16le", "features", lengths, piece)

    asyncio.run(asyncio.wait_for(talk(), 60))


def test_a_second_sound_of_the_connection_is_as_little_told(digit):
    async def talk():
        told_for = []
        for seed in (7, 8, 9):
            parts = [([], sound(seed, 30_000, 16_000)), ([TASK], sound(2, 50_000, 16_000))]
            told_for.append(content(await told(digit, {"encoding": "f32le", "pace": "wait"}, parts, 4000)))
        assert len(set(told_for)) == 1

    asyncio.run(asyncio.wait_for(talk(), 60))


@pytest.mark.parametrize("output", ["features", "labels"])
def test_what_is_permitted_is_still_told(digit, output):
    """Else a service that sends nothing would keep the promise."""

    async def talk():
        hello = {"encoding": "f32le", "output": output, "pace": "wait"}
        told_for = set()
        for seed in range(5):
            parts = [([TASK], sound(seed, 2 * 20_480, 16_000))]
            told_for.add(content(await told(digit, hello, parts, 4000)))
        assert len(told_for) > 1

    asyncio.run(asyncio.wait_for(talk(), 60))
