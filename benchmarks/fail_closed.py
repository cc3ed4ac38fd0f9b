"""Whether sound of the microphone ever reaches the virtual microphone, whatever is killed or restarted, many times.

    python benchmarks/fail_closed.py [--server pulseaudio|pipewire] [--filter FILTER] [--kills 100] [--json]

Needs the sound server and pulseaudio-utils; starts a server of its own, without a sound card, and ends it. Loud
pseudo-random noise, of which every 20 ms is unlike all others, is played into a room whose microphone is that of
`sottovoce live --virtual-mic`; `parec` records the virtual microphone, and comes back at once whenever it is
disconnected. Each short window of the recording is correlated with the noise at every lag. A window of the microphone
itself has a correlation near 1 (that is the control); one that has nothing to do with it stays under what chance
allows.

1. The worker behind the virtual microphone is killed, many times.
2. The tool itself is killed, then started again and stopped while a program still listens.
3. Control: the virtual microphone is removed under its listener by force.
4. It is installed (`--install-mic`), and the sound server restarts while the tool runs, in order and by a kill.
5. Control: it is uninstalled, no tool runs, and the server restarts: what is a program given that names it?
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from sound_servers import MICROPHONE, RATE, ROOM, SERVERS, Program, SoundServer, recorder

NOISE_S = 10
BAND_HZ = 4000  # so that half a sample of delay in a resampler changes little
WINDOWS = {"20 ms": RATE // 50, "250 ms": RATE // 4}
SUSPECT = {"20 ms": 0.6, "250 ms": 0.2}  # by chance at most about 0.45 and 0.13
VIRTUAL = "sottovoce-test"


def noise() -> np.ndarray:
    """The sound in the room [T], loud."""
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal(NOISE_S * RATE))
    spectrum[BAND_HZ * NOISE_S :] = 0
    return (0.4 * np.fft.irfft(spectrum)).clip(-1, 1).astype(np.float32)


def likeness(recorded: np.ndarray, original: np.ndarray, window: int) -> np.ndarray:
    """The largest correlation, at any lag, of each window of `recorded` [T] with `original` played in a loop."""
    period = len(original)
    spectrum = np.conj(np.fft.rfft(original))
    power = np.concatenate([[0.0], np.cumsum(np.square(np.tile(original, 2), dtype=np.float64))])
    energy = power[window : window + period] - power[:period]
    found = np.zeros(len(recorded) // window)
    for i in range(len(found)):
        piece = recorded[i * window : (i + 1) * window]
        norm = np.square(piece, dtype=np.float64).sum()
        if norm > 1e-9 * window:  # silence is like nothing
            products = np.fft.irfft(np.conj(np.fft.rfft(piece, period) * spectrum), period)
            found[i] = np.abs(products / np.sqrt(norm * energy)).max()
    return found


class Room:
    """A server in whose room noise is played, those who listen there, and the tool."""

    def __init__(self, server: SoundServer, filter_: str) -> None:
        self.server, self.filter = server, filter_
        soundfile.write(server.folder / "noise.wav", np.tile(noise(), 60), RATE, "PCM_16")
        play = ["paplay", f"--device={ROOM}", str(server.folder / "noise.wav")]
        self.programs = [Program(server, "played", *play)]
        self.tools: list[subprocess.Popen[bytes]] = []
        self.log = server.folder / "log"

    def listen(self, source: str) -> Program:
        """A program that listens to a source, whatever happens to it."""
        self.programs.append(recorder(self.server, f"recorded-{len(self.programs)}", source))
        return self.programs[-1]

    def tool(self, *options: str) -> subprocess.Popen[bytes]:
        """`sottovoce live` in this room."""
        command = [sys.executable, "-m", "sottovoce.cli", "live", self.filter, *options]
        with open(self.log, "ab") as log:
            self.tools.append(self.server.run(*command, stdout=log, stderr=log))
        return self.tools[-1]

    def live(self) -> subprocess.Popen[bytes]:
        """The tool with the virtual microphone, at work."""
        process = self.tool("--virtual-mic", VIRTUAL, "--headless", "--device", f"pulse:{MICROPHONE}")
        until(lambda: VIRTUAL in self.server.sources() and _workers(process.pid))
        return process

    def close(self) -> None:
        """End all of them."""
        for program in self.programs:
            program.close()
        for process in self.tools:
            process.kill()
            process.wait()


def measure(filter_: str, kills: int, seconds: float, server: str = "pulseaudio") -> dict[str, Any]:
    """Kill, restart, record, correlate."""
    if lacking := SERVERS[server].lacks():
        raise SystemExit(f"needs {', '.join(lacking)}.")
    with tempfile.TemporaryDirectory() as scratch:
        running = SERVERS[server](Path(scratch))
        room = Room(running, filter_)
        try:
            return {"server": server, **_measured(room, kills, seconds)}
        finally:
            room.close()
            running.stop()


def _measured(room: Room, kills: int, seconds: float) -> dict[str, Any]:
    server = room.server
    live = room.live()
    server.pactl("set-default-source", VIRTUAL)  # as users do, and the server may move who records
    listener, control = room.listen(VIRTUAL), room.listen(MICROPHONE)
    time.sleep(4.0)  # until the first sound has come through
    began = time.monotonic()
    killed = _kill_workers(live.pid, kills, seconds)
    killing_s = time.monotonic() - began
    time.sleep(4.0)
    heard = {"while workers were killed": samples(listener)}
    reports = [json.loads(line) for line in room.log.read_text().splitlines() if line.startswith("{")]
    controls = samples(control)[: 20 * RATE]

    live.kill()
    live.wait()
    before = len(samples(listener))
    time.sleep(3.0)
    live = room.live()
    until(lambda: samples(listener)[before + 2 * RATE :].any())
    live.terminate()
    live.wait()
    time.sleep(2.0)
    heard["after the tool was killed, started again and stopped"] = samples(listener)[before:]
    said = room.log.read_text(encoding="utf-8")
    stayed = VIRTUAL in server.sources() and "stays there, silent" in said
    control.close()
    server.pactl("set-default-source", MICROPHONE)
    before = len(samples(listener))
    server.pactl("unload-module", "module-pipe-source")
    time.sleep(4.0)
    removed = samples(listener)[before:]

    restarts = _restarted(room, listener, heard)
    given = _uninstalled(room, listener)
    original = np.round(noise() * 2**15) / 2**15
    return {
        "kills": killed,
        "seconds": round(killing_s, 1),
        "control": {name: round(float(np.median(likeness(controls, original, n))), 3) for name, n in WINDOWS.items()},
        "heard": {when: _judged(sound, original) for when, sound in heard.items()},
        "the virtual microphone stayed for its listener": stayed,
        "what the tool reported while workers were killed": reports[-1],
        "the tool said that somebody hears the microphone itself": '"state": "clear"' in said,
        "seconds from the server's start to the next sound": restarts,
        "had it been removed, the listener would have heard": _judged(removed, original),
        "had it not been installed, and the server restarted": _judged(given, original),
    }


def _kill_workers(tool: int, kills: int, seconds: float) -> int:
    """Soon again, often while one starts, sometimes while it works."""
    rng, killed = np.random.default_rng(1), 0
    while killed < kills:
        for pid in until(lambda: _workers(tool)):
            os.kill(pid, signal.SIGKILL)
            killed += 1
        time.sleep(float(rng.choice([0.02, 0.3, 1.5, seconds])))
    return killed


def _restarted(room: Room, listener: Program, heard: dict[str, np.ndarray]) -> list[float]:
    """Install the microphone, restart the server twice under the tool; how long until there is sound again."""
    room.tool("--install-mic", VIRTUAL).wait()
    live = room.live()
    room.server.pactl("set-default-source", VIRTUAL)
    listener.again()
    before = len(samples(listener))
    until(lambda: samples(listener)[before:].any())
    waits = []
    for number in (signal.SIGTERM, signal.SIGKILL):
        room.server.stop(number)
        time.sleep(1.0)
        began, restarted = time.monotonic(), len(samples(listener))
        room.server.start()
        room.programs[0].again()
        until(lambda start=restarted: samples(listener)[start:].any())
        waits.append(round(time.monotonic() - began, 1))
        time.sleep(1.0)
    heard["while the sound server restarted"] = samples(listener)[before:]
    if live.poll() is not None:
        raise SystemExit("the tool ended with the sound server; see its log.")
    live.terminate()
    live.wait()
    return waits


def _uninstalled(room: Room, listener: Program) -> np.ndarray:
    """What a program is given that names the microphone, while nothing makes it."""
    room.server.stop()
    for file in room.server.folder.glob(".config/**/sottovoce-*.conf"):
        file.unlink()
    room.server.configure(room.server.folder / ".config")
    before = len(samples(listener))
    room.server.start()
    room.programs[0].again()
    time.sleep(3.0)
    return samples(listener)[before:]


def _judged(sound: np.ndarray, original: np.ndarray) -> dict[str, Any]:
    found: dict[str, Any] = {
        "seconds": round(len(sound) / RATE, 1),
        "silent": round(float((sound == 0).sum() / max(1, len(sound))), 3),
    }
    for name, window in WINDOWS.items():
        like = likeness(sound, original, window)
        found[name] = {
            "windows": len(like),
            "largest": round(float(like.max(initial=0.0)), 3),
            "suspect": int((like > SUSPECT[name]).sum()),
        }
    return found


def until(found: Any, seconds: float = 30.0) -> Any:
    """What `found` gives as soon as it is something."""
    deadline = time.monotonic() + seconds
    while not (value := found()):
        if time.monotonic() > deadline:
            raise SystemExit("the live filter does not come up; see its log.")
        time.sleep(0.05)
    return value


def samples(program: Program) -> np.ndarray:
    """All that a program recorded [T]."""
    parts = [np.frombuffer(one[: len(one) // 2 * 2], "<i2") for one in program.written()]
    return np.concatenate([np.zeros(0, "<i2"), *parts]).astype(np.float32) / 2**15


def _workers(pid: int) -> list[int]:
    """The worker processes of a tool: its children that were spawned to work."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return [int(child) for child in children if b"spawn_main" in _command_line(child)]


def _command_line(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", choices=sorted(SERVERS), default="pulseaudio")
    parser.add_argument("--filter", default="level")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=3.5, help="the longest pause between two kills")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    result = measure(arguments.filter, arguments.kills, arguments.seconds, arguments.server)
    print(json.dumps(result, indent=None if arguments.json else 1))
    sys.exit(any(part[name]["suspect"] for part in result["heard"].values() for name in WINDOWS))
