"""Pairs of clips, the second with speech, as trainings of RDAL take them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sottovoce.audio.mel import magnitudes
from sottovoce.audio.spectrum import Wave

_LEAST = 1e-12  # of a norm


class PairedClips(NamedTuple):
    """Pairs without and with speech of one part: magnitudes [P, 2, F, N], and the number of each event [P, 2].

    `gain` [P]: every clip is brought to one level, so the event inside the clip with speech is fainter than the event
    alone; by this factor.
    """

    magnitudes: NDArray[np.float32]
    events: NDArray[np.int64]
    gain: NDArray[np.float32]


def paired(clips: Wave, events: NDArray[np.int64], sample_rate: int) -> PairedClips:
    """Pairs from the sound of clips [2 P, T], those without and with speech in turn, and the events [P, 2].

    With an event e and a mixture g e + s of one level, where the speech s is independent of e, the gain g is the
    correlation of both, whatever level the recordings were brought to before.
    """
    spectra = magnitudes(clips, sample_rate)
    quiet, spoken = clips.astype(np.float64).reshape(-1, 2, clips.shape[-1]).swapaxes(0, 1)
    norms = np.linalg.norm(quiet, axis=1) * np.linalg.norm(spoken, axis=1)
    gain = np.clip((quiet * spoken).sum(axis=1) / np.maximum(norms, _LEAST), 0.0, 1.0).astype(np.float32)
    return PairedClips(spectra.reshape(-1, 2, *spectra.shape[1:]), events, gain)
