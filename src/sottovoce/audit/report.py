"""An audit's results as one HTML page that needs nothing but itself: no script, no font, no picture from elsewhere."""

from __future__ import annotations

import base64
import io
import wave
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from sottovoce.audio.spectrum import BINS, SAMPLE_RATE, Spectrum, Wave, magnitude
from sottovoce.audit import pictures
from sottovoce.models.checkpoint import write_file

FILE = "report.html"
BANDS_HZ = (0, 1000, 4000, 8000)
_PEAK = 0.99
_SILENCE_DB = -99.0
_SPACE, _DASH, _MINUS = "\u202f", "\u2013", "\u2212"  # thin no-break space, en dash, minus


@dataclass(frozen=True)
class Panel:
    """One form of a clip: "original", "obfuscated" or "restored by an attacker"."""

    name: str
    spectrogram: Spectrum  # log(1 + magnitude) [161, N]
    wav: Wave  # [T] at 16 kHz


@dataclass(frozen=True)
class Exhibit:
    """One clip in all its forms, to see and to hear."""

    title: str
    panels: tuple[Panel, ...]


def write_report(folder: Path, results: Mapping[str, Any], exhibits: Sequence[Exhibit]) -> Path:
    """Write `folder/report.html` from `results` (what `results.json` holds), all or nothing, and return its path.

    Raises ModelError where the file cannot be written.
    """
    template = _environment().get_template("report.html.j2")
    page = template.render(
        results=results,
        exhibits=[_exhibit(f"exhibit-{number}", exhibit) for number, exhibit in enumerate(exhibits, 1)],
        failed={name: control["detail"] for name, control in results["controls"].items() if not control["passed"]},
    )
    write_file(folder / FILE, page.encode())
    return folder / FILE


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": percent, "whole": whole, "interval": interval, "points": points, "duration": duration,
        "opening": lambda text: text[:1].upper() + text[1:],
    }  # fmt: skip
    environment.globals |= {
        "ladder": pictures.ladder, "trade": pictures.trade, "trade_points": pictures.trade_points,
        "ranked": pictures.ranked,
    }  # fmt: skip
    return environment


def percent(share: float) -> str:
    """A share of 1 as tables give it: 0.786 -> 78.6 %."""
    return f"{100 * share:.1f}{_SPACE}%"


def whole(share: float) -> str:
    """A share of 1 as sentences give it: 0.786 -> 79 %; 100 % and 0 % are said only of all and none."""
    if share < 1 and round(100 * share) == 100:
        return f"over 99{_SPACE}%"
    if share > 0 and round(100 * share) == 0:
        return f"under 1{_SPACE}%"
    return f"{100 * share:.0f}{_SPACE}%"


def interval(score: Mapping[str, Any], digits: int = 1) -> str:
    """The interval around a score, in percent: 74.9-82.4, with an en dash."""
    return f"{100 * score['low']:.{digits}f}{_DASH}{100 * score['high']:.{digits}f}"


def points(difference: float) -> str:
    """A difference of two shares in percentage points, with its sign: 0.696 -> +69.6."""
    return f"{round(100 * difference, 1) + 0.0:+.1f}".replace("-", _MINUS)


def duration(seconds: float) -> str:
    """Seconds as people say them: 8.2 s, 2 min 5 s, 3 h 20 min."""
    if seconds < 59.95:
        return f"{seconds:.1f}{_SPACE}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}{_SPACE}min {rest}{_SPACE}s"
    return f"{minutes // 60}{_SPACE}h {minutes % 60}{_SPACE}min"


def _exhibit(name: str, exhibit: Exhibit) -> dict[str, Any]:
    """What the page shows of an exhibit: one colour scale and one time axis for all its panels."""
    brightest = max((float(panel.spectrogram.max()) for panel in exhibit.panels), default=0.0)
    longest = max((panel.spectrogram.shape[1] for panel in exhibit.panels), default=0)
    return {
        "title": exhibit.title,
        "brightest": brightest,
        "panels": [
            {
                "name": panel.name,
                "picture": pictures.spectrogram(
                    f"{name}-{number}", f"Spectrogram, {panel.name}", panel.spectrogram, brightest, longest
                ),
                "sound": _data_uri(panel.wav),
                "seconds": len(panel.wav) / SAMPLE_RATE,
                "level_db": _level_db(panel.wav),
                "bands": _bands(panel.spectrogram),
            }
            for number, panel in enumerate(exhibit.panels, 1)
        ],
    }


def _level_db(wav: Wave) -> float:
    power = float(np.mean(np.square(wav, dtype=np.float64)))
    return max(10 * float(np.log10(power)), _SILENCE_DB) if power > 0 else _SILENCE_DB


def _bands(log_spectrum: Spectrum) -> list[float]:
    """The share of the energy in each of the bands between `BANDS_HZ`; zeros for silence."""
    energy = np.square(magnitude(log_spectrum), dtype=np.float64).sum(axis=1)
    edges = np.array(BANDS_HZ) * 2 * (BINS - 1) // SAMPLE_RATE
    edges[-1] = BINS
    total = energy.sum() or 1.0
    return [float(energy[low:high].sum() / total) for low, high in pairwise(edges)]


def _data_uri(wav: Wave) -> str:
    """The sound as a WAV inside an address (16 bits, mono, 16 kHz), turned down where it would clip."""
    peak = float(np.abs(wav).max(initial=0.0))
    quiet = wav * (_PEAK / peak if peak > _PEAK else 1.0)
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(np.round(quiet * 32767).astype("<i2").tobytes())
    return "data:audio/wav;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
