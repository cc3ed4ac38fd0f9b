"""Whether the microphone is ever heard in the virtual microphone while the worker behind that is killed, many times.

    python benchmarks/fail_closed.py [--filter FILTER] [--kills 100] [--json]

Needs pulseaudio and pulseaudio-utils; starts a sound server of its own, without a sound card, and ends it. Loud
pseudo-random noise, of which every 20 ms is unlike all others, is played into a sink whose monitor is the microphone of
`sottovoce live --virtual-mic`; `parec` records the virtual microphone. Each short window of the recording is correlated
with the noise at every lag. A window of the microphone itself has a correlation near 1 (that is the control), one that
has nothing to do with it stays under what chance allows.

Then the tool itself is killed, and at last stopped while a program still listens: what does that program hear? And, as
a second control, what would it hear if the virtual microphone were taken away from it?
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

RATE = 16000
NOISE_S = 10
WINDOWS = {"20 ms": RATE // 50, "250 ms": RATE // 4}
SUSPECT = {"20 ms": 0.6, "250 ms": 0.2}  # by chance at most about 0.3 and 0.1
MICROPHONE, VIRTUAL = "room.monitor", "sottovoce-test"


def noise() -> np.ndarray:
    """The sound in the room [T], loud."""
    return (0.3 * np.random.default_rng(0).standard_normal(NOISE_S * RATE)).clip(-1, 1).astype(np.float32)


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


class SoundServer:
    """PulseAudio with a sink that goes nowhere, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        folder.chmod(0o700)
        self.environment = {**os.environ, "XDG_RUNTIME_DIR": str(folder), "HOME": str(folder)}
        self.environment["PULSE_RUNTIME_PATH"] = str(folder / "pulse")
        modules = ["module-native-protocol-unix", "module-null-sink sink_name=room rate=16000 channels=1"]
        modules.append("module-rescue-streams")  # as desktops load it: hands listeners on when a source goes away
        command = ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--log-level=error"]
        self._process = subprocess.Popen(
            [*command, *(word for module in modules for word in ("-L", module))],
            env=self.environment,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(100):
            if (
                subprocess.run(["pactl", "info"], env=self.environment, capture_output=True, check=False).returncode
                == 0
            ):
                return
            time.sleep(0.1)
        raise SystemExit("PulseAudio does not start here.")

    def start(self, *command: str, **options: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, env=self.environment, **options)

    def record(self, source: str, path: Path) -> subprocess.Popen[bytes]:
        """A program that listens to `source`, into a file of raw PCM."""
        form = ["--raw", "--format=s16le", "--channels=1", f"--rate={RATE}", "--latency-msec=20"]
        with open(path, "wb") as file:
            return self.start("parec", *form, f"--device={source}", stdout=file)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()


def measure(filter_: str, kills: int, seconds: float) -> dict[str, Any]:
    """Kill, record, correlate."""
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        server = SoundServer(place)
        others: list[subprocess.Popen[bytes]] = []
        try:
            return _measured(server, place, filter_, kills, seconds, others)
        finally:
            for process in others:
                process.kill()
                process.wait()
            server.close()


def _measured(
    server: SoundServer, place: Path, filter_: str, kills: int, seconds: float, others: list[subprocess.Popen[bytes]]
) -> dict[str, Any]:
    soundfile.write(place / "noise.wav", np.tile(noise(), 6 * 60), RATE, "PCM_16")  # an hour
    others.append(server.start("paplay", "--device=room", str(place / "noise.wav")))
    command = [sys.executable, "-m", "sottovoce.cli", "live", filter_, "--virtual-mic", VIRTUAL, "--headless"]
    command += ["--device", f"pulse:{MICROPHONE}"]
    log = open(place / "log", "wb")  # noqa: SIM115
    live = server.start(*command, stdout=log, stderr=log)
    others.append(live)
    _until(lambda: VIRTUAL in _sources(server) and _workers(live.pid))
    others += [server.record(VIRTUAL, place / "heard"), server.record(MICROPHONE, place / "control")]
    server.start("pactl", "set-default-source", VIRTUAL).wait()  # as users do, and the server may move who records
    time.sleep(4.0)  # until the first sound has come through
    rng, killed = np.random.default_rng(1), 0
    began = time.monotonic()
    while killed < kills:
        for pid in _until(lambda: _workers(live.pid)):
            os.kill(pid, signal.SIGKILL)
            killed += 1
        # Soon again, often while it starts, sometimes while it works.
        time.sleep(float(rng.choice([0.02, 0.3, 1.5, seconds])))
    time.sleep(4.0)
    heard = {"while workers were killed": _read(place / "heard")}
    control = _read(place / "control")[: 20 * RATE]
    killing_s = time.monotonic() - began
    lines = (place / "log").read_text(encoding="utf-8").splitlines()
    reports = [json.loads(line) for line in lines if line.startswith("{")]

    live.kill()
    live.wait()
    before = len(_read(place / "heard"))
    time.sleep(3.0)
    heard["after the tool was killed"] = _read(place / "heard")[before:]
    again = server.start(*command, stdout=log, stderr=log)
    others.append(again)
    _until(lambda: len(_read(place / "heard")) > before + 4 * RATE)
    before = len(_read(place / "heard"))
    again.terminate()
    again.wait()
    time.sleep(3.0)
    heard["while the tool stopped, and after"] = _read(place / "heard")[before:]
    said = (place / "log").read_text(encoding="utf-8")
    stayed = VIRTUAL in _sources(server) and "stays there, silent" in said
    before = len(_read(place / "heard"))
    server.start("pactl", "unload-module", "module-pipe-source").wait()
    time.sleep(3.0)
    removed = _read(place / "heard")[before:]
    original = np.round(noise() * 2**15) / 2**15
    return {
        "kills": killed,
        "seconds": round(killing_s, 1),
        "control": {name: round(float(np.median(likeness(control, original, n))), 3) for name, n in WINDOWS.items()},
        "heard": {when: _judged(sound, original) for when, sound in heard.items()},
        "the virtual microphone stayed for its listener": stayed,
        "what the tool reported while workers were killed": reports[-1],
        "the tool said that somebody hears the microphone itself": '"state": "clear"' in said,
        "had it been removed, the listener would have heard": _judged(removed, original),
    }


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


def _until(found: Any, seconds: float = 60.0) -> Any:
    """What `found` gives as soon as it is something."""
    deadline = time.monotonic() + seconds
    while not (value := found()):
        if time.monotonic() > deadline:
            raise SystemExit("the live filter does not come up; see its log.")
        time.sleep(0.01)
    return value


def _workers(pid: int) -> list[int]:
    """The worker processes of a tool: its children that were spawned to work."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return [int(child) for child in children if b"spawn_main" in _command_line(child)]


def _command_line(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _sources(server: SoundServer) -> str:
    asked = ["pactl", "list", "short", "sources"]
    return subprocess.run(asked, env=server.environment, capture_output=True, text=True, check=False).stdout


def _read(path: Path) -> np.ndarray:
    content = path.read_bytes()
    return np.frombuffer(content[: len(content) // 2 * 2], "<i2").astype(np.float32) / 2**15


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--filter", default="digit")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=3.5, help="the longest pause between two kills")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    result = measure(arguments.filter, arguments.kills, arguments.seconds)
    print(json.dumps(result, indent=None if arguments.json else 1))
    sys.exit(any(part[name]["suspect"] for part in result["heard"].values() for name in WINDOWS))
