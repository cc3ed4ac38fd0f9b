"""How many live streams `sottovoce serve` holds, how late what it makes comes, and whether any leaks into another.

    python benchmarks/service.py [--filter FILTER] [--streams 50] [--seconds 30] [--json]

A service of its own process on this machine's loopback; so many clients, in one other process, each send other sound in
real time, 20 ms at a time, beginning at different moments, for a bounded time. Added latency is the time from sending a
message that makes a piece of output ready (by what the stream does offline) to receiving that piece whole. What each
client received must be, to the last bit, what the stream makes of its sound offline.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from typing import Any

import numpy as np
from websockets.asyncio.client import ClientConnection, connect

from sottovoce.audio.spectrum import SAMPLE_RATE, SEGMENT_S
from sottovoce.runtime import bundled
from sottovoce.runtime.filter import Filter
from sottovoce.runtime.pcm import decode, encode

CHUNK = SAMPLE_RATE // 50


def spoken(seed: int, seconds: float) -> bytes:
    """The sound of one client, s16le: noise of its own whose loudness wanders."""
    rng = np.random.default_rng(seed)
    samples = round(seconds * SAMPLE_RATE) // CHUNK * CHUNK
    corners = np.arange(0, samples + SAMPLE_RATE // 4, SAMPLE_RATE // 4)
    loud = np.interp(np.arange(samples), corners, rng.uniform(0, 0.3, len(corners)))
    return encode((loud * rng.standard_normal(samples)).astype(np.float32), "s16le")


async def client(
    port: int, content: bytes, delay: float, hello: dict[str, Any]
) -> tuple[list[float], list[tuple[int, float]], bytes]:
    """When each message was sent; how many bytes had come by when; and all that came."""
    await asyncio.sleep(delay)
    async with connect(f"ws://127.0.0.1:{port}", compression=None, max_queue=None) as socket:
        await socket.send(json.dumps(hello))
        await socket.recv()
        sent: list[float] = []
        sending = asyncio.create_task(_send(socket, content, sent))
        came, received = [], bytearray()
        while isinstance(message := await socket.recv(), bytes):
            received += message
            came.append((len(received), time.monotonic()))
        await sending
    return sent, came, bytes(received)


async def _send(socket: ClientConnection, content: bytes, sent: list[float]) -> None:
    began = time.monotonic()
    for number, start in enumerate(range(0, len(content), 2 * CHUNK)):
        await asyncio.sleep(max(0.0, began + number * CHUNK / SAMPLE_RATE - time.monotonic()))
        sent.append(time.monotonic())
        await socket.send(content[start : start + 2 * CHUNK])
    await socket.send('{"end": true}')


def offline(permit: Filter, content: bytes) -> tuple[list[int], bytes]:
    """How many bytes are ready after each message, and all of them."""
    stream, parts, ready = permit.stream(), [], []
    wav = decode(content, "s16le")
    for start in range(0, len(wav), CHUNK):
        parts.append(encode(stream.feed(wav[start : start + CHUNK]), "s16le"))
        ready.append(len(parts[-1]) + (ready[-1] if ready else 0))
    return ready, b"".join([*parts, encode(stream.flush(), "s16le")])


def measure(name: str, streams: int, seconds: float) -> dict[str, Any]:
    """Serve, load, compare."""
    command = [sys.executable, "-m", "sottovoce.cli", "serve", name, "--port", "0", "--connections", str(streams)]
    contents = [spoken(seed, seconds) for seed in range(streams)]

    async def all_of(port: int) -> list[Any]:
        hello = {"sample_rate": SAMPLE_RATE, "encoding": "s16le"}
        delays = np.random.default_rng(0).uniform(0, SEGMENT_S, streams)
        return await asyncio.gather(
            *(client(port, one, float(d), hello) for one, d in zip(contents, delays, strict=True))
        )

    busy = os.getloadavg()[0]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            port = json.loads(process.stdout.readline())["port"]
            before, began = _cpu_s(process.pid), time.monotonic()
            answers = asyncio.run(all_of(port))
            used, took = _cpu_s(process.pid) - before, time.monotonic() - began
            resident = _resident_mb(process.pid)
        finally:
            process.terminate()
    permit = Filter.load(bundled.find(name))
    late: list[float] = []
    equal = 0
    for content, (sent, came, received) in zip(contents, answers, strict=True):
        ready, expected = offline(permit, content)
        equal += received == expected
        for message in np.flatnonzero(np.diff([0, *ready])):
            arrived = next((when for size, when in came if size >= ready[message]), None)
            if arrived is not None:
                late.append(arrived - sent[message])
    return {
        "streams": streams,
        "seconds": seconds,
        "equal to offline, to the last bit": equal,
        "added latency, ms": {f"p{q}": round(1000 * float(np.percentile(late, q)), 1) for q in (50, 90, 99, 100)},
        "service": {
            "cores used": round(used / took, 2),
            "resident, MB": round(resident),
            "ms per s of sound": round(1000 * used / (streams * seconds), 2),
        },
        "load average before": round(busy, 1),
        "cores": os.cpu_count(),
    }


def _cpu_s(pid: int) -> float:
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident_mb(pid: int) -> float:
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return sum(int(line.split()[1]) / 1024 for line in file if line.startswith("VmRSS"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--filter", default="digit")
    parser.add_argument("--streams", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    result = measure(arguments.filter, min(arguments.streams, 1000), min(arguments.seconds, 600.0))
    print(json.dumps(result, indent=None if arguments.json else 1))
    sys.exit(result["equal to offline, to the last bit"] != result["streams"])
