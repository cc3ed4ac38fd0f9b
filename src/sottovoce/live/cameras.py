"""The sound of many cameras through one filter: `ffmpeg` reads each camera, and another `ffmpeg` passes the result on.

    camera -- ffmpeg --> Live of the camera --> ffmpeg --> RTSP or a file
                         |            ^
                         ring --> one worker process for all --> ring

Each camera has a `Live` of its own, so that all that holds for a microphone holds for it: what is not there in time is
silence, and the sound of the camera has no way out but the worker's ring. The programs `ffmpeg` are given addresses
and formats alone; the one that writes reads nothing but what `Live` gives.
"""

from __future__ import annotations

import shlex
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sottovoce.errors import ConfigError
from sottovoce.live.devices import Player, Program
from sottovoce.live.live import Live
from sottovoce.live.worker import Link, Opener, Worker

MARGIN_S = 0.6  # sound comes over a network in bursts: the worker has this long to do one
_SLACK_S = 0.5  # of a burst, or of a gap that is waited for
_MUTE_S = 10.0  # a camera that gives nothing for so long, or an output that takes nothing, is connected again
_POLL_S = 0.05
_READS = 8  # of a camera between two polls, so that one that sends without end does not keep the others waiting
_KEYS = {"from": "the address of the camera", "to": "where its filtered sound goes", "options": "more for ffmpeg"}


@dataclass(frozen=True)
class Camera:
    """A camera's address, where its filtered sound goes, and options of ffmpeg for the address."""

    name: str
    source: str
    sink: str
    options: tuple[str, ...] = ()

    def read_command(self, sample_rate: int) -> list[str]:
        """The command that writes the sound of the camera, as raw PCM, to its standard output."""
        transport = ["-rtsp_transport", "tcp"] if _is_rtsp(self.source) else []
        return [
            *["ffmpeg", "-nostdin", "-v", "quiet", *transport, *self.options, "-i", self.source, "-map", "0:a:0"],
            *["-f", "s16le", "-ac", "1", "-ar", str(sample_rate), "-"],
        ]

    def write_command(self, sample_rate: int) -> list[str]:
        """The command that passes on raw PCM of its standard input, and nothing else."""
        transport = ["-f", "rtsp", "-rtsp_transport", "tcp"] if _is_rtsp(self.sink) else []
        return [
            *["ffmpeg", "-nostdin", "-v", "quiet", "-f", "s16le", "-ar", str(sample_rate), "-ac", "1", "-i", "pipe:0"],
            *[*transport, self.sink],
        ]


class Cameras:
    """Cameras that run, by name; made by `opened`."""

    def __init__(self, cameras: dict[str, tuple[Live, Program, Player]]) -> None:
        self._cameras = cameras

    def run(self, each: Callable[[], bool]) -> None:
        """Until `each`, often called, returns False; ModelError where the filter cannot be started."""
        while each():
            for live, source, _ in self._cameras.values():
                live.watch()
                for _ in range(_READS):
                    block = source.read(0.0)
                    live.feed(block)
                    if block is None:
                        break
            time.sleep(_POLL_S)

    def report(self) -> dict[str, dict[str, Any]]:
        """What `Live.report` has of each camera, and how often its programs were started."""
        return {
            name: {**live.report(), "connections_in": source.starts, "connections_out": sink.starts}
            for name, (live, source, sink) in self._cameras.items()
        }


@contextmanager
def opened(
    cameras: Sequence[Camera], opener: Opener, latency_samples: int, sample_rate: int, margin_s: float = MARGIN_S
) -> Iterator[Cameras]:
    """All cameras at `sample_rate` Hz, each with a stream of its own that `opener` gives, of this latency.

    AudioError where there is no ffmpeg, ModelError where the filter does not start in its own process.
    """
    links = [Link(sample_rate, (), behind_s=_SLACK_S + margin_s) for _ in cameras]
    with ExitStack() as stack:
        worker = stack.enter_context(closing(Worker(opener, links)))
        while not worker.ready:
            worker.watch()
            time.sleep(0.02)
        running = {}
        for number, camera in enumerate(cameras):
            sink = stack.enter_context(closing(Player(camera.write_command(sample_rate), "ffmpeg", _MUTE_S)))
            source = stack.enter_context(closing(Program(camera.read_command(sample_rate), "ffmpeg", _MUTE_S)))
            live = Live(worker, sink, latency_samples, margin_s, slack_s=_SLACK_S, number=number)
            running[camera.name] = live, source, sink
        yield Cameras(running)


def read_cameras(path: Path) -> list[Camera]:
    """The cameras of a TOML file, in which each is a table with `from`, `to` and, where it is needed, `options`.

    ConfigError for anything else, for two outputs that are the same, and for a file that would be replaced.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{str(path)!r} is no readable TOML file ({error}); write one table for each camera."
        ) from error
    cameras = [_camera(name, table) for name, table in tables.items()]
    if not cameras:
        raise ConfigError(f"{str(path)!r} has no camera; write one table for each, with `from` and `to`.")
    sinks = [camera.sink for camera in cameras]
    for camera in cameras:
        if sinks.count(camera.sink) > 1 or camera.sink in {other.source for other in cameras}:
            raise ConfigError(f"[{camera.name}]: `to` is the output or the address of another camera; choose another.")
        if "://" not in camera.sink and Path(camera.sink).exists():
            raise ConfigError(f"[{camera.name}]: the output {camera.sink!r} exists; move it, or choose another name.")
    return cameras


def _camera(name: str, table: Any) -> Camera:
    needed = ", ".join(f"{key} ({what})" for key, what in _KEYS.items())
    if not isinstance(table, dict) or not {"from", "to"} <= {*table} <= {*_KEYS}:
        raise ConfigError(f"[{name}] has to be a table of {needed}, of which `options` may be left out.")
    if strange := [key for key, text in table.items() if not isinstance(text, str) or not text.strip()]:
        raise ConfigError(f"[{name}]: {strange[0]} has to be text in quotation marks, not empty.")
    if odd := [key for key in ("from", "to") if table[key].startswith("-")]:
        raise ConfigError(f"[{name}]: {odd[0]} begins with -, as an option does; give an address or a file.")
    try:
        options = shlex.split(table.get("options", ""))
    except ValueError as error:
        raise ConfigError(f"[{name}]: options cannot be split into words ({error}).") from error
    return Camera(name, table["from"], table["to"], tuple(options))


def _is_rtsp(address: str) -> bool:
    return address.lower().startswith(("rtsp://", "rtsps://"))
