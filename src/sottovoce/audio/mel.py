"""The mel scale: perceived frequency, in Slaney's form (Auditory Toolbox 1998), linear up to 1 kHz.

The same numbers as librosa's defaults, which published encoders were trained on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sottovoce.audio.level import normalise, rms
from sottovoce.audio.spectrum import SAMPLE_RATE, SEGMENT_SAMPLES, Wave

_HZ_PER_MEL = 200.0 / 3.0  # below the bend
_BEND_HZ = 1000.0
_BEND_MEL = _BEND_HZ / _HZ_PER_MEL  # 15
_LOG_STEP = np.log(6.4) / 27.0  # above the bend, 27 mel are a factor of 6.4


def to_mel(frequency_hz: ArrayLike) -> NDArray[np.float64]:
    """Mel of frequencies in Hz, of any shape; 0 Hz or more."""
    hertz = np.asarray(frequency_hz, np.float64)
    above = _BEND_MEL + np.log(np.maximum(hertz, _BEND_HZ) / _BEND_HZ) / _LOG_STEP
    return np.where(hertz < _BEND_HZ, hertz / _HZ_PER_MEL, above)


def to_hertz(mel: ArrayLike) -> NDArray[np.float64]:
    """Frequencies in Hz of mel, of any shape: the inverse of `to_mel`."""
    mel = np.asarray(mel, np.float64)
    above = _BEND_HZ * np.exp(_LOG_STEP * (np.maximum(mel, _BEND_MEL) - _BEND_MEL))
    return np.where(mel < _BEND_MEL, mel * _HZ_PER_MEL, above)


def filterbank(bands: int, fft_size: int, sample_rate: int) -> NDArray[np.float32]:
    """Weights [bands, fft_size // 2 + 1] that gather the bins of a power spectrum into mel bands, up to half the rate.

    Triangles whose corners are equally far apart in mel, each of unit area over frequency in Hz.
    """
    corners = to_hertz(np.linspace(0.0, to_mel(sample_rate / 2), bands + 2))
    low, peak, high = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    hertz = np.linspace(0.0, sample_rate / 2, fft_size // 2 + 1)
    triangles = np.maximum(0.0, np.minimum((hertz - low) / (peak - low), (high - hertz) / (high - peak)))
    return (triangles * 2.0 / (high - low)).astype(np.float32)


def magnitudes(wav: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
    """Magnitudes [S, F, N] of sounds [S, T] at one level, in Hamming windows of 32 ms every 10 ms, as RDAL takes them.

    F is half of the window and one, N is 1 + T // hop. Frames are centred; what lies outside a sound is zero.
    """
    window, hop = window_samples(sample_rate), sample_rate // 100
    padded = np.pad(normalise(wav), ((0, 0), (window // 2, window // 2)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, window, axis=-1)[:, ::hop]
    shape = np.hamming(window + 1)[:-1].astype(np.float32)  # periodic
    found = np.abs(np.fft.rfft(frames * shape, axis=-1)).astype(np.float32)
    return np.ascontiguousarray(found.swapaxes(1, 2))


def window_samples(sample_rate: int) -> int:
    """Samples in a window of 32 ms: 512 at 16 kHz, the paper's 1411 at 44.1 kHz."""
    return round(0.032 * sample_rate)


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
