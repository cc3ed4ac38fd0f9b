"""A virtual microphone that the sound server itself makes at each start, before any program can choose it.

PipeWire gives a program that names a missing microphone the real one. A tool that makes the microphone is too late for
the programs that were faster; the server's own configuration is not.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from sottovoce.errors import ConfigError
from sottovoce.files import write_file
from sottovoce.live import pulse, virtual_microphone

_SYSTEM_SCRIPT = Path("/etc/pulse/default.pa")


def install(name: str, sample_rate: int) -> Path:
    """Add a microphone called `name`, at `sample_rate` Hz, to the user's configuration of the server that runs.

    Returns the file that was changed. AudioError where no server answers, ConfigError where it cannot be configured.
    """
    virtual_microphone.checked(name)
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR", ""))
    if not runtime.is_absolute():
        raise ConfigError("XDG_RUNTIME_DIR is not set, so there is no place for a pipe; install it from your session.")
    pipe = runtime / f"sottovoce-{name}.pipe"  # in a folder that is there when the server starts
    if pulse.is_pipewire():
        path = _drop_in(name)
        _write(path, _pipewire(name, pipe, sample_rate))
        return path
    path = _script()
    if not path.exists() and not _SYSTEM_SCRIPT.exists():
        raise ConfigError(f"there is neither {path} nor {_SYSTEM_SCRIPT}; install PulseAudio's own configuration.")
    before = _read(path) if path.exists() else f".include {_SYSTEM_SCRIPT}\n"
    module = f"load-module {pulse.PIPE_MODULE} {' '.join(virtual_microphone.arguments(name, pipe, sample_rate))}"
    _write(path, _without(name, before) + f"\n{_mark(name)}\n.nofail\n{module}\n")
    return path


def remove(name: str) -> str:
    """Remove a virtual microphone and what makes it; returns a sentence about what is left of it.

    AudioError where programs listen to it, or a process plays to it.
    """
    virtual_microphone.remove(name)
    _drop_in(name).unlink(missing_ok=True)
    if (script := _script()).exists() and _mark(name) in (before := _read(script)):
        _write(script, _without(name, before))
    left = virtual_microphone.left_behind(name)
    if left is None:
        return f"There is no virtual microphone {name} any more."
    return f"The virtual microphone {name} goes away at the next start of the sound server."


def _drop_in(name: str) -> Path:
    configuration = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return configuration / "pipewire" / "pipewire.conf.d" / f"sottovoce-{name}.conf"


def _script() -> Path:
    """What PulseAudio runs at its start: it looks at the old place first, and does not know XDG_CONFIG_HOME."""
    old, new = (Path.home() / folder / "default.pa" for folder in (".pulse", ".config/pulse"))
    return old if old.exists() else new


def _pipewire(name: str, pipe: Path, sample_rate: int) -> str:
    """A drop-in for the server below, not for its PulseAudio part, which starts later and may restart alone."""
    return f"""{_mark(name)}
context.modules = [
  {{ name = libpipewire-module-pipe-tunnel
    flags = [ nofail ]
    args = {{
      tunnel.mode = source
      pipe.filename = "{pipe}"
      audio.format = S16LE
      audio.rate = {sample_rate}
      audio.channels = 1
      audio.position = [ MONO ]
      stream.props = {{
        node.name = "{name}"
        node.description = "{name}"
        media.class = Audio/Source
        device.string = "{pipe}"
        node.virtual = true
        {" = ".join(map(str, virtual_microphone.PERIOD))}
      }}
    }}
  }}
]
"""


def _mark(name: str) -> str:
    return f"# Made by: sottovoce live FILTER --install-mic {name}"


def _without(name: str, script: str) -> str:
    """A script of PulseAudio without what `install` added for this microphone."""
    return re.sub(rf"\n?{re.escape(_mark(name))}\n\.nofail\nload-module [^\n]*\n", "", script)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="surrogateescape")


def _write(path: Path, text: str) -> None:
    """All or nothing; a link stays one."""
    write_file(path.resolve(), text.encode(errors="surrogateescape"))
