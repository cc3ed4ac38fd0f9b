"""A few test clips to look at and listen to: the original, what the filter lets through, what an attacker restores."""

from __future__ import annotations

import numpy as np

from sottovoce.attack.restore import Restorer
from sottovoce.audio.level import normalise
from sottovoce.audio.segment import LEVEL_RMS, cut, join
from sottovoce.audio.spectrum import Wave, log_spectrum
from sottovoce.audit.case import Case
from sottovoce.audit.report import Exhibit, Panel
from sottovoce.runtime.filter import Filter

_CLIPS = 3
_LONGEST_SAMPLES = 4 * 16000  # of a clip shown: the report is one file


def exhibits(case: Case, filter_: Filter, restorer: Restorer) -> list[Exhibit]:
    """The first, middle and last clip of the test part, each heard in three ways."""
    positions = case.split.test[np.linspace(0, len(case.split.test) - 1, _CLIPS).astype(int)]
    return [_exhibit(case, filter_, restorer, int(position)) for position in dict.fromkeys(positions)]


def _exhibit(case: Case, filter_: Filter, restorer: Restorer, clip: int) -> Exhibit:
    wav = case.sounds.wave(clip)[:_LONGEST_SAMPLES]
    obfuscated = filter_.obfuscate(cut(wav))
    sounds = {
        "original": wav,
        "obfuscated": filter_.sound(join(obfuscated, len(wav))),
        "restored by an attacker": filter_.sound(join(restorer.restore(obfuscated), len(wav))),
    }
    labels = case.manifest.clips[clip].labels
    title = ", ".join(f"{task} {labels[task]}" for task in sorted(labels))
    return Exhibit(title, tuple(Panel(name, _spectrogram(sound), sound) for name, sound in sounds.items()))


def _spectrogram(wav: Wave) -> Wave:
    return log_spectrum(normalise(wav, LEVEL_RMS))
