"""A few test clips to look at and listen to: the original, what leaves the system, what an attacker restores."""

from __future__ import annotations

import numpy as np

from sottovoce.audio.level import normalise
from sottovoce.audio.segment import LEVEL_RMS, join
from sottovoce.audio.spectrum import SEGMENT_SAMPLES, Wave, log_spectrum
from sottovoce.audit.case import Case
from sottovoce.audit.hearing import Hearing
from sottovoce.audit.plan import Hearings
from sottovoce.audit.system import System
from sottovoce.report.pages import Exhibit, Panel
from sottovoce.runtime.filter import Filter

_CLIPS = 3
_LONGEST_SAMPLES = 4 * 16000  # of a clip shown: the report is one file


def exhibits(case: Case, system: System, hearings: Hearings) -> list[Exhibit]:
    """The first, middle and last clip of the test part, each heard in three ways."""
    chosen = np.linspace(0, len(case.split.test) - 1, _CLIPS).astype(int)
    filter_ = Filter.load(system.path) if system.path else None
    return [_exhibit(case, filter_, hearings, int(utterance)) for utterance in dict.fromkeys(chosen)]


def _exhibit(case: Case, filter_: Filter | None, hearings: Hearings, utterance: int) -> Exhibit:
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
    labels = case.manifest.clips[clip].labels
    title = ", ".join(f"{task} {labels[task]}" for task in sorted(labels))
    shown = {name: wav[:_LONGEST_SAMPLES] for name, wav in sounds.items()}
    return Exhibit(title, tuple(Panel(name, _spectrogram(wav), wav) for name, wav in shown.items()))


def _decoded(filter_: Filter, hearing: Hearing, utterance: int, samples: int) -> Wave:
    """The sound of an utterance's segments."""
    heard = hearing.part("test")
    segments = np.array(heard.spectra[heard.first[utterance] : heard.first[utterance + 1]])
    return filter_.sound(join(segments, len(segments) * SEGMENT_SAMPLES if filter_.whole_segments else samples))


def _spectrogram(wav: Wave) -> Wave:
    return log_spectrum(normalise(wav, LEVEL_RMS))
