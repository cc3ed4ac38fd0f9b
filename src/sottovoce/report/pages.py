"""An audit's results as one HTML page that needs nothing but itself, and as Markdown for a model card."""

from __future__ import annotations

import base64
import hashlib
import io
import wave
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from sottovoce.audio.griffin_lim import to_sound
from sottovoce.audio.level import limited, normalise
from sottovoce.audio.segment import LEVEL_RMS, join
from sottovoce.audio.spectrum import BINS, SAMPLE_RATE, SEGMENT_SAMPLES, Spectrum, Wave, log_spectrum, magnitude
from sottovoce.audit.case import Case
from sottovoce.audit.observations import View
from sottovoce.audit.plan import Views
from sottovoce.audit.pseudonyms import Pseudonyms
from sottovoce.audit.system import System
from sottovoce.files import write_file
from sottovoce.redaction import visible
from sottovoce.report import detection, findings, impact_assessment, pictures, speech, transfer, wording
from sottovoce.runtime.filter import Filter

PAGE, CARD = "report.html", "report.md"
BANDS_HZ = (0, 1000, 4000, 8000)
_PEAK = 0.99
_SILENCE_DB = -99.0


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
    """Write `folder/report.html` and `folder/report.md` from `results` (what results.json holds); returns the first.

    Each is written whole or not at all. Raises ModelError where a file cannot be written.
    """
    rendered = render(results, drawn(exhibits))
    write_file(folder / CARD, rendered[CARD])
    write_file(folder / PAGE, rendered[PAGE])
    return folder / PAGE


def render(results: Mapping[str, Any], drawn: Sequence[Mapping[str, Any]]) -> dict[str, bytes]:
    """The pages by file name, from what results.json holds and the exhibits as `drawn` gives them."""
    page = html(f"{PAGE}.j2", bool(drawn), results=results, exhibits=drawn)
    # Here, too, whatever a template is given is text; only what stands in the template is markup.
    card = environment(finalize=wording.markdown).get_template(f"{CARD}.j2").render(results=results)
    return {PAGE: page.encode(), CARD: card.encode()}


def drawn(exhibits: Sequence[Exhibit]) -> list[dict[str, Any]]:
    """What the page shows of each exhibit."""
    return [_drawn(f"exhibit-{number}", exhibit) for number, exhibit in enumerate(exhibits, 1)]


def html(template: str, media: bool, **given: Any) -> str:
    """A page from a template: whatever is `given` is text on it, and it can load and run nothing.

    Pictures and sounds that it holds itself are shown where it has `media`; its one style sheet is allowed by its hash.
    SVG has its styles as attributes, which can name no script.
    """
    style = Path(__file__).with_name("report.css").read_text(encoding="utf-8")
    allowed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src-elem 'sha256-{allowed}'; style-src-attr 'unsafe-inline'; "
    policy += "img-src data:; media-src data:; " * media + "base-uri 'none'; form-action 'none'"
    page = environment(autoescape=True, finalize=_text).get_template(template)
    return page.render(style=Markup(style), policy=Markup(policy), **given)


def _text(value: Any) -> Any:
    """What a page shows of a value; markup stays as it is."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def environment(**escaping: Any) -> jinja2.Environment:
    """Where templates are found, and the filters and modules that they can use."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        **escaping,
    )
    for name in (
        "percent", "rounded_percent", "interval", "points", "number", "number_with_interval", "duration", "capitalised",
        "listed", "counted",
    ):  # fmt: skip
        environment.filters[name] = getattr(wording, name)
    for module in (detection, findings, impact_assessment, pictures, speech, transfer):
        environment.globals[module.__name__.rpartition(".")[2]] = module
    return environment


def _drawn(name: str, exhibit: Exhibit) -> dict[str, Any]:
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
                "sound": data_uri(panel.wav),
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


def data_uri(wav: Wave) -> str:
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


_CLIPS = 3
_LONGEST_SAMPLES = 4 * 16000  # of a clip shown: the report is one file


def exhibits(
    case: Case, system: System, views: Views, attributes: Sequence[str], names: Pseudonyms | None
) -> list[Exhibit]:
    """The first, middle and last clip of the test part, each in up to three forms.

    Titles name the classes of what is permitted and the private `attributes`, under `names` where there are any.
    """
    chosen = np.linspace(0, len(case.split.test) - 1, _CLIPS).astype(int)
    filter_ = Filter.load(system.path) if system.path else None
    tasks = [task for task in dict.fromkeys((*case.permit, *attributes)) if task in case.manifest.tasks]
    shown = []
    for utterance in dict.fromkeys(chosen):
        labels = case.manifest.clips[case.split.test[utterance]].labels
        title = ", ".join(_label(task, labels[task], names) for task in tasks if task in labels)
        shown.append(_exhibit(case, system, filter_, views, int(utterance), title))
    return shown


def _label(task: str, label: str, names: Pseudonyms | None) -> str:
    shown = names.shown(task, label) if names else label
    return shown if shown.startswith(f"{task} ") else f"{task} {shown}"


def _exhibit(case: Case, system: System, filter_: Filter | None, views: Views, utterance: int, title: str) -> Exhibit:
    clip = case.split.test[utterance]
    original = case.sounds.wave(clip)
    sounds = {"original": original}
    if filter_ is not None and views.features is not None:
        if system.sound is not None:
            sounds["obfuscated"] = system.sound(int(clip))
        if views.restored is not None:
            sounds["restored by an attacker"] = _decoded(filter_, views.restored, utterance, len(original))
    elif views.sound is not None:
        sounds["obfuscated"] = np.array((views.sound.part("test").waves or [])[utterance])
    shown = {name: wav[:_LONGEST_SAMPLES] for name, wav in sounds.items()}
    return Exhibit(
        title, tuple(Panel(name, log_spectrum(normalise(wav, LEVEL_RMS)), wav) for name, wav in shown.items())
    )


def _decoded(filter_: Filter, view: View, utterance: int, samples: int) -> Wave:
    """The sound of what was restored of an utterance's segments."""
    test = view.part("test")
    segments = np.array(test.spectra[test.first[utterance] : test.first[utterance + 1]])
    joined = join(segments, len(segments) * SEGMENT_SAMPLES if filter_.engine.whole_segments else samples)
    return limited(to_sound(filter_.config.magnitude(joined)))
