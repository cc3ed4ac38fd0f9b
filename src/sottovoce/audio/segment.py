"""The front end: sound to standardised segments, the only form in which networks see it, and the way back.

    sound [T] -- cut --> [S, 20480] -- front_end --> [S, 161, 128] -- join --> [161, N] -- sound --> [T]

What lies below speech is removed, since it would set the level; then each segment is brought to one level and
standardised by its own mean and deviation. These numbers stay here: the way back uses constants that the filter
carries, the same for every input. `full_band` removes nothing: an attacker looks at all that leaves.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sottovoce.audio.highpass import high_pass
from sottovoce.audio.level import normalise
from sottovoce.audio.spectrum import HOP_SAMPLES, SEGMENT_FRAMES, SEGMENT_SAMPLES, Spectrum, Wave, log_spectrum

FRONT_END = 2  # the version of `front_end`: targets and filters are bound to the one that they were trained with
LEVEL_RMS = 1.0  # speech then has magnitudes around 10, where log1p is a logarithm
_TILE = 8  # segments transformed at once: a batch that stays in the processor's cache is several times faster
SILENT = 1e-5  # a deviation below this is silence, which stays zero


def starts(samples: int) -> list[int]:
    """First sample of each segment of a sound of `samples` samples: side by side, the last one aligned to the end.

    A sound shorter than one segment is one segment.
    """
    if samples <= SEGMENT_SAMPLES:
        return [0]
    whole = list(range(0, samples - SEGMENT_SAMPLES + 1, SEGMENT_SAMPLES))
    return whole if whole[-1] + SEGMENT_SAMPLES == samples else [*whole, samples - SEGMENT_SAMPLES]


def cut(wav: Wave) -> Wave:
    """Segments [S, 20480] of a sound [T], T > 0; one that is too short is filled up with its mean, without a step."""
    short = max(0, SEGMENT_SAMPLES - wav.shape[-1])
    padded = np.pad(wav, (0, short), constant_values=wav.mean() if short else 0.0)
    return np.stack([padded[start : start + SEGMENT_SAMPLES] for start in starts(wav.shape[-1])])


def standardise(spectrum: Spectrum) -> Spectrum:
    """Zero mean and unit (unbiased) deviation over bins and frames of each [..., F, N]; silence becomes zero."""
    centred = spectrum - spectrum.mean(axis=(-2, -1), keepdims=True)
    deviation = centred.std(axis=(-2, -1), ddof=1, keepdims=True)
    return np.where(deviation > SILENT, centred / np.maximum(deviation, SILENT), 0.0).astype(np.float32)


def front_end(segments: Wave) -> Spectrum:
    """Standardised log spectra [S, 161, 128] of sound segments [S, 20480], without what lies below speech."""
    return full_band(high_pass(segments))


def full_band(segments: Wave) -> Spectrum:
    """Standardised log spectra [S, 161, 128] of sound segments [S, 20480], as they are."""
    tiles = [segments[i : i + _TILE] for i in range(0, len(segments), _TILE)]
    return np.concatenate([standardise(log_spectrum(normalise(tile, LEVEL_RMS))) for tile in tiles])


def join(spectra: NDArray[np.float32], samples: int) -> Spectrum:
    """One spectrogram [161, ceil(T / 160)] of a sound of `samples` samples from its segments [S, 161, 128].

    Where the last segment overlaps its neighbour, only its new frames are used.
    """
    frames = -(-samples // HOP_SAMPLES)
    new = frames - (len(spectra) - 1) * SEGMENT_FRAMES
    last = spectra[-1][:, :new] if len(spectra) == 1 else spectra[-1][:, SEGMENT_FRAMES - new :]
    return np.concatenate([*spectra[:-1], last], axis=1)
