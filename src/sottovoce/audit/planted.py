"""A leak planted on purpose: a faint tone in what is observed, at a frequency of its own for each class."""

from __future__ import annotations

import numpy as np

from sottovoce.attack.attacker import Labels, Observations
from sottovoce.audio.segment import standardise
from sottovoce.audio.spectrum import BINS, WINDOW_SAMPLES, magnitude

# Log spectra arrive standardised; with the mean and deviation of speech they become magnitudes again.
_MEAN, _DEVIATION = 0.65, 0.85
_LOWEST_BIN = 10  # 500 Hz: speech is louder below
_LOBE = (0.426, 1.0, 0.426)  # magnitudes that a Hamming window gives a tone in the middle of a bin, 0.23 / 0.54
_WINDOW = np.hamming(WINDOW_SAMPLES + 1)[:-1]


def plant(observed: Observations, labels: Labels, classes: int, level_db: float) -> Observations:
    """The same with a tone `level_db` dB over the sound (below it, if negative) that says the label [U].

    Where the features are no spectra, a direction among the features stands for a tone.
    """
    spectra = np.array(observed.spectra)
    if spectra.shape[1] != BINS:
        rms = np.sqrt(np.square(spectra).mean(axis=(1, 2), keepdims=True))
        directions = np.random.default_rng(classes).standard_normal((classes, spectra.shape[1], 1))
        added = rms * 10.0 ** (level_db / 20.0) * directions[labels[observed.owner]]
        return Observations((spectra + added).astype(np.float32), observed.owner, observed.outline)
    power = magnitude(spectra * np.float32(_DEVIATION) + np.float32(_MEAN)) ** 2  # [S, 161, N]
    # Parseval: of a windowed frame, the sum of squared magnitudes over all bins is their number times that of samples.
    rms = np.sqrt(2.0 * power.sum(axis=1).mean(axis=1) / (2 * (BINS - 1) * np.square(_WINDOW).sum()))
    tone = rms * 10.0 ** (level_db / 20.0) * _WINDOW.sum() / np.sqrt(2.0)
    centres = np.linspace(_LOWEST_BIN, BINS - 2, classes).astype(int)[labels[observed.owner]]
    rows = np.arange(len(spectra))
    for offset, height in zip((-1, 0, 1), _LOBE, strict=True):
        power[rows, centres + offset] += np.square(height * tone)[:, None]
    planted = standardise(np.log1p(np.sqrt(power)).astype(np.float32))
    return Observations(planted, observed.owner, observed.outline)
