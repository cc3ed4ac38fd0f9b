"""The commands of the page on Home Assistant, for every bundled filter, between clients and servers of `wyoming`."""

import asyncio
import contextlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sottovoce.runtime import bundled
from sottovoce.runtime.filter import Filter
from sottovoce.runtime.pcm import encode

wyoming = pytest.importorskip("wyoming")
asr = pytest.importorskip("wyoming.asr")
audio = pytest.importorskip("wyoming.audio")
client = pytest.importorskip("wyoming.client")
info = pytest.importorskip("wyoming.info")
its = pytest.importorskip("wyoming.server")

PAGE = (Path(__file__).parents[2] / "docs" / "home-assistant.md").read_text(encoding="utf-8")
FORM = {"rate": 16000, "width": 2, "channels": 1}
RECOGNISER = info.Info(
    asr=[
        info.AsrProgram(
            name="seven-only",
            attribution=info.Attribution(name="a", url="b"),
            installed=True,
            description=None,
            version=None,
            models=[],
        )
    ]
)


def command(beginning: str, filter_: str) -> str:
    """The command of the page that begins so, for this filter."""
    (line,) = re.findall(rf"^    ({beginning}.*)$", PAGE, re.MULTILINE)
    assert " digit " in line
    return line.replace(" digit ", f" {filter_} ").replace("sottovoce", f"{sys.executable} -m sottovoce.cli")


def room(seconds: float = 3.0) -> np.ndarray:
    """Noise whose loudness changes."""
    rng = np.random.default_rng(1)
    loud = np.repeat(rng.uniform(0, 0.2, 10), round(seconds * 1600))
    return (loud * rng.standard_normal(len(loud))).astype(np.float32)


def filtered(filter_: str) -> bytes:
    stream = Filter.load(filter_).stream(16000)
    return encode(np.concatenate([stream.feed(room()), stream.flush()]), "s16le")


class Recogniser(its.AsyncEventHandler):
    """Keeps what comes, and understands "seven" in all of it."""

    came: list

    async def handle_event(self, event) -> bool:
        self.came.append(event)
        if info.Describe.is_type(event.type):
            await self.write_event(RECOGNISER.event())
        if audio.AudioStop.is_type(event.type):
            await self.write_event(asr.Transcript(text="seven").event())
        return True


@contextlib.asynccontextmanager
async def recognising(came: list):
    """The port of a recogniser."""
    handler = type("Recogniser", (Recogniser,), {"came": came})
    server = await asyncio.start_server(lambda reader, writer: handler(reader, writer).run(), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def ask(port: int) -> tuple[list, str]:
    """As Home Assistant does: which recognisers are there, and what they understand of a sound."""
    async with client.AsyncTcpClient("127.0.0.1", port) as home:
        await home.write_event(info.Describe().event())
        known = info.Info.from_event(await home.read_event())
        await home.write_event(asr.Transcribe(language="en").event())
        await home.write_event(audio.AudioStart(**FORM).event())
        content = encode(room(), "s16le")
        for start in range(0, len(content), 2048):
            await home.write_event(audio.AudioChunk(audio=content[start : start + 2048], **FORM).event())
        await home.write_event(audio.AudioStop().event())
        return known.asr, asr.Transcript.from_event(await home.read_event()).text


@pytest.mark.parametrize("filter_", bundled.known())
def test_a_recogniser_gets_filtered_sound_alone_and_home_assistant_its_answers(filter_):
    pytest.importorskip("websockets")
    came: list = []

    async def talk():
        async with recognising(came) as port:
            words = command("sottovoce serve", filter_).replace("10301", "0").replace("10300", str(port)).split()
            with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as serving:
                try:
                    line = await asyncio.to_thread(serving.stdout.readline)
                    return await ask(json.loads(line)["port"])
                finally:
                    serving.terminate()

    known, text = asyncio.run(asyncio.wait_for(talk(), 60))
    assert [program.name for program in known] == ["seven-only"] and text == "seven"
    assert b"".join(event.payload for event in came if event.payload) == filtered(filter_)
    assert {event.type for event in came} == {"describe", "transcribe", "audio-start", "audio-chunk", "audio-stop"}


@pytest.mark.parametrize("filter_", bundled.known())
def test_the_command_of_a_satellite_gives_filtered_sound_alone(filter_, tmp_path):
    (tmp_path / "room.raw").write_bytes(encode(room(), "s16le"))
    (tmp_path / "arecord").write_text(f"#!/bin/sh\nexec cat {tmp_path}/room.raw\n")
    (tmp_path / "arecord").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    recorded = ["sh", "-c", command("arecord", filter_)]
    done = subprocess.run(recorded, env=environment, capture_output=True, timeout=60, check=True)
    assert done.stdout == filtered(filter_)
