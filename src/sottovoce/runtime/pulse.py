"""A microphone that does not exist, for the programs of PulseAudio or PipeWire to choose, and who listens to what.

The sound server reads it from a pipe. Where nothing is written, nothing is heard; and it stays, silent, when the
process that made it is killed, so that no program falls back to the real microphone.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

from sottovoce.errors import AudioError, ConfigError
from sottovoce.runtime.devices import Pipe

_PIPE_BYTES = 8192  # a quarter of a second at 16 kHz, at most, waits for a program that hesitates
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,60}")
_MODULE = "module-pipe-source"


class VirtualMicrophone(Pipe):
    """A source called `name` at `sample_rate` Hz; one that was left behind is taken over.

    AudioError where the sound server cannot be reached or refuses it.
    """

    def __init__(self, name: str, sample_rate: int) -> None:
        if not _NAME.fullmatch(name):
            raise ConfigError(f"a virtual microphone is to be called {name!r}; use letters, digits, _ . and - alone.")
        self.name = name
        place = Path(os.environ.get("XDG_RUNTIME_DIR", f"/tmp/sottovoce-{os.getuid()}")) / "sottovoce"
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        if place.stat().st_uid != os.getuid() or place.stat().st_mode & 0o077:
            raise AudioError(f"{place} can be used by others; expected a folder of yours alone (mode 700).")
        self._pipe = place / f"{name}.pipe"
        self._module = _module_of(name) or _load(name, sample_rate, self._pipe)
        try:
            descriptor = os.open(self._pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            _pactl("unload-module", self._module)
            raise AudioError(f"{self._pipe} has no reader ({error.strerror}); try once more.") from error
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        super().__init__(descriptor)

    def close(self) -> list[str]:
        """Remove it, unless programs listen to it: the server would hand them the real microphone. Returns those."""
        os.close(self._descriptor)
        listening = listeners(self.name)
        if not listening:
            _pactl("unload-module", self._module)
            self._pipe.unlink(missing_ok=True)
        return listening


def listeners(source: str, but_process: int = 0) -> list[str]:
    """The programs that listen to a source now, but for one process."""
    numbers = {one["index"] for one in _listed("sources") if one["name"] == source}
    return sorted(
        f"{about.get('application.name', 'a program')} ({about.get('application.process.id', '?')})"
        for about in (one["properties"] for one in _listed("source-outputs") if one["source"] in numbers)
        if about.get("application.process.id") != str(but_process)
    )


def hold(source: str, process: int) -> None:
    """Keep a process that records at a source: a server moves it where the default changes, even to what it feeds."""
    numbers = {one["index"] for one in _listed("sources") if one["name"] == source}
    for one in _listed("source-outputs"):
        if one["properties"].get("application.process.id") == str(process) and one["source"] not in numbers:
            _pactl("move-source-output", str(one["index"]), source)


def default_source() -> str:
    """The name of the microphone that programs get when they do not choose."""
    return _pactl("get-default-source").strip()


def _module_of(name: str) -> str | None:
    """The number of the module that is a source of this name already."""
    for line in _pactl("list", "short", "modules").splitlines():
        number, kind, *rest = line.split("\t")
        if kind == _MODULE and f"source_name={name} " in f"{' '.join(rest)} ":
            return number
    return None


def _load(name: str, sample_rate: int, pipe: Path) -> str:
    pipe.unlink(missing_ok=True)
    settings = ["format=s16le", "channels=1", f"rate={sample_rate}", f"source_properties=device.description={name}"]
    return _pactl("load-module", _MODULE, f"source_name={name}", f"file={pipe}", *settings).strip()


def _listed(what: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(_pactl("--format=json", "list", what))
    return found


def _pactl(*words: str) -> str:
    """What the sound server's own tool prints."""
    try:
        done = subprocess.run(["pactl", *words], capture_output=True, text=True, timeout=10, check=False)
    except FileNotFoundError as error:
        raise AudioError(
            "there is no program `pactl`, by which PulseAudio and PipeWire are told of a virtual microphone; install "
            "pulseaudio-utils."
        ) from error
    except subprocess.TimeoutExpired as error:
        raise AudioError("the sound server does not answer within 10 s; start it again.") from error
    if done.returncode:
        raise AudioError(f"the sound server refused '{' '.join(words[:2])}' ({done.stderr.strip()}); is it running?")
    return done.stdout
