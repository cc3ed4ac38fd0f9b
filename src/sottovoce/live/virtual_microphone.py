"""A microphone that does not exist, for the programs of PulseAudio or PipeWire to choose.

The sound server reads it from a pipe. Where nothing is written, it is silent. It is never removed by the tool that
plays to it: a program whose microphone goes away is given the real one.
"""

from __future__ import annotations

import fcntl
import os
import re
import shlex
import stat
import threading
import time
from contextlib import suppress
from pathlib import Path

from sottovoce.audio.spectrum import Wave
from sottovoce.errors import AudioError, ConfigError
from sottovoce.live import pulse
from sottovoce.live.devices import Pipe

_PIPE_BYTES = 8192  # a quarter of a second at 16 kHz, at most, waits for a program that hesitates
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,60}")
# PipeWire (seen with 0.3.65) reads nothing more, for good, once its period becomes shorter than that of the pipe, which
# any program with a low latency brings about. PulseAudio knows no such property.
PERIOD = ("node.force-quantum", 1024)
_APPEARS_S = 5.0  # PipeWire answers before the microphone is there
_AGAIN_S = 0.1  # between attempts to make it again while the sound server is away


class VirtualMicrophone(Pipe):
    """A source called `name` at `sample_rate` Hz; one that was left behind is taken over.

    Where the sound server restarts, the source is made anew as soon as the server answers; until then sound is lost.
    AudioError where the sound server cannot be reached or refuses it, where another process plays to it, where it
    exists with another form, or where it cannot be taken over while programs listen to it.
    """

    def __init__(self, name: str, sample_rate: int) -> None:
        self.name, self._sample_rate = checked(name), sample_rate
        self._place = _private_folder()
        self._lock = lock(name)
        self._lost, self._closing = threading.Event(), threading.Event()
        self._mender: threading.Thread | None = None
        try:
            super().__init__(self._attached())
        except BaseException:
            os.close(self._lock)
            raise

    def write(self, samples: Wave) -> int:
        """As many as the pipe has room for; none while the sound server is away."""
        if self._lost.is_set():
            return 0
        try:
            return super().write(samples)
        except AudioError:
            self._lost.set()
            self._mender = threading.Thread(target=self._mend, daemon=True)
            self._mender.start()
            return 0

    def close(self) -> None:
        """Stop playing; the microphone stays and is silent."""
        self._closing.set()
        if self._mender is not None:
            self._mender.join()
        os.close(self._descriptor)
        os.close(self._lock)

    def _mend(self) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)  # the server may read the same pipe again
        while not self._closing.is_set():
            try:
                descriptor = self._attached()
            except (AudioError, OSError):
                self._closing.wait(_AGAIN_S)
                continue
            os.set_blocking(descriptor, False)
            os.dup2(descriptor, self._descriptor, inheritable=False)
            os.close(descriptor)
            self._lost.clear()
            return

    def _attached(self) -> int:
        """A descriptor of the pipe of the source that is there, or else of a new one."""
        left = left_behind(self.name)
        if left is None:
            return self._made()
        if left.form != (expected := f"s16le 1ch {self._sample_rate}Hz"):
            raise AudioError(
                f"there is a microphone {self.name!r} of {left.form}, expected {expected}; choose another name, or "
                f"remove it: `sottovoce live FILTER --remove-mic {self.name}`."
            )
        descriptor = _opened(Path(left.pipe), self.name)
        if descriptor is not None:
            return descriptor
        _unload(self.name, left, f"its pipe {left.pipe} is gone, so it cannot be taken over")
        return self._made()

    def _made(self) -> int:
        """A descriptor of the pipe of a new source, which the server lists."""
        pipe = self._place / f"{self.name}.pipe"
        pipe.unlink(missing_ok=True)
        module = pulse.pactl("load-module", pulse.PIPE_MODULE, *arguments(self.name, pipe, self._sample_rate)).strip()
        if not self._appears(module):
            pulse.pactl("unload-module", module)  # nobody knows it: it has another name, or none
            raise AudioError(
                f"there is a source {self.name!r} that sottovoce did not make, or the sound server does not list a new "
                "one; choose another name, see `pactl list short sources`."
            )
        descriptor = _opened(pipe, self.name)
        if descriptor is None:
            raise AudioError(f"{pipe} has no reader; try once more.")
        return descriptor

    def _appears(self, module: str) -> bool:
        """Whether the server has the source, made by this module alone, or does not list what it has."""
        deadline = time.monotonic() + _APPEARS_S
        while True:
            known = pulse.sources()
            makers = [module if one.module is None else one.module for one in known if one.name == self.name]
            if makers or time.monotonic() > deadline:
                return set(makers) == {module} or not known
            time.sleep(0.05)


