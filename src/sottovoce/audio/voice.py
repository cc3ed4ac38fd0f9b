"""What the pretrained speaker encoder hears: mel power spectra, 40 bands in Hann windows of 25 ms every 10 ms."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sottovoce.audio.level import normalise, rms
from sottovoce.audio.mel import filterbank
from sottovoce.audio.spectrum import SAMPLE_RATE, SEGMENT_SAMPLES, Wave

BANDS = 40
_WINDOW_SAMPLES, _HOP_SAMPLES = 400, 160
SEGMENT_FRAMES = 1 + SEGMENT_SAMPLES // _HOP_SAMPLES  # 129
_LEVEL_RMS = 10.0 ** (-30.0 / 20.0)  # fainter sound is brought to this
_HANN = np.hanning(_WINDOW_SAMPLES + 1)[:-1].astype(np.float32)


def mels(wav: Wave) -> NDArray[np.float32]:
    """Mel power spectrum [N, 40] of sound [T] at 16 kHz, N = 1 + T // 160; frame n is centred on sample 160 n."""
    louder = normalise(wav, _LEVEL_RMS) if rms(wav) < _LEVEL_RMS else wav
    padded = np.pad(louder, _WINDOW_SAMPLES // 2)
    windows = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW_SAMPLES)[::_HOP_SAMPLES]
    power = np.abs(np.fft.rfft(windows * _HANN)) ** 2
    return (power @ filterbank(BANDS, _WINDOW_SAMPLES, SAMPLE_RATE).T).astype(np.float32)


def front_end(segments: Wave) -> NDArray[np.float32]:
    """Mel power spectra [S, 40, 129] of segments [S, 20480]."""
    return np.stack([mels(segment).T for segment in segments])
