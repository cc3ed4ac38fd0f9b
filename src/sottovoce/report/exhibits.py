"""A few test clips to look at and listen to: the original, what leaves the system, what an attacker restores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sottovoce.audio.level import normalise
from sottovoce.audio.segment import LEVEL_RMS, join
from sottovoce.audio.spectrum import SEGMENT_SAMPLES, Wave, log_spectrum
from sottovoce.audit.case import Case
from sottovoce.audit.hearing import Hearing
from sottovoce.audit.plan import Hearings
from sottovoce.audit.pseudonyms import Pseudonyms
from sottovoce.audit.system import System
from sottovoce.report.pages import Exhibit, Panel
from sottovoce.runtime.filter import Filter

_CLIPS = 3
_LONGEST_SAMPLES = 4 * 16000  # of a clip shown: the report is one file


def exhibits(
    case: Case, system: System, hearings: Hearings, attributes: Sequence[str], names: Pseudonyms | None
) -> list[Exhibit]:
    """The first, middle and last clip of the test part, each in up to three forms.

    Titles tell what is permitted and the private `attributes`, under `names` where there are any.
    """
    chosen = np.linspace(0, len(case.split.test) - 1, _CLIPS).astype(int)
    filter_ = Filter.load(system.path) if system.path else None
    told = [task for task in (*case.permit, *attributes) if task in case.manifest.tasks]
    found = []
    for utterance in dict.fromkeys(chosen):
        labels = case.manifest.clips[case.split.test[utterance]].labels
        title = ", ".join(_label(task, labels[task], names) for task in dict.fromkeys(told) if task in labels)
        found.append(_exhibit(case, filter_, hearings, int(utterance), title))
    return found


def _label(task: str, label: str, names: Pseudonyms | None) -> str:
    shown = names.shown(task, label) if names else label
    return shown if shown.startswith(f"{task} ") else f"{task} {shown}"


def _exhibit(case: Case, filter_: Filter | None, hearings: Hearings, utterance: int, title: str) -> Exhibit:
    clip = case.split.test[utterance]
    original = case.sounds.wave(clip)
    sounds = {"original": original}
    if filter_ is not None and hearings.features is not None:
        if filter_.sounds:
            sounds["obfuscated"] = _decoded(filter_, hearings.features, utterance, len(original))
        if hearings.restored is not None:
            sounds["restored by an attacker"] = _decoded(filter_, hearings.restored, utterance, len(original))
    elif hearings.sound is not None:
        sounds["obfuscated"] = np.array((hearings.sound.part("test").waves or [])[utterance])
    shown = {name: wav[:_LONGEST_SAMPLES] for name, wav in sounds.items()}
    return Exhibit(title, tuple(Panel(name, _spectrogram(wav), wav) for name, wav in shown.items()))


def _decoded(filter_: Filter, hearing: Hearing, utterance: int, samples: int) -> Wave:
    """The sound of an utterance's segments."""
    heard = hearing.part("test")
    segments = np.array(heard.spectra[heard.first[utterance] : heard.first[utterance + 1]])
    return filter_.sound(join(segments, len(segments) * SEGMENT_SAMPLES if filter_.whole_segments else samples))


def _spectrogram(wav: Wave) -> Wave:
    return log_spectrum(normalise(wav, LEVEL_RMS))