def remove(name: str) -> None:
    """Remove the source, if there is one; AudioError where programs listen to it or a process plays to it."""
    held = lock(checked(name))
    try:
        left = left_behind(name)
        if left is not None:
            descriptor = _opened(Path(left.pipe), name)  # refused where a process of another runtime folder plays to it
            if descriptor is not None:
                os.close(descriptor)
            if left.module:
                _unload(name, left, "it is not removed")
            elif listening := pulse.listeners(name):
                raise AudioError(_in_use(name, listening, "it is not removed"))
    finally:
        os.close(held)


def left_behind(name: str) -> pulse.Source | None:
    """The virtual microphone of this name that exists; its module is "" where the server's configuration made it."""
    for module, settings in pulse.pipe_modules():
        if settings.get("source_name") == name:
            described = f"{settings.get('format')} {settings.get('channels')}ch {settings.get('rate')}Hz"
            return pulse.Source("", name, described, module, settings.get("file", ""))
    for one in pulse.sources():
        if one.name == name and not one.module and Path(one.pipe).is_fifo():
            return one
    return None


def checked(name: str) -> str:
    """A name that is safe in commands, files and configurations."""
    if not _NAME.fullmatch(name) or not name.strip("."):
        raise ConfigError(f"a virtual microphone is to be called {name!r}; use letters, digits, _ . and - alone.")
    return name


def arguments(name: str, pipe: Path, sample_rate: int) -> list[str]:
    """Those of the module that reads a microphone from `pipe`."""
    properties = f'source_properties="device.description={name} {PERIOD[0]}={PERIOD[1]}"'
    return [
        f"source_name={name}",
        f"file={shlex.quote(str(pipe))}",
        "format=s16le",
        "channels=1",
        f"rate={sample_rate}",
        properties,
    ]


def lock(name: str) -> int:
    """A descriptor that one process has for each name, until it closes it or ends."""
    descriptor = os.open(_private_folder() / f"{name}.lock", os.O_CREAT | os.O_RDWR, 0o600)
    return _alone(descriptor, name)


def _private_folder() -> Path:
    place = Path(os.environ.get("XDG_RUNTIME_DIR", f"/tmp/sottovoce-{os.getuid()}")) / "sottovoce"
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    if place.stat().st_uid != os.getuid() or place.stat().st_mode & 0o077:
        raise AudioError(f"{place} can be used by others; expected a folder of yours alone (mode 700).")
    return place


def _alone(descriptor: int, name: str) -> int:
    """The same descriptor, locked."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise AudioError(
            f"another `sottovoce live` plays to {name!r} already; stop that one first, or choose another name."
        ) from error
    return descriptor


def _opened(pipe: Path, name: str) -> int | None:
    """A locked descriptor of a pipe that the server reads; None where there is none."""
    try:
        descriptor = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return None
    if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    _alone(descriptor, name)
    with suppress(OSError):  # more sound than that waits in it already
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return descriptor


def _unload(name: str, left: pulse.Source, otherwise: str) -> None:
    """Remove a source that nobody listens to."""
    if not left.module:
        raise AudioError(f"the configuration of the sound server makes {name!r}, and {otherwise}; restart the server.")
    if listening := pulse.listeners(name):
        raise AudioError(_in_use(name, listening, otherwise))
    pulse.pactl("unload-module", left.module)


def _in_use(name: str, listening: list[str], otherwise: str) -> str:
    return f"{', '.join(listening)} listens to {name!r}, and {otherwise}; end that program first, then try again."
