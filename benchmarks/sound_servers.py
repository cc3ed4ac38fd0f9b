"""PulseAudio or PipeWire in a folder of its own, without a sound card, for benchmarks and tests to start and restart.

In it there is a room: what is played to the sink `room` is what the microphone `mic` records, which is the default one
for all programs. Both are made by the server's configuration, so they are there at each start, as hardware is.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

RATE = 16000
ROOM, MICROPHONE = "room", "mic"
_SINK = f"module-null-sink sink_name={ROOM} rate=48000 channels=1 channel_map=mono"
_MICROPHONE = f"module-remap-source master={ROOM}.monitor source_name={MICROPHONE} channels=1 channel_map=mono"


class SoundServer:
    """A sound server with a room and a microphone; `environment` is what its programs need."""

    needs: tuple[str, ...] = ("pactl", "parec", "paplay")

    def __init__(self, folder: Path) -> None:
        folder.chmod(0o700)
        self.folder = folder
        self.environment = {**os.environ, "XDG_RUNTIME_DIR": str(folder), "HOME": str(folder), "LC_ALL": "C"}
        self.environment |= {"DISABLE_RTKIT": "1", "DBUS_SESSION_BUS_ADDRESS": f"unix:path={folder}/bus"}
        self.environment["PULSE_SERVER"] = f"unix:{folder}/pulse/native"
        self.environment.pop("XDG_CONFIG_HOME", None)
        self._processes: list[subprocess.Popen[bytes]] = []
        self.configure(folder / ".config")
        self.start()

    @classmethod
    def lacks(cls) -> list[str]:
        """The programs that are not installed."""
        return [name for name in cls.needs if shutil.which(name) is None]

    def configure(self, folder: Path) -> None:
        """Write the configuration with the room."""
        raise NotImplementedError

    def commands(self) -> list[tuple[list[str], str]]:
        """What the server consists of: command, and the socket that the next one needs."""
        raise NotImplementedError

    def start(self) -> None:
        """Start it, and wait until it answers and the microphone is there."""
        self._processes = []
        with open(self.folder / "server.log", "ab") as log:
            for command, needed in self.commands():
                self._processes.append(self.run(*command, stdout=log, stderr=log))
                self._wait(lambda path=needed: not path or _answers(self.folder / path))
        self._wait(lambda: MICROPHONE in self.sources())

    def _wait(self, done: Callable[[], bool]) -> None:
        for _ in range(500):
            if done():
                return
            time.sleep(0.02)
        raise SystemExit(f"the sound server does not start: {(self.folder / 'server.log').read_text()[-2000:]}")

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it by a signal."""
        for process in reversed(self._processes):
            process.send_signal(number)
        for process in self._processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def run(self, *command: str, **options: Any) -> subprocess.Popen[bytes]:
        """A program of this server."""
        return subprocess.Popen(command, env=self.environment, **options)

    def pactl(self, *words: str) -> str:
        """What `pactl` prints."""
        return subprocess.run(
            ["pactl", *words], env=self.environment, capture_output=True, text=True, check=False
        ).stdout

    def sources(self) -> list[str]:
        """The names of the microphones."""
        return [line.split("\t")[1] for line in self.pactl("list", "short", "sources").splitlines() if "\t" in line]


class PulseAudio(SoundServer):
    """PulseAudio, whose listeners go to the default microphone when theirs goes away."""

    needs = (*SoundServer.needs, "pulseaudio")

    def configure(self, folder: Path) -> None:
        (folder / "pulse").mkdir(parents=True, exist_ok=True)
        modules = ("module-native-protocol-unix", _SINK, _MICROPHONE)
        script = "".join(f"load-module {module}\n" for module in modules)
        (folder / "pulse" / "default.pa").write_text(script, encoding="utf-8")

    def commands(self) -> list[tuple[list[str], str]]:
        command = ["pulseaudio", "--daemonize=no", "--exit-idle-time=-1", "--log-level=error", "--use-pid-file=no"]
        return [(command, "")]


class PipeWire(SoundServer):
    """PipeWire with WirePlumber and its PulseAudio part."""

    needs = (*SoundServer.needs, "pipewire", "wireplumber", "pipewire-pulse", "dbus-daemon")

    def configure(self, folder: Path) -> None:
        (folder / "pipewire" / "pipewire-pulse.conf.d").mkdir(parents=True, exist_ok=True)
        modules = "".join(f' {{ cmd = "load-module" args = "{one}" flags = [ ] }}\n' for one in (_SINK, _MICROPHONE))
        room = folder / "pipewire" / "pipewire-pulse.conf.d" / "room.conf"
        room.write_text(f"pulse.cmd = [\n{modules}]\n", encoding="utf-8")

    def commands(self) -> list[tuple[list[str], str]]:
        (self.folder / "bus").unlink(missing_ok=True)
        bus = ["dbus-daemon", "--session", "--nofork", f"--address={self.environment['DBUS_SESSION_BUS_ADDRESS']}"]
        return [(bus, "bus"), (["pipewire"], "pipewire-0"), (["wireplumber"], ""), (["pipewire-pulse"], "")]


SERVERS = {"pulseaudio": PulseAudio, "pipewire": PipeWire}


def _answers(path: Path) -> bool:
    """Whether somebody listens at a socket."""
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


class Program:
    """A program that is started again as soon as it ends, until it is closed; each time it writes to a new file.

    One that `writes` is ended where it writes nothing for 8 s: libpulse may wait 30 s for a server that just starts.
    """

    def __init__(self, server: SoundServer, name: str, *command: str, writes: bool = False) -> None:
        self._server, self._name, self._command, self._writes = server, name, command, writes
        self._ending = threading.Event()
        self.starts = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep_running, daemon=True)
        self._thread.start()

    def again(self) -> None:
        """End it, so that it starts again."""
        if self._process is not None:
            self._process.kill()

    def written(self) -> list[bytes]:
        """What it wrote, start by start."""
        return [self._file(i).read_bytes() for i in range(self.starts) if self._file(i).exists()]

    def close(self) -> None:
        """End it for good."""
        self._ending.set()
        self.again()
        self._thread.join()

    def _file(self, start: int) -> Path:
        return self._server.folder / f"{self._name}.{start}"

    def _keep_running(self) -> None:
        while not self._ending.is_set():
            with open(self._file(self.starts), "wb") as file:
                self._process = self._server.run(*self._command, stdout=file, stderr=subprocess.DEVNULL)
            self.starts += 1
            self._wait(self._process, self._file(self.starts - 1))
            self._ending.wait(0.02)

    def _wait(self, process: subprocess.Popen[bytes], file: Path) -> None:
        size = 0
        while True:
            try:
                process.wait(8)
                return
            except subprocess.TimeoutExpired:
                if self._writes and file.stat().st_size == size:
                    process.kill()
                size = file.stat().st_size


def recorder(server: SoundServer, name: str, source: str) -> Program:
    """A program that listens to `source`, raw PCM at `RATE`, and comes back whenever it is disconnected."""
    form = ["--raw", "--format=s16le", "--channels=1", f"--rate={RATE}", "--latency-msec=20"]
    return Program(server, name, "parec", *form, f"--device={source}", writes=True)
